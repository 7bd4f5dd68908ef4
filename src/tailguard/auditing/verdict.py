"""What audits of every modality share: the readings that were tested, and the verdict itself."""

from __future__ import annotations

import datetime
from typing import Any

import tailguard
from tailguard.errors import InputError
from tailguard.measure.base import Reading
from tailguard.measure.profile import Profile
from tailguard.measure.stage import Diagnosis
from tailguard.measure.vectors.summary import VectorProfile
from tailguard.report.base import Verdict
from tailguard.report.policy import Policy

TESTED = "tested: retention"
"""Note on the readings that the verdict rests on; the others only describe."""


def require_other(batch: Profile | VectorProfile, gold: Profile | VectorProfile) -> None:
    """Raise :class:`InputError` where batch and gold are the same."""
    if batch.fingerprint() == gold.fingerprint():
        raise InputError(
            "batch", "other data than gold", "gold itself", "pass the batch you want to audit"
        )


def tested(diagnosis: Diagnosis, n: int) -> list[Reading]:
    """Retentions of a diagnosis on ``n`` documents or rows, with their intervals and p-values."""
    return [
        Reading(e.name, e.retention, e.lo, e.hi, n, 1.0, e.p, TESTED) for e in diagnosis.evidence
    ]


def assembled(diagnosis: Diagnosis, policy: Policy, seed: int, **told: Any) -> Verdict:
    """The verdict out of the diagnosis and what its modality tells about it."""
    return Verdict(
        stage=diagnosis.stage,
        score=diagnosis.score,
        score_lo=diagnosis.score_lo,
        score_hi=diagnosis.score_hi,
        axes=diagnosis.axes,
        functional=diagnosis.functional,
        structural=diagnosis.structural,
        documents_needed=diagnosis.documents_needed,
        seed=seed,
        version=tailguard.__version__,
        policy=policy.model_dump(mode="json"),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **({"slices": ()} | told),
    )
