"""The audit's section on synthetic text: how much of the batch is, and which documents."""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailguard.corpus import Corpus, Quarantine, open_corpus
from tailguard.detect.base import DECISIONS, DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.fitting import calibrate_detector
from tailguard.detect.gather import sample_records
from tailguard.detect.laws import LEAST
from tailguard.detect.prevalence.slices import Shares, SliceShare, shares_by
from tailguard.detect.scoring import Scorer
from tailguard.detect.store import SavedDetector, load_detector
from tailguard.errors import InputError, PolicyError
from tailguard.report.base import Finding
from tailguard.report.words import percent

SECTION = "detection"
COLUMNS = ("source", "created", "captured", "kind", "evidence")
OTHERS = "other sources"
SHOWN = 3
SHOWN_CHARS = 240
NOT_ASKED = (
    "How much of the batch is synthetic was not estimated: no detector was given (--detector)."
)


ALL_LIKE_THESE = "assumes humans like the held-out ones and generators like those of the detector"


class Gate(BaseModel):
    """What the policy asks of detection, under ``sections: {detection: ...}``.

    ``detector`` is a detector file; one that was not calibrated is calibrated on gold.
    ``max_synthetic_frac`` fails a batch whose interval lies above it. Where the interval does not
    settle it, or no share can be told, ``when_unsure`` says whether to fail or to warn.
    ``max_fpr`` and ``confidence`` are those it was calibrated for, unless given. ``by`` are the
    slices, ``documents`` how many are looked at, drawn evenly from the batch.

    >>> Gate.parse({"max_synthetic_frac": 0.1}).when_unsure
    'fail'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: str | None = None
    synthetic: tuple[str, ...] = ()
    max_synthetic_frac: float | None = Field(default=None, ge=0, le=1)
    when_unsure: Literal["fail", "warn"] = "fail"
    by: tuple[str, ...] = ("source",)
    max_fpr: float | None = Field(default=None, gt=0, lt=1)
    confidence: float | None = Field(default=None, gt=0, lt=1)
    documents: int = Field(default=20_000, ge=100)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Gate:
        """Out of the policy's own mapping. Raises :class:`PolicyError` for a wrong key."""
        who, known = f"sections.{SECTION}", list(cls.model_fields)
        for key in given:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                step = f"did you mean {close[0]!r}?" if close else f"keys are {', '.join(known)}"
                raise PolicyError(who, "a known key", repr(key)[:80], step)
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            got = repr(first["input"])[:80]
            raise PolicyError(who, f"{where}: {first['msg']}", got, f"correct {where}") from None


@dataclass(frozen=True, slots=True)
class Asked:
    """What an audit is to look for: the policy's gate, the detector, and synthetic texts."""

    gate: Gate
    saved: SavedDetector | None = None
    synthetic: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, given: Mapping[str, Any], detector: str | Path | None, synthetic: Sequence[str]
    ) -> Asked:
        """Read before the batch is, so that a slip shows at once.

        ``detector`` and ``synthetic`` stand before the policy's own. Raises :class:`InputError`.
        """
        gate = Gate.parse(given)
        path = detector if detector is not None else gate.detector
        names = tuple(synthetic) or gate.synthetic
        if path is None:
            if names:
                raise InputError("synthetic", "a detector to score it", "none", "give a detector")
            return cls(gate)
        saved = load_detector(path)
        if saved.model and gate.max_synthetic_frac is not None:
            raise InputError(
                str(path), "a detector of synthetic text, as max_synthetic_frac asks",
                f"a fingerprint of {saved.model}", "give another, or drop the limit",
            )  # fmt: skip
        return cls(gate, saved, names)


@dataclass(frozen=True, slots=True)
class Detected:
    """The section: its findings, the numbers of its figure, and what a reader must know."""

    findings: tuple[Finding, ...] = ()
    curves: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()


def detect_synthetic(batch: Any, gold: Any, asked: Asked, *, seed: int = 0) -> Detected:
    """All of the section: shares slice by slice, decisions with their evidence, limits.

    ``batch`` and ``gold`` are opened corpora or profiles. Without a detector nothing is estimated,
    and that is a caveat; a policy with a limit then fails, or warns. Raises :class:`InputError` for
    a detector that cannot be used.
    """
    gate, saved = asked.gate, asked.saved
    if saved is None:
        if gate.max_synthetic_frac is None:
            return Detected(caveats=(NOT_ASKED,))
        return Detected((_unsure(gate, "no detector was given", "", "Give one: --detector."),))
    if not isinstance(batch, Corpus):
        raise InputError("detector", "a batch of texts", "a profile, which holds no texts",
                         "audit the data themselves")  # fmt: skip
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    target = saved.target(gate.max_fpr, gate.confidence)
    saved = _calibrated(saved, gold, target)
    extra = tuple(name for name in gate.by if name not in ("month", *COLUMNS))
    window = saved.detector.window
    table, total = sample_records(batch, gate.documents, (*COLUMNS, *extra), window, rng=rng)
    if not total:
        return Detected(caveats=("The batch holds no text that a detector could look at.",))
    some = open_corpus(_small_together(table))
    shares = shares_by(
        saved, some, {name: open_corpus(name) for name in asked.synthetic}, by=gate.by, rng=rng,
        quarantine=Quarantine(),
    )  # fmt: skip
    whole = Whole.of(shares, total)
    found = [
        *_share_findings(shares, whole, gate, saved),
        *_decision_findings(saved, some, target, rng=rng),
    ]
    curves = {"synthetic": _curve(shares, whole, gate)}
    return Detected(tuple(found), curves, _caveats(saved, shares, len(table), total))


