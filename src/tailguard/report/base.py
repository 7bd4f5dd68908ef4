"""The nouns of a report: finding, axis, verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tailguard.measure.base import Axis, AxisResult, Reading, Stage

Status = Literal["pass", "warn", "fail", "inconclusive"]

EXIT_CODES: dict[Status, int] = {"pass": 0, "warn": 0, "fail": 1, "inconclusive": 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a section of the audit found, in words a reader can act on."""

    section: str
    title: str
    severity: Literal["info", "warn", "fail"]
    detail: str
    fix: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One slice of the batch (a source, a month): its size, and retention per axis."""

    by: str
    value: str
    documents: int
    tokens: int
    stage: Stage
    retention: dict[Axis, tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Side:
    """What was read of one corpus: name, counts, and the fingerprint of its profile."""

    name: str
    documents: int
    tokens: int
    bytes: int
    quarantined: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of an audit: status and stage first, then everything that led to them.

    ``rule`` names the policy rule that decided. ``score`` is the collapse score
    1 - min retention, in [0, 1]. ``functional`` / ``structural`` say whether quality of the single
    document, or diversity between documents, is lost. ``curves`` holds the numbers behind the
    figures, ``caveats`` what a reader must know before acting.
    """

    status: Status
    stage: Stage
    rule: str
    headline: str
    score: float
    score_lo: float
    score_hi: float
    axes: tuple[AxisResult, ...]
    readings: tuple[Reading, ...]
    findings: tuple[Finding, ...]
    slices: tuple[SliceResult, ...]
    caveats: tuple[str, ...]
    todo: tuple[str, ...]
    batch: Side
    gold: Side
    functional: bool
    structural: bool
    documents_needed: int | None
    seed: int
    version: str
    policy: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)
    created: str = ""

    @property
    def exit_code(self) -> int:
        """0 pass or warn, 1 fail, 3 inconclusive."""
        return EXIT_CODES[self.status]

    @property
    def passed(self) -> bool:
        """True when the batch may be used: status pass or warn."""
        return self.status in ("pass", "warn")
