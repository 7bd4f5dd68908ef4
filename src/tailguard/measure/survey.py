"""Profiling a whole corpus: its shards in parallel, merged in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.corpus import Columns, Corpus, Quarantine, open_corpus
from tailguard.corpus.base import Shard
from tailguard.engine import map_merge
from tailguard.errors import CorpusError, InputError
from tailguard.measure.categories import as_values
from tailguard.measure.profile import KEEP_TYPES, ORDERS, Profile, ProfileBuilder
from tailguard.measure.sample import EVERYTHING
from tailguard.measure.store import is_profile, load_profile

MOST_SLICES = 64
"""Slices of a column; the values that come later in text order are put together."""
REST = "(all other)"
SLICE_TYPES = KEEP_TYPES // 8
SLICE_DOCUMENTS = 256
Key = tuple[str, str]
CHUNK = 2 << 20
"""Bytes of text handled at a time: small enough to stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A profile, and the rows that could not be read while making it."""

    profile: Profile
    quarantine: Quarantine

    def merge(self, other: Surveyed) -> Surveyed:
        """Both together; the left one's quarantine takes in the right one's."""
        self.quarantine.merge(other.quarantine)
        profile = self.profile.merge(other.profile)
        return Surveyed(replace(profile, slices=_bounded(profile.slices)), self.quarantine)


@dataclass(frozen=True, slots=True)
class _Task:
    """A shard, with the thresholds of the sample of all shards finished before."""

    shard: Shard
    below: tuple[np.uint64, ...]

    def __repr__(self) -> str:
        return repr(self.shard)


class _Tasks(Sequence[_Task]):
    """Shards as tasks, made when an engine asks for them.

    A type whose hash lies above the threshold of any part of the corpus is in no sample of the
    whole. So a later task need not count it: less work, the same profile to the byte.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self.below = (EVERYTHING,) * len(ORDERS)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [_Task(shard, self.below) for shard in self._shards[index]]
        return _Task(self._shards[index], self.below)


def _bounded(slices: Mapping[Key, Profile]) -> dict[Key, Profile]:
    """At most 64 values of a column, the smallest of all seen: so the cut falls where it would
    have fallen had the corpus been one shard."""
    out: dict[Key, Profile] = {}
    kept: Counter[str] = Counter()
    for (name, value), part in sorted(slices.items()):
        key = (name, value)
        if value != REST:
            kept[name] += 1
            if kept[name] > MOST_SLICES:
                key = (name, REST)
        out[key] = out[key].merge(part) if key in out else part
    return dict(sorted(out.items()))


@dataclass(frozen=True, slots=True)
class _SurveyShard:
    """Profile one shard; slices and months are counted in the same pass."""

    by: tuple[str, ...]

    def __call__(self, task: _Task) -> Surveyed:
        quarantine = Quarantine()
        whole = ProfileBuilder(below=task.below)
        slices = [_Slices(name) for name in dict.fromkeys(self.by)]
        for batch in task.shard.batches(quarantine):
            columns = _categories(batch)
            for texts, part in _chunks(batch, columns):
                whole.add(texts, part)
            for column in slices:
                column.add(batch)
        parts = {key: part for column in slices for key, part in column.finish().items()}
        parts = dict(sorted(parts.items()))
        profile = replace(whole.finish(quarantine.total), slices=parts)
        return Surveyed(profile, quarantine)


def _chunks(batch: pa.RecordBatch, columns: dict[str, pa.Array]) -> Any:
    texts = batch.column("text")
    rows = max(1, int(len(texts) * CHUNK / max(texts.nbytes, 1)))
    for start in range(0, len(texts), rows):
        part = {name: column.slice(start, rows) for name, column in columns.items()}
        yield texts.slice(start, rows), part