def _small_together(table: pa.Table) -> pa.Table:
    """The records with sources too small to be judged alone under one name."""
    if "source" not in table.column_names:
        return table
    names = table.column("source").to_pylist()
    sizes = Counter(names)
    small = {name for name, n in sizes.items() if name is not None and n < LEAST}
    if len(small) < 2:
        return table
    merged = pa.array([OTHERS if name in small else name for name in names], pa.string())
    return table.set_column(table.column_names.index("source"), "source", merged)


def _calibrated(saved: SavedDetector, gold: Any, target: Target) -> SavedDetector:
    if saved.calibration is not None:
        return saved
    if not isinstance(gold, Corpus):
        raise DetectorError("detector", "a calibrated detector, or gold as texts to calibrate it",
                            "neither", "run tailguard detect calibrate first")  # fmt: skip
    return calibrate_detector(saved, gold, target)[0]


@dataclass(frozen=True, slots=True)
class Whole:
    """The synthetic share of the whole batch of ``n`` documents, ``looked`` at.

    Slices that cannot be judged may hold anything between none and all. Where only a sample was
    looked at, the slices' sizes are estimates too, and the interval is wider by their error.
    """

    share: float
    lo: float
    hi: float
    looked: int
    refused: tuple[SliceShare, ...]

    @classmethod
    def of(cls, shares: Shares, n: int) -> Whole:
        """Out of the slices of a sample of a batch of n documents."""
        looked = sum(part.n for part in shares.slices)
        refused = tuple(part for part in shares.slices if part.found is None)
        weight = np.array([part.n / looked for part in shares.slices])
        share, lo, hi = np.array([
            (math.nan, 0.0, 1.0) if part.found is None
            else (part.found.share, part.found.lo, part.found.hi)
            for part in shares.slices
        ]).T  # fmt: skip
        middle = np.where(np.isnan(share), 0.5, share)
        spread = float(weight @ (middle - weight @ middle) ** 2)
        more = 1.96 * math.sqrt(spread * (1 / looked - 1 / n)) if n > looked else 0.0
        return cls(
            float(weight @ share), max(float(weight @ lo) - more, 0.0),
            min(float(weight @ hi) + more, 1.0), looked, refused,
        )  # fmt: skip


def _unsure(gate: Gate, what: str, detail: str, fix: str) -> Finding:
    limit = f"The policy allows {gate.max_synthetic_frac:.1%} synthetic documents. {detail}"
    title = f"The synthetic share is not settled: {what}"
    return Finding(SECTION, title, gate.when_unsure, limit.strip(), fix)


def _share_findings(
    shares: Shares, whole: Whole, gate: Gate, saved: SavedDetector
) -> Iterator[Finding]:
    """The share of the whole batch, held against the policy's limit; slices beyond it; humans."""
    limit, what = gate.max_synthetic_frac, f"like {saved.model}" if saved.model else "synthetic"
    spread = f"[{whole.lo:.1%}, {whole.hi:.1%}]"
    title = f"{whole.share:.1%} of the documents are {what} {spread}"
    if whole.refused:
        title = f"Between {whole.lo:.1%} and {whole.hi:.1%} of the documents are {what}"
    reasons = list(dict.fromkeys(p.reason for p in shares.slices if p.found is not None))
    told = reasons[0] if len(reasons) == 1 else ALL_LIKE_THESE if reasons else ""
    detail = " ".join(
        [_sentence(told)] * bool(told)
        + [f"Not judged: {part.name} ({part.reason})." for part in whole.refused[:SHOWN]]
        + [f"And {len(whole.refused) - SHOWN} more."] * (len(whole.refused) > SHOWN)
    )
    fix = "Calibrate the detector on human texts like those not judged." if whole.refused else ""
    if limit is not None and whole.lo > limit:
        yield Finding(
            SECTION, title, "fail", f"The policy allows {limit:.1%}. {detail}",
            "Remove documents called synthetic, or weigh them: tailguard detect weigh.",
        )  # fmt: skip
    elif limit is not None and whole.hi > limit:
        step = fix or "Calibrate on more humans, or look at more documents."
        yield _unsure(gate, title, detail, step)
    else:
        yield Finding(SECTION, title, "info", detail, fix)
    above = [p for p in shares.slices if limit is not None and p.found and p.found.lo > limit]
    if above and limit is not None and whole.lo <= limit and len(shares.slices) > 1:
        names = ", ".join(f"{p.name} ({p.found.lo:.1%} at least)" for p in above[:SHOWN] if p.found)
        yield Finding(SECTION, f"{len(above)} of {len(shares.slices)} slices hold more synthetic "
                      "documents than the policy allows for the whole", "warn", f"{names}.",
                      "Look at these slices first.")  # fmt: skip
    if shares.human is not None:
        rests = "; ".join(shares.human.assumptions[:SHOWN])
        line = f"Of the {whole.looked:,} documents looked at, by evidence of all grades: "
        yield Finding(SECTION, line + shares.human.line, "info", _sentence(rests), "",
                      shares.human.contradictions)  # fmt: skip


