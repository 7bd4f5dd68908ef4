"""The human share of a corpus: evidence of different grades, combined into one interval.

Every record falls in one stratum by its strongest evidence. Each stratum gives an interval of its
own human share: a claim that is believed, the false marks a watermark test makes, an audited
sample, a detector. Several of these on one stratum are intersected, strata are added with their
known sizes, and the chance of error is split over all that is estimated (Bonferroni): the result
covers at its level whatever the dependence between the parts. A mixed record is not human.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.corpus import Corpus, Quarantine
from tailguard.corpus.base import EVIDENCE, KINDS, Evidence, Kind
from tailguard.corpus.origin import strings
from tailguard.detect.base import DetectorError
from tailguard.detect.prevalence.strata import (
    MARK_LEVEL,
    UNKNOWN,
    Audit,
    Detected,
    Estimate,
    ScoredAudit,
    Stratum,
    false_marks,
)
from tailguard.measure.base import Ints
from tailguard.provenance.lineage.columns import grades, kinds, origins
from tailguard.provenance.lineage.contradictions import in_records
from tailguard.provenance.lineage.records import record_depths

GROUPS: tuple[tuple[Evidence, Kind], ...] = (
    ("attested", "human"),
    ("attested", "synthetic"),
    ("watermark", "synthetic"),
    ("audited", "human"),
    ("audited", "synthetic"),
    ("declared", "human"),
    ("declared", "synthetic"),
    ("none", "unknown"),
)
"""The strata of a corpus: mixed counts as synthetic; the last holds all that is not verified."""
DISAGREE = len(GROUPS)
"""The number of records whose claims contradict each other; they count as not verified."""
ORIGIN = frozenset({"kind", "evidence"})
"""Columns without which a corpus says nothing of its origin."""
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Part:
    """One stratum in the sum: its human share, with and without belief in declarations."""

    stratum: Stratum
    guaranteed: Estimate
    trusted: Estimate


@dataclass(frozen=True, slots=True)
class HumanShare:
    """The share of ``n`` records that are human: in [``lo``, ``hi``] at ``level``.

    ``share`` is nan where some records have no estimate. ``trusted`` is the same, assuming that
    declarations are true. A contradiction is evidence that cannot all hold; the interval then spans
    all of it. ``assumptions`` are what the interval rests on.
    """

    share: float
    lo: float
    hi: float
    trusted: Estimate
    n: int
    level: float
    parts: tuple[Part, ...]
    contradictions: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def line(self) -> str:
        """One sentence for a report."""
        found = f"{_span(self.lo, self.hi)} of {self.n:,} records are human"
        found += f" (at {100 * self.level:.4g}%)"
        if (self.trusted.lo, self.trusted.hi) != (self.lo, self.hi):
            found += f"; {_span(self.trusted.lo, self.trusted.hi)} if declarations are true"
        n = len(self.contradictions)
        return found + (f"; {n} contradiction{'s' * (n > 1)}" if n else "")

    def as_dict(self) -> dict[str, Any]:
        """The share as plain JSON; null where nothing is estimated."""
        parts = [
            {"grade": p.stratum.grade, "kind": p.stratum.kind, "n": p.stratum.n,
             **_plain(p.guaranteed), "trusted": _plain(p.trusted)}
            for p in self.parts
        ]  # fmt: skip
        own = Estimate(self.share, self.lo, self.hi, "")
        return {**_plain(own), "trusted": _plain(self.trusted), "n": self.n, "level": self.level,
                "strata": parts, "contradictions": list(self.contradictions),
                "assumptions": list(self.assumptions)}  # fmt: skip


def human_share(
    strata: Sequence[Stratum], *, level: float = 0.95, audit: Audit | None = None,
    believe_synthetic: bool = True,
) -> HumanShare:  # fmt: skip
    """Combine strata into the interval of the whole's human share, sum of n_s theta_s over sum n_s.

    Each estimate is taken at the level left to it: detectors' at their own, the others share what
    these leave of 1 - ``level``. ``audit`` is a sample of all records together.
    ``believe_synthetic``: nobody falsely declares a record synthetic. Intervals of one stratum that
    do not meet are a contradiction, and their hull is taken: it holds if any of them does.
    Raises :class:`DetectorError` without records, or when the detectors' levels are too low.

    >>> known = [Stratum("attested", 60, "human"), Stratum("attested", 20, "synthetic")]
    >>> found = human_share([*known, Stratum("declared", 20, "human")])
    >>> found.lo, found.hi, found.trusted.lo, found.trusted.hi
    (0.6, 0.8, 0.8, 0.8)
    """
    if not 0.5 <= level < 1:
        raise DetectorError("level", "a number from 0.5 to below 1", str(level), "as in 0.95")
    strata = [s for s in strata if s.n]
    n = sum(s.n for s in strata)
    if not n:
        raise DetectorError("human share", "at least one record", "none", "check the files")
    own = _level_left(strata, level, audit)
    parts, told = [], []
    for stratum in strata:
        part, odds = _part(stratum, own, believe_synthetic)
        parts.append(part)
        told += odds
    sides = []
    for found in ([p.guaranteed for p in parts], [p.trusted for p in parts]):
        # fsum is exact, so the order of strata cannot matter.
        share, lo, hi = (
            math.fsum(s.n * end for s, end in zip(strata, ends, strict=True)) / n
            for ends in zip(*(e[:3] for e in found), strict=True)
        )
        sides.append(Estimate(share, min(lo, hi), min(hi, 1.0), "sum of strata"))
    if audit is not None:
        whole = audit.estimate(n, own)
        met = [_meet([side, whole], "all records") for side in sides]
        told += met[0][1]
        if met[1][1] and not met[0][1]:
            told += [f"{text} (with belief in declarations)" for text in met[1][1]]
            met[1] = met[0]
        sides = [side for side, _ in met]
    assumed = _assumptions(strata, audit, believe_synthetic)
    first = sides[0]
    return HumanShare(first.share, first.lo, first.hi, sides[1], n, level, tuple(parts),
                      tuple(told), assumed)  # fmt: skip


def split_level(parts: int, level: float = 0.95) -> float:
    """The level of each of so many estimates that all hold together at ``level`` (Bonferroni).

    >>> round(split_level(2), 6)
    0.975
    """
    return 1 - (1 - level) / max(parts, 1)


def estimates_in(strata: Sequence[Stratum]) -> int:
    """How many estimates of the strata carry a chance of error, detectors' included."""
    return sum(
        (s.audit is not None) + (s.detected is not None) + s.marks_err for s in strata if s.n
    )


