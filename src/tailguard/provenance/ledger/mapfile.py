"""A key map on disk: built in bounded memory, asked for proofs without reading it whole.

The file is derived: its root stands in an entry of the ledger, and whatever is read from it is
verified against that root before use. It is laid out as

=========  ====================================================================
8 bytes    ``TGKEYMAP``
8 bytes    n, how many keys, big-endian
8 bytes    k, how many levels of the tree are stored, big-endian
2^(k+1)    hashes of the subtrees, 32 bytes each: those of level d at 2^d and after
n          keys and values, sorted, 40 bytes each
=========  ====================================================================

A subtree of level k holds some 500 to 1,000 keys, so a proof reads a few kilobytes.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tailguard.provenance.ledger.base import NO_HASH, LedgerBroken, LedgerError
from tailguard.provenance.ledger.keymap import (
    ITEM,
    KEY_BITS,
    Items,
    MapProof,
    inner_hash,
    map_root,
    order_of,
    prove,
)
from tailguard.provenance.merkle import HASH_BYTES

HELD_ITEMS = 2_000_000
"""Keys held in memory while a map is built, beside one 256th of all; the rest waits on disk."""

_MAGIC = b"TGKEYMAP"
_HEAD_BYTES = 24
_BUCKET_BITS = 9
_MOST_LEVELS = 32
_PARTITIONS = 256


class MapBuilder(AbstractContextManager["MapBuilder"]):
    """Collects keys in any order and writes their map; needs 40 bytes of disk a key meanwhile.

    A key added again keeps the sum of its values, or the smallest with ``keep="least"``.

    >>> with tempfile.TemporaryDirectory() as place, MapBuilder(place) as builder:
    ...     builder.add(np.frombuffer(bytes(64), np.uint8).reshape(2, 32), 1)
    ...     root, n = builder.write(Path(place, "m"))
    ...     with KeyMap(Path(place, "m")) as stored:
    ...         n, stored.root == root, stored.value(bytes(32))
    (1, True, 2)
    """

    def __init__(self, scratch: str | Path, *, keep: str = "sum") -> None:
        self._merge = {"sum": np.add, "least": np.minimum}[keep]
        self._scratch = scratch
        self._held: list[Items] = []
        self._n_held = self._n = 0
        self._spilled: IO[bytes] | None = None
        self._runs: list[tuple[int, NDArray[np.int64]]] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._spilled is not None:
            self._spilled.close()

    def add(self, keys: NDArray[np.uint8], values: NDArray[np.uint64] | int) -> None:
        """Add keys of shape (n, 32), each with its value or all with the same."""
        items = np.empty(len(keys), ITEM)
        items["key"] = np.ascontiguousarray(keys).view("V32").reshape(-1)
        items["value"] = values
        self._held.append(items)
        self._n += len(items)
        self._n_held += len(items)
        if self._n_held >= HELD_ITEMS:
            self._spill()

    def write(self, path: Path) -> tuple[bytes, int]:
        """Write the map; its root and number of keys. The file is complete, not yet durable.

        Raises ``OSError`` where the disk is full.
        """
        levels = max(0, min(_MOST_LEVELS, self._n.bit_length() - 1 - _BUCKET_BITS))
        width = 1 << levels
        nodes = np.zeros((2 * width, HASH_BYTES), np.uint8)
        counts = np.zeros(2 * width, np.int64)
        n = 0
        with path.open("wb") as file:
            file.seek(_HEAD_BYTES + nodes.nbytes)
            for items in self._partitions(levels):
                file.write(items.tobytes())
                n += len(items)
                _hash_buckets(items, levels, nodes, counts)
            _fold(nodes, counts)
            file.seek(0)
            head = _MAGIC + n.to_bytes(8, "big") + levels.to_bytes(8, "big")
            file.write(head + nodes.tobytes())
        return nodes[1].tobytes(), n

    def _spill(self) -> None:
        """Move what is held to the disk, in the order of the keys' first byte."""
        items = self._taken()
        if self._spilled is None:
            self._spilled = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 (see __exit__)
        start = self._spilled.seek(0, os.SEEK_END)
        first = _prefixes(items, 8)
        items = items[np.argsort(first, kind="stable")]
        ends = np.cumsum(np.bincount(first.astype(np.int64), minlength=_PARTITIONS))
        self._spilled.write(items.tobytes())
        self._runs.append((start, np.append(0, ends)))

    def _taken(self) -> Items:
        held = _joined(self._held)
        self._held, self._n_held = [], 0
        return held

    def _partitions(self, levels: int) -> Iterator[Items]:
        """All items in order, merged, in pieces that no subtree of the lowest level spans."""
        if self._spilled is None or levels < 8:
            whole = [self._run(start, 0, int(ends[-1])) for start, ends in self._runs]
            yield self._merged(_joined([*whole, self._taken()]))
            return
        self._spill()
        for first in range(_PARTITIONS):
            parts = [
                self._run(start, int(ends[first]), int(ends[first + 1]))
                for start, ends in self._runs
            ]
            yield self._merged(_joined(parts))

    def _run(self, start: int, first: int, end: int) -> Items:
        assert self._spilled is not None
        self._spilled.seek(start + first * ITEM.itemsize)
        return np.frombuffer(self._spilled.read((end - first) * ITEM.itemsize), ITEM)

    def _merged(self, items: Items) -> Items:
        if not len(items):
            return items
        items = items[order_of(items)]
        fresh = np.append(True, items["key"][1:] != items["key"][:-1])
        merged = items[fresh]
        merged["value"] = self._merge.reduceat(
            items["value"].astype(np.uint64), np.flatnonzero(fresh)
        )
        return merged


