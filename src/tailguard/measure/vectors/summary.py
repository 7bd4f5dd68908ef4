"""The profile of rows of numbers: mergeable, one pass, bounded memory.

``merge`` is associative and commutative. All of a profile but the moments is exact, so the parts
of a corpus give, bit for bit, the counts, sketches and samples of the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit, uint64
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.tokens import mix64
from tailguard.measure.vectors.sketch import LARGEST, BottomK, Moments, Sketch

Shape = tuple[tuple[str, int], ...]
"""Columns in order of their names, each with its width: 1, or the length of a vector."""

MOST_COLUMNS = 1 << 13
KEEP_CONTENTS = 1 << 13
KEEP_VALUES = 1 << 19
"""Numbers kept of sampled rows, as far as that leaves 1,024 to 8,192 rows."""


def keep_rows(width: int) -> int:
    """How many rows of this width are sampled.

    >>> [keep_rows(width) for width in (1, 100, 768)]
    [8192, 5242, 1024]
    """
    return int(np.clip(KEEP_VALUES // max(width, 1), 1 << 10, 1 << 13))


@njit(cache=True, nogil=True)
def _hash_rows(bits: Any, seeds: Any, hashes: Any) -> None:
    for i in range(bits.shape[0]):
        h = mix64(seeds[i] + uint64(0x9E3779B97F4A7C15))
        for j in range(bits.shape[1]):
            h = mix64(h + bits[i, j] + uint64(0x9E3779B97F4A7C15))
        hashes[i] = h


def hash_rows(values: Floats, seeds: Hashes) -> Hashes:
    """A 64-bit hash of each row's numbers and seed; 0 and -0 are one, and so is every nan."""
    bits = np.where(np.isnan(values), np.nan, values + 0.0)
    out = np.empty(len(bits), np.uint64)
    _hash_rows(np.ascontiguousarray(bits).view(np.uint64), seeds, out)
    return out


