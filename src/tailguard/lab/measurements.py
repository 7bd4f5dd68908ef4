"""What is measured on every generation of a numeric run: one number in each replicate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.base import Model
from tailguard.lab.recursion import Generation
from tailguard.mix.samples import Floats

Measure = Callable[[Generation, "Model[Any]"], Floats]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A named quantity: ``fn(generation, truth)`` has shape (R,), nan where it is undefined.

    ``heavy_tailed``: its mean is carried by few replicates, so the median is what to report.
    """

    name: str
    fn: Measure
    meaning: str
    unit: str
    heavy_tailed: bool
    cite: str


MEASUREMENTS: dict[str, Measurement] = {}


def measurement(
    name: str, *, unit: str = "", heavy_tailed: bool = False, cite: str = ""
) -> Callable[[Measure], Measure]:
    """Enter a function of a generation and the truth as a measurement."""

    def enter(fn: Measure) -> Measure:
        meaning = (inspect.getdoc(fn) or "").splitlines()[0]
        MEASUREMENTS[name] = Measurement(name, fn, meaning, unit, heavy_tailed, cite)
        return fn

    return enter


def chosen(names: tuple[str, ...]) -> list[Measurement]:
    """The measurements of these names; InputError names the nearest to an unknown one."""
    import difflib

    for name in names:
        if name not in MEASUREMENTS:
            close = difflib.get_close_matches(name, MEASUREMENTS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "see: tailguard lab list"
            raise InputError("measurement", "a known name", f"'{name}'", hint)
    return [MEASUREMENTS[name] for name in names]


@measurement("var", unit="squared data units", heavy_tailed=True)
def var(generation: Generation, truth: Model[Any]) -> Floats:
    """Variance of the model; of several dimensions, their mean."""
    spread: Floats = np.asarray(generation.model.var)  # type: ignore[union-attr]
    return spread if spread.ndim == 1 else spread.mean(axis=-1)


@measurement("log_var", unit="nats")
def log_var(generation: Generation, truth: Model[Any]) -> Floats:
    """Logarithm of the variance; -inf once it is zero."""
    with np.errstate(divide="ignore"):
        return np.log(var(generation, truth))


@measurement("mean_sq", unit="squared data units", heavy_tailed=True)
def mean_sq(generation: Generation, truth: Model[Any]) -> Floats:
    """Squared distance of the model's mean from the true one, per dimension."""
    gap = np.asarray(generation.model.mean) - np.asarray(truth.mean)  # type: ignore[union-attr,attr-defined]
    return gap**2 if gap.ndim == 1 else (gap**2).mean(axis=-1)
