"""Texts as a model's tokens: cut to a limit on the window's side, and put into padded batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.measure.base import Ints

BYTES_PER_TOKEN = 64
"""A text is cut to this many bytes per token of the limit before it is split into tokens: some
fifteen times what tokens of prose hold, and little enough that 10 MB in one text cost nothing."""
_EDGE = 256
"""How far from such a cut a space is looked for, so that the cut falls between words."""
_CHUNK_BYTES = 1 << 22
SPACE = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of each text with the tokenizer's own special tokens; ``own`` marks the text's.

    ``truncated`` says which texts were cut, shape (n,).
    """

    ids: list[Ints]
    own: list[NDArray[np.bool_]]
    truncated: NDArray[np.bool_]

    @property
    def lengths(self) -> Ints:
        """Tokens of each text with special ones, shape (n,)."""
        return np.array([len(ids) for ids in self.ids], np.int64)


def encode(
    tokenizer: Any, data: NDArray[np.uint8], offsets: Ints, window: Window, limit: int
) -> Encoded:
    """n texts as at most ``limit`` tokens each, special ones included.

    ``data`` are their canonical UTF-8 bytes and ``offsets`` (n + 1,) where each begins in them. Of
    a longer text the tokens at the window's side stay: its end for ``last``, its beginning for
    ``first``. Raises :class:`DetectorError` where the tokenizer fails.
    """
    last = window.side == "last"
    strings, cut = _strings(data, offsets, limit * BYTES_PER_TOKEN, last)
    ids: list[Ints] = []
    own: list[NDArray[np.bool_]] = []
    truncated = np.array(cut, bool)
    for begin, end in _chunks(strings):
        try:
            found = tokenizer.encode_batch_fast(strings[begin:end])
        except Exception as error:  # the library raises bare exceptions
            reason = " ".join(str(error).split())[:120]
            raise DetectorError("tokenizer", "texts that it can split", reason,
                                "check tokenizer.json") from None  # fmt: skip
        for row, encoding in enumerate(found, begin):
            tokens = np.array(encoding.ids, np.int64)
            real = np.array(encoding.special_tokens_mask, np.int64) == 0
            if len(tokens) > limit:
                truncated[row] = True
                keep = _kept(real, limit, last)
                tokens, real = tokens[keep], real[keep]
            ids.append(tokens)
            own.append(real)
    return Encoded(ids, own, truncated)


def _kept(real: NDArray[np.bool_], limit: int, last: bool) -> Ints:
    """Rows of the tokens that stay: all special ones, and the text's own at one side."""
    special, mine = np.flatnonzero(~real), np.flatnonzero(real)
    room = max(limit - len(special), 0)
    mine = mine[max(len(mine) - room, 0) :] if last else mine[:room]
    return np.sort(np.concatenate([special, mine]))


def _strings(
    data: NDArray[np.uint8], offsets: Ints, most: int, last: bool
) -> tuple[list[str], list[bool]]:
    strings, cut = [], []
    for begin, end in pairwise(offsets.tolist()):
        kept = _cut(data, begin, end, most, last) if end - begin > most else (begin, end)
        cut.append(kept != (begin, end))
        strings.append(data[kept[0] : kept[1]].tobytes().decode("utf-8", "replace"))
    return strings, cut


def _cut(data: NDArray[np.uint8], begin: int, end: int, most: int, last: bool) -> tuple[int, int]:
    """The bounds of ``most`` bytes or somewhat less, between words or at least characters."""
    if last:
        begin = end - most
        if data[begin - 1] == SPACE:
            return begin, end
        spaces = np.flatnonzero(data[begin : begin + _EDGE] == SPACE)
        if len(spaces):
            return begin + int(spaces[0]) + 1, end
        while begin < end and 0x80 <= data[begin] < 0xC0:
            begin += 1
        return begin, end
    end = begin + most
    if data[end] == SPACE:
        return begin, end
    edge = max(end - _EDGE, begin)
    spaces = np.flatnonzero(data[edge:end] == SPACE)
    if len(spaces):
        return begin, edge + int(spaces[-1])
    while end > begin and 0x80 <= data[end] < 0xC0:
        end -= 1
    return begin, end


def _chunks(strings: list[str]) -> Iterator[tuple[int, int]]:
    begin, size = 0, 0
    for row, text in enumerate(strings):
        if row > begin and size + len(text) > _CHUNK_BYTES:
            yield begin, row
            begin, size = row, 0
        size += len(text)
    if len(strings) > begin:
        yield begin, len(strings)


def batches(lengths: Ints, budget: int, most: int | None = None) -> Iterator[Ints]:
    """Rows in batches of like length: rows times the longest is at most ``budget``, or one row.

    ``most`` limits the rows of a batch. Every row comes once; deterministic.

    >>> [rows.tolist() for rows in batches(np.array([5, 1, 2, 9]), budget=6)]
    [[1, 2], [0], [3]]
    """
    begin = 0
    order = np.argsort(lengths, kind="stable")
    for at in range(1, len(order) + 1):
        rows = at - begin
        full = at == len(order) or (rows + 1) * int(lengths[order[at]]) > budget
        if full or rows == most:
            yield order[begin:at]
            begin = at


def padded(encoded: Encoded, rows: Ints, pad: int) -> tuple[Ints, Ints]:
    """Ids and attention mask of some texts, each (rows, longest), padded on the right.

    >>> two = Encoded([np.array([4, 5]), np.array([6])], [], np.zeros(2, bool))
    >>> [part.tolist() for part in padded(two, np.array([0, 1]), 9)]
    [[[4, 5], [6, 9]], [[1, 1], [1, 0]]]
    """
    longest = max(len(encoded.ids[row]) for row in rows.tolist())
    ids = np.full((len(rows), longest), pad, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for at, row in enumerate(rows.tolist()):
        found = encoded.ids[row]
        ids[at, : len(found)] = found
        mask[at, : len(found)] = 1
    return ids, mask
