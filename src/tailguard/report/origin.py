"""The audit's section on provenance: where the batch says it comes from, and is gold still gold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tailguard.corpus import Corpus, Quarantine
from tailguard.errors import InputError, PolicyError
from tailguard.provenance.gold import Verification, verify
from tailguard.provenance.gold.wording import details, headline
from tailguard.provenance.limits import Limits, check_limits, parse_limits, verified_human
from tailguard.provenance.summary import ProvenanceSummary, counting, summarise
from tailguard.provenance.trust import trusted_keys
from tailguard.report.base import Finding

SECTION = "provenance"
ORIGIN_COLUMNS = frozenset(
    {"kind", "generation", "generator", "evidence", "parents", "digital_source_type"}
)
"""A batch with one of these says something about its origin."""
SHOWN = 8


class Gate(BaseModel):
    """What the policy asks of provenance, under ``sections: {provenance: ...}``.

    ``require_gold_lock`` is the path of the lock that gold must agree with, signed by one of
    ``trusted_keys`` (by default those of the user's trust store). ``define_tiers`` is a list of
    tiers, first match wins; the other keys are limits on the whole batch and, under ``tiers``, on
    each of them.

    >>> Gate.parse({"min_verified_human": 0.8}).limits.min_verified_human
    0.8
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    require_gold_lock: str | None = None
    trusted_keys: tuple[str, ...] = ()
    define_tiers: tuple[dict[str, JsonValue], ...] = ()
    limits: Limits = Field(default_factory=Limits)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Gate:
        """Out of the policy's own mapping. Raises :class:`PolicyError` for an unknown key."""
        own = {key: value for key, value in given.items() if key in cls.model_fields}
        limits = parse_limits(
            {key: value for key, value in given.items() if key not in own}, "sections.provenance"
        )
        try:
            return cls(**{**own, "limits": limits})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            got = repr(first["input"])[:80]
            raise PolicyError(
                "sections.provenance", f"{where}: {first['msg']}", got, f"correct {where}"
            ) from None


def origin_findings(summary: ProvenanceSummary | None, gate: Gate) -> Iterator[Finding]:
    """What the batch says of its origin, and every limit that it does not keep."""
    if summary is None:
        if gate.limits != Limits():
            yield Finding(
                SECTION, "the origin of the batch cannot be counted", "fail",
                "The policy limits the origin of records; a profile does not hold it.",
                "Audit the data themselves instead of their profile.",
            )  # fmt: skip
        return
    broken = check_limits(summary, gate.limits)
    for limit in broken:
        low, high = f"{limit.share.lo:.1%}", f"{limit.share.hi:.1%}"
        found = f"{low} of records" if low == high else f"between {low} and {high} of records"
        proof = "" if limit.proven else " What is not known counts against the batch."
        yield Finding(
            SECTION, limit.title, "fail", f"Found {found}; the limit is {limit.limit:g}.{proof}",
            limit.next_step,
        )  # fmt: skip
    if summary.rules:
        rules = ", ".join(f"{name} ({n:,})" for name, n in summary.rules.most_common(SHOWN))
        yield Finding(
            SECTION, f"{sum(summary.rules.values()):,} claims of records contradict each other",
            "warn", f"Rules broken: {rules}.",
            "Look at them: tailguard lineage DATA --json.",
        )  # fmt: skip
    yield _told(summary)


def _told(summary: ProvenanceSummary) -> Finding:
    """The batch's own account, for the reader."""
    human = verified_human(summary)
    parts = []
    for axis in ("kind", "depth", "evidence"):
        shares = [
            f"{value or 'not said'} {n / max(summary.records, 1):.1%}"
            for value, n in list(summary.counts(axis).items())[:SHOWN]
        ]
        parts.append(f"{axis}: {', '.join(shares)}")
    return Finding(
        SECTION, f"verified human: {human.lo:.1%} to {human.hi:.1%} of {summary.records:,} records",
        "info", ". ".join(parts) + ".", "",
    )  # fmt: skip


def lock_findings(found: Verification, lock: str | Path) -> Iterable[Finding]:
    """Whether gold is what was locked, by a key that is trusted."""
    if found.ok:
        return [Finding(SECTION, "gold is what was locked", "info", headline(found))]
    lines = tuple(list(details(found))[:SHOWN])
    return [
        Finding(
            SECTION, "gold does not agree with its lock", "fail", headline(found),
            f"Restore gold, or lock a new release: tailguard gold lock. Lock: {Path(lock).name}.",
            lines,
        )
    ]  # fmt: skip


def provenance_findings(
    source: Any,
    gold: Any,
    asked: Mapping[str, Any],
    *,
    engine: str,
    workers: int | None,
) -> list[Finding]:
    """All of the section: the batch counted by origin, its limits, and gold against its lock.

    ``source`` is the opened batch, ``gold`` as the caller named it. The batch is counted when the
    policy asks for it, or when its first records have a column of `ORIGIN_COLUMNS`.
    """
    gate = Gate.parse(asked)
    found: list[Finding] = []
    if gate.require_gold_lock is not None:
        parts = gold if isinstance(gold, list) else [gold]
        named = all(isinstance(part, str | Path) for part in parts)
        if not named or (isinstance(gold, list) and not all(map(os.path.exists, parts))):
            got = f"{type(gold).__name__} in memory"
            raise InputError("gold", "files, as the policy asks for their lock", got, "pass paths")
        trusted = trusted_keys(gate.trusted_keys)
        state = verify(
            gate.require_gold_lock, gold, trusted=trusted, engine=engine, workers=workers
        )
        found.extend(lock_findings(state, gate.require_gold_lock))
    if not asked and not _speaks(source):
        return found
    summary = None
    if isinstance(source, Corpus):
        tiers = [dict(tier) for tier in gate.define_tiers]
        summary = summarise(source, counting(tiers=tiers), engine=engine, workers=workers)
    silent = summary is not None and set(summary.counts("kind")) <= {"unknown"}
    return found if silent and not asked else [*found, *origin_findings(summary, gate)]


def _speaks(source: Any) -> bool:
    """Whether the first records of a batch have a column on their origin."""
    if not isinstance(source, Corpus):
        return False
    first = next(source.batches(Quarantine()), None)
    return first is not None and not ORIGIN_COLUMNS.isdisjoint(first.schema.names)
