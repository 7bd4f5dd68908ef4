"""Files to trees: parts hashed wherever there is a free worker, put together in order."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from tailguard.corpus.base import SHARD_BYTES
from tailguard.corpus.files import File
from tailguard.engine import map_shards
from tailguard.errors import InputError
from tailguard.provenance.base import LockError
from tailguard.provenance.gold.base import LockedFile
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.rows import Leaves, Part, cut
from tailguard.provenance.merkle import HASH_BYTES, Accumulator, root

PARTS_AT_ONCE = 256
"""Most parts (small files, as a rule) that a worker gets in one go."""


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file's tree and columns, or the ``fault`` that kept it from being read to its end."""

    file: LockedFile
    tally: Tally
    fault: InputError | None = None


@dataclass(slots=True)
class _Hashed:
    """What a worker sends back of a part: record hashes before the first boundary between groups
    and after the last, and the roots of the groups in between."""

    head: Leaves
    roots: list[bytes]
    tail: Leaves
    tally: Tally
    fault: InputError | None = None


@dataclass(frozen=True, slots=True)
class _HashParts:
    group_rows: int

    def __call__(self, parts: tuple[Part, ...]) -> list[_Hashed]:
        return [self._hash(part) for part in parts]

    def _hash(self, part: Part) -> _Hashed:
        tally = Tally()
        found = _Hashed(_none(), [], _none(), tally)
        groups = Groups(self.group_rows)
        # Rows up to the first boundary complete a group that an earlier part began.
        left = None if part.first_row is None else -part.first_row % self.group_rows
        heads: list[Leaves] = []
        try:
            for leaves in part.leaves(tally):
                first = len(leaves) if left is None else min(left, len(leaves))
                heads.append(leaves[:first])
                left = None if left is None else left - first
                groups.add(leaves[first:])
        except InputError as error:
            found.fault = error
        found.head = np.concatenate([_none(), *heads])
        found.roots, found.tail = groups.roots, groups.open
        return found


class Groups:
    """The roots of groups of ``group_rows`` leaves each, and the leaves of the one that is open.

    >>> groups = Groups(2)
    >>> groups.add(np.zeros((5, 32), np.uint8))
    >>> len(groups.roots), groups.open.shape
    (2, (1, 32))
    """

    def __init__(self, group_rows: int) -> None:
        self.group_rows = group_rows
        self.roots: list[bytes] = []
        self.open = _none()

    def add(self, leaves: Leaves) -> None:
        """Append record hashes, shape (n, 32)."""
        held = np.concatenate([self.open, leaves]) if len(self.open) else leaves
        whole = len(held) // self.group_rows * self.group_rows
        self.roots += [
            root(held[first : first + self.group_rows])
            for first in range(0, whole, self.group_rows)
        ]
        self.open = held[whole:].copy()

    def append(self, part: _Hashed) -> None:
        """Append what a worker made of the part that follows."""
        self.add(part.head)
        if part.roots:
            assert not len(self.open)
            self.roots += part.roots
        self.add(part.tail)

    def file(self, path: str) -> LockedFile:
        """The tree of all that was added."""
        rows = len(self.roots) * self.group_rows + len(self.open)
        last = [root(self.open)] if len(self.open) else []
        return LockedFile(path, rows, (*self.roots, *last))


def hash_files(
    files: Sequence[File],
    *,
    group_rows: int,
    engine: str = "local",
    workers: int | None = None,
    label: str = "hashing",
) -> Generator[HashedFile, None, None]:
    """Hash the records of every file in one pass, and yield them in the order given.

    Memory: some megabytes a worker, and 32 bytes for each group. The result does not depend on
    engine or workers. A file that cannot be read comes with its ``fault``, and so does one that
    changed while it was read; the others go on.
    """
    states = [_state(file) for file in files]
    parts: list[list[Part]] = []
    faults: list[InputError | None] = []
    for file in files:
        try:
            parts.append(cut(file))
            faults.append(None)
        except InputError as error:
            parts.append([])
            faults.append(error)
    shards = list(_bundled([part for listed in parts for part in listed]))
    results = map_shards(
        _HashParts(group_rows),
        shards,
        engine=engine,
        workers=workers,
        label=label,
        sizes=[sum(part.n_bytes for part in shard) for shard in shards],
    )
    with closing(results):
        arriving = (hashed for bundle in results for hashed in bundle)
        for file, state, listed, fault in zip(files, states, parts, faults, strict=True):
            groups, tally = Groups(group_rows), Tally()
            for _ in listed:
                hashed = next(arriving)
                fault = fault or hashed.fault
                if fault is None:
                    groups.append(hashed)
                    tally.merge(hashed.tally)
            if fault is None and _state(file) != state:
                fault = LockError(
                    file.path, "a file at rest", "one that changes while it is read", "try again"
                )
            yield HashedFile(groups.file(file.name), tally, fault)


def tree_of(files: Sequence[LockedFile]) -> Accumulator:
    """The tree of the data set: its leaves are the files, in this order."""
    tree = Accumulator()
    tree.extend([file.leaf for file in files])
    return tree


def _bundled(parts: Sequence[Part]) -> Iterator[tuple[Part, ...]]:
    """Consecutive parts in bundles: a worker should have some megabytes to do."""
    held: list[Part] = []
    size = 0
    for part in parts:
        held.append(part)
        size += part.n_bytes
        if size >= SHARD_BYTES or len(held) >= PARTS_AT_ONCE:
            yield tuple(held)
            held, size = [], 0
    if held:
        yield tuple(held)


def _state(file: File) -> tuple[int, int, int] | None:
    """What changes whenever the file is written: inode, size and time of the last change."""
    try:
        found = os.stat(file.path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _none() -> Leaves:
    return np.zeros((0, HASH_BYTES), np.uint8)