def stratum_groups(batch: pa.RecordBatch) -> Ints:
    """Which of ``GROUPS`` each record falls in, or ``DISAGREE``; shape (n,).

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["x", "y"],
    ...     "kind": ["human", "human"], "evidence": ["attested", "none"]})
    >>> [GROUPS[i] for i in stratum_groups(batch)]
    [('attested', 'human'), ('none', 'unknown')]
    """
    table = origins(batch)
    against = in_records(table, record_depths(table), {}, examples=0).records
    return np.where(against, DISAGREE, _GROUP[kinds(table), grades(table)])


def strata_of(
    corpus: Corpus, *, audit_column: str | None = None, mark_level: float = MARK_LEVEL,
    quarantine: Quarantine,
) -> list[Stratum]:  # fmt: skip
    """Count a corpus into strata by its origin columns, in one pass and flat memory.

    ``audit_column`` holds what people found (a kind) for a random sample of the records, and null
    for the others. Without origin columns everything is one stratum of which nothing is known.
    """
    counts = np.zeros(len(GROUPS) + 1, np.int64)
    audits = np.zeros((len(GROUPS) + 1, 3), np.int64)
    for batch in corpus.batches(quarantine):
        groups = stratum_groups(batch)
        counts += np.bincount(groups, minlength=len(counts))
        if audit_column is not None:
            labels = audit_labels(batch, audit_column)
            np.add.at(audits, (groups[labels >= 0], labels[labels >= 0]), 1)
    audits[-2] += audits[-1]
    if audit_column is not None and not audits.any():
        raise DetectorError(f"column {audit_column!r}", "audited records", "none", "name another")
    sampled = {
        i: Audit(int(row[1]), int(row.sum()), int(row[2]))
        for i, row in enumerate(audits[:-1])
        if row.any()
    }
    return build_strata(counts, audits=sampled, mark_level=mark_level)


