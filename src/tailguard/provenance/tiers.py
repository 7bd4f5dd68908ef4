"""Tiers: a team's grading of records by date, evidence, publisher and depth, each at a cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailguard.corpus.base import Evidence, Kind
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.lineage.base import GRADES, LineageError
from tailguard.provenance.lineage.columns import KIND_NAMES as _KINDS
from tailguard.provenance.lineage.columns import Table, codes, flat, grades, kinds
from tailguard.provenance.lineage.dates import moment, spans
from tailguard.provenance.lineage.records import Ints, RecordDepths

REST = "rest"
"""The tier of records that no other takes."""

MAX_TIERS = 100

# Enough for 20 digits of price times any number of tokens, so that no cost is ever rounded.
_DIGITS = 60


class TierError(ProvenanceError):
    """A list of tiers is not valid, or needs a column that is not there."""


class Tier(BaseModel):
    """One tier: a record is in it if it meets every condition that is given.

    Dates are certain or do not count: "2021" is before 2022, "2022" and no date are not. A record
    of unknown depth does not meet ``max_generation``. Costs are exact decimals in any currency.

    >>> Tier(name="archive", captured_before="2022", cost_per_record="0.002").cost_per_record
    Decimal('0.002')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100)
    """What it is called; ``rest`` is kept for the records that no tier takes."""
    captured_before: str | None = None
    """The capture ended before this date."""
    created_before: str | None = None
    """It was created before this date."""
    evidence: Evidence | None = None
    """The weakest evidence that will do."""
    kinds: tuple[Kind, ...] | None = None
    """Kinds that are taken."""
    publishers: tuple[str, ...] | None = None
    """Values of ``source`` that are taken, exactly as written."""
    licenses: tuple[str, ...] | None = None
    """Values of ``license`` that are taken, exactly as written."""
    max_generation: int | None = Field(default=None, ge=0)
    """The largest depth, at the upper bound."""
    cost_per_record: Decimal = Field(default=Decimal(0), ge=0, max_digits=20, allow_inf_nan=False)
    """Cost of one record."""
    cost_per_token: Decimal = Field(default=Decimal(0), ge=0, max_digits=20, allow_inf_nan=False)
    """Cost of one token; needs a column ``tokens``."""


Tiers = tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class TierTotal:
    """What one tier holds and costs; ``tokens`` is none where any record's tokens are unknown."""

    name: str
    records: int
    tokens: int | None
    cost: Decimal