@dataclass(frozen=True, slots=True)
class VectorProfile:
    """Summary of a corpus of rows of numbers; see the module for its laws.

    ``shape``: the columns. ``moments`` and ``sketch``: of every column, missing and infinite
    values counted apart. ``rows``: a uniform sample of records, by a hash of id and numbers.
    ``contents``: how often each row of numbers occurs, for a sample of all possible rows: the
    same sample in every corpus. ``n_bytes``: what was read. ``quarantined``: rows that could not
    be.
    """

    modality: Literal["numeric", "image"]
    shape: Shape
    n_rows: int
    n_bytes: int
    moments: Moments
    sketch: Sketch
    rows: BottomK
    contents: BottomK
    quarantined: int = 0

    @classmethod
    def empty(
        cls, shape: Shape, modality: Literal["numeric", "image"] = "numeric"
    ) -> VectorProfile:
        """The profile of no rows of these columns.

        Raises :class:`InputError` for more than 8,192 numbers a row.
        """
        d = width_of(shape)
        if not 0 < d <= MOST_COLUMNS:
            raise InputError(
                "vectors", f"1 to {MOST_COLUMNS:,} numbers a row", f"{d:,}", "reduce them first"
            )
        none = np.zeros(0, np.uint64)
        return cls(
            modality, shape, 0, 0, Moments.empty(d), Sketch.empty(),
            BottomK.of(keep_rows(d), none, np.zeros((0, d))),
            BottomK.of(KEEP_CONTENTS, none, np.zeros((0, 0))),
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return width_of(self.shape)

    @property
    def names(self) -> list[str]:
        """A name for every number of a row: the column's, with the place in a vector."""
        return [
            name if width == 1 else f"{name}[{i}]"
            for name, width in self.shape
            for i in range(width)
        ]

    @property
    def n_values(self) -> int:
        """Finite numbers read."""
        return int(self.moments.n.sum())

    def merge(self, other: VectorProfile) -> VectorProfile:
        """The profile of both corpora together: associative, commutative; but the moments exact.

        Raises :class:`InputError` when the columns differ.
        """
        demand_same(self, other, "profile")
        return VectorProfile(
            self.modality,
            self.shape,
            self.n_rows + other.n_rows,
            self.n_bytes + other.n_bytes,
            self.moments.merge(other.moments),
            self.sketch.merge(other.sketch),
            self.rows.merge(other.rows),
            self.contents.merge(other.contents),
            self.quarantined + other.quarantined,
        )

    def fingerprint(self) -> str:
        """SHA-256 over the exact contents, the identity of what was measured (64 hex digits)."""
        digest = hashlib.sha256(repr((self.modality, self.shape, self.n_rows)).encode())
        contents, sketch = self.contents, self.sketch
        for array in (sketch.keys, sketch.counts, contents.keys, contents.counts):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def sample(self, most_copies: int = 64) -> Floats:
        """The sampled rows (n, d), nan where a number is missing; copies of a record repeated."""
        copies = np.minimum(self.rows.counts, most_copies)
        return np.repeat(self.rows.values, copies, axis=0)[: self.rows.k]


def width_of(shape: Shape) -> int:
    """Numbers in a row of these columns."""
    return sum(width for _, width in shape)


def demand_same(ours: VectorProfile, theirs: VectorProfile, who: str) -> None:
    """Raise :class:`InputError` unless both hold the same columns."""
    if (ours.modality, ours.shape) != (theirs.modality, theirs.shape):
        raise InputError(who, f"columns {_told(theirs)}", _told(ours), "give both the same columns")


def _told(profile: VectorProfile) -> str:
    found = [name if width == 1 else f"{name} ({width} wide)" for name, width in profile.shape]
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return ", ".join(name[:60] for name in found[:8]) + more


class VectorBuilder:
    """Accumulates a vector profile from a stream of rows in bounded memory."""

    def __init__(self, shape: Shape, modality: Literal["numeric", "image"] = "numeric") -> None:
        self._profile = VectorProfile.empty(shape, modality)

    def add(self, values: Floats, ids: Hashes, n_bytes: int) -> None:
        """Read rows ``values: (n, d)`` with a hash of each record's id."""
        if len(values) == 0:
            return
        infinite = np.abs(values) > LARGEST
        values = np.where(infinite, np.nan, values)
        content = hash_rows(values, np.zeros(len(values), np.uint64))
        empty = self._profile
        fresh = VectorProfile(
            empty.modality,
            empty.shape,
            len(values),
            n_bytes,
            Moments.of(values, infinite.sum(axis=0)),
            Sketch.of(values),
            _below(empty.rows, hash_rows(values, ids), values),
            _below(empty.contents, content, np.zeros((len(values), 0))),
        )
        self._profile = empty.merge(fresh)

    def finish(self, quarantined: int = 0) -> VectorProfile:
        """The profile of everything added."""
        p = self._profile
        return VectorProfile(
            p.modality, p.shape, p.n_rows, p.n_bytes, p.moments, p.sketch, p.rows, p.contents,
            quarantined,
        )  # fmt: skip


def _below(held: BottomK, keys: Hashes, values: Floats) -> BottomK:
    """The sample of fresh rows, looking only at those that can still enter."""
    near = keys <= np.uint64(held.limit)
    return BottomK.of(held.k, keys[near], values[near])


def profile_vectors(values: ArrayLike, names: Sequence[str] | None = None) -> VectorProfile:
    """Profile a matrix (n, d) in memory: one vector column, or the named columns of a table.

    >>> found = profile_vectors([[1.0, 2.0], [3.0, 4.0]], ["a", "b"])
    >>> found.n_rows, found.moments.mean.tolist(), found.names
    (2, [2.0, 3.0], ['a', 'b'])
    """
    matrix = np.asarray(values, np.float64)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if names is not None:
        order = np.argsort(np.array(names))
        matrix, names = matrix[:, order], [names[i] for i in order]
    d = matrix.shape[1]
    shape: Shape = (("vector", d),) if names is None else tuple((name, 1) for name in names)
    builder = VectorBuilder(shape)
    step = max(1, (1 << 20) // d)
    for start in range(0, len(matrix), step):
        rows = matrix[start : start + step]
        places: Ints = np.arange(start, start + len(rows))
        builder.add(rows, places.astype(np.uint64), rows.nbytes)
    return builder.finish()