class KeyMap(AbstractContextManager["KeyMap"]):
    """A map on disk. Nothing it says is to be believed before its proof leads to a known root."""

    def __init__(self, path: str | Path) -> None:
        """Open a file; :class:`LedgerBroken` where it is no map, or was cut."""
        self._path = str(path)
        try:
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            self._handle = os.open(path, flags)
        except OSError as error:
            reason = (error.strerror or "an error").lower()
            raise LedgerError(self._path, "a map of keys", reason, _RESTORE) from None
        try:
            state = os.fstat(self._handle)
            head = self._read(0, _HEAD_BYTES) if stat.S_ISREG(state.st_mode) else bytes(_HEAD_BYTES)
            self.n, self._levels = (int.from_bytes(head[at : at + 8], "big") for at in (8, 16))
            known = head[:8] == _MAGIC and self._levels <= _MOST_LEVELS
            if not known or state.st_size != self._first + self.n * ITEM.itemsize:
                raise LedgerBroken(self._path, "a map of keys", "something else", _RESTORE)
            self.root = self._node(1)
        except BaseException:
            self.close()
            raise

    @property
    def _first(self) -> int:
        return _HEAD_BYTES + HASH_BYTES * (2 << self._levels)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def value(self, key: bytes) -> int | None:
        """The value stored for a key, None if there is none (some 25 small reads)."""
        at = self._place(key, 0, self.n)
        items = self._items(at, min(at + 1, self.n))
        return int(items[0]["value"]) if len(items) and items[0]["key"].tobytes() == key else None

    def prove(self, key: bytes) -> MapProof:
        """The proof for a key. Raises :class:`LedgerBroken` if it does not lead to the root that
        the file claims."""
        first, end, depth, siblings = 0, self.n, 0, []
        bits = int.from_bytes(key, "big")
        while depth < self._levels and end - first > 1:
            prefix = bits >> KEY_BITS - 1 - depth
            middle = (prefix | 1) << KEY_BITS - 1 - depth
            at = self._place(middle.to_bytes(HASH_BYTES, "big"), first, end)
            first, end = (at, end) if prefix & 1 else (first, at)
            depth += 1
            siblings.append(self._node((1 << depth) + (prefix ^ 1)))
        inner = prove(self._items(first, end), key, depth)
        made = MapProof((*siblings, *inner.siblings), inner.found)
        if made.root(key) != self.root:
            raise LedgerBroken(self._path, "a map that fits its root", "another", _RESTORE)
        return made

    def check(self) -> None:
        """Hash the whole file again; :class:`LedgerBroken` unless it makes up its root, to the
        byte. Needs the memory of the whole map."""
        items = self._items(0, self.n)
        keys = items["key"]
        order = order_of(items)
        sound = bool((order == np.arange(self.n)).all()) and not bool((keys[1:] == keys[:-1]).any())
        width = 1 << self._levels
        nodes, counts = np.zeros((2 * width, HASH_BYTES), np.uint8), np.zeros(2 * width, np.int64)
        if sound:
            _hash_buckets(items, self._levels, nodes, counts)
        _fold(nodes, counts)
        if not sound or nodes.tobytes() != self._read(_HEAD_BYTES, nodes.nbytes):
            raise LedgerBroken(self._path, "a map that fits its root", "another", _RESTORE)

    def _place(self, key: bytes, first: int, end: int) -> int:
        """Where the first key that is not below ``key`` lies, between ``first`` and ``end``."""
        while first < end:
            middle = (first + end) // 2
            if self._read(self._first + middle * ITEM.itemsize, HASH_BYTES) < key:
                first = middle + 1
            else:
                end = middle
        return first

    def _items(self, first: int, end: int) -> Items:
        data = self._read(self._first + first * ITEM.itemsize, (end - first) * ITEM.itemsize)
        return np.frombuffer(data, ITEM)

    def _node(self, at: int) -> bytes:
        return self._read(_HEAD_BYTES + at * HASH_BYTES, HASH_BYTES)

    def _read(self, at: int, size: int) -> bytes:
        parts = []
        while size and (part := os.pread(self._handle, size, at)):
            parts.append(part)
            at, size = at + len(part), size - len(part)
        if size:
            raise LedgerBroken(self._path, "a whole file", "one that was cut", _RESTORE)
        return b"".join(parts)


