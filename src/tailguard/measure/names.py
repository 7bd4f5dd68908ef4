"""The text behind sampled hashes, so that a lost word can be shown and not only counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.measure.base import Hashes, Ints
from tailguard.measure.documents import gather
from tailguard.measure.tokens import Tokens, mix64

LONGEST = 64
"""Bytes of a word that are shown."""
KEPT = 2 * LONGEST
"""Bytes that give as many once curly apostrophes, of three bytes, have become straight ones."""
LEAST = 1 << 11

Bytes = NDArray[np.uint8]


@njit(cache=True, nogil=True)
def _collect(
    hashes: Hashes, spans: Ints, data: Bytes, tau: np.uint64, first: int,
    table: Hashes, keys: Hashes, ends: Ints, arena: Bytes, n: int,
) -> tuple[int, int]:  # fmt: skip
    """Copy the bytes of words up to ``tau`` not met before; stops early when there is no room."""
    mask = np.uint64(len(table) - 1)
    for i in range(first, len(hashes)):
        h = hashes[i]
        if h > tau or h == 0:
            continue
        slot = mix64(h) & mask
        while table[slot] != 0 and table[slot] != h:
            slot = (slot + np.uint64(1)) & mask
        if table[slot] == h:
            continue
        if n == len(keys) or ends[n] + KEPT > len(arena):
            return i, n
        table[slot] = keys[n] = h
        size = min(spans[i, 1] - spans[i, 0], KEPT)
        for k in range(size):
            arena[ends[n] + k] = data[spans[i, 0] + k]
        ends[n + 1] = ends[n] + size
        n += 1
    return len(hashes), n


@njit(cache=True, nogil=True)
def _enter(keys: Hashes, table: Hashes) -> None:
    mask = np.uint64(len(table) - 1)
    for h in keys:
        slot = mix64(h) & mask
        while table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = h


def _shown(raw: bytes) -> str:
    """A word as it is shown: in lower case; a run of one mark is one mark, however long."""
    straight = raw.lower().replace(b"\xe2\x80\x99", b"'")
    text = straight[:LONGEST].decode("utf-8", "ignore")
    if text[:1].isalnum() or len(set(text)) != 1:
        return text
    return text[0]


@dataclass(frozen=True, slots=True)
class Names:
    """Texts of hashes: ``hashes`` ascending, ``texts`` alike."""

    hashes: Hashes
    texts: tuple[str, ...]

    @classmethod
    def of(cls, known: dict[int, str]) -> Names:
        """From a dictionary."""
        keys = np.sort(np.fromiter(known, np.uint64, len(known)))
        return cls(keys, tuple(map(known.__getitem__, keys.tolist())))

    def of_hashes(self, wanted: Hashes) -> list[str]:
        """The text of each hash, ``"?"`` where it is not known."""
        if len(self.hashes) == 0:
            return ["?"] * len(wanted)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return [
            self.texts[i] if self.hashes[i] == h else "?" for i, h in zip(at, wanted, strict=True)
        ]

    def restrict(self, tau: np.uint64) -> Names:
        """Only hashes up to ``tau``."""
        stop = int(np.searchsorted(self.hashes, tau, side="right"))
        return Names(self.hashes[:stop], self.texts[:stop])

    def merge(self, other: Names) -> Names:
        """Both together. Equal hashes have equal texts, so the order does not matter."""
        both = dict(zip(self.hashes.tolist(), self.texts, strict=True))
        both.update(zip(other.hashes.tolist(), other.texts, strict=True))
        return Names.of(both)


class NameCollector:
    """Collects the text of every sampled word once, while documents stream by."""

    def __init__(self) -> None:
        self._n = 0
        self._ends = np.zeros(1, np.int64)
        self._keys, self._arena = np.empty(0, np.uint64), np.empty(0, np.uint8)
        self._allocate(LEAST, LEAST * 16)

    def _allocate(self, names: int, size: int) -> None:
        """Arrays for so many names of so many bytes, holding what is there."""
        keys, ends, arena, n = self._keys, self._ends, self._arena, self._n
        self._keys, self._ends = np.empty(names, np.uint64), np.zeros(names + 1, np.int64)
        self._arena = np.empty(size, np.uint8)
        self._keys[:n], self._ends[: n + 1] = keys[:n], ends[: n + 1]
        self._arena[: ends[n]] = arena[: ends[n]]
        self._table = np.zeros(2 * names, np.uint64)
        _enter(keys[:n], self._table)

    def add(self, tokens: Tokens, tau: np.uint64) -> None:
        """Note words with hash up to ``tau`` that were not seen before."""
        first = 0
        while True:
            kept = self._table, self._keys, self._ends, self._arena
            first, self._n = _collect(
                tokens.hashes, tokens.spans, tokens.data, tau, first, *kept, self._n
            )
            if first == len(tokens.hashes):
                return
            self._make_room(tau)

    def _make_room(self, tau: np.uint64) -> None:
        """Forget words above ``tau``; if few are, grow."""
        keep = np.flatnonzero(self._keys[: self._n] <= tau)
        self._arena, self._ends = gather(self._arena, self._ends, keep)
        self._keys, self._n = self._keys[keep], len(keep)
        names, size = LEAST, LEAST * 16
        while names < 2 * self._n:
            names *= 2
        while size < 2 * len(self._arena):
            size *= 2
        self._allocate(names, size)

    def names(self, tau: np.uint64) -> Names:
        """The texts of all hashes up to ``tau``."""
        keys = self._keys[: self._n]
        order = np.argsort(keys)[: int(np.count_nonzero(keys <= tau))]
        raw, starts, ends = self._arena.tobytes(), self._ends[order], self._ends[order + 1]
        texts = (_shown(raw[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
        return Names(keys[order], tuple(texts))
