"""Profiling a corpus of numbers, vectors or images: its shards in parallel, merged in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from tailguard.corpus import Columns, Corpus, Quarantine, open_corpus
from tailguard.corpus.base import Shard
from tailguard.engine import map_merge
from tailguard.errors import CorpusError
from tailguard.measure.base import Hashes
from tailguard.measure.profile import Profile
from tailguard.measure.store import is_profile
from tailguard.measure.survey import Surveyed
from tailguard.measure.vectors.columns import Numbers, find_shape
from tailguard.measure.vectors.images import Pictures
from tailguard.measure.vectors.store import is_vector_profile, load_vector_profile
from tailguard.measure.vectors.summary import VectorBuilder, VectorProfile

Reader = Numbers | Pictures


@dataclass(frozen=True, slots=True)
class VectorSurveyed:
    """A vector profile, and the rows that could not be read while making it."""

    profile: VectorProfile
    quarantine: Quarantine

    def merge(self, other: VectorSurveyed) -> VectorSurveyed:
        """Both together; the left one's quarantine takes in the right one's."""
        self.quarantine.merge(other.quarantine)
        return VectorSurveyed(self.profile.merge(other.profile), self.quarantine)


@dataclass(frozen=True, slots=True)
class _SurveyShard:
    """Profile one shard."""

    reader: Reader
    modality: Literal["numeric", "image"]

    def __call__(self, shard: Shard) -> VectorSurveyed:
        quarantine = Quarantine()
        builder = VectorBuilder(self.reader.shape, self.modality)
        at = 0
        for batch in shard.batches(quarantine):
            values, bad = self.reader.rows(batch)
            ids = batch.column("id")
            for row, reason in sorted(bad.items()):
                raw = str(ids[row].as_py()).encode("utf-8", "backslashreplace")
                quarantine.add(reason, file=shard.name, unit="row", at=at + row, raw=raw)
            good = np.ones(len(values), bool)
            good[list(bad)] = False
            builder.add(values[good], _hashes(ids)[good], batch.nbytes)
            at += len(values)
        return VectorSurveyed(builder.finish(quarantine.total), quarantine)


def _hashes(ids: pa.Array) -> Hashes:
    """A hash of each id, of its text as it stands."""
    from hashlib import blake2b

    found = (blake2b(str(i).encode("utf-8", "backslashreplace"), digest_size=8) for i in ids)
    return np.array([int.from_bytes(h.digest(), "little") for h in found], np.uint64)


def opened(source: Any, columns: Columns) -> Any:
    """The corpus that ``source`` holds; profiles, and the paths of saved ones, stay as they are."""
    if isinstance(source, Profile | Surveyed | VectorProfile | VectorSurveyed):
        return source
    if isinstance(source, str | Path) and (is_profile(source) or is_vector_profile(source)):
        return source
    return open_corpus(source, columns=columns)


def is_vectors(source: Any) -> bool:
    """Whether what ``opened`` gave holds numbers or images, or is a profile of such."""
    if isinstance(source, Corpus):
        return source.modality != "text"
    if isinstance(source, VectorProfile | VectorSurveyed):
        return True
    return isinstance(source, str | Path) and is_vector_profile(source)


def survey_vectors(
    source: Any,
    *,
    columns: Columns = Columns(),  # noqa: B008
    engine: str = "local",
    workers: int | None = None,
    quarantine: str | Path | None = None,
    label: str = "profiling",
) -> VectorSurveyed:
    """Profile a corpus of numbers, vectors or images in one pass.

    ``source`` is anything ``open_corpus`` takes, or a vector profile, in memory or saved. The
    result does not depend on engine or workers.

    Raises :class:`CorpusError` when nothing can be read or there are no numbers.
    """
    if isinstance(source, VectorSurveyed):
        return source
    if isinstance(source, VectorProfile):
        return VectorSurveyed(source, Quarantine())
    if isinstance(source, str | Path) and is_vector_profile(source):
        return VectorSurveyed(load_vector_profile(source), Quarantine())
    corpus = open_corpus(source, columns=columns)
    if corpus.modality == "text":
        raise CorpusError(corpus.name, "numbers or images", "text", "name them: --vector-column")
    reader: Reader
    if corpus.modality == "image":
        reader = Pictures()
    else:
        reader = Numbers(find_shape(_first(corpus), corpus.name), corpus.name)
    found = map_merge(
        _SurveyShard(reader, corpus.modality),
        corpus.shards,
        VectorSurveyed.merge,
        engine=engine,
        workers=workers,
        label=label,
        sizes=[shard.n_bytes for shard in corpus.shards],
    )
    if quarantine is not None and found.quarantine.total:
        with Quarantine(quarantine) as kept:
            kept.merge(found.quarantine)
    if found.profile.n_rows == 0:
        got = str(found.quarantine) if found.quarantine.total else "none"
        raise CorpusError(corpus.name, "at least one readable record", got, "check its format")
    return found


def _first(corpus: Corpus) -> Iterator[pa.RecordBatch]:
    """Batches from the start of a corpus; those that come later are never read."""
    aside = Quarantine()
    for shard in corpus.shards:
        yield from shard.batches(aside)
