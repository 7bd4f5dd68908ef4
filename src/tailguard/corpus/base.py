"""The nouns of a corpus: columns, shard, corpus."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import pyarrow as pa

from tailguard.corpus.quarantine import Quarantine

Modality = Literal["text", "image", "numeric"]
Kind = Literal["human", "synthetic", "mixed", "unknown"]
Evidence = Literal["attested", "watermark", "audited", "declared", "detected", "none"]

KINDS: tuple[Kind, ...] = get_args(Kind)
EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)

SHARD_BYTES = 64 << 20
"""How much of a file one shard covers, where the format can be cut."""

BATCH_BYTES = 8 << 20
"""How much of a file is read at a time; a batch holds no more text than this, or one record."""

RECORD_BYTES = 64 << 20
"""A record longer than this is quarantined without ever being held in memory."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the input is which; ``None`` finds the usual names, in every format alike."""

    text: str | None = None
    id: str | None = None
    image: str | None = None
    vector: str | None = None
    source: str | None = None
    created: str | None = None
    captured: str | None = None
    language: str | None = None
    kind: str | None = None
    generation: str | None = None
    generator: str | None = None
    license: str | None = None
    creator: str | None = None
    parents: str | None = None
    evidence: str | None = None
    digital_source_type: str | None = None


class Shard(Protocol):
    """A picklable, independent piece of a corpus, read in batches of bounded size."""

    @property
    def name(self) -> str: ...

    @property
    def n_bytes(self) -> int: ...

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]: ...


@dataclass(frozen=True, slots=True)
class Corpus:
    """Many records, read lazily.

    A batch of modality ``text`` has ``text`` (a string type, without nulls) and ``id`` (string);
    of modality ``image``, ``image`` (the encoded bytes) and ``id``. Origin columns follow under
    their own names where the input has them, then every other column as it was. The default id is
    ``<file>#<position>``, the position being the row, or the byte offset in JSON lines, so that an
    id does not depend on how the file was cut into shards.

    >>> from tailguard.corpus import open_corpus
    >>> corpus = open_corpus(["one text", "another"])
    >>> [row["text"] for batch in corpus.batches() for row in batch.to_pylist()]
    ['one text', 'another']
    """

    name: str
    shards: tuple[Shard, ...]
    modality: Modality

    @property
    def n_bytes(self) -> int:
        """Bytes to read, as stored (compressed where the files are)."""
        return sum(shard.n_bytes for shard in self.shards)

    def batches(self, quarantine: Quarantine | None = None) -> Iterator[pa.RecordBatch]:
        """Read all shards in order; without a quarantine, a warning tells what was left out."""
        kept = Quarantine() if quarantine is None else quarantine
        for shard in self.shards:
            yield from shard.batches(kept)
        if quarantine is None and kept.total:
            warnings.warn(f"{self.name}: {kept}; pass a Quarantine to keep them", stacklevel=2)
