"""The leak probe: what formatting alone says about the label.

A detector that scores no better than these has learnt formatting. Each probe is a number that can
be read off a text without reading it; its AUROC stands beside every figure of a detector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailguard.detect.base import DetectorError, Texts, as_array
from tailguard.measure.base import Floats

ALARM = 0.6
"""An AUROC this far from chance in either direction is called a leak."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A probe's AUROC for "higher means synthetic", in [0, 1], with its 95% interval.

    ``separation`` is max(AUROC, 1 - AUROC): a probe that points the other way leaks as much.
    """

    probe: str
    auroc: float
    lo: float
    hi: float

    @property
    def separation(self) -> float:
        """How well the probe tells the sides apart, in [0.5, 1]."""
        return max(self.auroc, 1.0 - self.auroc)

    @property
    def leaks(self) -> bool:
        """Whether the interval leaves chance and the separation passes ``ALARM``."""
        return self.separation >= ALARM and not self.lo <= 0.5 <= self.hi


def auroc(human: Floats, synthetic: Floats) -> float:
    """P(synthetic > human) + P(equal) / 2, the area under the ROC curve; nan without both sides.

    Source: Mann and Whitney 1947.

    >>> auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875
    """
    if not len(human) or not len(synthetic):
        return float("nan")
    ordered = np.sort(human)
    below = np.searchsorted(ordered, synthetic, "left")
    upto = np.searchsorted(ordered, synthetic, "right")
    return float((below + upto).mean() / 2 / len(human))


def auroc_interval(area: float, humans: int, synthetics: int) -> tuple[float, float]:
    """A 95% interval of an AUROC, clipped to [0, 1].

    Source: Hanley and McNeil 1982 for the standard error.

    >>> lo, hi = auroc_interval(0.5, 100, 100)
    >>> round(lo, 2), round(hi, 2)
    (0.42, 0.58)
    """
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (synthetics - 1) * (one - area**2)
    spread += (humans - 1) * (two - area**2)
    half = 1.96 * math.sqrt(max(spread, 0.0) / (humans * synthetics))
    return max(0.0, area - half), min(1.0, area + half)


def _newlines(texts: pa.Array) -> Floats:
    return _floats(pc.count_substring(texts, "\n"))


def _length(texts: pa.Array) -> Floats:
    return _floats(pc.utf8_length(texts))


def _double_spaces(texts: pa.Array) -> Floats:
    return _floats(pc.count_substring(texts, "  "))


def _ending(texts: pa.Array) -> Floats:
    """1 where the last character ends a sentence."""
    last = pc.utf8_slice_codeunits(pc.utf8_rtrim_whitespace(texts), -1)
    marks = pa.array([".", "!", "?", '"', "'", "”", "’", "…"], texts.type)
    return _floats(pc.is_in(last, value_set=marks))


def _trailing_space(texts: pa.Array) -> Floats:
    return _floats(pc.not_equal(pc.utf8_rtrim_whitespace(texts), texts))


def _floats(values: Any) -> Floats:
    return values.to_numpy(zero_copy_only=False).astype(np.float64)


PROBES: dict[str, Callable[[pa.Array], Floats]] = {
    "newline count": _newlines,
    "length in characters": _length,
    "ends a sentence": _ending,
    "trailing white space": _trailing_space,
    "double spaces": _double_spaces,
}


def leak_probe(human: Texts, synthetic: Texts) -> list[Leak]:
    """The AUROC of every probe on raw or canonical texts.

    Raises :class:`DetectorError` when a side is empty.

    >>> found = leak_probe(["a b.", "c d."], ["a\\nb", "c\\nd"])
    >>> [(leak.probe, leak.auroc) for leak in found[:3]]
    [('newline count', 1.0), ('length in characters', 0.0), ('ends a sentence', 0.0)]
    """
    sides = []
    for name, texts in (("human", human), ("synthetic", synthetic)):
        array = as_array(texts)
        if not len(array):
            raise DetectorError(f"{name} texts", "at least one", "none", "pass both classes")
        sides.append(array)
    out = []
    for name, probe in PROBES.items():
        area = auroc(probe(sides[0]), probe(sides[1]))
        out.append(Leak(name, area, *auroc_interval(area, len(sides[0]), len(sides[1]))))
    return out
