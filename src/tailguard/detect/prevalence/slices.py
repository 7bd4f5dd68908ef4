"""The synthetic share of a corpus slice by slice, and its human share, in one pass over the texts.

A slice is what shares its values in some columns: source, month, language. The drift gate looks at
each slice before its share is estimated. Memory holds a score and a hash for each record, and a
sample of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailguard.corpus import Corpus, Quarantine
from tailguard.corpus.origin import strings
from tailguard.detect.base import DetectorError, as_array
from tailguard.detect.detectors.base import Prepared
from tailguard.detect.drift import Drift
from tailguard.detect.gather import Sample, content_hashes, source_names, texts_of
from tailguard.detect.laws import LEAST
from tailguard.detect.prevalence.estimator import Estimator
from tailguard.detect.prevalence.human_share import (
    DISAGREE,
    GROUPS,
    ORIGIN,
    HumanShare,
    audit_labels,
    build_strata,
    estimates_in,
    human_share,
    split_level,
    stratum_groups,
)
from tailguard.detect.prevalence.mixture import Prevalence
from tailguard.detect.prevalence.strata import (
    MARK_LEVEL,
    Audit,
    Detected,
    ScoredAudit,
    together,
)
from tailguard.detect.store import SavedDetector
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.provenance.lineage.dates import spans

Key: TypeAlias = tuple[str | None, ...]
"""A slice: its value in each of the columns, None where records have none."""

MONTH = "month"
"""Not a column: the month of ``created``, or else of ``captured``."""
NO_DATE = "no date"
MOST_SLICES = 1_000
"""More slices than this are refused: nobody reads their table."""
HELD_TEXTS = 200_000
"""Texts that the samples of all slices hold together."""
_POOLS = (GROUPS.index(("declared", "human")), DISAGREE - 1)
_CELLS = 16
"""A record's cell is its group, and this times the number of its source where that is known."""
_YEAR_S = 32 * 86_400