def _decision_findings(
    saved: SavedDetector, some: Corpus, target: Target, *, rng: np.random.Generator
) -> Iterator[Finding]:
    """How many documents are called what, with the plainest of the synthetic ones."""
    scorer = Scorer(saved, target)
    scorer.look(some, rng=rng)
    best: list[tuple[float, str]] = []
    for batch in scorer.batches(some, Quarantine()):
        called = batch.filter(pc.equal(batch.column("decision"), "synthetic"))
        rows = called.select(
            ["text", "detector_score", "conformal_p", "detector_evidence"]
        ).to_pylist()
        best += [(row["detector_score"], _example(row)) for row in rows]
        best = sorted(best, reverse=True)[:SHOWN]
    n = sum(scorer.counts.values())
    shares = ", ".join(f"{scorer.counts[name] / n:.1%} {name}" for name in DECISIONS)
    what = f"like {saved.model}" if saved.model else "synthetic"
    most, sure = percent(target.max_fpr), percent(target.confidence)
    promise = (
        f"Called {what} above a threshold that at most {most} of human documents like the "
        f"calibration humans exceed (confidence {sure}). Documents of slices that do not match "
        "these humans are abstained on."
    )
    yield Finding(SECTION, f"Decisions on {n:,} documents: {shares}", "info", promise, "",
                  tuple(text for _, text in best))  # fmt: skip


def _example(row: Mapping[str, Any]) -> str:
    text = row["text"]
    text = text if len(text) <= SHOWN_CHARS else "…" + text[-SHOWN_CHARS:]
    moved = json.loads(row["detector_evidence"] or "[]")
    why = ", ".join(f"{word} {nats:+.2f}" for word, nats in moved if not word.startswith("("))
    score, p = row["detector_score"], row["conformal_p"]
    return f"{text} [score {score:.2f}, conformal p {p:.3g}; most telling: {why}]"


def _curve(shares: Shares, whole: Whole, gate: Gate) -> dict[str, Any]:
    """The figure's numbers: all documents first, then the slices."""
    rows: list[tuple[str, float, float, float]] = []
    if len(shares.slices) > 1:
        rows.append(("all documents", whole.share, whole.lo, whole.hi))
    for part in shares.slices:
        found = part.found
        told = (math.nan,) * 3 if found is None else (found.share, found.lo, found.hi)
        alone = all(value is None for value in part.key)
        rows.append(("all documents" if alone and not rows else part.name, *told))
    names, *columns = zip(*rows, strict=True)
    return {
        "slices": list(names),
        **{
            key: [None if math.isnan(v) else float(v) for v in values]
            for key, values in zip(("share", "lo", "hi"), columns, strict=True)
        },
        "limit": gate.max_synthetic_frac,
    }


def _caveats(saved: SavedDetector, shares: Shares, looked: int, total: int) -> tuple[str, ...]:
    out = [
        "Detection cannot prove that a text is synthetic or that a person wrote it; the shares "
        "hold for humans and generators like those that the detector was shown."
    ]
    if looked < total:
        out.append(f"The detector looked at {looked:,} of {total:,} documents, drawn at random.")
    if shares.fitted_on:
        out.append(f"{shares.fitted_on:,} documents were among those that the detector was fitted "
                   "on; they were left out.")  # fmt: skip
    loud = [leak.probe for leak in saved.leaks if leak.leaks]
    if loud:
        out.append(f"The detector's own training texts differ in format too ({', '.join(loud)}), "
                   "which its scores may rest on.")  # fmt: skip
    return tuple(out)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")