def _categories(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns whose values are counted: source, kind, and the month of creation."""
    names = set(batch.schema.names)
    found = {
        name: _as_text(batch.column(name))
        for name in ("source", "kind", "generator")
        if name in names
    }
    if "created" in names:
        found["month"] = _month(batch.column("created"))
    return found


def _as_text(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.nulls(len(column), pa.string())
    except pa.ArrowNotImplementedError:
        return pa.array([str(value) for value in column.to_pylist()], pa.string())


def _month(column: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.utf8_slice_codeunits(_as_text(column), 0, 7)


class _Slices:
    """Profiles of a shard by the value of one column, bounded as in ``_bounded``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.builders: dict[str, ProfileBuilder] = {}
        self.dropped = Profile.empty(SLICE_TYPES, SLICE_DOCUMENTS)

    def add(self, batch: pa.RecordBatch) -> None:
        """Read one batch; a value that others push out joins the rest."""
        coded = as_values(self._values(batch)).dictionary_encode()
        found = coded.dictionary.to_pylist()
        known = {*self.builders, *found} - {REST}
        keep = set(sorted(known)[:MOST_SLICES])
        for value in self.builders.keys() - keep - {REST}:
            self.dropped = self.dropped.merge(self.builders.pop(value).finish())
        codes: dict[str, list[int]] = {}
        for code, value in enumerate(found):
            codes.setdefault(value if value in keep else REST, []).append(code)
        place = coded.indices.to_numpy()
        for value, wanted in codes.items():
            rows = pa.array(np.isin(place, wanted))
            builder = self.builders.setdefault(value, ProfileBuilder(SLICE_TYPES, SLICE_DOCUMENTS))
            builder.add(batch.column("text").filter(rows))

    def _values(self, batch: pa.RecordBatch) -> pa.Array:
        if self.name == "month" and "created" in batch.schema.names:
            return _month(batch.column("created"))
        if self.name in batch.schema.names:
            return _as_text(batch.column(self.name))
        columns = ", ".join(batch.schema.names)
        raise InputError("by", "columns of the batch", f"'{self.name}'", f"choose from {columns}")

    def finish(self) -> dict[Key, Profile]:
        """The slices by (column, value)."""
        parts = {(self.name, value): b.finish() for value, b in self.builders.items()}
        if self.dropped.n_documents:
            rest = (self.name, REST)
            parts[rest] = parts[rest].merge(self.dropped) if rest in parts else self.dropped
        return parts


def survey(
    source: Any,
    *,
    columns: Columns = Columns(),  # noqa: B008
    by: Sequence[str] = (),
    engine: str = "local",
    workers: int | None = None,
    quarantine: str | Path | None = None,
    label: str = "profiling",
) -> Surveyed:
    """Profile a corpus of text in one pass; ``source`` is anything ``open_corpus`` takes.

    A saved profile or a ``Profile`` is taken as it is. ``by`` names columns (or ``month``) to
    slice by; of each, the 64 first values in text order, the rest go to ``(all other)``. Bad rows
    are counted, and written to ``quarantine`` when a path is given. The result does not depend on
    engine or workers.

    Raises :class:`CorpusError` when nothing can be read, when the corpus is empty or holds no
    text; :class:`InputError` for an unknown slice column.
    """
    if isinstance(source, Surveyed):
        return source
    if isinstance(source, Profile):
        return Surveyed(source, Quarantine())
    if isinstance(source, str | Path) and is_profile(source):
        return Surveyed(load_profile(source), Quarantine())
    corpus = open_corpus(source, columns=columns)
    _require_text(corpus)
    tasks = _Tasks(corpus.shards)

    def merge(found: Surveyed, more: Surveyed) -> Surveyed:
        both = found.merge(more)
        tasks.below = tuple(grams.tau for grams in both.profile.grams)
        return both

    found = map_merge(
        _SurveyShard(tuple(by)),
        tasks,
        merge,
        engine=engine,
        workers=workers,
        label=label,
        sizes=[shard.n_bytes for shard in corpus.shards],
    )
    if quarantine is not None and found.quarantine.total:
        with Quarantine(quarantine) as kept:
            kept.merge(found.quarantine)
    if found.profile.n_documents == 0:
        got = str(found.quarantine) if found.quarantine.total else "none"
        raise CorpusError(corpus.name, "at least one readable record", got, "check its format")
    return found


def _require_text(corpus: Corpus) -> None:
    if corpus.modality != "text":
        raise CorpusError(
            corpus.name, "a corpus of text", f"one of {corpus.modality}s", "audit text for now"
        )