def build_strata(
    counts: Ints, *, audits: Mapping[int, Audit | ScoredAudit] | None = None,
    detected: Mapping[int, Detected] | None = None, mark_level: float = MARK_LEVEL,
) -> list[Stratum]:  # fmt: skip
    """Strata from counts by group, (9,) with ``DISAGREE`` last, and what estimates each group.

    All records are taken to have been searched for watermarks: no smaller number could make more
    false marks.
    """
    out = []
    for i, (grade, kind) in enumerate(GROUPS):
        rest = int(counts[DISAGREE]) if i == DISAGREE - 1 else 0
        tested = int(counts.sum()) if grade == "watermark" else None
        own = (detected or {}).get(i)
        shown: Evidence = "detected" if own is not None and grade == "none" else grade
        out.append(Stratum(shown, int(counts[i]) + rest, kind, tested=tested, mark_level=mark_level,
                           audit=(audits or {}).get(i), detected=own, disagree=rest))  # fmt: skip
    return [stratum for stratum in out if stratum.n]


def audit_labels(batch: pa.RecordBatch, column: str) -> Ints:
    """What people found: 1 human, 0 synthetic or mixed, 2 undecided (unknown), -1 not audited.

    Raises :class:`DetectorError` for any other word.

    >>> audit_labels(pa.record_batch({"label": ["human", "Mixed", "unknown", None]}), "label")
    array([ 1,  0,  2, -1])
    """
    at = batch.schema.get_field_index(column)
    if at < 0:
        return np.full(len(batch), -1, np.int64)
    known = {"human": 1, "synthetic": 0, "mixed": 0, "unknown": 2, "": -1}
    encoded = strings(batch.column(at)).dictionary_encode()
    words = [(word or "").strip().lower() for word in encoded.dictionary.to_pylist()]
    for word in words:
        if word not in known:
            raise DetectorError(f"column {column!r}", f"one of {', '.join(KINDS)}, or nothing",
                                repr(word)[:60], "correct the audit's labels")  # fmt: skip
    codes = np.array([known[word] for word in words] + [-1], np.int64)
    return codes[np.asarray(encoded.indices.fill_null(len(words))).astype(np.int64)]


def _table() -> NDArray[np.int64]:
    """The group of every kind and grade."""
    group = {pair: i for i, pair in enumerate(GROUPS)}
    out = np.full((len(KINDS), len(EVIDENCE)), DISAGREE - 1, np.int64)
    for k, kind in enumerate(KINDS):
        for g, grade in enumerate(EVIDENCE):
            # A mark is evidence of its own; whoever calls a marked record human contradicts it.
            meant: Kind = "synthetic" if kind == "mixed" or grade == "watermark" else kind
            out[k, g] = group.get((grade, meant), DISAGREE - 1)
    return out


_GROUP = _table()


def _level_left(strata: Sequence[Stratum], level: float, audit: Audit | None) -> float:
    """The level of every estimate that is not a detector's."""
    spent = math.fsum(1 - s.detected.level for s in strata if s.detected is not None)
    others = sum((s.audit is not None) + s.marks_err for s in strata) + (audit is not None)
    left = (1 - level) - spent
    if left < -_SLACK or (others and left < _SLACK):
        wanted = split_level(estimates_in(strata) + (audit is not None), level)
        raise DetectorError("human share", f"detectors' intervals at level {wanted:.6g} or higher",
                            f"{spent:.3g} of error already", "see split_level")  # fmt: skip
    return 1 - left / max(others, 1)


def _part(stratum: Stratum, own: float, believe: bool) -> tuple[Part, list[str]]:
    """One stratum's intervals, and what contradicts itself in them."""
    told = []
    if stratum.disagree:
        told.append(f"{stratum.disagree:,} records make claims that contradict each other")
    rest = []
    if stratum.audit is not None:
        rest.append(stratum.audit.estimate(stratum.n, own))
    if stratum.detected is not None:
        d = stratum.detected
        rest.append(Estimate(d.share, d.lo, d.hi, "detector"))
    claim = _claim(stratum, own, believe, trust=False)
    sure, odds = _meet([claim, *rest], stratum.name)
    told += odds
    if stratum.grade != "declared":
        return Part(stratum, sure, sure), told
    trusted, odds = _meet([_claim(stratum, own, believe, trust=True), *rest], stratum.name)
    if odds:
        # Belief that the evidence refutes is dropped, and said to be.
        told += [text for text in odds if text not in told]
        trusted = sure
    return Part(stratum, sure, trusted), told


