"""Targets: what a user wants of a run, as in ``tail_mass_lost<5%``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailguard.errors import InputError
from tailguard.lab.measurements import chosen

Side = Literal["<", ">"]
_FORM = re.compile(r"\s*([a-z][a-z0-9_-]*)\s*([<>])=?\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*(%?)\s*")
_NEXT = "write it as in 'tail_mass_lost<5%' or 'var>0.9'"


@dataclass(frozen=True, slots=True)
class Target:
    """A measurement, and the side of a number on which it should lie.

    >>> Target("var", ">", 0.9).met([0.8, 0.95]).tolist()
    [False, True]
    """

    measurement: str
    side: Side
    value: float

    def met(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which values lie on the wanted side; nan does not."""
        found = np.asarray(values, np.float64)
        return found < self.value if self.side == "<" else found > self.value

    def __str__(self) -> str:
        return f"{self.measurement} {self.side} {self.value:g}"


def parse_target(text: str) -> Target:
    """``measurement<number`` or ``>``, the number as it is or in percent.

    Raises InputError for another form, and for an unknown measurement (with the nearest known).

    >>> print(parse_target("tail_mass_lost<5%"))
    tail_mass_lost < 0.05
    """
    found = _FORM.fullmatch(text)
    try:
        value = float(found[3]) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or not math.isfinite(value):
        raise InputError("target", "measurement<number or >", f"'{text[:60]}'", _NEXT)
    chosen([found[1]])
    side: Side = "<" if found[2] == "<" else ">"
    return Target(found[1], side, value / 100 if found[4] else value)
