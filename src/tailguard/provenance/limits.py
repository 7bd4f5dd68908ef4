"""Limits on origin: how much may be synthetic without proof, how deep, how much must be human."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailguard.corpus.base import Evidence
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.lineage.base import GRADES
from tailguard.provenance.summary import Cell, ProvenanceSummary


class LimitError(ProvenanceError):
    """Limits are not valid, or speak of a tier that was not counted."""


class TierLimits(BaseModel):
    """Limits on one tier, or on the whole corpus. A share is of records, in [0, 1]; none: no limit.

    Every limit is tested at the bound that speaks against the corpus: what is not known may be
    synthetic, and may not be human.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_unverified_synthetic: float | None = Field(default=None, ge=0, le=1)
    """Share that says it is, or may be, synthetic or mixed, without evidence of ``verified`` or
    better. A record that says human is taken at its word here, unless its claims disagree;
    ``min_verified_human`` is the limit that takes nobody's word."""
    max_generation: int | None = Field(default=None, ge=0)
    """The deepest generation a record may have; one that may be deeper counts as unknown."""
    max_unknown_generation: float = Field(default=0.0, ge=0, le=1)
    """Share whose depth may, for all that is known, lie beyond ``max_generation``."""
    min_verified_human: float | None = Field(default=None, ge=0, le=1)
    """Share that must be human by evidence of ``verified`` or better, its claims agreeing."""
    max_contradictory: float | None = Field(default=None, ge=0, le=1)
    """Share of records whose claims disagree."""
    min_frac: float | None = Field(default=None, ge=0, le=1)
    """The least share of the whole corpus (of a tier)."""
    max_frac: float | None = Field(default=None, ge=0, le=1)
    """The largest share of the whole corpus (of a tier)."""


class Limits(TierLimits):
    """Limits on a corpus and on its tiers; ``Limits()`` limits nothing.

    >>> Limits(max_generation=1).max_unknown_generation
    0.0
    """

    verified: Evidence = "audited"
    """The weakest evidence that counts as verification."""
    tiers: dict[str, TierLimits] = Field(default_factory=dict)
    """Limits within single tiers, by name."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of records between what is certain (``lo``) and what cannot be excluded (``hi``)."""

    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class LimitFinding:
    """A limit that is not kept, or not shown to be.

    ``rule`` is the limit's name, ``tier`` empty for the whole corpus. ``share`` is what was found,
    ``limit`` what was allowed, ``records`` how many records stand against it. ``proven``: even the
    favourable bound breaks the limit; else it is broken only for want of knowledge.
    """

    rule: str
    tier: str
    limit: float
    share: Share
    records: int
    proven: bool
    title: str
    next_step: str


def parse_limits(given: Any, who: str = "limits") -> Limits:
    """Limits out of a mapping, as YAML or JSON hold it. Raises :class:`LimitError`.

    >>> parse_limits({"min_verified_human": 0.5}).min_verified_human
    0.5
    """
    if not isinstance(given, Mapping):
        raise LimitError(who, "keys and values", type(given).__name__, "write 'max_generation: 1'")
    try:
        return Limits.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        got = repr(first["input"])[:80]
        raise LimitError(who, f"{where}: {first['msg']}", got, f"correct {where}") from None


def verified_human(summary: ProvenanceSummary, verified: Evidence = "audited") -> Share:
    """Share of records that are human: certain are those verified whose claims agree; possible are
    all that nothing certain speaks against.

    Undefined (0 to 1) for an empty summary.
    """
    return _verified_human(summary, verified, lambda cell: True)


def unverified_synthetic(summary: ProvenanceSummary, verified: Evidence = "audited") -> Share:
    """Share of records without verification that say they are (``lo``) or may be (``hi``)
    synthetic or mixed."""
    return _unverified_synthetic(summary, verified, lambda cell: True)


def check_limits(summary: ProvenanceSummary, limits: Limits) -> list[LimitFinding]:
    """The limits that the corpus does not keep, each with the share found; none if all are kept.

    Pure: the same summary and limits give the same findings. An empty corpus keeps no minimum.

    >>> from tailguard.provenance.summary import Cell, Count
    >>> cell = Cell("human", "declared", 0, 0, "rest", False, (None, None))
    >>> summary = ProvenanceSummary(cells={cell: Count(10)})
    >>> [finding.rule for finding in check_limits(summary, Limits(min_verified_human=0.5))]
    ['min_verified_human']
    """
    findings = _check(summary, limits, limits.verified, "")
    for name, tier in limits.tiers.items():
        if name not in summary.tiers:
            known = ", ".join(summary.tiers)
            raise LimitError("limits", f"a tier ({known})", repr(name)[:80], "define it or drop it")
        findings += _check(summary, tier, limits.verified, name)
    return findings


_Wanted = Callable[[Cell], bool]