@dataclass(frozen=True, slots=True)
class SliceShare:
    """One slice of ``n`` records: what the gate found, and its synthetic share, or None and why."""

    by: tuple[str, ...]
    key: Key
    n: int
    drift: Drift
    found: Prevalence | None
    reason: str

    @property
    def name(self) -> str:
        """As in a table."""
        return slice_name(self.by, self.key)

    @property
    def source(self) -> str | None:
        """Its source, None without one."""
        return self.key[self.by.index("source")] if "source" in self.by else None

    def as_dict(self) -> dict[str, Any]:
        """The slice as plain JSON, null where nothing is estimated."""
        share = self.found
        return {"slice": dict(zip(self.by, self.key, strict=True)), "source": self.source,
                "records": self.n, "drift": self.drift.state, **_numbers(share),
                "note": self.reason}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shares:
    """The slices of a corpus in order of their values (time for months).

    Each interval covers on its own: 95% each, not all together. ``total`` is their sum weighted by
    size, None for a single slice and where one was refused. ``human`` is the human share by
    evidence of all grades, None for a corpus that says nothing of its origin. ``unread_dates``:
    records with something in place of a date that is none. ``fitted_on``: records whose texts the
    detector was shown when it was fitted; their scores are left out.
    """

    by: tuple[str, ...]
    slices: tuple[SliceShare, ...]
    total: Prevalence | None
    human: HumanShare | None
    unread_dates: int
    fitted_on: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The shares as plain JSON."""
        return {"by": list(self.by), "slices": [part.as_dict() for part in self.slices],
                "total": self.total and _numbers(self.total),
                "human_share": self.human and self.human.as_dict(),
                "unread_dates": self.unread_dates, "fitted_on": self.fitted_on}  # fmt: skip


def slice_name(by: Sequence[str], key: Key) -> str:
    """A slice in words.

    >>> slice_name(("source", "month"), ("news", "2021-05")), slice_name(("source",), (None,))
    ('news, 2021-05', 'no source')
    """
    parts = [f"no {name}" if v is None else v[:60] for name, v in zip(by, key, strict=True)]
    return ", ".join(parts) or "all records"


def months(batch: pa.RecordBatch) -> tuple[list[str], int]:
    """The month of every record, in UTC; and how many hold something that is no date.

    It is that of ``created``, and of ``captured`` where that is no date. Dates are ISO 8601 of any
    precision, or Arrow's own; a year alone has no month.

    >>> given = ["2021-05-31T23:30:00-02:00", "2021", "soon", None]
    >>> months(pa.record_batch({"created": pa.array(given)}))
    (['2021-06', '2021-??', 'no date', 'no date'], 1)
    """
    start = np.full(len(batch), "NaT", "M8[s]")
    stop, written = start.copy(), np.zeros(len(batch), bool)
    for name in ("created", "captured"):
        at = batch.schema.get_field_index(name)
        if at >= 0:
            column = strings(batch.column(at)).cast(pa.large_string())
            found = spans(column)
            free = np.isnat(start)
            start, stop = np.where(free, found.start, start), np.where(free, found.stop, stop)
            some = pc.not_equal(pc.utf8_trim_whitespace(column), "")
            written |= np.asarray(some.fill_null(False).to_numpy(zero_copy_only=False), bool)
    lost = np.isnat(start)
    coarse = ~lost & ((stop - start).astype(np.int64) > _YEAR_S)
    names = start.astype("M8[M]").astype(str).astype(object)
    names[coarse] = [f"{str(t)[:4]}-??" for t in start[coarse]]
    names[lost] = NO_DATE
    return names.tolist(), int((lost & written).sum())


def slice_keys(batch: pa.RecordBatch, by: Sequence[str]) -> tuple[list[Key], int]:
    """The slice of every record by the columns ``by``; and the number of dates that are none.

    A value is taken as text; null, an empty text and a column that is not there are None.

    >>> batch = pa.record_batch({"source": ["a", None], "language": ["en", ""]})
    >>> slice_keys(batch, ("source", "language"))
    ([('a', 'en'), (None, None)], 0)
    """
    columns: list[list[Any]] = []
    unread = 0
    for name in by:
        at = batch.schema.get_field_index(name)
        if name == MONTH:
            found, unread = months(batch)
            columns.append(list(found))
        elif at < 0:
            columns.append([None] * len(batch))
        else:
            columns.append([value or None for value in strings(batch.column(at)).to_pylist()])
    return list(zip(*columns, strict=True)) if columns else [()] * len(batch), unread


@dataclass
class _Slice:
    """What is kept of the records of a slice."""

    sample: Sample = field(default_factory=Sample)
    sources: set[str | None] = field(default_factory=set)
    scores: list[Floats] = field(default_factory=list)
    copies: list[Hashes] = field(default_factory=list)
    cells: list[Ints] = field(default_factory=list)
    labels: list[Ints] = field(default_factory=list)

    def look(self, texts: pa.Array, keys: Floats, sources: set[str | None]) -> None:
        self.sample.add(texts, keys)
        if len(self.sources) < 2:  # two say that there is not one
            self.sources |= sources

    @property
    def source(self) -> str | None:
        return next(iter(self.sources)) if len(self.sources) == 1 else None


@dataclass
class _Pass:
    """One pass over a corpus: its slices, and the samples of what is not verified."""

    saved: SavedDetector
    by: tuple[str, ...]
    audit_column: str | None
    calibrated: dict[str | None, int]
    slices: dict[Key, _Slice] = field(default_factory=dict)
    pools: dict[int, _Slice] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    unread: int = 0
    fitted_on: int = 0

    def add(self, batch: pa.RecordBatch, who: str, *, rng: np.random.Generator) -> None:
        texts = Prepared.of(texts_of(batch, who), self.saved.detector.window)
        keys, unread = slice_keys(batch, self.by)
        self.unread += unread
        self.columns |= set(batch.schema.names)
        scores, copies = self.saved.detector.score_prepared(texts), content_hashes(texts.tokens)
        known = np.isin(copies, self.saved.fitted_on)
        # A text known by heart scores as no new one does.
        scores[known] = np.nan
        self.fitted_on += int(known.sum())
        drawn, sources = rng.random(len(batch)), np.array(source_names(batch), object)
        numbers = np.array([self.calibrated.get(s, 0) for s in sources], np.int64)
        cells = numbers * _CELLS + stratum_groups(batch)
        labels = np.full(len(batch), -1, np.int8)
        if self.audit_column is not None:
            labels = audit_labels(batch, self.audit_column).astype(np.int8)
        rows_of: dict[Key, list[int]] = {}
        for row, key in enumerate(keys):
            rows_of.setdefault(key, []).append(row)
        for key, chosen in rows_of.items():
            rows = np.array(chosen)
            part = self.slices.setdefault(key, _Slice())
            part.look(texts.texts.take(pa.array(rows)), drawn[rows], set(sources[rows]))
            part.cells.append(cells[rows].astype(np.int32))
            part.labels.append(labels[rows])
            part.scores.append(scores[rows])
            part.copies.append(copies[rows])
        merged = _merged(cells)
        for cell in np.unique(merged[np.isin(merged % _CELLS, _POOLS)]).tolist():
            rows = np.flatnonzero(merged == cell)
            pool = self.pools.setdefault(cell, _Slice())
            pool.look(texts.texts.take(pa.array(rows)), drawn[rows], set(sources[rows]))
        if len(self.slices) > MOST_SLICES:
            raise DetectorError(who, f"at most {MOST_SLICES:,} slices", "more",
                                "slice by fewer columns, or estimate fewer files")  # fmt: skip
        self._trim()

    def _trim(self) -> None:
        # A bottom-k sample stays uniform when k shrinks.
        most = HELD_TEXTS // max(len(self.slices) + len(self.pools), 1)
        for sample in (part.sample for part in (*self.slices.values(), *self.pools.values())):
            if len(sample.keys) > most:
                first = pa.array(np.arange(most))
                sample.keys, sample.texts = sample.keys[:most], as_array(sample.texts).take(first)

    def check(self, who: str) -> None:
        """Refuse a column that no record has; without ``source``, all records are one slice."""
        if not self.slices:
            raise DetectorError(who, "at least one record", "none", "check the files")
        for name in self.by:
            wanted = {"created", "captured"} if name == MONTH else {name}
            if name != "source" and not wanted & self.columns:
                found = ", ".join(sorted(self.columns))[:200]
                raise DetectorError(who, f"a column {' or '.join(sorted(wanted))} to slice by",
                                    found, "name one of these")  # fmt: skip


def shares_by(
    saved: SavedDetector, incoming: Corpus, synthetic: dict[str, Corpus], *,
    by: Sequence[str] = ("source",), audit_column: str | None = None,
    mark_level: float = MARK_LEVEL, rng: np.random.Generator, quarantine: Quarantine,
    advance: Callable[[int], None] = lambda n_bytes: None,
) -> Shares:  # fmt: skip
    """The synthetic share of every slice of ``incoming``, refused where the gate does not open.

    ``by`` names columns, or ``MONTH``; slices are the combinations that occur. ``synthetic`` holds
    texts not fitted on, by generator; the humans are those of the calibration (the slice's own
    source where all its records share one, with ``LEAST`` of them). Copies in a slice are resampled
    together. Bad rows go to ``quarantine``. Where records say something of their origin, evidence
    of all grades gives the human share (see ``human_share.py``), the detector looking at what is
    not verified; ``audit_column`` holds what people found in a random sample, ``mark_level`` the
    rate at which watermarks were searched for.

    Raises :class:`DetectorError` for a detector without calibration, too few synthetic texts, more
    than ``MOST_SLICES`` slices, and a column that no record has.
    """
    by = tuple(by)
    if len(set(by)) < len(by) or not all(by):
        raise DetectorError("slices", "different columns", repr(",".join(by)), "name each once")
    estimator = Estimator.of(saved, synthetic, rng=rng)
    found = _Pass(saved, by, audit_column, estimator.own_humans)
    for batch in incoming.batches(quarantine):
        if len(batch):
            found.add(batch, incoming.name, rng=rng)
        advance(batch.nbytes)
    found.check(incoming.name)
    slices = []
    for key in sorted(
        found.slices, key=lambda k: [(v is None or v == NO_DATE, v or "") for v in k]
    ):
        part = found.slices[key]
        scores, copies = np.concatenate(part.scores), np.concatenate(part.copies)
        drift, share, reason = estimator.share(part.sample, part.source, scores, copies)
        slices.append(SliceShare(by, key, len(scores), drift, share, reason))
    human = None
    if found.columns & ORIGIN or audit_column is not None:
        human = _human(found, estimator, mark_level)
    total = together([part.found for part in slices])
    return Shares(by, tuple(slices), total, human, found.unread, found.fitted_on)


def _human(found: _Pass, estimator: Estimator, mark_level: float) -> HumanShare:
    """All grades of evidence together; the detector estimates each pool of what is not verified."""
    parts = found.slices.values()
    cells = np.concatenate([c for part in parts for c in part.cells]).astype(np.int64)
    labels = np.concatenate([x for part in parts for x in part.labels])
    scores = np.concatenate([s for part in parts for s in part.scores])
    copies = np.concatenate([c for part in parts for c in part.copies])
    counts = np.bincount(cells % _CELLS, minlength=len(GROUPS) + 1)
    cells = _merged(cells)
    groups = cells % _CELLS
    if found.audit_column is not None and not (labels >= 0).any():
        raise DetectorError(f"column {found.audit_column!r}", "audited records", "none",
                            "name another")  # fmt: skip
    audits: dict[int, Audit | ScoredAudit] = {}
    for i in np.unique(groups[labels >= 0]).tolist():
        own = groups == i
        said = labels[own & (labels >= 0)]
        audits[i] = Audit(int((said == 1).sum()), len(said), int((said == 2).sum()))
        if i in _POOLS and not (said == 2).any():
            ranks = _ranks(scores[own], estimator.calibration.scores)
            audits[i] = ScoredAudit(said == 1, ranks[labels[own] >= 0], float(ranks.mean()))
    pools = [i for i in _POOLS if (groups == i).sum() >= LEAST]
    bare = build_strata(counts, audits=audits, mark_level=mark_level)
    level = split_level(estimates_in(bare) + len(pools))
    detected = {}
    for i in pools:
        ends = []  # averaged by size, as slices are in `together`
        for cell, n in zip(*np.unique(cells[groups == i], return_counts=True), strict=True):
            share = None
            if n >= LEAST:
                pool, own = found.pools[int(cell)], cells == cell
                _, share, _ = estimator.share(pool.sample, pool.source, scores[own], copies[own],
                                              level)  # fmt: skip
            one = (np.nan, 0.0, 1.0)
            one = one if share is None else (1 - share.share, 1 - share.hi, 1 - share.lo)
            ends.append(np.array(one) * n / (groups == i).sum())
        middle, lo, hi = np.sum(ends, axis=0).tolist()
        if (lo, hi) != (0.0, 1.0):
            detected[i] = Detected(middle, lo, min(hi, 1.0), level)
    return human_share(
        build_strata(counts, audits=audits, detected=detected, mark_level=mark_level)
    )


def _ranks(scores: Floats, human: Floats) -> Floats:
    """The share of calibration humans that score as high: bounded, whatever the detector's scale.

    A text without words has no score; any fixed number does, and one half it is.
    """
    ordered = np.sort(human[np.isfinite(human)])
    above = 1 - np.searchsorted(ordered, scores, "left") / max(len(ordered), 1)
    return np.where(np.isfinite(scores), above, 0.5)


def _numbers(found: Prevalence | None) -> dict[str, Any]:
    if found is None:
        names = ("n", "share", "lo", "hi", "fit_p")
        return {"status": "refused"} | dict.fromkeys(names)
    return {"status": found.status, "n": found.n, "share": found.share, "lo": found.lo,
            "hi": found.hi, "fit_p": found.fit_p}  # fmt: skip


def _merged(cells: Ints) -> Ints:
    """Records whose claims disagree are not verified."""
    return np.where(cells % _CELLS == DISAGREE, cells - 1, cells)
