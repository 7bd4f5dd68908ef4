"""Text in one form before it is scored, so that formatting does not give the label away.

Newline count alone tells the two sides of published benchmarks apart with an AUROC of .96. So runs
of white space and zero-width marks become one space, curly quotes become straight ones, and a
window of n words at one end makes lengths comparable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numba import int64, njit, uint64

from tailguard.detect.base import Texts, as_array
from tailguard.errors import InputError
from tailguard.measure.base import Ints
from tailguard.measure.tokens import buffers

Side = Literal["last", "first"]


@dataclass(frozen=True, slots=True)
class Window:
    """The words of a text that are looked at: ``words`` of them at one ``side``; 0 for all.

    >>> Window(2).label, Window(0).label
    ('last 2 words', 'all words')
    """

    words: int = 100
    side: Side = "last"

    def __post_init__(self) -> None:
        if not 0 <= self.words <= 1_000_000:
            raise InputError("window", "0 to 1,000,000 words", str(self.words), "pass 0 for all")
        if self.side not in ("last", "first"):
            raise InputError("window", "last or first", repr(self.side), "name the side")

    @property
    def label(self) -> str:
        """In words, for reports."""
        return f"{self.side} {self.words} words" if self.words else "all words"


@njit(inline="always")
def _space(data: Any, i: Any, end: Any) -> Any:
    """Width in bytes of the white space or zero-width mark at ``i``; 0 where there is none."""
    byte = data[i]
    if byte <= 32 or byte == 127:
        return 1
    if byte < 0xC2:
        return 0
    if byte == 0xC2 and i + 1 < end:
        return 2 if data[i + 1] <= 0xA0 or data[i + 1] == 0xAD else 0
    if i + 2 < end:
        second, third = data[i + 1], data[i + 2]
        if byte == 0xE2 and second == 0x80:
            return 3 if third <= 0x8F or third in (0xA8, 0xA9, 0xAF) else 0
        if byte == 0xE2 and second == 0x81 and third in (0x9F, 0xA0):
            return 3
        if (byte == 0xE3 and second == 0x80 and third == 0x80) or (
            byte == 0xEF and second == 0xBB and third == 0xBF
        ):
            return 3
    return 0


@njit(inline="always")
def _straight(data: Any, i: Any, end: Any) -> Any:
    """The straight quote for the curly one at ``i``; 0 where there is none."""
    if data[i] == 0xE2 and i + 2 < end and data[i + 1] == 0x80:
        if data[i + 2] in (0x98, 0x99):
            return 39
        if data[i + 2] in (0x9C, 0x9D):
            return 34
    return 0


@njit(cache=True, nogil=True)
def _rewrite(
    data: Any, offsets: Any, words: int, last: bool, out: Any, bounds: Any, starts: Any
) -> Any:
    """Write each text with single spaces and keep ``words`` of it; gives the bytes written."""
    at: Any = 0
    bounds[0] = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        begin, n, inside = at, 0, False
        while i < end:
            width = _space(data, i, end)
            if width:
                inside = False
                i += width
                continue
            if not inside:
                if words and not last and n == words:
                    break
                if n:
                    out[at] = 32
                    at += 1
                if words:
                    starts[n % words] = at
                n += 1
                inside = True
            quote = _straight(data, i, end)
            if quote:
                out[at] = quote
                i += 3
            else:
                out[at] = data[i]
                i += 1
            at += 1
            # Nearly all that is left of a word is plain; unsigned places save a check of each.
            place, to = uint64(i), uint64(at)
            while place < uint64(end) and 32 < data[place] < 127:
                out[to] = data[place]
                place += uint64(1)
                to += uint64(1)
            i, at = int64(place), int64(to)
        if words and last and n > words:
            keep = starts[n % words]
            for k in range(at - keep):
                out[begin + k] = out[keep + k]
            at = begin + at - keep
        bounds[d + 1] = at
    return at


def canonical(texts: Texts, window: Window = Window(0)) -> pa.LargeStringArray:
    """The texts with single spaces, straight quotes, and cut to the window.

    Words are runs between white space. Applying it twice changes nothing more.

    >>> canonical(["One  two\\n\\nthree four ", ""], Window(2)).to_pylist()
    ['three four', '']
    """
    array = as_array(texts)
    if not len(array):
        return pa.array([], pa.large_string())
    data, offsets = buffers(array)
    out = np.empty(max(int(offsets[-1] - offsets[0]), 1), np.uint8)
    bounds = np.empty(len(offsets), np.int64)
    starts = np.empty(max(window.words, 1), np.int64)
    size = _rewrite(data, offsets, window.words, window.side == "last", out, bounds, starts)
    # A short window of long texts must not hold on to the room for all of them.
    kept = out[:size] if 2 * size > len(out) else out[:size].copy()
    pieces = [None, pa.py_buffer(bounds), pa.py_buffer(kept)]
    return pa.Array.from_buffers(pa.large_string(), len(array), pieces)


@njit(cache=True, nogil=True)
def _count(data: Any, offsets: Any, out: Any) -> None:
    for d in range(len(out)):
        begin, end = offsets[d], offsets[d + 1]
        n = int64(end > begin)
        for i in range(begin, end):
            n += data[i] == 32
        out[d] = n


def word_counts(texts: pa.LargeStringArray) -> Ints:
    """Words of texts as :func:`canonical` gives them, shape (n,): runs between single spaces.

    >>> word_counts(canonical([" one  two", ""])).tolist()
    [2, 0]
    """
    out = np.zeros(len(texts), np.int64)
    if len(out):
        _count(*buffers(texts), out)
    return out
