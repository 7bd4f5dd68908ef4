"""Published figures, met by runs of the laboratory; the quick rows here, the rest by command."""

from __future__ import annotations

import math

import pytest

from tailguard.errors import InputError
from tailguard.lab.reproductions import Check, above, choose, reproduce, reproductions

QUICK = (2, 3, 7, 14, 19, 20)


@pytest.mark.parametrize("row", QUICK)
def test_the_published_figure_is_met(row: int) -> None:
    (outcome,) = reproduce(choose(str(row)), seed=1)
    missed = [f"{c.what}: {c.asked}, got {c.got:.4g}" for c in outcome.checks if not c.passed]
    assert outcome.status == "pass", missed


def test_all_rows_that_can_be_run_are_there() -> None:
    rows = reproductions()
    assert set(range(1, 22)) <= set(rows)
    assert all(r.run is not None for r in rows.values() if r.row <= 21)
    assert rows[25].run is None and "not reported" in rows[25].reason
    (outcome,) = reproduce([rows[25]])
    assert outcome.status == "underspecified"


def test_rows_are_chosen_by_number_range_and_name() -> None:
    assert [r.row for r in choose("1,3-5,3")] == [1, 3, 4, 5]
    assert len(choose("all")) > len(choose("quick")) > 10
    for wrong in ("first", "99", "3-", "-3", ""):
        with pytest.raises(InputError, match="reproduce"):
            choose(wrong)


def test_a_figure_outside_its_tolerance_fails() -> None:
    check = Check("x", 1.0, 1.2, 0.01, 0.9, 1.1)
    assert not check.passed and check.asked == "1 ± 0.1"
    assert above("x", 5.0, 5.1).passed and not above("x", 5.0, 4.9).passed
    assert not Check("x", 1.0, math.nan, 0.0, 0.0, 2.0).passed
