"""Published results as runs of the laboratory: each row states a figure, and is run to meet it."""

from __future__ import annotations

import importlib
import math
import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tailguard.errors import InputError

Status = Literal["pass", "fail", "underspecified"]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure: what was published, what came out, and between which values it passes.

    ``error`` is the Monte-Carlo standard error of ``got``, nan for what is not random. An order
    ("over 5") has one bound at infinity.
    """

    what: str
    expected: float
    got: float
    error: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        """True when the figure is met."""
        return self.low <= self.got <= self.high

    @property
    def asked(self) -> str:
        """What was looked for, in a few characters."""
        if math.isinf(self.high):
            return f"> {self.low:g}"
        if math.isinf(self.low):
            return f"< {self.high:g}"
        return f"{self.expected:.4g} ± {(self.high - self.low) / 2:.2g}"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One published result and the setting under which it is looked for.

    ``run(seed)`` gives its checks; it is None where the paper leaves too much open, and ``reason``
    then says what. ``slow`` rows take more than ten seconds.
    """

    row: int
    title: str
    cite: str
    setting: str
    run: Callable[[int], Sequence[Check]] | None
    slow: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reproduction that was run: its checks, and how long they took."""

    reproduction: Reproduction
    status: Status
    checks: tuple[Check, ...]
    seconds: float


_ROWS: dict[int, Reproduction] = {}


def reproduction(
    row: int, title: str, *, cite: str, setting: str, slow: bool = False
) -> Callable[[Callable[[int], Sequence[Check]]], Callable[[int], Sequence[Check]]]:
    """Enter a function of a seed that runs a setting and returns its checks."""

    def enter(run: Callable[[int], Sequence[Check]]) -> Callable[[int], Sequence[Check]]:
        _ROWS[row] = Reproduction(row, title, cite, setting, run, slow)
        return run

    return enter


def underspecified(row: int, title: str, *, cite: str, setting: str, reason: str) -> None:
    """Enter a result that its paper does not describe well enough to run."""
    _ROWS[row] = Reproduction(row, title, cite, setting, None, reason=reason)


@cache
def reproductions() -> dict[int, Reproduction]:
    """All rows by number: those in every module of this package."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return dict(sorted(_ROWS.items()))


def choose(wanted: str) -> list[Reproduction]:
    """Rows by number, as in ``1,3-5``; ``all``; or ``quick``, those under ten seconds.

    Raises InputError for a row that does not exist.

    >>> [r.row for r in choose("7-9")]
    [7, 8, 9]
    """
    known = reproductions()
    if wanted in ("all", "quick"):
        return [r for r in known.values() if wanted == "all" or not r.slow]
    rows: list[int] = []
    for part in wanted.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise InputError(
                "reproduce", "all, quick, or rows as in 1,3-5", f"'{wanted}'", "retype"
            )
        rows.extend(range(int(low), int(high or low) + 1))
    for row in rows:
        if row not in known:
            listed = ", ".join(map(str, known))
            raise InputError("reproduce", f"rows {listed}", f"{row}", "see: tailguard lab list")
    return [known[row] for row in dict.fromkeys(rows)]


def reproduce(chosen: Iterable[Reproduction], *, seed: int = 0) -> Iterable[Outcome]:
    """Run rows one after the other, and say of each whether it was met."""
    for row in chosen:
        if row.run is None:
            yield Outcome(row, "underspecified", (), 0.0)
            continue
        began = time.perf_counter()
        checks = tuple(row.run(seed))
        status: Status = "pass" if checks and all(c.passed for c in checks) else "fail"
        yield Outcome(row, status, checks, time.perf_counter() - began)


def near(what: str, expected: float, got: float, error: float, *, within: float) -> Check:
    """``got`` within an absolute distance of the published figure."""
    low, high = expected - within, expected + within
    return Check(what, expected, float(got), float(error), low, high)


def relative(what: str, expected: float, got: float, error: float, *, within: float) -> Check:
    """``got`` within a share of the published figure."""
    return near(what, expected, got, error, within=within * abs(expected))


def above(what: str, limit: float, got: float) -> Check:
    """``got`` above a limit: an order, not a value."""
    return Check(what, limit, float(got), math.nan, limit, math.inf)


def below(what: str, limit: float, got: float) -> Check:
    """``got`` below a limit."""
    return Check(what, limit, float(got), math.nan, -math.inf, limit)