def _claim(stratum: Stratum, own: float, believe: bool, *, trust: bool) -> Estimate:
    """What the grade alone says."""
    grade, human = stratum.grade, stratum.kind == "human"
    if grade == "watermark":
        alpha, marked, tested = stratum.mark_level, stratum.n, stratum.tested or stratum.n
        share = min(alpha * (tested - marked) / (1 - alpha) / marked, 1.0)
        most = false_marks(marked, tested, alpha, own) / marked if alpha else 0.0
        return Estimate(min(share, most), 0.0, most, f"watermark test of {tested:,}")
    if grade not in ("attested", "audited", "declared") or stratum.kind == "unknown":
        return UNKNOWN
    error = stratum.error
    if grade == "declared" and error is None:
        if not (trust or (believe and not human)):
            return UNKNOWN
        error = 0.0
    error = error or 0.0
    how = {"attested": "attestation", "audited": "audited records"}.get(grade, "declaration")
    return Estimate(1.0, 1.0 - error, 1.0, how) if human else Estimate(0.0, 0.0, error, how)


def _meet(estimates: Sequence[Estimate], name: str) -> tuple[Estimate, list[str]]:
    """The intersection; where it is empty, the hull, and the contradiction in words."""
    some = [e for e in estimates if (e.lo, e.hi) != (0.0, 1.0)] or list(estimates[-1:])
    lo, hi = max(e.lo for e in some), min(e.hi for e in some)
    told = []
    how = " and ".join(e.how for e in some)
    if lo > hi + _SLACK:
        lo, hi = min(e.lo for e in some), max(e.hi for e in some)
        spans = " and ".join(f"{e.how} ({_span(e.lo, e.hi)} human)" for e in some)
        told.append(f"{name}: {spans} cannot all hold")
    hi = max(lo, hi)
    sharp = [e for e in some if math.isfinite(e.share)]
    best = min(sharp, key=lambda e: e.hi - e.lo).share if sharp else math.nan
    return Estimate(min(max(best, lo), hi) if sharp else best, lo, hi, how), told


def _assumptions(strata: Sequence[Stratum], audit: Audit | None, believe: bool) -> tuple[str, ...]:
    """What the interval rests on, each once."""
    out = []
    named = {(s.grade, s.kind) for s in strata if s.kind != "unknown"}
    for grade, text in (("attested", "signatures"), ("audited", "audited records")):
        errors = [s.error or 0.0 for s in strata if s.grade == grade and s.kind != "unknown"]
        if errors:
            out.append(f"{text} are wrong in at most {max(errors):.3g} of cases")
    marks = [s.mark_level for s in strata if s.grade == "watermark"]
    if marks:
        out.append(f"an unmarked record is found marked with probability {max(marks):g} at most")
    if believe and ({("declared", "synthetic"), ("declared", "mixed")} & named):
        out.append("nobody falsely declares a record synthetic")
    lies = [s.error for s in strata if s.grade == "declared" and s.error is not None]
    if lies:
        out.append(f"at most {max(lies):.3g} of declarations are false")
    if audit is not None or any(s.audit is not None for s in strata):
        out.append("audited samples are drawn at random, and people judge as stated")
    if any(s.detected is not None for s in strata):
        out.append("humans like the detector's calibration, generators among or like the held-out")
    return tuple(out)


def _span(lo: float, hi: float) -> str:
    return f"{lo:.1%}" if f"{lo:.1%}" == f"{hi:.1%}" else f"{lo:.1%} to {hi:.1%}"


def _plain(estimate: Estimate) -> dict[str, Any]:
    share = estimate.share if math.isfinite(estimate.share) else None
    found = {"share": share, "lo": estimate.lo, "hi": estimate.hi}
    return found | ({"how": estimate.how} if estimate.how else {})
