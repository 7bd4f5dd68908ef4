"""A pot divided: exactly, in order of contribution, whatever the order of the records."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.provenance.royalties import (
    Division,
    RoyaltyError,
    Usage,
    cents_of,
    divide,
    division_lines,
    royalties,
    write_division,
)

WEIGHTS = st.floats(0, 1e6, allow_subnormal=True)
ROWS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cyd", "  ", None]), WEIGHTS, st.integers(0, 1 << 32)),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(w * t > 0 for _, w, t in rows))
POTS = st.integers(0, 10**12)


def usage(rows: Any) -> Usage:
    names, weights, tokens = zip(*rows, strict=True)
    out = Usage()
    out.add(
        pa.table({"creator": pa.array(names, pa.string()), "weight": weights, "tokens": tokens})
    )
    return out


def cents(found: Division) -> dict[str, int]:
    return {share.creator: share.cents for share in found.shares}


@settings(deadline=None, max_examples=30)
@given(ROWS, POTS)
def test_shares_and_what_is_held_back_are_the_pot_exactly(rows: Any, pot: int) -> None:
    found = divide(usage(rows), pot)
    assert sum(share.cents for share in found.shares) + found.held_back_cents == pot
    assert all(share.cents >= 0 for share in found.shares) and found.held_back_cents >= 0


@settings(deadline=None, max_examples=30)
@given(ROWS, POTS)
def test_every_share_is_within_a_cent_of_its_exact_part(rows: Any, pot: int) -> None:
    parts: dict[str | None, Fraction] = {}
    for name, weight, tokens in rows:
        key = (name or "").strip() or None
        parts[key] = parts.get(key, Fraction(0)) + Fraction(weight) * tokens
    total = sum(parts.values())
    found = divide(usage(rows), pot)
    held: dict[str | None, int] = {None: found.held_back_cents}
    held.update(cents(found))
    for name, part in parts.items():
        assert abs(held[name] - pot * part / total) < 1


@settings(deadline=None, max_examples=30)
@given(ROWS, POTS, st.randoms(use_true_random=False))
def test_the_order_and_the_cut_of_the_records_change_no_cent(rows: Any, pot: int, rnd: Any) -> None:
    shuffled = list(rows)
    rnd.shuffle(shuffled)
    cut = rnd.randint(0, len(rows))
    pieces = [part for part in (shuffled[:cut], shuffled[cut:]) if part]
    merged = usage(pieces[0])
    for piece in pieces[1:]:
        merged = merged.merge(usage(piece))
    assert divide(merged, pot) == divide(usage(rows), pot)


@settings(deadline=None, max_examples=30)
@given(ROWS, POTS)
def test_who_contributed_more_never_gets_less(rows: Any, pot: int) -> None:
    used = usage(rows)
    found = cents(divide(used, pot))
    for a in found:
        for b in found:
            if used.units[a] > used.units[b]:
                assert found[a] >= found[b]


@settings(deadline=None, max_examples=30)
@given(ROWS, POTS, WEIGHTS, st.integers(0, 1 << 32))
def test_contributing_more_never_costs_a_creator(
    rows: Any, pot: int, weight: float, tokens: int
) -> None:
    before = cents(divide(usage(rows), pot)).get("ann", 0)
    assert cents(divide(usage([*rows, ("ann", weight, tokens)]), pot))["ann"] >= before


@pytest.mark.parametrize(
    ("units", "pot", "expected"),
    [
        # Quotas 1.4, 1.4, 7.2: the two spare cents go to the larger remainders.
        ({"a": 14, "b": 14, "c": 72}, 10, {"a": 2, "b": 1, "c": 7}),
        ({"a": 1, "b": 1, "c": 1}, 100, {"a": 34, "b": 33, "c": 33}),
        ({"a": 1, "b": 2}, 0, {"a": 0, "b": 0}),
        ({"a": 1, "b": 10**9}, 10, {"a": 0, "b": 10}),
    ],
)
def test_the_largest_remainders_get_the_spare_cents(
    units: dict[str, int], pot: int, expected: dict[str, int]
) -> None:
    assert cents(divide(usage([(name, 1.0, n) for name, n in units.items()]), pot)) == expected


def test_weights_count_as_the_binary_fractions_that_they_are() -> None:
    # 0.1 + 0.2 is not 0.3 in binary: the sums must differ by exactly that much.
    found = usage([("a", 0.1, 1), ("a", 0.2, 1), ("b", 0.3, 1)])
    assert found.units["a"] - found.units["b"] == Fraction(0.1) + Fraction(0.2) - Fraction(0.3)


def test_unknown_creators_have_a_share_that_is_held_back_not_spread() -> None:
    found = divide(usage([("a", 1.0, 50), (None, 1.0, 30), (" ", 1.0, 20)]), 1_000)
    assert cents(found) == {"a": 500}
    assert (found.held_back_cents, found.held_back_frac, found.unknown_records) == (500, 0.5, 2)
    assert any("held back: 5.00" in line for line in division_lines(found))


def test_a_plan_on_disk_is_divided_in_bounded_pieces(tmp_path: Path) -> None:
    plan = tmp_path / "plan.parquet"
    n = 5_000
    table = pa.table(
        {
            "id": [f"r{i}" for i in range(n)],
            "creator": pa.array([f"c{i % 7}" for i in range(n)]).dictionary_encode(),
            "weight": pa.array([1.0 + i % 3 for i in range(n)], pa.float32()),
            "tokens": pa.array([i % 11 for i in range(n)], pa.uint16()),
        }
    )
    pq.write_table(table, plan, row_group_size=997)
    found = royalties(plan, 12_345)
    assert sum(share.cents for share in found.shares) == 12_345 and len(found.shares) == 7
    assert sum(share.records for share in found.shares) == n
    out = tmp_path / "shares.csv"
    write_division(found, out)
    lines = out.read_text().splitlines()
    assert lines[0] == "creator,records,frac,cents" and len(lines) == 9
    assert sum(int(line.rsplit(",", 1)[1]) for line in lines[1:]) == 12_345


def test_a_creator_called_like_a_formula_is_no_formula_in_the_csv(tmp_path: Path) -> None:
    write_division(divide(usage([("=1+1", 1.0, 1)]), 5), tmp_path / "s.csv")
    assert "'=1+1," in (tmp_path / "s.csv").read_text()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"creator": ["a"], "tokens": [1]}, "a column 'weight'"),
        ({"creator": ["a"], "weight": [-1.0], "tokens": [1]}, "numbers from 0"),
        ({"creator": ["a"], "weight": [float("nan")], "tokens": [1]}, "numbers from 0"),
        ({"creator": ["a"], "weight": [float("inf")], "tokens": [1]}, "numbers from 0"),
        ({"creator": ["a"], "weight": [None], "tokens": [1]}, "numbers"),
        ({"creator": ["a"], "weight": [1.0], "tokens": [1.5]}, "whole numbers"),
        ({"creator": ["a"], "weight": [1.0], "tokens": [1 << 40]}, "whole numbers"),
        ({"creator": ["a"], "weight": ["much"], "tokens": [1]}, "numbers"),
        ({"creator": [["a"]], "weight": [1.0], "tokens": [1]}, "names"),
    ],
)
def test_a_plan_that_cannot_be_divided_says_why(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(RoyaltyError, match=words):
        Usage().add(pa.table(columns))


def test_no_use_at_all_cannot_be_divided() -> None:
    with pytest.raises(RoyaltyError, match="no use at all"):
        divide(usage([("a", 0.0, 5)]), 10)


@pytest.mark.parametrize("amount", ["0.005", "-1", "much", "NaN", "Infinity", "1e40", ""])
def test_an_amount_that_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(RoyaltyError):
        cents_of(amount)
