"""The profile: a mergeable one-pass summary of a corpus of text.

A profile is a monoid: ``Profile.empty()`` is neutral, ``merge`` is associative and commutative,
and profiling the parts of a corpus and merging gives, bit for bit, the profile of the whole.
Memory is bounded whatever the size of the corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from tailguard.measure.base import Hashes, Ints
from tailguard.measure.blocks import FINEST_BITS, SCALARS, BlockTable, block_bits, block_of
from tailguard.measure.categories import Categories, categories_of
from tailguard.measure.documents import DocumentSample, fingerprint
from tailguard.measure.names import NameCollector, Names
from tailguard.measure.repetition import _repetition
from tailguard.measure.sample import EVERYTHING, TypeCounter, TypeSample
from tailguard.measure.tokens import Tokens, mix64, tokenize

ORDERS = (1, 2, 3, 4)
KEEP_TYPES = 1 << 17
KEEP_DOCUMENTS = 1 << 10
LENGTH_BINS = 128
WINDOW = 128
"""Tokens that a repeated 4-gram is looked for before it."""
CLOSING = np.frombuffer(b".!?\"')]}:;*`>|", np.uint8)


def _length_bin(tokens: Ints) -> Ints:
    """Quarter-octave bin of a document's length in tokens; empty documents are in bin 0."""
    return np.minimum((np.log2(np.maximum(tokens, 1)) * 4).astype(np.int64), LENGTH_BINS - 1)


