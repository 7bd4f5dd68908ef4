"""Royalties: a pot divided among the creators whose records a plan used, exactly to the cent.

Creator c contributed u_c = Σ weight × tokens over the records of c. With U = Σ u_c and a pot of P
cents, c gets ⌊P u_c / U⌋ cents, and the cents that are left go one each to the largest remainders
(Hare quota; Hamilton 1792). Weights are taken as the exact binary fractions that they are, and all
arithmetic is in whole numbers: the order of the records cannot change a cent.

Records without a creator have their share as well. It is shown and held back, not given to others.
Hamilton's method is not monotone in the pot (Balinski and Young 1982): with a larger pot, one
creator may get a cent less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailguard.corpus.atomic import replacing
from tailguard.corpus.files import readable
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.lineage.columns import flat

MAX_TOKENS = 1 << 32
"""A record with more tokens than this is a mistake."""

MAX_POT_CENTS = 10**18

_HALF = 26
_MASK = (1 << _HALF) - 1


class RoyaltyError(ProvenanceError):
    """A plan or a pot from which no shares can be computed."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one creator gets: ``cents``, for ``records`` records that are ``frac`` of all use."""

    creator: str
    records: int
    frac: float
    cents: int


@dataclass(frozen=True, slots=True)
class Division:
    """A pot divided: ``shares`` by creator, largest first, and the part held back.

    ``pot_cents`` = Σ cents + ``held_back_cents``, always exactly.
    """

    pot_cents: int
    shares: tuple[Share, ...]
    held_back_cents: int
    held_back_frac: float
    unknown_records: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; amounts in cents."""
        return {
            "pot_cents": self.pot_cents,
            "held_back_cents": self.held_back_cents,
            "held_back_frac": self.held_back_frac,
            "records_of_unknown_creators": self.unknown_records,
            "shares": [
                {"creator": s.creator, "records": s.records, "frac": s.frac, "cents": s.cents}
                for s in self.shares
            ],
        }


@dataclass(slots=True)
class Usage:
    """Use by creator, in exact fractions; a monoid. The creator of unknown records is none."""

    units: dict[str | None, Fraction] = field(default_factory=dict)
    records: dict[str | None, int] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch | pa.Table, who: str = "plan") -> None:
        """Count records in: columns ``creator``, ``weight`` and ``tokens``.

        Raises :class:`RoyaltyError` for a missing column, and for a weight or a number of tokens
        that is negative, not finite or missing.
        """
        creator = _creators(batch, who)
        weight = _numbers(batch, "weight", who).astype(np.float64)
        tokens = _numbers(batch, "tokens", who)
        if (tokens != np.floor(tokens)).any() or (tokens > MAX_TOKENS).any():
            wrong = tokens[(tokens != np.floor(tokens)) | (tokens > MAX_TOKENS)][0]
            raise RoyaltyError(
                f"{who}: column 'tokens'", "whole numbers of tokens", str(wrong), "correct it"
            )
        names = [*creator.dictionary.to_pylist(), None]
        code = np.asarray(pc.fill_null(creator.indices, len(names) - 1)).astype(np.int64)
        known = [name.strip() if name else "" for name in names]
        for which, n, units in _exact(code, weight, tokens.astype(np.int64)):
            name = known[which] or None
            self.units[name] = self.units.get(name, Fraction(0)) + units
            self.records[name] = self.records.get(name, 0) + n

    def merge(self, other: Usage) -> Usage:
        """Both together."""
        out = Usage(dict(self.units), dict(self.records))
        for name, units in other.units.items():
            out.units[name] = out.units.get(name, Fraction(0)) + units
            out.records[name] = out.records.get(name, 0) + other.records[name]
        return out


def divide(usage: Usage, pot_cents: int) -> Division:
    """Divide the pot by use; see the head of this file. Raises :class:`RoyaltyError` for no use.

    Among creators: who contributed more never gets less; equal remainders are decided by the
    creators' names, the smaller first.

    >>> plan = pa.table({"creator": ["a", "b", None], "weight": [1.0, 1.0, 1.0],
    ...                  "tokens": [10, 20, 30]})
    >>> usage = Usage()
    >>> usage.add(plan)
    >>> found = divide(usage, 100)
    >>> [(share.creator, share.cents) for share in found.shares], found.held_back_cents
    ([('b', 33), ('a', 17)], 50)
    """
    if not 0 <= pot_cents <= MAX_POT_CENTS:
        raise RoyaltyError("pot", f"0 to {MAX_POT_CENTS:,} cents", f"{pot_cents:,}", "correct it")
    total = sum(usage.units.values(), Fraction(0))
    if not total:
        raise RoyaltyError("plan", "records with weight and tokens", "no use at all", "check it")
    scale = 1
    for units in usage.units.values():
        scale = max(scale, units.denominator)  # all are powers of two
    whole = {name: int(units * scale) for name, units in usage.units.items()}
    every = sum(whole.values())
    quota = {name: divmod(pot_cents * units, every) for name, units in whole.items()}
    cents = {name: floor for name, (floor, _) in quota.items()}
    left = pot_cents - sum(cents.values())
    by_remainder = sorted(quota, key=lambda name: (-quota[name][1], name is None, name or ""))
    for name in by_remainder[:left]:
        cents[name] += 1
    shares = [
        Share(name, usage.records[name], float(usage.units[name] / total), cents[name])
        for name in usage.units
        if name is not None
    ]
    shares.sort(key=lambda share: (-share.cents, -share.frac, share.creator))
    return Division(
        pot_cents,
        tuple(shares),
        cents.get(None, 0),
        float(usage.units.get(None, Fraction(0)) / total),
        usage.records.get(None, 0),
    )


def royalties(plan: str | Path, pot_cents: int) -> Division:
    """Divide the pot by the use in a plan (a Parquet file), read in bounded memory.

    The plan has a row per record used: ``creator``, ``weight`` and ``tokens``; other columns are
    not read. Memory grows with the number of creators only.
    """
    import pyarrow.parquet as pq

    who = str(plan)
    usage = Usage()
    with readable(who), pq.ParquetFile(plan) as file:
        names = [
            name for name in ("creator", "weight", "tokens") if name in file.schema_arrow.names
        ]
        for batch in file.iter_batches(columns=names):
            usage.add(batch, who)
    return divide(usage, pot_cents)


def cents_of(amount: str) -> int:
    """An amount such as ``100000`` or ``99.50`` in cents. Raises :class:`RoyaltyError`.

    >>> cents_of("100000"), cents_of("0.05")
    (10000000, 5)
    """
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value > MAX_POT_CENTS // 100:
        raise RoyaltyError("pot", "an amount such as 100000 or 99.50", repr(amount)[:40], "fix it")
    cents = value * 100
    if cents != cents.to_integral_value():
        raise RoyaltyError("pot", "at most two decimals", repr(amount)[:40], "round it to cents")
    return int(cents)


def write_division(division: Division, path: str | Path) -> None:
    """Write the shares as CSV: creator, records, frac, cents; the part held back last.

    A creator whose name a spreadsheet would run as a formula is written with a ' before it.
    """
    import csv

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("creator", "records", "frac", "cents"))
        for share in division.shares:
            name = share.creator
            safe = f"'{name}" if name[:1] in "=+-@\t\r" else name
            rows.writerow((safe, share.records, repr(share.frac), share.cents))
        rows.writerow(
            (
                "(held back: no creator known)",
                division.unknown_records,
                repr(division.held_back_frac),
                division.held_back_cents,
            )
        )


def division_lines(division: Division, shown: int = 20) -> Iterable[str]:
    """The shares in plain words, the largest first.

    >>> list(division_lines(Division(100, (Share("a", 2, 1.0, 100),), 0, 0.0, 0)))
    ['1.00 divided among 1 creators', '  1.00  100%  a (2 records)']
    """
    yield f"{_money(division.pot_cents)} divided among {len(division.shares):,} creators"
    for share in division.shares[:shown]:
        of_all = f"{100 * share.frac:.3g}%"
        yield f"  {_money(share.cents)}  {of_all}  {share.creator} ({share.records:,} records)"
    if len(division.shares) > shown:
        yield f"  ... and {len(division.shares) - shown:,} more"
    if division.unknown_records:
        yield (
            f"held back: {_money(division.held_back_cents)}, "
            f"{100 * division.held_back_frac:.3g}% of all use, for {division.unknown_records:,} "
            "records without a known creator"
        )


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"


def _exact(code: Any, weight: Any, tokens: Any) -> Iterable[tuple[int, int, Fraction]]:
    """Per creator: records and Σ weight × tokens, exactly.

    A weight is m × 2^e with a whole m < 2^53. Both halves of m times the tokens fit in 63 bits, and
    their halves again can be summed over 2^30 rows without overflow.
    """
    mantissa, exponent = np.frexp(weight)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    keys, back = np.unique(np.stack([code, exponent.astype(np.int64)]), axis=1, return_inverse=True)
    back = back.reshape(-1)
    sums = []
    for half in (whole & _MASK, whole >> _HALF):
        product = half * tokens
        for part in (product & 0xFFFFFFFF, product >> 32):
            total = np.zeros(keys.shape[1], np.int64)
            np.add.at(total, back, part)
            sums.append(total.tolist())
    rows = np.bincount(back, minlength=keys.shape[1]).tolist()
    for i, (which, power) in enumerate(keys.T.tolist()):
        low = sums[0][i] + (sums[1][i] << 32)
        high = sums[2][i] + (sums[3][i] << 32)
        units = Fraction(low + (high << _HALF)) * Fraction(2) ** (power - 53)
        yield which, rows[i], units


def _creators(batch: pa.RecordBatch | pa.Table, who: str) -> pa.Array:
    column = _column(batch, "creator", who)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(pa.large_string()).dictionary_encode()
    except pa.ArrowException as error:
        raise RoyaltyError(
            f"{who}: column 'creator'", "names", str(column.type), "one name per record"
        ) from error


def _numbers(batch: pa.RecordBatch | pa.Table, name: str, who: str) -> Any:
    column = _column(batch, name, who)
    try:
        values = np.asarray(column.cast(pa.float64()).fill_null(float("nan")))
    except pa.ArrowException as error:
        raise RoyaltyError(
            f"{who}: column {name!r}", "numbers", str(column.type), "convert it"
        ) from error
    if not (np.isfinite(values) & (values >= 0)).all():
        wrong = values[~(np.isfinite(values) & (values >= 0))][0]
        got = "a missing value" if np.isnan(wrong) else str(wrong)
        raise RoyaltyError(f"{who}: column {name!r}", "numbers from 0", got, "correct the plan")
    return values


def _column(batch: pa.RecordBatch | pa.Table, name: str, who: str) -> pa.Array:
    if name not in batch.schema.names:
        got = ", ".join(repr(n)[:40] for n in batch.schema.names[:8]) or "none"
        raise RoyaltyError(who, f"a column {name!r}", f"columns {got}", "add it to the plan")
    return flat(batch.column(name))
