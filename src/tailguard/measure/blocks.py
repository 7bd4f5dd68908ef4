"""Document blocks: the units that intervals and nulls are made of.

A document belongs to the block given by the leading bits of its content hash, so the split does
not depend on order, files or workers, exact copies stay together (they are one draw, not many),
and two blocks unite into one by dropping a bit. A small corpus has about a block per document;
a large one 1,024 or 256 blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailguard.measure.base import Hashes, Ints

FINEST_BITS = 12
REPEAT_BINS = 32
SCALARS = (
    "documents",
    "tokens",
    "bytes",
    "empty",
    "triples",  # 3-grams
    "grams",  # 4-grams
    "repeats",  # of these, repeating one of the 128 tokens before
    "loop_tokens",  # tokens inside loops
    "looped",  # documents of which a loop covers a quarter
    "unfinished",  # documents that end without a closing mark
)


def block_bits(documents: int) -> int:
    """How finely a corpus of this many documents is split: a function of the total alone.

    That makes merging associative: whichever way shards are united, the union has the same blocks.

    >>> [block_bits(n) for n in (200, 5_000, 1_000_000)]
    [12, 10, 8]
    """
    if documents <= 1 << 10:
        return FINEST_BITS
    return 10 if documents <= 1 << 14 else 8


def block_of(content: Hashes, bits: int) -> NDArray[np.uint16]:
    """The block of each document, from the leading bits of its content hash."""
    return (content >> np.uint64(64 - bits)).astype(np.uint16)


def repeat_bin(share: NDArray[np.float64]) -> Ints:
    """Bin of a document's repeated share, finer near zero where gold lies."""
    return np.minimum((np.sqrt(share) * REPEAT_BINS).astype(np.int64), REPEAT_BINS - 1)


@dataclass(frozen=True, slots=True)
class BlockTable:
    """Sums per block: ``scalars: (2**bits, len(SCALARS))`` and ``repeats: (2**bits, 32)``.

    ``repeats`` is the histogram of the documents' repeated shares (see ``repeat_bin``).
    """

    bits: int
    scalars: Ints
    repeats: Ints

    @classmethod
    def empty(cls) -> BlockTable:
        """No documents: the neutral element of ``merge``."""
        size = 1 << FINEST_BITS
        return cls(
            FINEST_BITS,
            np.zeros((size, len(SCALARS)), np.int64),
            np.zeros((size, REPEAT_BINS), np.int64),
        )

    @classmethod
    def of(cls, content: Hashes, per_document: Ints, repeated: NDArray[np.float64]) -> BlockTable:
        """Sum documents into blocks; ``per_document: (D, len(SCALARS))``."""
        table = cls.empty()
        block = block_of(content, FINEST_BITS).astype(np.int64)
        for column in range(len(SCALARS)):
            np.add.at(table.scalars[:, column], block, per_document[:, column])
        np.add.at(table.repeats, (block, repeat_bin(repeated)), 1)
        return table

    @property
    def documents(self) -> int:
        """Documents in all blocks."""
        return int(self.scalars[:, 0].sum())

    def column(self, name: str) -> Ints:
        """One scalar over the blocks, shape (2**bits,)."""
        return self.scalars[:, SCALARS.index(name)]

    def total(self, name: str) -> int:
        """One scalar over the whole corpus."""
        return int(self.column(name).sum())

    def n_grams(self, order: int) -> Ints:
        """N-grams of order 1 to 4 over the blocks; none crosses a document border."""
        if order == 2:
            return self.column("tokens") - (self.column("documents") - self.column("empty"))
        return self.column({1: "tokens", 3: "triples", 4: "grams"}[order])

    def coarsen(self, bits: int) -> BlockTable:
        """Unite blocks down to ``2**bits``."""
        if bits >= self.bits:
            return self
        size = 1 << bits
        return BlockTable(
            bits,
            self.scalars.reshape(size, -1, len(SCALARS)).sum(1),
            self.repeats.reshape(size, -1, REPEAT_BINS).sum(1),
        )

    def merge(self, other: BlockTable) -> BlockTable:
        """The blocks of both corpora together: associative, commutative, exact."""
        bits = min(self.bits, other.bits, block_bits(self.documents + other.documents))
        a, b = self.coarsen(bits), other.coarsen(bits)
        return BlockTable(bits, a.scalars + b.scalars, a.repeats + b.repeats)
