"""A diagnosis in words that fit what was audited: the part that text and rows have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tailguard.measure.base import AXIS_NAMES, Axis, AxisResult
from tailguard.measure.stage import Diagnosis
from tailguard.report.base import Finding, Status


@dataclass(frozen=True, slots=True)
class Wording:
    """How one modality speaks of its axes and statistics.

    ``what`` an axis keeps, what a loss is ``meaning`` and how to ``fix`` it; ``lost`` continues
    "12% ..." for a statistic; ``units`` are what is counted; ``too_few`` opens the sentence on too
    little data, ``more`` says what to collect where no number is known; ``moved`` says what kind of
    other data a shifted batch is, and on what ground (foreign, or not).
    """

    what: Mapping[Axis, str]
    meaning: Mapping[Axis, str]
    fix: Mapping[Axis, str]
    lost: Callable[[str], str]
    units: str
    too_few: str
    more: str
    moved: Callable[[bool], str]


def headline_of(status: Status, diagnosis: Diagnosis, wording: Wording) -> str:
    """One sentence: what the batch is, and on what ground."""
    said = _in_words(diagnosis, wording)
    if status == "fail" and diagnosis.stage in ("healthy", "shifted", "insufficient"):
        return f"A limit or a check of the policy fails the batch. As to collapse: {said}"
    return said


def _in_words(diagnosis: Diagnosis, wording: Wording) -> str:
    stage = diagnosis.stage
    if stage == "insufficient":
        needed = diagnosis.documents_needed
        more = f" About {needed:,} {wording.units} on either side would do." if needed else ""
        return f"{wording.too_few} to tell whether the batch is safe.{more}"
    if stage == "healthy" and not diagnosis.alarms:
        return "The batch keeps what gold has: no loss on any axis beyond chance."
    if stage == "healthy":
        return "The batch differs from gold, but by less than the margin that matters."
    if stage == "shifted":
        moved = wording.moved(diagnosis.foreign)
        return f"The batch is {moved}: moved, not shown to be narrowed."
    damaged = [a for a in diagnosis.axes if a.alarm and a.beyond]
    parts = [f"{1 - a.retention:.0%} of its {wording.what[a.axis]}" for a in damaged]
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    name = {"early": "early", "mid": "mid-stage", "late": "late"}[stage]
    return f"The batch shows {name} collapse: against gold it has lost {listed}."


def axis_finding(axis: AxisResult, examples: Sequence[str], wording: Wording) -> Finding:
    """The finding on an axis that fired."""
    name = AXIS_NAMES[axis.axis]
    return Finding(
        name,
        f"{name.capitalize()}: {1 - axis.retention:.1%} {wording.lost(axis.metric)}",
        # The stage decides about failing; a finding alone only warns.
        "warn" if axis.beyond else "info",
        f"{wording.meaning[axis.axis]} Retention {axis.retention:.3f} "
        f"[{axis.lo:.3f}, {axis.hi:.3f}], corrected p = {axis.p:.3g}.",
        wording.fix[axis.axis],
        tuple(examples),
    )


def unseen_losses(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The caveat on losses too small to have been seen, where there are any worth a word."""
    blind = [a for a in diagnosis.axes if a.detectable > 0.1 and not a.alarm]
    if not blind or diagnosis.stage == "insufficient":
        return ()
    listed = ", ".join(f"{AXIS_NAMES[a.axis]} below {a.detectable:.0%}" for a in blind)
    return (f"Losses smaller than these could have been missed: {listed}.",)


def todo_of(
    status: Status, diagnosis: Diagnosis, findings: Sequence[Finding], wording: Wording
) -> tuple[str, ...]:
    """What to do next, the most urgent first."""
    urgent = sorted(findings, key=lambda f: ("fail", "warn", "info").index(f.severity))
    steps = list(dict.fromkeys(f.fix for f in urgent if f.fix and f.severity != "info"))
    if diagnosis.stage == "insufficient":
        needed = diagnosis.documents_needed
        more = f"about {needed:,} {wording.units} on either side" if needed else wording.more
        return (*steps, f"Collect {more} and audit again.")
    if status == "pass":
        return ("Use the batch.",)
    return tuple(steps) or ("Look at the findings and decide.",)
