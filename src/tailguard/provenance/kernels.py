"""Compiled loops that lay the encoded values of a batch of records side by side in one buffer."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_BYTE = np.uint64(0xFF)


@njit(cache=True, nogil=True, inline="always")
def _number(out: NDArray[np.uint8], at: int, value: np.uint64) -> None:
    for k in range(8):
        out[at + k] = np.uint8((value >> np.uint64(56 - 8 * k)) & _BYTE)


@njit(cache=True, nogil=True)
def put(
    out: NDArray[np.uint8],
    cursor: NDArray[np.int64],
    head: NDArray[np.uint8],
    numbers: NDArray[np.int64],
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    present: NDArray[np.bool_],
) -> None:
    """Write ``head``, the big-endian number (unless ``numbers`` is empty) and the bytes
    ``data[starts:ends]`` of each present cell at its cursor, and move the cursor behind them."""
    width = head.size
    for i in range(cursor.size):
        if not present[i]:
            continue
        at = cursor[i]
        for k in range(width):
            out[at + k] = head[k]
        at += width
        if numbers.size:
            _number(out, at, np.uint64(numbers[i]))
            at += 8
        size = ends[i] - starts[i]
        # Slices, because LLVM turns a loop over them, counted from 0, into wide moves.
        source, target = data[starts[i] : ends[i]], out[at : at + size]
        for k in range(size):
            target[k] = source[k]
        cursor[i] = at + size


@njit(cache=True, nogil=True)
def tagged(tags: NDArray[np.uint8], bits: NDArray[np.uint64], out: NDArray[np.uint8]) -> None:
    """Write each value as its tag and eight bytes, highest first."""
    for i in range(tags.size):
        out[9 * i] = tags[i]
        _number(out, 9 * i + 1, bits[i])
