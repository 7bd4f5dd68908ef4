"""The best window of a document: a marked passage inside text that is not marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.watermark.base import Scheme
from tailguard.detect.watermark.nulls import p_values
from tailguard.measure.base import Ints

SHORTEST = 25
"""Units in the shortest windows; each next length is √2 times as long, up to the whole."""

STEPS = 4
"""A window starts every 1/4 of its length."""


@dataclass(frozen=True, slots=True)
class Window:
    """The window with the least p-value: units ``first`` up to, not including, ``stop``.

    ``p`` is corrected for all ``tried`` windows; ``p_raw`` is not.
    """

    first: int
    stop: int
    p_raw: float
    p: float
    tried: int


def _grid(n: int) -> tuple[Ints, Ints]:
    """First and stop of every window of n units; depends on n alone."""
    lengths = []
    length = float(SHORTEST)
    while length < n:
        lengths.append(int(length))
        length *= 2**0.5
    firsts = [np.arange(0, n - size + 1, max(size // STEPS, 1)) for size in lengths]
    stops = [first + size for first, size in zip(firsts, lengths, strict=True)]
    whole = np.array([0]), np.array([n])
    return np.concatenate([whole[0], *firsts]), np.concatenate([whole[1], *stops])


def best_window(scheme: Scheme, scores: NDArray[np.float64]) -> Window | None:
    """The best of a fixed grid of windows over a document's unit scores; None without units.

    The grid holds the whole, and windows of 25, 35, 50 … units, four to a length. Which windows
    there are, W in number, depends on the number of units alone. Under the null each has a valid
    p-value, so by the union bound P(min p ≤ α/W) ≤ α: W times the least, at most 1, is valid. It
    is conservative, as windows overlap.

    >>> scores = np.zeros(400)
    >>> scores[100:160] = 1
    >>> found = best_window(Scheme("kgw"), scores)
    >>> found.first, found.stop, found.p < 1e-20
    (108, 158, True)
    """
    n = len(scores)
    if n == 0:
        return None
    first, stop = _grid(n)
    running = np.concatenate([[0.0], np.cumsum(scores)])
    # A running sum of floats may lose the last digits; whole numbers lose none.
    raw = p_values(scheme, stop - first, running[stop] - running[first])
    at = int(np.argmin(raw))
    corrected = min(1.0, float(raw[at]) * len(raw))
    return Window(int(first[at]), int(stop[at]), float(raw[at]), corrected, len(raw))