def _joined(parts: list[Items]) -> Items:
    # Left to itself, NumPy would turn the numbers to this machine's order of bytes.
    return np.concatenate([np.empty(0, ITEM), *parts], dtype=ITEM)


def _hash_buckets(
    items: Items, levels: int, nodes: NDArray[np.uint8], counts: NDArray[np.int64]
) -> None:
    """Fill the lowest stored level where ``items`` (sorted) have their subtrees."""
    prefixes = _prefixes(items, levels)
    firsts = np.flatnonzero(np.append(True, prefixes[1:] != prefixes[:-1])[: len(items)])
    ends = np.append(firsts, len(items))[1:]
    for first, end in zip(firsts, ends, strict=True):
        place = len(nodes) // 2 + int(prefixes[first])
        nodes[place] = np.frombuffer(map_root(items[first:end], levels), np.uint8)
        counts[place] = end - first


def _fold(nodes: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Fill the upper levels: a subtree of one key is that key's leaf, however high."""
    for at in range(len(nodes) // 2 - 1, 0, -1):
        left, right = nodes[2 * at].tobytes(), nodes[2 * at + 1].tobytes()
        counts[at] = counts[2 * at] + counts[2 * at + 1]
        alone = right if left == NO_HASH else left
        joined = inner_hash(left, right) if counts[at] > 1 else alone
        nodes[at] = np.frombuffer(joined, np.uint8)


def _prefixes(items: Items, bits: int) -> NDArray[np.uint64]:
    """The leading bits of each key, at most 32."""
    words = np.ascontiguousarray(items["key"]).view(">u8").reshape(-1, 4)[:, 0].astype(np.uint64)
    return words >> np.uint64(64 - bits) if bits else np.zeros(len(items), np.uint64)


_RESTORE = "restore it from a copy, or register the data again"
