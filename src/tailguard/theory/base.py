"""The noun of theory: a law gives a quantity at generation ``t``, and says how exactly.

``t`` counts fits: 0 is the real distribution, 1 the model fitted to real data, ``t`` the model
fitted to what model ``t`` - 1 wrote. Keywords of laws: ``t``, ``n`` (sample size), ``d``
(dimensions), ``k`` (categories), ``real_frac``; others are named in the law's docstring.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailguard.errors import InputError

Floats = NDArray[np.float64]
Kind = Literal["exact", "bound", "asymptotic"]
Quantity = Literal[
    "var", "log_var", "mean_sq", "w2_sq", "survival", "heterozygosity", "unseen_mass",
    "survivors", "risk", "sample_var", "wide", "kl", "kl_reverse", "entropy", "absorbed", "alive",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Law:
    """A formula and where it holds.

    ``fn(t=..., **settings)`` returns ``quantity``, an expectation over replicates, at every
    generation in ``t``. ``kind`` is ``exact``, ``bound`` (``note`` says of which side) or
    ``asymptotic`` (``note`` says in what). ``band(t=..., level=..., **settings)``, if given, is an
    interval ``(lo, hi)`` that one replicate leaves with probability 1 - ``level`` at each ``t``.

    >>> law = Law("decay", lambda *, t, n: (1 - 1 / n) ** t, ("replace",), ("gaussian",), "var")
    >>> law.required, law.applies("gaussian", "replace")
    (('n',), True)
    >>> law.at(np.array([0, 1]), n=4, h=1).tolist()
    [1.0, 0.75]
    """

    name: str
    fn: Callable[..., Floats]
    regimes: tuple[str, ...]
    families: tuple[str, ...]
    quantity: Quantity
    kind: Kind = "exact"
    cite: str = ""
    band: Callable[..., tuple[Floats, Floats]] | None = None
    note: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """Settings without which ``fn`` cannot be computed."""
        takes = inspect.signature(self.fn).parameters.values()
        return tuple(p.name for p in takes if p.default is p.empty and p.name != "t")

    def applies(self, family: str, regime: str) -> bool:
        """Whether the law speaks of this family in this regime."""
        return family in self.families and regime in self.regimes

    def at(self, t: ArrayLike, **settings: object) -> Floats:
        """Value over ``t``; settings that ``fn`` does not take are left out."""
        takes = inspect.signature(self.fn).parameters
        return self.fn(t=t, **{name: s for name, s in settings.items() if name in takes})


def every_law() -> Iterator[Law]:
    """All laws of this package, from the ``LAWS`` of each of its modules."""
    import tailguard.theory as package

    for module in pkgutil.iter_modules(package.__path__):
        yield from getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "LAWS", ())


def checked(
    name: str, value: ArrayLike, low: float, high: float = np.inf, *, whole: bool = False
) -> Floats:
    """``value`` as floats, or InputError unless all of it is in [``low``, ``high``] (and whole).

    >>> checked("n", [2, 5], 2, whole=True).tolist()
    [2.0, 5.0]
    """
    array = np.asarray(value, dtype=np.float64)
    if not np.all((array >= low) & (array <= high)) or (whole and np.any(array != np.rint(array))):
        kind = "whole numbers" if whole else "numbers"
        raise InputError(name, f"{kind} in [{low:g}, {high:g}]", str(value)[:80], f"change {name}")
    return array


def generations(t: ArrayLike) -> Floats:
    """``t`` as whole floats >= 0, for use in powers."""
    return checked("t", t, 0, whole=True)