def parse_tiers(given: Any, who: str = "tiers") -> Tiers:
    """Tiers out of a list of mappings, as YAML or JSON hold them; first match wins.

    A tier named ``rest`` may come last, without conditions, to give the rest a cost; without one,
    the rest costs nothing. Raises :class:`TierError`.

    >>> [tier.name for tier in parse_tiers([{"name": "old", "captured_before": "2022"}])]
    ['old', 'rest']
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MAX_TIERS:
        got = f"{len(given)} of them" if isinstance(given, Sequence) else type(given).__name__
        raise TierError(who, f"a list of at most {MAX_TIERS} tiers", got, "write one per line")
    tiers = tuple(_tier(item, f"{who}[{i}]") for i, item in enumerate(given))
    names = [tier.name for tier in tiers]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TierError(who, "distinct names", f"{twice!r} twice", "rename one")
    if REST not in names:
        return (*tiers, Tier(name=REST))
    conditions = tiers[-1].model_dump(exclude={"name", "cost_per_record", "cost_per_token"})
    if names[-1] != REST or any(value is not None for value in conditions.values()):
        raise TierError(who, "the tier 'rest' last, without conditions", "another place", "move it")
    return tiers


def assign(table: Table, tiers: Tiers, depths: RecordDepths) -> NDArray[np.int16]:
    """Position in ``tiers`` of the first tier that takes each record (n,); columnar.

    ``table`` has the columns of :func:`~tailguard.provenance.lineage.columns.origins`.
    """
    out = np.full(table.num_rows, len(tiers) - 1, np.int16)
    free = np.ones(table.num_rows, bool)
    for i, tier in enumerate(tiers[:-1]):
        taken = free & _meets(table, tier, depths)
        out[taken] = i
        free &= ~taken
    return out


def tier_totals(table: Table, tiers: Tiers, tier: NDArray[np.int16]) -> list[TierTotal]:
    """Records, tokens and exact cost of every tier. Raises :class:`TierError` for a cost per token
    where records have no token count."""
    tokens = flat(table.column("tokens"))
    counted = np.asarray(tokens.is_valid())
    numbers = np.asarray(tokens.fill_null(0)).astype(np.int64)
    totals = []
    for i, rule in enumerate(tiers):
        mine = tier == i
        known = bool(counted[mine].all())
        totals.append(cost_of(rule, int(mine.sum()), int(numbers[mine].sum()) if known else None))
    return totals


def cost_of(tier: Tier, records: int, tokens: int | None) -> TierTotal:
    """The exact cost of so many records and tokens in a tier.

    >>> cost_of(Tier(name="a", cost_per_record="0.10", cost_per_token="0.001"), 3, 50).cost
    Decimal('0.350')
    """
    if tokens is None and tier.cost_per_token and records:
        raise TierError(
            f"tier {tier.name!r}",
            "a token count for every record",
            "records without one",
            "add a column 'tokens', or use cost_per_record",
        )
    with localcontext(prec=_DIGITS):
        cost = tier.cost_per_record * records + tier.cost_per_token * (tokens or 0)
    return TierTotal(tier.name, records, tokens, cost)


def merge_totals(parts: Sequence[Sequence[TierTotal]]) -> list[TierTotal]:
    """The totals of several pieces of a corpus, tier by tier."""
    out: dict[str, TierTotal] = {}
    for part in parts:
        for total in part:
            old = out.get(total.name, TierTotal(total.name, 0, 0, Decimal(0)))
            both = None if None in (old.tokens, total.tokens) else old.tokens + total.tokens  # type: ignore[operator]
            with localcontext(prec=_DIGITS):
                cost = old.cost + total.cost
            out[total.name] = replace(
                old, records=old.records + total.records, tokens=both, cost=cost
            )
    return list(out.values())


def _tier(item: Any, who: str) -> Tier:
    if not isinstance(item, Mapping):
        raise TierError(who, "keys and values", type(item).__name__, "write 'name: ...'")
    try:
        tier = Tier.model_validate(dict(item))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        got = repr(first["input"])[:80]
        raise TierError(who, f"{where}: {first['msg']}", got, f"correct {where}") from None
    for date in (tier.captured_before, tier.created_before):
        try:
            moment(date or "2022", who)
        except LineageError as error:
            raise TierError(who, error.expected, error.got, error.next_step) from None
    return tier


def _meets(table: Table, tier: Tier, depths: RecordDepths) -> NDArray[np.bool_]:
    met = np.ones(table.num_rows, bool)
    for name, before in (("captured", tier.captured_before), ("created", tier.created_before)):
        if before is not None:
            met &= spans(table.column(name)).surely_before(moment(before, tier.name))
    if tier.evidence is not None:
        met &= grades(table) <= GRADES[tier.evidence]
    if tier.kinds is not None:
        met &= np.isin(kinds(table), codes(pa.array(tier.kinds), _KINDS, -1))
    for name, values in (("source", tier.publishers), ("license", tier.licenses)):
        if values is not None:
            met &= _codes(table, name, values) >= 0
    if tier.max_generation is not None:
        met &= (depths.hi >= 0) & (depths.hi <= tier.max_generation)
    return met


def _codes(table: Table, name: str, values: Sequence[str]) -> Ints:
    return codes(table.column(name), pa.array(values, pa.large_string()), -1)
