"""The audit's section on synthetic text: how much of the batch is, and which documents."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailguard.corpus import Corpus, Quarantine, open_corpus
from tailguard.detect.base import DECISIONS, DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.fitting import calibrate_detector
from tailguard.detect.gather import sample_records
from tailguard.detect.prevalence.mixture import Prevalence
from tailguard.detect.prevalence.slices import Shares, SliceShare, shares_by
from tailguard.detect.scoring import Scorer
from tailguard.detect.store import SavedDetector, load_detector
from tailguard.errors import InputError, PolicyError
from tailguard.report.base import Finding

SECTION = "detection"
COLUMNS = ("source", "created", "captured", "kind", "evidence")
SHOWN = 3
SHOWN_CHARS = 240
NOT_ASKED = (
    "How much of the batch is synthetic was not estimated: no detector was given (--detector)."
)


class Gate(BaseModel):
    """What the policy asks of detection, under ``sections: {detection: ...}``.

    ``detector`` is a detector file; one that was not calibrated is calibrated on gold.
    ``max_synthetic_frac`` fails a batch whose interval lies above it, and where the interval does
    not settle it, or no share can be told, ``when_unsure`` says whether to warn or to fail.
    ``max_fpr`` and ``confidence`` are those it was calibrated for, unless given. ``by`` are the
    slices, ``documents`` how many are looked at, drawn evenly from the batch.

    >>> Gate.parse({"max_synthetic_frac": 0.1}).when_unsure
    'warn'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: str | None = None
    synthetic: tuple[str, ...] = ()
    max_synthetic_frac: float | None = Field(default=None, ge=0, le=1)
    when_unsure: str = Field(default="warn", pattern="^(warn|fail)$")
    by: tuple[str, ...] = ("source",)
    max_fpr: float | None = Field(default=None, gt=0, lt=1)
    confidence: float | None = Field(default=None, gt=0, lt=1)
    documents: int = Field(default=20_000, ge=100)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Gate:
        """Out of the policy's own mapping. Raises :class:`PolicyError` for a wrong key."""
        try:
            return cls(**given)
        except (ValidationError, TypeError) as error:
            who = f"sections.{SECTION}"
            if not isinstance(error, ValidationError):
                raise PolicyError(who, "known keys", str(error)[:80], "correct them") from None
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            got = repr(first["input"])[:80]
            raise PolicyError(who, f"{where}: {first['msg']}", got, f"correct {where}") from None


@dataclass(frozen=True, slots=True)
class Detected:
    """The section: its findings, the numbers of its figure, and what a reader must know."""

    findings: tuple[Finding, ...] = ()
    curves: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()


def detect_synthetic(
    batch: Any, gold: Any, asked: Mapping[str, Any], *,
    detector: str | Path | None = None, synthetic: Sequence[str] = (), seed: int = 0,
) -> Detected:  # fmt: skip
    """All of the section: shares slice by slice, decisions with their evidence, limits.

    ``batch`` and ``gold`` are opened corpora or profiles. ``detector`` and ``synthetic`` stand
    before the policy's own. Without a detector nothing is estimated, and that is a caveat; a policy
    with a limit then warns or fails. Raises :class:`InputError` for a detector that cannot be used.
    """
    gate = Gate.parse(asked)
    path = detector if detector is not None else gate.detector
    if path is None:
        if gate.max_synthetic_frac is None:
            return Detected(caveats=(NOT_ASKED,))
        return Detected((_unsure(gate, "no detector was given", "Give one: --detector."),))
    if not isinstance(batch, Corpus):
        raise InputError("detector", "a batch of texts", "a profile, which holds no texts",
                         "audit the data themselves")  # fmt: skip
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    saved = load_detector(path)
    target = saved.target(gate.max_fpr, gate.confidence)
    saved = _calibrated(saved, gold, target)
    names = list(synthetic) or list(gate.synthetic)
    extra = tuple(name for name in gate.by if name not in ("month", *COLUMNS))
    table, total = sample_records(batch, gate.documents, (*COLUMNS, *extra), rng=rng)
    if not total:
        return Detected(caveats=("The batch holds no text that a detector could look at.",))
    some = open_corpus(table)
    by = [name for name in gate.by if name == "month" or name in table.column_names]
    shares = shares_by(
        saved, some, {name: open_corpus(name) for name in names}, by=by, rng=rng,
        quarantine=Quarantine(),
    )  # fmt: skip
    found = [*_share_findings(shares, gate), *_decision_findings(saved, some, target, rng=rng)]
    caveats = _caveats(saved, len(table), total)
    return Detected(tuple(found), {"synthetic": _curve(shares, gate)}, caveats)


def _calibrated(saved: SavedDetector, gold: Any, target: Target) -> SavedDetector:
    if saved.calibration is not None:
        return saved
    if not isinstance(gold, Corpus):
        raise DetectorError("detector", "a calibrated detector, or gold as texts to calibrate it",
                            "neither", "run tailguard detect calibrate first")  # fmt: skip
    return calibrate_detector(saved, gold, target)[0]


def _unsure(gate: Gate, what: str, fix: str) -> Finding:
    limit = f"The policy allows {gate.max_synthetic_frac:.1%} synthetic documents."
    severity: Any = gate.when_unsure
    return Finding(SECTION, f"the synthetic share is not told: {what}", severity, limit, fix)


