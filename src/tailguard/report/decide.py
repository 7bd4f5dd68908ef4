"""From what was found to a status: the policy's rules, tried in order, the first one decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tailguard.measure.base import Stage
from tailguard.report.base import Finding, Status
from tailguard.report.words import percent

if TYPE_CHECKING:
    from tailguard.report.policy import Policy


def limit_findings(
    policy: Policy,
    *,
    documents: int,
    quarantined: int,
    near_duplicate_frac: float = math.nan,
    degenerate_frac: float = math.nan,
) -> tuple[Finding, ...]:
    """One failing finding for each of the policy's limits on shares that the batch exceeds.

    A share that is nan (not measured) exceeds nothing. The section of each finding is the name
    of the limit, and so becomes the rule of the verdict.

    >>> from tailguard.report.policy import Policy
    >>> [f.section for f in limit_findings(Policy(), documents=90, quarantined=10)]
    ['max_quarantined_frac']
    """
    rows = documents + quarantined
    quarantined_frac = quarantined / rows if rows else 0.0
    shares = (
        ("max_quarantined_frac", quarantined_frac, policy.max_quarantined_frac, "unreadable rows"),
        (
            "max_near_duplicate_frac",
            near_duplicate_frac,
            policy.max_near_duplicate_frac,
            "near-duplicates",
        ),
        (
            "max_degenerate_frac",
            degenerate_frac,
            policy.max_degenerate_frac,
            "degenerate documents",
        ),
    )
    return tuple(
        Finding(
            section=name,
            title=f"{percent(share)} {what}, more than the policy allows",
            severity="fail",
            detail=f"The policy's {name} is {percent(limit)}.",
            fix=f"Remove the {what}, or raise {name} in the policy.",
        )
        for name, share, limit, what in shares
        if limit is not None and share > limit
    )


def decide(
    stage: Stage,
    *,
    alarm: bool,
    findings: Sequence[Finding],
    documents: int,
    policy: Policy,
) -> tuple[Status, str]:
    """The status and the rule that decided it.

    In order: a stage in ``fail_on`` fails; a finding of severity ``fail`` fails; too little data
    is inconclusive; a stage in ``warn_on``, an ``alarm`` without effect beyond the margin, or a
    finding of severity ``warn`` warns; all else passes.

    >>> from tailguard.report.policy import Policy
    >>> decide("early", alarm=True, findings=(), documents=500, policy=Policy())
    ('fail', 'fail_on: early')
    >>> decide("healthy", alarm=True, findings=(), documents=500, policy=Policy())
    ('warn', 'alarm within margin')
    """
    sections = {f.severity: f.section for f in reversed(findings)}
    if stage in policy.fail_on:
        return "fail", f"fail_on: {stage}"
    if "fail" in sections:
        return "fail", f"finding: {sections['fail']}"
    if stage == "insufficient":
        return "inconclusive", "insufficient"
    if policy.min_documents is not None and documents < policy.min_documents:
        return "inconclusive", "min_documents"
    if stage in policy.warn_on:
        return "warn", f"warn_on: {stage}"
    if alarm and stage == "healthy":
        return "warn", "alarm within margin"
    if "warn" in sections:
        return "warn", f"finding: {sections['warn']}"
    return "pass", "nothing found" if stage == "healthy" else f"{stage} allowed"
