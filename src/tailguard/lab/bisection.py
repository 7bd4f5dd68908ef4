"""Noisy bisection: where a question of whole numbers turns from no to yes, asked of samples.

A decision is "surely yes", "surely no" or open, and takes more replicates to close. If yes and no
change once along the numbers, the interval misses the turn only when a decision is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Decide = Callable[[int, int], tuple[bool | None, bool]]
FACTOR = 4  # replicates grow by this where too much is open


@dataclass(frozen=True, slots=True)
class Turn:
    """Where no turns to yes: surely not at ``low``, surely at ``high``.

    ``low`` is first - 1 and ``high`` last + 1 where nothing is sure. ``best`` is the least number
    from ``low`` + 1 whose estimate says yes. ``replicates`` behind the last decisions; ``total``
    of all.
    """

    low: int
    high: int
    best: int
    replicates: int
    total: int


@dataclass
class Bisection:
    """``decide(number, replicates)`` gives the decision (None: open) and the estimate's side."""

    decide: Decide
    first: int
    last: int
    replicates: int
    most: int
    most_decisions: int
    total: int = 0
    _sure: dict[int, bool] = field(default_factory=dict)
    _seen: dict[tuple[int, int], bool] = field(default_factory=dict)

    def run(self, narrow: Callable[[int, int], bool], *, doubling: bool = False) -> Turn:
        """Bisect, with more replicates until ``narrow(low, high)``, or no more are allowed.

        ``doubling`` starts from the least number, for large ones that cost more.

        >>> turn = Bisection(lambda x, r: (x >= 7, x >= 7), 0, 99, 10, 10, 128)
        >>> turn.run(lambda low, high: True)
        Turn(low=6, high=7, best=7, replicates=10, total=70)
        """
        low, high = self._doubled() if doubling else (self.first - 1, self.last + 1)
        while True:
            low, high = self._narrowed(low, high)
            spent = self.replicates >= self.most or len(self._seen) >= self.most_decisions
            if high - low <= 1 or narrow(low, high) or spent:
                break
            self.replicates = min(self.most, FACTOR * self.replicates)
        return Turn(low, high, self._leaning(low, high), self.replicates, self.total)

    def _doubled(self) -> tuple[int, int]:
        low, number = self.first - 1, self.first
        while True:
            found = self._asked(number)
            if found:
                return low, number
            low = number if found is False else low
            if number == self.last:
                return low, self.last + 1
            number = min(self.last, 2 * number)

    def _narrowed(self, low: int, high: int) -> tuple[int, int]:
        """The closest sure no and sure yes around what is open with the present replicates."""
        while high - low > 1:
            middle = (low + high) // 2
            found = self._asked(middle)
            if found is None:
                no = self._turn(low, middle, lambda x: self._asked(x) is not False) - 1
                return no, self._turn(middle, high, lambda x: self._asked(x) is True)
            low, high = (low, middle) if found else (middle, high)
        return low, high

    def _leaning(self, low: int, high: int) -> int:
        def leans(number: int) -> bool:
            self._asked(number)
            return self._seen.get((number, self.replicates), self._sure.get(number, False))

        return self._turn(low, high, leans)

    @staticmethod
    def _turn(low: int, high: int, yes: Callable[[int], bool]) -> int:
        """The least number in (low, high] that says yes, if ``high`` does."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if yes(middle) else (middle, high)
        return high

    def _asked(self, number: int) -> bool | None:
        if number in self._sure:
            return self._sure[number]
        if (number, self.replicates) in self._seen or len(self._seen) >= self.most_decisions:
            return None
        found, lean = self.decide(number, self.replicates)
        self.total += self.replicates
        self._seen[number, self.replicates] = lean
        if found is not None:
            self._sure[number] = found
        return found
