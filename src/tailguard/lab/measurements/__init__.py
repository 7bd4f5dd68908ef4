"""What is measured on every generation of a numeric run: one number in each replicate."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tailguard.errors import InputError
from tailguard.lab.recursion import Generation
from tailguard.mix.registry import nearest
from tailguard.mix.samples import Floats

Measure = Callable[[Generation, Any], Floats]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A named quantity: ``fn(generation, truth)`` has shape (R,), nan where it is undefined.

    ``heavy_tailed``: its mean is carried by few replicates, so the median is what to report.
    ``worse``: the direction of damage.
    """

    name: str
    fn: Measure
    meaning: str
    unit: str
    worse: str
    heavy_tailed: bool
    cite: str


_SHEETS: dict[str, Measurement] = {}


def measurement(
    name: str, *, unit: str = "", worse: str = "higher", heavy_tailed: bool = False, cite: str = ""
) -> Callable[[Measure], Measure]:
    """Enter a function of a generation and the truth; its docstring's first line is the meaning."""

    def enter(fn: Measure) -> Measure:
        meaning = (inspect.getdoc(fn) or "").splitlines()[0]
        _SHEETS[name] = Measurement(name, fn, meaning, unit, worse, heavy_tailed, cite)
        return fn

    return enter


@cache
def measurements() -> dict[str, Measurement]:
    """All measurements by name: those in every module of this package.

    >>> sorted(measurements())[:3]
    ['absorbed', 'alive', 'coverage']
    """
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return dict(sorted(_SHEETS.items()))


def chosen(names: Iterable[str]) -> list[Measurement]:
    """The measurements of these names; InputError names the nearest to an unknown one."""
    known = measurements()
    for name in names:
        if name not in known:
            raise InputError("measurement", "a known name", f"'{name}'", nearest(name, known))
    return [known[name] for name in names]
