"""A coordinated bottom-k sample of types with exact counts per document block.

Ordinary sketches keep the heavy hitters; collapse is about the opposite. Here the *types* (words,
n-grams) with the k smallest hashes are kept, each with its exact count in every block of
documents. The hash is the same everywhere, so gold and batch keep the same types, a type is kept
or dropped independently of how often it occurs, and the rarest survive. This is bottom-k sampling
coordinated by permanent random numbers (Cohen & Kaplan, PODC 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.blocks import FINEST_BITS

EVERYTHING = np.uint64(0xFFFFFFFFFFFFFFFF)
LEAST = 1 << 12
CROWD = 2
"""A counter is thinned out when it holds this many times the types that will be kept."""
DENSE = 8
"""A type seen in more than a block out of this many gets a row of counts for all blocks."""

Blocks = NDArray[np.uint16]
Counts = NDArray[np.uint32]


@njit(inline="always")
def _find(slots: Any, types: Any, h: Any) -> Any:
    """The slot of a type, or the free one where it belongs; it holds the type's number + 1."""
    mask = uint64(len(slots) - 1)
    slot = h & mask
    while slots[slot] != 0 and types[slots[slot] - 1] != h:
        slot = (slot + uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _insert(
    hashes: Any, offsets: Any, doc_block: Any, tau: Any,
    slots: Any, types: Any, state: Any, log: Any, dense: Any, used: Any, at: Any,
) -> None:  # fmt: skip
    """Count from document ``at[0]``, token ``at[1]`` on, until the end or until no room is left.

    ``state`` of a type is the number of its entries in the log, or the complement of its row.
    """
    n, m, rows = used
    limit = len(dense) // DENSE
    width = dense.shape[1]
    for document in range(at[0], len(offsets) - 1):
        block = uint64(doc_block[document])
        for i in range(max(at[1], offsets[document]), offsets[document + 1]):
            h = hashes[i]
            if h > tau:
                continue
            if n == len(types) or m == len(log) or rows == width:
                at[0], at[1] = document, i
                used[0], used[1], used[2] = n, m, rows
                return
            slot = _find(slots, types, h)
            if slots[slot] == 0:
                types[n], state[n] = h, 0
                n += 1
                slots[slot] = n
            number = uint64(slots[slot] - 1)
            seen = state[number]
            if seen < 0:
                dense[block, ~seen] += 1
                continue
            log[m] = number << uint64(16) | block
            m += 1
            state[number] = seen + 1
            if seen >= limit:
                state[number] = ~rows
                rows += 1
    at[0] = len(offsets) - 1
    used[0], used[1], used[2] = n, m, rows


@njit(cache=True, nogil=True)
def _reload(
    types: Any, state: Any, log: Any, dense: Any, used: Any, tau: Any, new_block: Any,
    slots: Any, to_types: Any, to_state: Any, to_log: Any, to_dense: Any,
) -> None:  # fmt: skip
    """Move types up to ``tau`` to empty arrays, blocks renamed, and the log of rows into rows."""
    number = np.full(used[0], -1, np.int64)
    row = np.full(used[2], -1, np.int64)
    n, m, rows = 0, 0, 0
    for i in range(used[0]):
        if types[i] > tau:
            continue
        number[i] = n
        to_types[n], to_state[n] = types[i], min(state[i], 0)
        if state[i] < 0:
            to_state[n] = ~rows
            row[~state[i]] = rows
            rows += 1
        n += 1
        slots[_find(slots, to_types, types[i])] = n
    for block in range(len(dense)):
        for i in range(used[2]):
            if row[i] >= 0:
                to_dense[new_block[block], row[i]] += dense[block, i]
    for i in range(used[1]):
        new, block = number[log[i] >> uint64(16)], new_block[log[i] & uint64(0xFFFF)]
        if new < 0:
            continue
        if to_state[new] < 0:
            to_dense[block, ~to_state[new]] += 1
        else:
            to_log[m] = uint64(new) << uint64(16) | uint64(block)
            to_state[new] += 1
            m += 1
    used[0], used[1], used[2] = n, m, rows


@njit(cache=True, nogil=True)
def _rank(log: Any, rank: Any, keys: Any) -> Any:
    """Log entries with the rank of their type for its number; those of no rank are left out."""
    size = 0
    for i in range(len(log)):
        place = rank[log[i] >> uint64(16)]
        if place >= 0:
            keys[size] = uint64(place) << uint64(16) | (log[i] & uint64(0xFFFF))
            size += 1
    return size


@njit(cache=True, nogil=True)
def _emit(keys: Any, state: Any, dense: Any, indptr: Any, blocks: Any, counts: Any) -> None:
    """Sorted keys and rows as entries of types in order of rank."""
    i, size = 0, 0
    for place in range(len(state)):
        if state[place] < 0:
            for block in range(dense.shape[1]):
                if dense[~state[place], block] > 0:
                    blocks[size], counts[size] = block, dense[~state[place], block]
                    size += 1
        while i < len(keys) and keys[i] >> uint64(16) == uint64(place):
            blocks[size], counts[size] = keys[i] & uint64(0xFFFF), 1
            i += 1
            while i < len(keys) and keys[i] == keys[i - 1]:
                counts[size] += 1
                i += 1
            size += 1
        indptr[place + 1] = size


@njit(cache=True, nogil=True)
def _unite(hashes: Any, entries: Any) -> Any:
    """Bring entries sorted by type in order of blocks, add up equal pairs; returns how many."""
    last, lo = 0, 0
    while lo < len(hashes):
        hi = lo + 1
        while hi < len(hashes) and hashes[hi] == hashes[lo]:
            hi += 1
        if hi > lo + 1:
            entries[lo:hi].sort()
        start = last
        for i in range(lo, hi):
            if last > start and entries[last - 1] >> uint64(32) == entries[i] >> uint64(32):
                entries[last - 1] += entries[i] & uint64(0xFFFFFFFF)
            else:
                hashes[last] = hashes[lo]
                entries[last] = entries[i]
                last += 1
        lo = hi
    return last


@njit(cache=True, nogil=True)
def _merge(
    types: Any, indptr: Any, blocks: Any, counts: Any,
    others: Any, at: Any, other_blocks: Any, other_counts: Any,
    merged: Any, ends: Any, out_blocks: Any, out_counts: Any,
) -> Any:  # fmt: skip
    """Merge two sorted samples up to the room in ``merged``; how many types and entries."""
    i, j, n, last = 0, 0, 0, 0
    while n < len(merged) and (i < len(types) or j < len(others)):
        left = j == len(others) or (i < len(types) and types[i] <= others[j])
        right = i == len(types) or (j < len(others) and others[j] <= types[i])
        merged[n] = types[i] if left else others[j]
        a, a_end = (indptr[i], indptr[i + 1]) if left else (0, 0)
        b, b_end = (at[j], at[j + 1]) if right else (0, 0)
        while a < a_end or b < b_end:
            from_a = b == b_end or (a < a_end and blocks[a] <= other_blocks[b])
            from_b = a == a_end or (b < b_end and other_blocks[b] <= blocks[a])
            out_blocks[last] = blocks[a] if from_a else other_blocks[b]
            out_counts[last] = (counts[a] if from_a else 0) + (other_counts[b] if from_b else 0)
            a, b, last = a + from_a, b + from_b, last + 1
        i, j, n = i + left, j + right, n + 1
        ends[n] = last
    return n, last


@dataclass(frozen=True, slots=True)
class TypeSample:
    """The k types of smallest hash, with their counts per block, as a sparse matrix by type.

    ``types: (K,)`` ascending hashes; type i owns entries ``indptr[i]:indptr[i + 1]`` of
    ``blocks`` (ascending) and ``counts``. ``tau`` is the largest hash kept: a type is in the
    sample exactly when its hash is at most ``tau``, and with probability ``rate``.
    """

    k: int
    tau: np.uint64
    types: Hashes
    indptr: Ints
    blocks: NDArray[np.uint16]
    counts: NDArray[np.uint32]

    @property
    def rate(self) -> float:
        """The share of all types that is kept, in (0, 1]."""
        return 1.0 if self.tau == EVERYTHING else (float(self.tau) + 1.0) / 2.0**64

    @classmethod
    def empty(cls, k: int) -> TypeSample:
        """The sample of nothing: the neutral element of ``merge``."""
        return cls.of_entries(
            k, EVERYTHING, np.zeros(0, np.uint64), np.zeros(0, np.uint16), np.zeros(0, np.uint32)
        )

    @classmethod
    def of_entries(
        cls, k: int, tau: np.uint64, hashes: Hashes, blocks: Blocks, counts: Counts
    ) -> TypeSample:
        """Build from (type, block, count) triples in any order; equal pairs are added up."""
        keep = hashes <= tau
        if not keep.all():
            hashes, blocks, counts = hashes[keep], blocks[keep], counts[keep]
        order = np.argsort(hashes)
        entries = blocks[order].astype(np.uint64) << np.uint64(32) | counts[order]
        hashes = hashes[order]
        size = _unite(hashes, entries)
        hashes, entries = hashes[:size], entries[:size]
        first = np.ones(size, bool)
        first[1:] = hashes[1:] != hashes[:-1]
        starts = np.flatnonzero(first)
        if len(starts) > k:
            stop = int(starts[k])
            hashes, entries, starts = hashes[:stop], entries[:stop], starts[:k]
            tau = np.uint64(hashes[-1])
        indptr = np.append(starts, len(hashes)).astype(np.int64)
        blocks = (entries >> np.uint64(32)).astype(np.uint16)
        return cls(k, tau, hashes[starts], indptr, blocks, entries.astype(np.uint32))

    def entry_types(self) -> Hashes:
        """The type hash of every entry, shape (nnz,)."""
        return np.repeat(self.types, np.diff(self.indptr))

    def totals(self) -> Ints:
        """Occurrences of every type over all blocks, shape (K,)."""
        if len(self.types) == 0:
            return np.zeros(0, np.int64)
        return np.add.reduceat(self.counts.astype(np.int64), self.indptr[:-1])

    def totals_in(self, chosen: NDArray[np.bool_]) -> Ints:
        """Occurrences of every type in the blocks where ``chosen`` is true, shape (K,)."""
        if len(self.types) == 0:
            return np.zeros(0, np.int64)
        weights: Floats = np.where(chosen[self.blocks], self.counts, 0).astype(np.float64)
        return np.rint(np.add.reduceat(weights, self.indptr[:-1])).astype(np.int64)

    def restrict(self, tau: np.uint64) -> TypeSample:
        """The sub-sample of types with hash at most ``tau``."""
        stop = int(np.searchsorted(self.types, tau, side="right"))
        end = int(self.indptr[stop])
        return TypeSample(
            self.k,
            min(self.tau, tau),
            self.types[:stop],
            self.indptr[: stop + 1],
            self.blocks[:end],
            self.counts[:end],
        )

    def relabel(self, new_block: NDArray[np.uint16]) -> TypeSample:
        """Rename (and so unite) blocks: block b becomes ``new_block[b]``."""
        return TypeSample.of_entries(
            self.k, self.tau, self.entry_types(), new_block[self.blocks], self.counts
        )

    def merge(self, other: TypeSample) -> TypeSample:
        """The sample of both corpora together: associative, commutative, exact."""
        k, tau = min(self.k, other.k), min(self.tau, other.tau)
        a, b = self.restrict(tau), other.restrict(tau)
        types = np.empty(min(k, len(a.types) + len(b.types)), np.uint64)
        indptr = np.zeros(len(types) + 1, np.int64)
        blocks = np.empty(len(a.blocks) + len(b.blocks), np.uint16)
        counts = np.empty(len(blocks), np.uint32)
        n, size = _merge(
            a.types, a.indptr, a.blocks, a.counts,
            b.types, b.indptr, b.blocks, b.counts,
            types, indptr, blocks, counts,
        )  # fmt: skip
        for array, length in ((types, n), (indptr, n + 1), (blocks, size), (counts, size)):
            array.resize(length, refcheck=False)  # in place: a copy would double the peak
        full = n == k and bool(np.any(np.concatenate([a.types[-1:], b.types[-1:]]) > types[-1:]))
        tau = np.uint64(types[-1]) if full else tau
        return TypeSample(k, tau, types, indptr, blocks, counts)


class TypeCounter:
    """Builds a ``TypeSample`` from a stream of hashed documents in bounded memory.

    Occurrences of a rare type are logged one by one; a frequent type has a row of counts by block.
    """

    def __init__(self, k: int, tau: np.uint64 = EVERYTHING) -> None:
        self.k = k
        self.tau = tau
        self._used = np.zeros(3, np.int64)
        self._allocate(np.array([LEAST, LEAST, LEAST >> 6]), 1 << FINEST_BITS)

    def _allocate(self, room: Ints, n_blocks: int) -> None:
        """Empty arrays for so many types, log entries and rows."""
        types, entries, rows = room.tolist()
        self._slots = np.zeros(1 << (4 * types - 1).bit_length(), np.int32)
        self._types = np.empty(types, np.uint64)
        self._state = np.empty(types, np.int32)
        self._log = np.empty(entries, np.uint64)
        self._dense = np.zeros((n_blocks, rows), np.uint32)

    def add(self, hashes: Hashes, offsets: Ints, doc_block: Blocks) -> None:
        """Count the types of documents ``hashes[offsets[d]:offsets[d + 1]]`` in their blocks."""
        at = np.zeros(2, np.int64)
        while True:
            arrays = self._slots, self._types, self._state, self._log, self._dense
            _insert(hashes, offsets, doc_block, self.tau, *arrays, self._used, at)
            if at[0] == len(offsets) - 1:
                return
            self._make_room()

    def sample(self) -> TypeSample:
        """What has been counted so far."""
        self._reload(self._room, np.arange(len(self._dense), dtype=np.uint16))
        n, m, rows = self._used.tolist()
        order = np.argsort(self._types[:n])[: self.k]
        tau = np.uint64(self._types[order[-1]]) if n > self.k else self.tau
        rank = np.full(n, -1, np.int64)
        rank[order] = np.arange(len(order))
        keys = np.empty(m, np.uint64)
        keys = keys[: _rank(self._log[:m], rank, keys)]
        keys.sort()
        dense = np.ascontiguousarray(self._dense[:, :rows].T)
        size = len(keys) + int(np.count_nonzero(dense))
        indptr = np.zeros(len(order) + 1, np.int64)
        blocks, counts = np.empty(size, np.uint16), np.empty(size, np.uint32)
        _emit(keys, self._state[order], dense, indptr, blocks, counts)
        for array in (blocks, counts):
            array.resize(int(indptr[-1]), refcheck=False)
        return TypeSample(self.k, tau, self._types[order], indptr, blocks, counts)

    def relabel(self, new_block: Blocks) -> None:
        """Unite blocks in the running count: block b becomes ``new_block[b]``."""
        self._reload(self._room, new_block)

    @property
    def _room(self) -> Ints:
        return np.array([len(self._types), len(self._log), self._dense.shape[1]])

    def _make_room(self) -> None:
        """Drop the types that cannot be among the k smallest, once they are many; or grow."""
        types, entries, rows = (self._used == self._room).tolist()
        if entries:
            self._log = np.concatenate([self._log, np.empty_like(self._log)])
        if rows:
            self._dense = np.concatenate([self._dense, np.zeros_like(self._dense)], axis=1)
        if types:
            room, crowd = self._room, CROWD * self.k
            if room[0] >= crowd:
                self.tau = np.uint64(np.partition(self._types, self.k - 1)[self.k - 1])
            else:
                room[0] = min(4 * room[0], max(crowd, LEAST))
            self._reload(room, np.arange(len(self._dense), dtype=np.uint16))

    def _reload(self, room: Ints, new_block: Blocks) -> None:
        """Move everything to new arrays."""
        types, state, log, dense = self._types, self._state, self._log, self._dense
        self._allocate(room, int(new_block.max()) + 1)
        arrays = self._slots, self._types, self._state, self._log, self._dense
        _reload(types, state, log, dense, self._used, self.tau, new_block, *arrays)
