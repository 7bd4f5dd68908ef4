"""Where JSON lines begin, and how deeply each is nested: one compiled pass over the bytes."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

DEEPEST = 64
"""Deeper nesting is refused: recursive JSON parsers overflow the stack on it."""

NEWLINE, SPACE, QUOTE, SQUARE, BACKSLASH, CURLY, TAB, RETURN = (
    np.uint8(ord(c)) for c in '\n "[\\{\t\r'
)


@njit(cache=True, nogil=True)
def scan(data: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start offset and nesting depth of each line that is not blank; depth -1 where the line ends
    inside a string or bracket, so that no single value can reach over lines."""
    size, one = np.uint64(data.size), np.uint64(1)
    n = 0
    for i in range(data.size):
        n += data[i] == NEWLINE
    starts = np.empty(n + 1, np.int64)
    depths = np.empty(n + 1, np.int64)
    k = 0
    at = np.uint64(0)  # unsigned, or Numba checks for negative indices at every byte
    while at < size:
        start = at
        depth = deepest = 0
        blank, quoted = True, False
        while at < size:
            byte = data[at]
            while quoted and byte != QUOTE and byte != BACKSLASH and byte != NEWLINE:
                at += one
                byte = data[at] if at < size else NEWLINE
            if byte == NEWLINE:
                break
            if byte == BACKSLASH and quoted:
                if at + one < size and data[at + one] != NEWLINE:
                    at += one
            elif byte == QUOTE:
                quoted = not quoted
                blank = False
            elif byte != SPACE and byte != TAB and byte != RETURN:
                blank = False
                if byte in (SQUARE, CURLY):
                    depth += 1
                    deepest = max(deepest, depth)
                elif byte in (SQUARE + 2, CURLY + 2):
                    depth -= 1
            at += one
        at += one
        if not blank:
            starts[k] = start
            depths[k] = -1 if quoted or depth != 0 else deepest
            k += 1
    return starts[:k], depths[:k]
