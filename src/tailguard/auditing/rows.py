"""The audit of numbers, vectors and images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tailguard.auditing.verdict import assembled, require_other, tested
from tailguard.errors import InputError
from tailguard.measure.vectors.contrast import examine
from tailguard.measure.vectors.metrics import METRICS, read_vectors
from tailguard.measure.vectors.summary import VectorProfile, demand_same
from tailguard.measure.vectors.survey import is_vectors, survey_vectors
from tailguard.report import explain_rows
from tailguard.report.base import Side, Verdict
from tailguard.report.decide import decide, limit_findings
from tailguard.report.origin import SECTION as PROVENANCE
from tailguard.report.origin import provenance_findings
from tailguard.report.policy import Policy
from tailguard.report.wording import headline_of, todo_of


def audit_rows(
    sides: tuple[Any, Any],
    reference: Any,
    names: tuple[str, str],
    policy: Policy,
    by: Sequence[str],
    quarantine: str | Path | None,
    seed: int,
    work: dict[str, Any],
) -> Verdict:
    """The audit of numbers, vectors and images."""
    if by:
        raise InputError("by", "no slices of rows of numbers", ", ".join(by), "leave it out")
    for who, side in zip(("batch", "gold"), sides, strict=True):
        if not is_vectors(side):
            raise InputError(who, "rows of numbers or images, as the other side is", "text",
                             "name the vector column of both")  # fmt: skip
    batch = survey_vectors(sides[0], quarantine=quarantine, label="batch", **work).profile
    gold = survey_vectors(sides[1], label="gold", **work).profile
    demand_same(batch, gold, "batch")
    require_other(batch, gold)
    diagnosis = examine(
        batch, gold, alpha=policy.alpha, margin=policy.margin, resolution=policy.resolution,
        seed=seed,
    )  # fmt: skip
    copied = batch.contents.counts[batch.contents.counts > 1].sum()
    findings = (
        *explain_rows.collapse_findings(diagnosis, batch, gold),
        *limit_findings(
            policy, documents=batch.n_rows, quarantined=batch.quarantined,
            near_duplicate_frac=float(copied / max(batch.contents.counts.sum(), 1)),
        ),
        *explain_rows.overlap_findings(batch, gold),
        *provenance_findings(
            sides[0], reference, policy.sections.get(PROVENANCE, {}),
            engine=work["engine"], workers=work["workers"],
        ),
    )  # fmt: skip
    status, rule = decide(
        diagnosis.stage, alarm=bool(diagnosis.alarms), findings=findings,
        documents=batch.n_rows, policy=policy,
    )  # fmt: skip
    metrics = read_vectors(list(METRICS.values()), batch, gold)
    return assembled(
        diagnosis, policy, seed,
        status=status, rule=rule, findings=findings,
        headline=headline_of(status, diagnosis, explain_rows.OF_ROWS),
        readings=(*tested(diagnosis, min(batch.n_rows, batch.rows.k)), *metrics),
        caveats=explain_rows.caveats_of(diagnosis, batch, gold),
        todo=todo_of(status, diagnosis, findings, explain_rows.OF_ROWS),
        batch=_rows_side(batch, names[0]), gold=_rows_side(gold, names[1]),
    )  # fmt: skip


def _rows_side(profile: VectorProfile, name: str) -> Side:
    """Of rows of numbers: every finite value counts as a token."""
    return Side(
        name, profile.n_rows, profile.n_values, profile.n_bytes, profile.quarantined,
        profile.fingerprint(),
    )  # fmt: skip