def _check(
    summary: ProvenanceSummary, limits: TierLimits, verified: Evidence, tier: str
) -> list[LimitFinding]:
    def inside(cell: Cell) -> bool:
        return not tier or cell.tier == tier

    n = summary.total(inside)
    found: list[LimitFinding | None] = []
    if limits.max_unverified_synthetic is not None and n:
        share = _unverified_synthetic(summary, verified, inside)
        found.append(_at_most("max_unverified_synthetic", tier, limits, share, n))
    if limits.min_verified_human is not None:
        share = _verified_human(summary, verified, inside)
        found.append(_at_least("min_verified_human", tier, limits, share, n))
    if limits.max_contradictory is not None and n:
        wrong = summary.total(lambda cell: inside(cell) and cell.conflict) / n
        found.append(_at_most("max_contradictory", tier, limits, Share(wrong, wrong), n))
    if limits.max_generation is not None and n:
        found.append(_generation(summary, limits, limits.max_generation, tier, inside))
    of_all = Share(*(2 * [n / summary.records])) if summary.records else Share(0.0, 0.0)
    if limits.max_frac is not None:
        found.append(_at_most("max_frac", tier, limits, of_all, summary.records))
    if limits.min_frac is not None:
        found.append(_at_least("min_frac", tier, limits, of_all, summary.records))
    return [finding for finding in found if finding is not None]


def _verified_human(summary: ProvenanceSummary, verified: Evidence, inside: _Wanted) -> Share:
    def sure(cell: Cell) -> bool:
        return cell.kind == "human" and _proves(cell, verified) and not cell.conflict

    def against(cell: Cell) -> bool:
        machine = cell.kind in ("synthetic", "mixed") and _proves(cell, verified)
        return machine and not cell.conflict

    return _share(summary, inside, sure, lambda cell: not against(cell))


def _unverified_synthetic(summary: ProvenanceSummary, verified: Evidence, inside: _Wanted) -> Share:
    def said(cell: Cell) -> bool:
        return cell.kind in ("synthetic", "mixed") and not _settled(cell, verified)

    return _share(
        summary,
        inside,
        said,
        lambda cell: said(cell) or cell.kind == "unknown" or cell.conflict,
    )


def _proves(cell: Cell, verified: Evidence) -> bool:
    return GRADES[cell.evidence] <= GRADES[verified]


def _settled(cell: Cell, verified: Evidence) -> bool:
    return _proves(cell, verified) and not cell.conflict


def _share(summary: ProvenanceSummary, inside: _Wanted, sure: _Wanted, possible: _Wanted) -> Share:
    n = summary.total(inside)
    if not n:
        return Share(0.0, 1.0)
    certain = summary.total(lambda cell: inside(cell) and sure(cell))
    maybe = summary.total(lambda cell: inside(cell) and possible(cell))
    return Share(certain / n, maybe / n)


def _generation(
    summary: ProvenanceSummary, limits: TierLimits, limit: int, tier: str, inside: _Wanted
) -> LimitFinding | None:
    deeper = summary.total(lambda cell: inside(cell) and cell.lo > limit)
    maybe = summary.total(lambda c: inside(c) and (c.hi < 0 or c.hi > limit) and c.lo <= limit)
    n = summary.total(inside)
    share = Share(deeper / n, (deeper + maybe) / n)
    if deeper:
        title = f"{deeper:,} of {n:,} records are deeper than generation {limit}"
        return _finding(
            "max_generation", tier, limit, share, deeper, True, title, "Leave these records out."
        )
    if maybe / n > limits.max_unknown_generation:
        title = f"{maybe:,} of {n:,} records are not shown to be of generation {limit} or less"
        step = "Find out what made them, register their generators' training, or leave them out."
        return _finding("max_generation", tier, limit, share, maybe, False, title, step)
    return None


def _at_most(rule: str, tier: str, limits: TierLimits, share: Share, n: int) -> LimitFinding | None:
    limit = float(getattr(limits, rule))
    if share.hi <= limit:
        return None
    may = "is" if share.lo > limit else "may be"
    title = f"{_WORDS[rule]} {may} {_percent(share.hi)}, at most {_percent(limit)} is allowed"
    return _finding(
        rule, tier, limit, share, round(share.hi * n), share.lo > limit, title, _STEPS[rule]
    )


def _at_least(
    rule: str, tier: str, limits: TierLimits, share: Share, n: int
) -> LimitFinding | None:
    limit = float(getattr(limits, rule))
    if share.lo >= limit:
        return None
    proven = share.hi < limit
    title = f"{_WORDS[rule]} is only sure to be {_percent(share.lo)}, {_percent(limit)} is asked"
    return _finding(rule, tier, limit, share, n - round(share.lo * n), proven, title, _STEPS[rule])


def _finding(
    rule: str,
    tier: str,
    limit: float,
    share: Share,
    records: int,
    proven: bool,
    title: str,
    next_step: str,
) -> LimitFinding:
    where = f"tier {tier}: {title}" if tier else title
    return LimitFinding(rule, tier, limit, share, records, proven, where, next_step)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


_WORDS = {
    "max_unverified_synthetic": "unverified synthetic data",
    "min_verified_human": "verified human data",
    "max_contradictory": "the share of records whose claims disagree",
    "max_frac": "the tier's share of the corpus",
    "min_frac": "the tier's share of the corpus",
}
_STEPS = {
    "max_unverified_synthetic": "Verify the origin of these records, or leave them out.",
    "min_verified_human": "Add verified human records, or have more of these reviewed.",
    "max_contradictory": "Look at the contradictions: tailguard lineage DATA --json.",
    "max_frac": "Take fewer records of this tier.",
    "min_frac": "Take more records of this tier.",
}