def _share_findings(shares: Shares, gate: Gate) -> Iterator[Finding]:
    """The share of each slice and of all, held against the policy's limit."""
    whole = [] if shares.total is None else [("all records", shares.total)]
    told = [(part.name, part.found) for part in shares.slices if part.found is not None]
    for name, found in [*whole, *told]:
        size = f"{found.share:.1%} of {name} ({found.n:,} documents looked at)"
        title = f"{size} are synthetic [{found.lo:.1%}, {found.hi:.1%}]"
        limit = gate.max_synthetic_frac
        if limit is not None and found.lo > limit:
            yield Finding(
                SECTION, title, "fail", f"The policy allows {limit:.1%}. {_sentence(found.note)}",
                "Remove documents called synthetic, or weigh them: tailguard detect weigh.",
            )  # fmt: skip
        elif limit is not None and found.hi > limit:
            what = f"{name} may hold between {found.lo:.1%} and {found.hi:.1%}"
            yield _unsure(gate, what, "Calibrate on more humans, or look at more documents.")
        else:
            yield Finding(SECTION, title, "info", _sentence(found.note))
    refused = [part for part in shares.slices if part.found is None]
    if refused and gate.max_synthetic_frac is not None:
        names = ", ".join(part.name for part in refused[:SHOWN])
        yield _unsure(gate, f"{len(refused)} of {len(shares.slices)} slices cannot be judged "
                      f"({names})", _recalibrate(refused[0]))  # fmt: skip
    else:
        for part in refused[:SHOWN]:
            yield Finding(
                SECTION, f"the synthetic share of {part.name} is not told", "info",
                _sentence(part.reason), _recalibrate(part),
            )  # fmt: skip
    if shares.human is not None:
        rests = "; ".join(shares.human.assumptions[:SHOWN])
        yield Finding(SECTION, f"human share, evidence of all grades: {shares.human.line}",
                      "info", _sentence(rests), "", shares.human.contradictions)  # fmt: skip


def _recalibrate(part: SliceShare) -> str:
    return f"Calibrate the detector on human texts like those of {part.name}."


def _decision_findings(
    saved: SavedDetector, some: Corpus, target: Target, *, rng: np.random.Generator
) -> Iterator[Finding]:
    """How many documents are called what, with the plainest of the synthetic ones."""
    scorer = Scorer(saved, target)
    scorer.look(some, rng=rng)
    best: list[tuple[float, str]] = []
    for batch in scorer.batches(some, Quarantine()):
        called = batch.filter(pc.equal(batch.column("decision"), "synthetic"))
        rows = called.select(["text", "detector_score", "conformal_p", "evidence"]).to_pylist()
        best += [(row["detector_score"], _example(row)) for row in rows]
        best = sorted(best, reverse=True)[:SHOWN]
    n = sum(scorer.counts.values())
    shares = ", ".join(f"{scorer.counts[name] / n:.1%} {name}" for name in DECISIONS)
    what = f"like {saved.model}" if saved.model else "synthetic"
    promise = (
        f"Called {what} above a threshold that at most {target.max_fpr:g} of human documents like "
        f"the calibration humans exceed (confidence {target.confidence:g}). Documents of slices "
        "that do not match these humans are abstained on."
    )
    yield Finding(SECTION, f"decisions on {n:,} documents: {shares}", "info", promise, "",
                  tuple(text for _, text in best))  # fmt: skip


def _example(row: Mapping[str, Any]) -> str:
    text = " ".join(row["text"].split())
    text = text if len(text) <= SHOWN_CHARS else "…" + text[-SHOWN_CHARS:]
    words = ", ".join(f"{word} {nats:+.2f}" for word, nats in json.loads(row["evidence"] or "[]"))
    score, p = row["detector_score"], row["conformal_p"]
    return f"score {score:.2f}, conformal p {p:.3g} ({words}): {text}"


def _curve(shares: Shares, gate: Gate) -> dict[str, Any]:
    """The figure's numbers: all records first, then the slices."""
    rows: list[tuple[str, Prevalence | None]] = [(part.name, part.found) for part in shares.slices]
    if shares.total is not None:
        rows.insert(0, ("all records", shares.total))

    def column(name: str) -> list[float | None]:
        values = [None if found is None else float(getattr(found, name)) for _, found in rows]
        return [None if v is None or math.isnan(v) else v for v in values]

    return {
        "slices": [name for name, _ in rows],
        **{name: column(name) for name in ("share", "lo", "hi")},
        "limit": gate.max_synthetic_frac,
    }


def _caveats(saved: SavedDetector, looked: int, total: int) -> tuple[str, ...]:
    out = [
        "Detection cannot prove that a text is synthetic or that a person wrote it; the shares "
        "hold for humans and generators like those that the detector was shown."
    ]
    if looked < total:
        out.append(f"The detector looked at {looked:,} of {total:,} documents, drawn at random.")
    loud = [leak.probe for leak in saved.leaks if leak.leaks]
    if loud:
        out.append(f"The detector's own training texts differ in format too ({', '.join(loud)}), "
                   "which its scores may rest on.")  # fmt: skip
    return tuple(out)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")
