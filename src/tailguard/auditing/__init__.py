"""The main job: is this batch safe to train on, next to data you trust?

Text is audited here, rows of numbers in ``rows.py``. Composes the packages below it and holds no
measuring of its own. A *section* is a function from the case (batch, gold, policy) to findings; add
one to ``SECTIONS`` and it is part of every audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tailguard.auditing.rows import audit_rows
from tailguard.auditing.verdict import assembled, require_other, tested
from tailguard.corpus import Columns, Corpus, Quarantine
from tailguard.engine.progress import progress
from tailguard.errors import CorpusError, InputError
from tailguard.measure.base import Reading
from tailguard.measure.contrast import contrast, enough
from tailguard.measure.curves import curves
from tailguard.measure.evidence import Shown, lost_words, show, wanted
from tailguard.measure.profile import Profile
from tailguard.measure.readings import METRICS, read
from tailguard.measure.stage import Diagnosis, degenerate_evidence, diagnose, permutation_level
from tailguard.measure.survey import survey
from tailguard.measure.units import make_units
from tailguard.measure.vectors.survey import is_vectors, opened
from tailguard.report.base import Finding, Side, SliceResult, Verdict
from tailguard.report.decide import decide, limit_findings
from tailguard.report.detection import SECTION as DETECTION
from tailguard.report.detection import Asked, Detected, detect_synthetic
from tailguard.report.explain import OF_TEXT, caveats_of, collapse_findings
from tailguard.report.origin import SECTION as PROVENANCE
from tailguard.report.origin import provenance_findings
from tailguard.report.policy import Policy, load_policy
from tailguard.report.wording import headline_of, todo_of
from tailguard.report.words import percent

READ = (
    "missing_mass", "hill_0", "hill_1", "hill_2", "hill_0_at_coverage", "unseen_mass", "rare_mass",
    "rare_recall", "cross_entropy", "distinct_2_pooled", "distinct_3_pooled", "distinct_4_pooled",
    "repeated_4grams_128", "looped_documents", "empty_documents", "unfinished_documents",
)  # fmt: skip
"""Metrics every audit reads; ``tailguard measure`` reads all."""
LEAST_SLICE_ALPHA = 0.0001
"""However many slices share the level, none is tested below this: it takes 1 / level divisions."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a section sees: both profiles, the policy, the diagnosis, and what can be shown."""

    batch: Profile
    gold: Profile
    policy: Policy
    diagnosis: Diagnosis
    shown: Shown
    lost: tuple[str, ...]
    provenance: tuple[Finding, ...] = ()
    detected: Detected = field(default_factory=Detected)


Section = Callable[[Case], Iterable[Finding]]


def collapse_section(case: Case) -> Iterable[Finding]:
    """Tail loss, sharpening, narrowing, repetition: what fired and its examples."""
    return collapse_findings(case.diagnosis, case.shown, case.lost)


def limits_section(case: Case) -> Iterable[Finding]:
    """Shares that the policy limits: unreadable rows, near-duplicates, degenerate documents."""
    batch = case.batch
    copies = METRICS["near_duplicate_rate"]
    near = float("nan")
    if case.policy.max_near_duplicate_frac is not None:
        near = read([copies], batch)[0].value
    return limit_findings(
        case.policy,
        documents=batch.n_documents,
        quarantined=batch.quarantined,
        near_duplicate_frac=near,
        degenerate_frac=batch.n_degenerate / max(batch.n_documents, 1),
    )


def overlap_section(case: Case) -> Iterable[Finding]:
    """Documents that batch and gold share: they would vouch for the batch with gold's own text."""
    ours, theirs = case.batch.documents, case.gold.documents
    limit = min(ours.limit, theirs.limit)
    mine = ours.content[ours.keys <= limit]
    both = np.isin(mine, theirs.content[theirs.keys <= limit])
    if both.any():
        share = float(both.mean())
        yield Finding(
            "overlap",
            f"{percent(share)} of the batch's documents are in gold, word for word",
            "warn",
            "Gold's own documents in a batch hide damage to the others.",
            "Remove them from the batch and audit the rest.",
        )


