"""The tail report of a filter on a corpus of human records, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.corpus import Corpus, Quarantine
from tailguard.detect.base import DECISIONS, DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.gather import column_values, content_hashes, texts_of
from tailguard.detect.scoring import COLUMNS, Scorer
from tailguard.detect.store import SavedDetector
from tailguard.detect.tails.report import TailReport, deleted_tails
from tailguard.detect.tails.weights import LikelihoodRatio, importance_weights
from tailguard.measure.base import Floats
from tailguard.measure.tokens import tokenize

MOST_TEXTS = 100_000
"""Documents looked at, drawn at random where a corpus has more."""
_DECISION, _SCORE = "decision", "detector_score"


@dataclass(frozen=True, slots=True)
class FilterTails:
    """A tail report and what it does not speak of.

    ``left_out`` counts records by reason; ``withheld`` is how many of the reported documents the
    drift gate kept the filter from deciding on, which therefore were not deleted.
    """

    report: TailReport
    left_out: dict[str, int]
    withheld: int


def filter_tails(
    corpus: Corpus,
    by: Sequence[str] = (),
    *,
    saved: SavedDetector | None,
    target: Target,
    rng: np.random.Generator,
    quarantine: Quarantine,
    weigh: tuple[LikelihoodRatio, float] | None = None,
    cluster: str | None = None,
    advance: Callable[[int], None] = lambda n_bytes: None,
) -> FilterTails:
    """Which tails of known human records a filter deletes that drops what is ``synthetic``.

    With a detector the records are decided as ``tailguard detect score`` would; without one they
    carry a column ``decision``. ``by`` names columns of groups. ``cluster`` names a column of what
    belongs together (author, page, prompt): one record of each, drawn at random, is reported on,
    because p-values take records as independent. ``weigh`` is a likelihood ratio and a synthetic
    share, for the mass that weights would leave. ``advance`` is told the bytes of each batch.

    Left out are records of another ``kind`` than human where they tell it, texts without words,
    copies, and texts fitted on. Raises :class:`DetectorError` for missing columns and too few
    records.
    """
    kept = _Kept(tuple(by), cluster)
    left = dict.fromkeys(("not human", "without words", "copies", "fitted on", "of a cluster",
                          "not drawn", "quarantined"), 0)  # fmt: skip
    seen: set[int] = set()
    fitted = set() if saved is None else set(saved.fitted_on.tolist())
    window = Window(0) if saved is None else saved.detector.window
    for batch in _decided(corpus, saved, target, rng=rng, quarantine=quarantine):
        _columns(batch, [*by, *([cluster] if cluster else [])], corpus.name)
        texts = canonical(texts_of(batch, corpus.name), window)
        tokens = tokenize(texts)
        human = _human(batch)
        keep = np.zeros(len(texts), bool)
        contents = content_hashes(tokens).tolist()
        for i, (value, n) in enumerate(zip(contents, tokens.lengths.tolist(), strict=True)):
            reason = "" if human[i] else "not human"
            reason = reason or ("without words" if n == 0 else "copies" if value in seen else "")
            reason = reason or ("fitted on" if value in fitted else "")
            if reason:
                left[reason] += 1
            else:
                seen.add(value)
                keep[i] = True
        kept.add(batch, texts, keep, rng.random(len(texts)))
        advance(batch.nbytes)
    left["not drawn"], left["quarantined"] = kept.cut(MOST_TEXTS), quarantine.total
    left["of a cluster"] = kept.thin()
    if not kept.rows:
        told = ", ".join(f"{n} {reason}" for reason, n in left.items() if n) or "no records"
        raise DetectorError(corpus.name, "human texts with words", told, "check the files")
    weights = None
    if weigh is not None:
        weights = importance_weights(weigh[0].at(kept.scores), weigh[1])
    report = deleted_tails(kept.texts, kept.deleted, kept.groups, rng=rng, weights=weights)
    return FilterTails(report, left, kept.withheld)


class _Kept:
    """The rows that are reported on; beyond the limit those with the smallest random keys stay."""

    def __init__(self, by: tuple[str, ...], cluster: str | None) -> None:
        self.by, self.cluster = by, cluster
        self.rows = self.dropped = 0
        self._parts: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch, texts: pa.Array, keep: Any, keys: Floats) -> None:
        scored = _SCORE in batch.schema.names
        drifts, decisions = column_values(batch, "drift"), column_values(batch, _DECISION)
        columns = {
            "text": texts,
            "deleted": pa.array([v == "synthetic" for v in decisions], pa.bool_()),
            "withheld": pa.array([v in ("drift", "unchecked") for v in drifts], pa.bool_()),
            "score": batch.column(_SCORE) if scored else pa.nulls(len(batch), pa.float64()),
            "key": pa.array(keys),
        }
        for i, name in enumerate(self.by):
            columns[f"by{i}"] = pa.array(column_values(batch, name), pa.large_string())
        if self.cluster is not None:
            columns["cluster"] = pa.array(column_values(batch, self.cluster), pa.large_string())
        part = pa.record_batch(columns).filter(pa.array(keep))
        self._parts.append(part)
        self.rows += len(part)
        if self.rows > 2 * MOST_TEXTS:
            self.cut(MOST_TEXTS)

    def cut(self, most: int) -> int:
        """Keep at most so many; how many were dropped so far."""
        table = pa.Table.from_batches(self._parts).combine_chunks() if self._parts else None
        if table is not None and len(table) > most:
            keys = table.column("key").to_numpy()
            table = table.filter(pa.array(keys <= np.partition(keys, most - 1)[most - 1]))
            self.dropped += self.rows - len(table)
            self.rows = len(table)
        self._parts = table.to_batches() if table is not None else []
        return self.dropped

    def thin(self) -> int:
        """Keep the record of least key of each cluster; how many were left out.

        A record that names no cluster is its own.
        """
        if self.cluster is None or not self.rows:
            return 0
        names, keys = self._column("cluster").to_pylist(), self._column("key").to_numpy()
        best: dict[str, int] = {}
        keep = np.array([name is None for name in names], bool)
        for row in np.argsort(keys, kind="stable").tolist():
            if names[row] is not None and best.setdefault(names[row], row) == row:
                keep[row] = True
        dropped = self.rows - int(keep.sum())
        self._parts = pa.Table.from_batches(self._parts).filter(pa.array(keep)).to_batches()
        self.rows -= dropped
        return dropped

    def _column(self, name: str) -> pa.Array:
        return pa.Table.from_batches(self._parts).column(name).combine_chunks()

    @property
    def texts(self) -> pa.Array:
        return self._column("text")

    @property
    def deleted(self) -> Any:
        return self._column("deleted").to_numpy(zero_copy_only=False)

    @property
    def scores(self) -> Floats:
        return np.asarray(self._column("score").to_numpy(zero_copy_only=False), np.float64)

    @property
    def withheld(self) -> int:
        return int(self._column("withheld").to_numpy(zero_copy_only=False).sum())

    @property
    def groups(self) -> dict[str, list[str | None]]:
        return {name: self._column(f"by{i}").to_pylist() for i, name in enumerate(self.by)}


def _decided(
    corpus: Corpus, saved: SavedDetector | None, target: Target, *, rng: np.random.Generator,
    quarantine: Quarantine,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    if saved is not None:
        scorer = Scorer(saved, target)
        scorer.look(corpus, rng=rng)
        yield from scorer.batches(corpus, quarantine)
        return
    for batch in corpus.batches(quarantine):
        if _DECISION not in batch.schema.names:
            raise DetectorError(corpus.name, f"a column {_DECISION!r}", "none",
                                "pass --detector, or score the records first")  # fmt: skip
        strange = set(batch.column(_DECISION).to_pylist()) - set(DECISIONS)
        if strange:
            got = repr(sorted(map(str, strange))[0])[:60]
            raise DetectorError(f"{corpus.name}, column {_DECISION!r}", ", ".join(DECISIONS), got,
                                "score the records with tailguard detect score")  # fmt: skip
        # What the file brings under this name was not scored here and can be of any type.
        yield batch.select([name for name in batch.schema.names if name != _SCORE])


def _columns(batch: pa.RecordBatch, by: Sequence[str], who: str) -> None:
    for name in by:
        if name not in batch.schema.names:
            own = [n for n in batch.schema.names if n not in COLUMNS]
            known = ", ".join(repr(n[:60]) for n in own[:12])
            raise DetectorError(who, f"a column {name!r}", f"columns {known}", "name one of these")
        kind = batch.schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise DetectorError(f"{who}, column {name!r}", "names of groups", str(kind)[:60],
                                "name another column")  # fmt: skip


def _human(batch: pa.RecordBatch) -> list[bool]:
    if "kind" not in batch.schema.names:
        return [True] * len(batch)
    return [v == "human" for v in column_values(batch, "kind")]