@njit(cache=True, nogil=True)
def _chain(
    hashes: Hashes, offsets: Ints, taus: Hashes, grams: NDArray[np.uint64], at: Ints
) -> None:
    """N-grams of n = 2, 3, 4 in one pass, each the hash of the shorter one and one more word.

    Only those up to ``taus`` are kept; ``at`` receives their offsets. See ``overlap.gram_hash``.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    twos = threes = fours = 0
    for document in range(len(offsets) - 1):
        end = offsets[document + 1]
        for i in range(offsets[document], end - 1):
            gram = mix64(mix64(hashes[i] + step) + hashes[i + 1] + step)
            grams[0, twos] = gram
            twos += gram <= taus[0]
            if i + 2 < end:
                gram = mix64(gram + hashes[i + 2] + step)
                grams[1, threes] = gram
                threes += gram <= taus[1]
            if i + 3 < end:
                grams[2, fours] = mix64(gram + hashes[i + 3] + step)
                fours += 1
        at[0, document + 1], at[1, document + 1], at[2, document + 1] = twos, threes, fours


def _grams(tokens: Tokens, *taus: np.uint64) -> list[tuple[Hashes, Ints]]:
    """Hashes and offsets of 2- and 3-grams up to ``taus``, and of all 4-grams."""
    grams = np.empty((3, len(tokens.hashes) + 1), np.uint64)
    at = np.zeros((3, len(tokens) + 1), np.int64)
    _chain(tokens.hashes, tokens.offsets, np.array(taus, np.uint64), grams, at)
    return [(row[: ends[-1]], ends) for row, ends in zip(grams, at, strict=True)]


@dataclass(frozen=True, slots=True)
class Profile:
    """Summary of a corpus; see the module for its laws.

    ``grams``: coordinated type samples of words, 2-, 3- and 4-grams. ``table``: sums per document
    block. ``documents``: the coordinated document sample. ``lengths``: histogram of document
    lengths in quarter octaves. ``names``: the text of the sampled words. ``categories``: counts of
    scripts, languages, sources, months. ``quarantined``: rows that could not be read.
    ``slices``: profiles of parts of the corpus by (column, value).
    """

    grams: tuple[TypeSample, ...]
    table: BlockTable
    documents: DocumentSample
    lengths: Ints
    names: Names
    categories: Categories
    quarantined: int = 0
    slices: Mapping[tuple[str, str], Profile] = field(default_factory=dict)

    @classmethod
    def empty(cls, keep_types: int = KEEP_TYPES, keep_documents: int = KEEP_DOCUMENTS) -> Profile:
        """The profile of no documents."""
        return cls(
            tuple(TypeSample.empty(keep_types) for _ in ORDERS),
            BlockTable.empty(),
            DocumentSample.empty(keep_documents),
            np.zeros(LENGTH_BINS, np.int64),
            Names.of({}),
            Categories.empty(),
        )

    @property
    def n_documents(self) -> int:
        """Documents read, empty ones included."""
        return self.table.documents

    @property
    def n_tokens(self) -> int:
        """Tokens read."""
        return self.table.total("tokens")

    @property
    def n_bytes(self) -> int:
        """Bytes of text read."""
        return self.table.total("bytes")

    @property
    def n_degenerate(self) -> int:
        """Documents that are empty, or of which one loop covers a quarter."""
        return self.table.total("looped") + self.table.total("empty")

    def coarsen(self, bits: int) -> Profile:
        """Unite document blocks down to ``2**bits``."""
        if bits >= self.table.bits:
            return self
        new_block = (np.arange(1 << self.table.bits) >> (self.table.bits - bits)).astype(np.uint16)
        grams = tuple(sample.relabel(new_block) for sample in self.grams)
        return replace(self, grams=grams, table=self.table.coarsen(bits))

    def merge(self, other: Profile) -> Profile:
        """The profile of both corpora together: associative, commutative, exact."""
        table = self.table.merge(other.table)
        a, b = self.coarsen(table.bits), other.coarsen(table.bits)
        grams = tuple(x.merge(y) for x, y in zip(a.grams, b.grams, strict=True))
        slices = dict(self.slices)
        for key, part in other.slices.items():
            slices[key] = slices[key].merge(part) if key in slices else part
        return Profile(
            grams,
            table,
            self.documents.merge(other.documents),
            self.lengths + other.lengths,
            self.names.merge(other.names).restrict(grams[0].tau),
            self.categories.merge(other.categories),
            self.quarantined + other.quarantined,
            dict(sorted(slices.items())),
        )

    def fingerprint(self) -> str:
        """SHA-256 over the contents, the identity of what was measured (64 hex digits)."""
        digest = hashlib.sha256()
        for sample in self.grams:
            for array in (sample.types, sample.blocks, sample.counts):
                digest.update(np.ascontiguousarray(array).tobytes())
        for kept in (self.table.scalars, self.table.repeats, self.lengths, self.documents.content):
            digest.update(np.ascontiguousarray(kept).tobytes())
        return digest.hexdigest()

    def length_quantile(self, q: float) -> float:
        """Tokens of the document at quantile ``q``, to a quarter octave (19%); nan when empty."""
        if self.lengths.sum() == 0:
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.lengths), max(q * self.lengths.sum(), 1)))
        return float(2 ** ((place + 0.5) / 4))


class ProfileBuilder:
    """Accumulates a profile from a stream of text in bounded memory."""

    def __init__(
        self,
        keep_types: int = KEEP_TYPES,
        keep_documents: int = KEEP_DOCUMENTS,
        below: Sequence[np.uint64] = (EVERYTHING,) * len(ORDERS),
    ) -> None:
        """``below``: types with a larger hash are left out, one threshold for each order."""
        self._empty = Profile.empty(keep_types, keep_documents)
        self._counters = [TypeCounter(keep_types, tau) for tau in below]
        self._names = NameCollector()
        self._table = self._empty.table
        self._documents = self._empty.documents
        self._lengths = self._empty.lengths.copy()
        self._categories = self._empty.categories

    def add(self, texts: pa.Array, columns: Mapping[str, pa.Array] | None = None) -> None:
        """Read one batch: ``texts`` without nulls, ``columns`` whose values are counted."""
        if len(texts) == 0:
            return
        tokens = tokenize(texts)
        twos, threes, fours = _grams(tokens, self._counters[1].tau, self._counters[2].tau)
        content, keys = fingerprint(tokens.hashes, tokens.offsets, *fours)
        per_document, repeated = _per_document(texts, tokens, *fours)
        self._coarsen(block_bits(self._table.documents + len(content)))
        fresh = BlockTable.of(content, per_document, repeated)
        self._table = self._table.merge(fresh)
        block = block_of(content, self._table.bits)
        by_order = ((tokens.hashes, tokens.offsets), twos, threes, fours)
        for counter, (hashes, offsets) in zip(self._counters, by_order, strict=True):
            counter.add(hashes, offsets, block)
        self._names.add(tokens, self._counters[0].tau)
        keep = self._documents
        found = DocumentSample.of(
            keep.k, tokens.hashes, tokens.offsets, content, keys, below=keep.limit
        )
        self._documents = keep.merge(found)
        self._lengths += np.bincount(_length_bin(tokens.lengths), minlength=LENGTH_BINS)
        self._categories = self._categories.merge(categories_of(texts, tokens, columns or {}))

    def _coarsen(self, bits: int) -> None:
        if bits < self._table.bits:
            shift = self._table.bits - bits
            new_block = (np.arange(1 << self._table.bits) >> shift).astype(np.uint16)
            for counter in self._counters:
                counter.relabel(new_block)
            self._table = self._table.coarsen(bits)

    def finish(self, quarantined: int = 0) -> Profile:
        """The profile of everything added."""
        grams = tuple(counter.sample() for counter in self._counters)
        return Profile(
            grams,
            self._table,
            self._documents,
            self._lengths,
            self._names.names(grams[0].tau),
            self._categories,
            quarantined,
        )


def _per_document(
    texts: pa.Array, tokens: Tokens, fours: Hashes, at: Ints
) -> tuple[Ints, NDArray[np.float64]]:
    """The block scalars of every document, and its repeated share (0 where undefined)."""
    import pyarrow.compute as pc

    lengths, grams = tokens.lengths, np.diff(at)
    repeats, loops = np.zeros((2, 2, len(lengths)), np.int64)
    # The kernel of ``repetition``, since the 4-grams are at hand.
    _repetition(tokens.hashes, tokens.offsets, fours, at, WINDOW, repeats, loops)
    share = repeats[1] / np.maximum(grams, 1)
    ends = pc.utf8_slice_codeunits(pc.utf8_rtrim_whitespace(texts), -1)
    closed = pc.is_in(
        ends, value_set=pa.array(list(bytes(CLOSING).decode()) + list("”’»。！？…"), ends.type)
    )
    columns = {
        "documents": np.ones(len(lengths), np.int64),
        "tokens": lengths,
        "bytes": pc.binary_length(texts).to_numpy(zero_copy_only=False),
        "empty": lengths == 0,
        "triples": np.maximum(lengths - 2, 0),
        "grams": grams,
        "repeats": repeats[1],
        "loop_tokens": loops[0],
        "looped": (loops[0] * 4 >= lengths) & (lengths >= 8),
        "unfinished": ~closed.to_numpy(zero_copy_only=False).astype(bool) & (lengths > 0),
    }
    return np.stack([columns[name].astype(np.int64) for name in SCALARS], axis=1), share


def profile_texts(
    texts: Iterable[str] | pa.Array,
    keep_types: int = KEEP_TYPES,
    keep_documents: int = KEEP_DOCUMENTS,
) -> Profile:
    """Profile texts already in memory.

    >>> found = profile_texts(["the cat sat", "the dog sat", ""])
    >>> found.n_documents, found.n_tokens, found.grams[0].totals().sum().item()
    (3, 6, 6)
    """
    builder = ProfileBuilder(keep_types, keep_documents)
    array = texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.large_string())
    for start in range(0, len(array), 4096):
        builder.add(array.slice(start, 4096))
    return builder.finish()


assert FINEST_BITS <= 16, "block numbers are stored in 16 bits"
