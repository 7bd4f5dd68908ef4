"""Moments over replicates in two passes through the cache, leaving out what is not finite."""

from __future__ import annotations

import numpy as np
from numba import njit

from tailguard.mix.samples import Floats

_LANES = 32  # sums that run side by side, so that additions do not wait for each other


def spread(values: Floats) -> tuple[int, float, float, float]:
    """Number, mean, and sums of squared and cubed deviations of the finite ones of ``values`` (R,).

    All 0 where none is finite. Sums overflow to infinity without a warning. The order of additions
    depends on R alone: same values, same bytes.

    >>> spread(np.array([1.0, np.inf, 4.0, np.nan, 1.0]))
    (3, 2.0, 6.0, 6.0)
    """
    count, centre, scatter, cubes = _spread(np.ascontiguousarray(values, dtype=np.float64))
    return int(count), centre, scatter, cubes


@njit(cache=True, nogil=True)
def _spread(values: Floats) -> tuple[float, float, float, float]:
    n = len(values)
    whole = n - n % _LANES
    sums, rest = np.zeros((2, _LANES)), values[whole:]
    for start in range(0, whole, _LANES):
        part = values[start : start + _LANES]
        for lane in range(_LANES):
            finite = abs(part[lane]) < np.inf
            sums[0, lane] += part[lane] if finite else 0.0
            sums[1, lane] += 1.0 if finite else 0.0
    total, count = sums[0].sum(), sums[1].sum()
    for value in rest:
        if abs(value) < np.inf:
            total, count = total + value, count + 1.0
    if count == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    centre = total / count
    sums[:] = 0.0
    for start in range(0, whole, _LANES):
        part = values[start : start + _LANES]
        for lane in range(_LANES):
            apart = part[lane] - centre if abs(part[lane]) < np.inf else 0.0
            sums[0, lane] += apart * apart
            sums[1, lane] += apart * apart * apart
    scatter, cubes = sums[0].sum(), sums[1].sum()
    for value in rest:
        if abs(value) < np.inf:
            apart = value - centre
            scatter, cubes = scatter + apart * apart, cubes + apart * apart * apart
    return count, centre, scatter, cubes
