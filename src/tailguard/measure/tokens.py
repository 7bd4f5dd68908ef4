"""Words as 64-bit hashes: the one tokenizer of the project, compiled, over Arrow buffers.

A token is a run of letters, digits and ``_`` (ASCII case folded, an apostrophe between letters
kept), a run of one punctuation mark, or a single character of a script written without spaces
(Han, kana, Thai) or an emoji. White space only separates, so re-wrapping text changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import int64, njit, uint64
from numpy.typing import NDArray

from tailguard.measure.base import Hashes, Ints

SPACE, WORD, PUNCT, LEAD, TAIL = range(5)


def _byte_classes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    classes = np.full(256, PUNCT, np.uint8)
    classes[:33] = SPACE
    classes[127] = SPACE
    for byte in range(128):
        if chr(byte).isalnum() or byte == ord("_"):
            classes[byte] = WORD
    classes[0x80:0xC0] = TAIL
    classes[0xC0:] = LEAD
    fold = np.arange(256, dtype=np.uint8)
    fold[ord("A") : ord("Z") + 1] += 32
    return classes, fold


_CLASS, _FOLD = _byte_classes()
_LETTERS = np.where(_CLASS == WORD, _FOLD, 0).astype(np.uint8)
_FNV_SEED = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@njit(inline="always")
def mix64(x: Any) -> Any:
    """Finalise a 64-bit hash so that every output bit depends on every input bit (splitmix64)."""
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@njit(inline="always")
def extend(gram: Any, token: Any) -> Any:
    """Hash of the n-gram ``gram`` followed by ``token`` (the order of words matters)."""
    return mix64(gram * uint64(0x9E3779B97F4A7C15) + token)


@njit(inline="always")
def _character(data: Any, i: Any, end: Any) -> Any:
    """Width in bytes and class of the multi-byte character at ``i``."""
    byte = data[i]
    if byte < 0xE0:
        if byte == 0xC2 and i + 1 < end and data[i + 1] < 0xC0:
            return 2, (SPACE if data[i + 1] == 0xA0 or data[i + 1] < 0xA0 else PUNCT)
        return min(2, end - i), WORD
    if byte >= 0xF0:
        return min(4, end - i), PUNCT
    width = min(3, end - i)
    if width == 3:
        second, third = data[i + 1], data[i + 2]
        if byte == 0xE2 and second <= 0x81:
            if second == 0x80 and (third <= 0x8F or third == 0xAF or third in (0xA8, 0xA9)):
                return 3, SPACE
            return 3, PUNCT
        if byte == 0xE3 and second == 0x80 and third == 0x80:
            return 3, SPACE
        if 0xE3 <= byte <= 0xE9 or (byte == 0xE0 and 0xB8 <= second <= 0xBA):
            return 3, PUNCT
    return width, WORD


@njit(inline="always")
def _is_word_at(data: Any, i: Any, end: Any, classes: Any) -> Any:
    if i >= end:
        return False
    if classes[data[i]] == WORD:
        return True
    return classes[data[i]] == LEAD and _character(data, i, end)[1] == WORD


@njit(inline="always")
def _word(data: Any, i: Any, width: Any, end: Any, classes: Any, fold: Any, letters: Any) -> Any:
    """End and hash of the word whose first character, of ``width`` bytes, is at ``i``."""
    h = _FNV_SEED
    last = uint64(end)
    while True:
        for k in range(i, i + width):
            h = (h ^ uint64(fold[data[k]])) * _FNV_PRIME
        # Nearly all text is plain letters; unsigned places save Numba a check of each.
        at = uint64(i + width)
        while at < last and letters[data[at]] != 0:
            h = (h ^ uint64(letters[data[at]])) * _FNV_PRIME
            at += uint64(1)
        i = int64(at)
        if i >= end:
            break
        nxt = classes[data[i]]
        width = 1
        if nxt == LEAD:
            width, nxt = _character(data, i, end)
        if nxt == WORD:
            continue
        # don't, don’t: an apostrophe between letters belongs to the word.
        plain = data[i] == 39
        curly = width == 3 and data[i] == 0xE2 and data[i + 1] == 0x80
        curly = curly and data[i + 2] == 0x99
        if (plain or curly) and _is_word_at(data, i + width, end, classes):
            h = (h ^ uint64(39)) * _FNV_PRIME
            i += width
            width = 1
            if classes[data[i]] == LEAD:
                width = _character(data, i, end)[0]
            continue
        break
    return i, h


@njit(cache=True, nogil=True)
def _tokenize(
    data: Any,
    offsets: Any,
    classes: Any,
    fold: Any,
    letters: Any,
    hashes: Any,
    spans: Any,
    bounds: Any,
) -> Any:
    """Fill ``hashes`` and ``spans`` (first byte, last byte + 1); how many, or -1 if too many."""
    count = 0
    bounds[0] = 0
    for document in range(len(offsets) - 1):
        i, end = offsets[document], offsets[document + 1]
        while i < end:
            kind = classes[data[i]]
            if kind in (SPACE, TAIL):
                i += 1
                continue
            width = 1
            if kind == LEAD:
                width, kind = _character(data, i, end)
                if kind == SPACE:
                    i += width
                    continue
            start = i
            h = _FNV_SEED
            if kind == WORD:
                i, h = _word(data, i, width, end, classes, fold, letters)
            else:
                for k in range(i, i + width):
                    h = (h ^ uint64(data[k])) * _FNV_PRIME
                i += width
                while width == 1 and i < end and data[i] == data[start]:
                    i += 1  # "-----" is one token, not a loop
            if count == len(hashes):
                return -1
            hashes[count] = mix64(h)
            spans[count, 0] = start
            spans[count, 1] = i
            count += 1
        bounds[document + 1] = count
    return count


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token hashes of many documents; document d is ``hashes[offsets[d]:offsets[d + 1]]``.

    ``spans: (T, 2)`` holds each token's first byte and last byte + 1 in ``data``, so that its text
    can be shown.
    """

    hashes: Hashes
    offsets: Ints
    spans: Ints
    data: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Tokens per document, shape (D,)."""
        return np.diff(self.offsets)

    def text(self, token: int, stop: int | None = None) -> str:
        """The source text from ``token`` up to, not including, token ``stop``."""
        last = token if stop is None else stop - 1
        raw = self.data[int(self.spans[token, 0]) : int(self.spans[last, 1])]
        return bytes(raw).decode("utf-8", "replace")


def buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], Ints]:
    """The UTF-8 bytes of an Arrow string array and its offsets, without a copy of the bytes."""
    if pa.types.is_large_string(texts.type):
        width: type[np.signedinteger[Any]] = np.int64
    elif pa.types.is_string(texts.type):
        width = np.int32
    else:
        texts, width = texts.cast(pa.large_string()), np.int64
    _, where, bytes_ = texts.buffers()
    offsets = np.frombuffer(where, width)[texts.offset : texts.offset + len(texts) + 1]
    data = (
        np.frombuffer(bytes_, np.uint8)
        if bytes_ is not None and bytes_.size
        else np.zeros(1, np.uint8)
    )
    return data, offsets.astype(np.int64)


def tokenize(texts: pa.Array | list[str]) -> Tokens:
    """Split texts into hashed tokens, one compiled pass.

    Accepts an Arrow string array without nulls, or a list of strings. Equal words (up to ASCII
    case) have equal hashes on every machine.

    >>> tokens = tokenize(["The cat, the CAT!", ""])
    >>> tokens.lengths.tolist()
    [6, 0]
    >>> bool(tokens.hashes[0] == tokens.hashes[3]), tokens.text(4, 6)
    (True, 'CAT!')
    """
    array = pa.array(texts, pa.large_string()) if isinstance(texts, list) else texts
    if len(array) == 0:
        spans = np.zeros((0, 2), np.int64)
        return Tokens(np.zeros(0, np.uint64), np.zeros(1, np.int64), spans, np.zeros(1, np.uint8))
    data, offsets = buffers(array)
    bounds = np.empty(len(array) + 1, np.int64)
    # One token per byte at most, but rarely more than one for two.
    size = int(offsets[-1] - offsets[0])
    for limit in (size // 2 + 1, size):
        hashes, spans = np.empty(limit, np.uint64), np.empty((limit, 2), np.int64)
        count = _tokenize(data, offsets, _CLASS, _FOLD, _LETTERS, hashes, spans, bounds)
        if count >= 0:
            break
    return Tokens(hashes[:count], bounds, spans[:count], data)