def provenance_section(case: Case) -> Iterable[Finding]:
    """What the batch says of its origin, the policy's limits on it, and whether gold is gold."""
    return case.provenance


def detection_section(case: Case) -> Iterable[Finding]:
    """How much of the batch is synthetic, by a detector, and which documents it would name."""
    return case.detected.findings


SECTIONS: list[Section] = [
    collapse_section,
    limits_section,
    overlap_section,
    provenance_section,
    detection_section,
]
"""Run in this order for every audit; the forecast joins here."""


def audit(
    batch: Any,
    gold: Any,
    *,
    policy: Policy | str | Path | None = None,
    columns: Columns = Columns(),  # noqa: B008
    by: Sequence[str] = (),
    detector: str | Path | None = None,
    synthetic: Sequence[str] = (),
    engine: str = "local",
    workers: int | None = None,
    quarantine: str | Path | None = None,
    seed: int = 0,
) -> Verdict:
    """Audit a batch of text, numbers, vectors or images against gold and return a verdict.

    ``batch`` and ``gold`` are anything ``tailguard.corpus.open_corpus`` takes (paths, globs, lists
    of strings, pandas, Polars or Arrow tables, matrices, Hugging Face datasets) or saved profiles.
    ``columns.vector`` names a column of embeddings, see docs/vectors.md for these. ``policy`` is a
    :class:`Policy` or a YAML file. ``by`` slices a batch of text by columns. ``detector`` is a
    detector file, by which the synthetic share of a batch of text is estimated; ``synthetic`` names
    texts that it was not fitted on, where it holds no scores of such texts. The verdict depends on
    the data, the policy and the seed only, never on engine or workers.

    Raises :class:`InputError` (or a subclass) for input that cannot be used, when batch and gold
    are the same, and for a column in ``by`` that a profile given as batch was not sliced by.

    >>> gold = [f"gold document {i} speaks of {i * i} things" for i in range(40)]
    >>> batch = [f"another document {i} speaks of {i * 7} things" for i in range(40)]
    >>> audit(batch, gold).status
    'inconclusive'
    """
    if seed < 0:
        raise InputError("seed", "a number from 0", str(seed), "choose another seed")
    rules = policy if isinstance(policy, Policy) else load_policy(policy) if policy else Policy()
    sought = Asked.of(rules.sections.get(DETECTION, {}), detector, synthetic)
    sides = opened(batch, columns), _opened_gold(gold, columns)
    if any(is_vectors(side) for side in sides):
        if sought.saved is not None:
            raise InputError("detector", "a batch of texts", "rows of numbers", "leave it out")
        work: dict[str, Any] = {"columns": columns, "engine": engine, "workers": workers}
        names = _name(batch), _name(gold)
        return audit_rows(sides, gold, names, rules, by, quarantine, seed, work)
    source, reference = sides
    trusted = survey(reference, columns=columns, engine=engine, workers=workers, label="gold")
    incoming = survey(
        source, columns=columns, by=by, engine=engine, workers=workers, quarantine=quarantine,
        label="batch",
    )  # fmt: skip
    ours, theirs = incoming.profile, trusted.profile
    require_other(ours, theirs)
    _require_slices(ours, by)
    diagnosis = examine(ours, theirs, policy=rules, seed=seed)
    shown = Shown()
    if isinstance(source, Corpus) and diagnosis.alarms:
        shown = show(source.batches(Quarantine()), wanted(ours, theirs))
    asked = rules.sections.get(PROVENANCE, {})
    origin = provenance_findings(source, gold, asked, engine=engine, workers=workers)
    words = tuple(lost_words(ours, theirs))
    detected = detect_synthetic(source, reference, sought, seed=seed)
    case = Case(ours, theirs, rules, diagnosis, shown, words, tuple(origin), detected)
    return _verdict(case, _name(batch), _name(gold), seed)


