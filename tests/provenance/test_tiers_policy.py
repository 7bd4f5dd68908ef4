"""Tiers: conditions that are certain or do not count, first match, exact costs."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lineage_cases import records

from tailguard.provenance.lineage.dates import spans
from tailguard.provenance.lineage.records import record_depths
from tailguard.provenance.tiers import (
    TierError,
    assign,
    merge_totals,
    parse_tiers,
    tier_totals,
)


def tiers_of(rows: list[dict[str, Any]], given: list[dict[str, Any]]) -> list[str]:
    tiers = parse_tiers(given)
    table = records(rows)
    return [tiers[i].name for i in assign(table, tiers, record_depths(table))]


def test_captured_before_2022_takes_only_what_is_certain() -> None:
    dates = ["2021-12-31", "2021", "2022", "2022-01-01", None, "soon", "2021-12-31T23:30:00-02:00"]
    found = tiers_of(
        [{"captured": date, "kind": "human"} for date in dates],
        [{"name": "old", "captured_before": "2022"}],
    )
    assert found == ["old", "old", "rest", "rest", "rest", "rest", "rest"]


def test_every_condition_of_a_tier_must_hold_and_the_first_tier_wins() -> None:
    rules: list[dict[str, Any]] = [
        {"name": "press", "publishers": ["a.org"], "kinds": ["human"], "evidence": "audited"},
        {"name": "free", "licenses": ["cc0"]},
        {"name": "shallow", "max_generation": 1},
    ]
    rows: list[dict[str, Any]] = [
        {"source": "a.org", "kind": "human", "evidence": "attested", "license": "cc0"},
        {"source": "a.org", "kind": "human", "evidence": "declared", "license": "cc0"},
        {"source": "a.org", "kind": "synthetic", "generation": 1, "evidence": "attested"},
        {"source": "b.org", "kind": "synthetic", "generation": 2},
        {"source": "b.org", "kind": "unknown"},
    ]
    assert tiers_of(rows, rules) == ["press", "free", "shallow", "rest", "rest"]


def test_unknown_depth_does_not_pass_for_shallow() -> None:
    rows: list[dict[str, Any]] = [{"kind": "synthetic"}, {"kind": "human"}]
    assert tiers_of(rows, [{"name": "shallow", "max_generation": 9}]) == ["rest", "shallow"]


def test_costs_are_exact_decimals_and_sum_over_pieces() -> None:
    tiers = parse_tiers(
        [
            {"name": "a", "kinds": ["human"], "cost_per_record": "0.1", "cost_per_token": "0.003"},
            {"name": "rest", "cost_per_record": "0.7"},
        ]
    )
    rows: list[dict[str, Any]] = [
        {"kind": "human", "tokens": 7},
        {"kind": "human", "tokens": 4},
        {"kind": "unknown", "tokens": None},
    ]
    table = records(rows)
    codes = assign(table, tiers, record_depths(table))
    totals = tier_totals(table, tiers, codes)
    assert [(t.name, t.records, t.tokens, t.cost) for t in totals] == [
        ("a", 2, 11, Decimal("0.233")),
        ("rest", 1, None, Decimal("0.7")),
    ]
    parts = [tier_totals(table.slice(i, 1), tiers, codes[i : i + 1]) for i in range(table.num_rows)]
    assert [t.cost for t in merge_totals(parts)] == [Decimal("0.233"), Decimal("0.7")]


def test_a_huge_price_times_a_huge_count_is_not_rounded() -> None:
    price = "123456789012.34567891"
    tiers = parse_tiers([{"name": "rest", "cost_per_token": price}])
    tokens = 2**53 - 1
    table = records([{"tokens": tokens}])
    (total,) = tier_totals(table, tiers, np.zeros(1, np.int16))
    assert Fraction(total.cost) == Fraction(Decimal(price)) * tokens


def test_a_price_per_token_needs_token_counts() -> None:
    tiers = parse_tiers([{"name": "rest", "cost_per_token": "1"}])
    with pytest.raises(TierError, match="token count"):
        tier_totals(records([{"kind": "human"}]), tiers, np.zeros(1, np.int16))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("tiers", "a list"),
        ([{"name": "a"}, {"name": "a"}], "distinct names"),
        ([{"name": "rest"}, {"name": "a"}], "'rest' last"),
        ([{"name": "rest", "kinds": ["human"]}], "without conditions"),
        ([{"captured_before": "2022"}], "name"),
        ([{"name": "a", "captured_before": "when it rained"}], "a date"),
        ([{"name": "a", "colour": "red"}], "colour"),
        ([{"name": "a", "evidence": "hearsay"}], "evidence"),
        ([{"name": "a", "cost_per_record": "-1"}], "cost_per_record"),
        ([{"name": "a", "cost_per_record": "NaN"}], "cost_per_record"),
        (["a"], "keys and values"),
        ([{"name": f"t{i}"} for i in range(101)], "at most 100"),
    ],
)
def test_tiers_that_make_no_sense_are_refused_in_one_line(given: Any, words: str) -> None:
    with pytest.raises(TierError, match=words) as refused:
        parse_tiers(given)
    assert "\n" not in str(refused.value)


@given(
    st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    st.sampled_from([4, 7, 10, 16, 19]),
)
def test_a_date_cut_anywhere_contains_the_moment_it_was_cut_from(
    when: datetime.datetime, length: int
) -> None:
    whole = when.strftime("%Y-%m-%dT%H:%M:%S")
    found = spans(pa.array([whole[:length]]))
    assert found.start[0] <= np.datetime64(whole) < found.stop[0]


@pytest.mark.parametrize(
    "text",
    ["2021-02-29", "2021-13", "0000", "2021-01-01T25:00", "20210101", "yesterday", "２０２１"],
)
def test_what_is_no_iso_date_has_no_span(text: str) -> None:
    found = spans(pa.array([text]))
    assert np.isnat(found.start[0]) and np.isnat(found.stop[0])


def test_a_date_with_a_zone_is_the_same_moment_in_utc() -> None:
    found = spans(pa.array(["2021-01-01T01:30:00+02:00", "2020-12-31T23:30:00Z"]))
    assert found.start[0] == found.start[1]