def _opened_gold(gold: Any, columns: Columns) -> Any:
    """Gold by the batch's column names; where it has not got them, by the usual ones."""
    try:
        return opened(gold, columns)
    except CorpusError as error:
        try:
            return opened(gold, Columns())
        except CorpusError:
            raise error from None


def examine(
    batch: Profile,
    gold: Profile,
    *,
    policy: Policy,
    seed: int = 0,
) -> Diagnosis:
    """The statistical part of an audit: evidence, axes and stage from two profiles."""
    units = make_units(gold.documents, batch.documents)
    level = permutation_level(policy.alpha)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    found = contrast(units, alpha=level, rng=rng, permutations=enough(level))
    degenerate = degenerate_evidence(
        (batch.n_degenerate, max(batch.n_documents, 1)),
        (gold.n_degenerate, max(gold.n_documents, 1)),
    )
    return diagnose(
        found,
        degenerate,
        alpha=policy.alpha,
        margin=policy.margin,
        resolution=policy.resolution,
        documents=min(len(batch.documents), len(gold.documents)),
    )


def _require_slices(batch: Profile, by: Sequence[str]) -> None:
    """A corpus is sliced as it is read; a profile has the slices it was made with."""
    found = {column for column, _ in batch.slices}
    for name in by:
        if name not in found:
            got = f"slices by {', '.join(sorted(found))}" if found else "a profile without slices"
            step = f"make it again with: tailguard profile --by {name}"
            raise InputError("by", f"slices of the batch by '{name}'", got, step)


def _name(source: Any) -> str:
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, Corpus):
        return source.name
    if isinstance(source, list | tuple) and source and all(isinstance(s, Path) for s in source):
        return str(source[0]) if len(source) == 1 else f"{source[0]} and {len(source) - 1} more"
    return f"{type(source).__name__} in memory"


def _side(profile: Profile, name: str) -> Side:
    return Side(
        name, profile.n_documents, profile.n_tokens, profile.n_bytes, profile.quarantined,
        profile.fingerprint(),
    )  # fmt: skip


def _slices(case: Case, seed: int) -> tuple[SliceResult, ...]:
    """Each slice against all of gold; the level is shared among the slices."""
    parts = case.batch.slices
    found = []
    level = max(case.policy.alpha / max(len(parts), 1), LEAST_SLICE_ALPHA)
    policy = case.policy.model_copy(update={"alpha": level})
    with progress("slices", len(parts), in_bytes=False) as advance:
        for (by, value), profile in parts.items():
            diagnosis = examine(profile, case.gold, policy=policy, seed=seed)
            found.append(
                SliceResult(
                    by, value, profile.n_documents, profile.n_tokens, diagnosis.stage,
                    {a.axis: (a.retention, a.lo, a.hi) for a in diagnosis.axes},
                )
            )  # fmt: skip
            advance(1)
    return tuple(found)


def _readings(case: Case) -> tuple[Reading, ...]:
    """What was tested, as retentions (gold is 1), then metrics that only describe."""
    own = tested(case.diagnosis, len(case.batch.documents))
    return (*own, *read([METRICS[name] for name in READ], case.batch, case.gold))


def _verdict(case: Case, batch: str, gold: str, seed: int) -> Verdict:
    diagnosis, policy = case.diagnosis, case.policy
    findings = tuple(finding for section in SECTIONS for finding in section(case))
    status, rule = decide(
        diagnosis.stage,
        alarm=bool(diagnosis.alarms),
        findings=findings,
        documents=case.batch.n_documents,
        policy=policy,
    )
    return assembled(
        diagnosis, policy, seed,
        status=status, rule=rule, findings=findings,
        headline=headline_of(status, diagnosis, OF_TEXT),
        readings=_readings(case),
        slices=_slices(case, seed),
        caveats=(*caveats_of(diagnosis, case.batch, case.gold), *case.detected.caveats),
        todo=todo_of(status, diagnosis, findings, OF_TEXT),
        batch=_side(case.batch, batch), gold=_side(case.gold, gold),
        curves=curves(case.batch, case.gold) | dict(case.detected.curves),
    )  # fmt: skip
