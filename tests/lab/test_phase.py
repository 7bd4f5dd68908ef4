"""Phase diagrams: which cell is where, and where a row becomes safe."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailguard.errors import InputError
from tailguard.lab.phase import Axis, phases
from tailguard.lab.settings import canonical
from tailguard.lab.simulate import Setting
from tailguard.lab.solve import solve
from tailguard.lab.store import StoredRun, Summary
from tailguard.lab.sweep import StoredSweep, run_cell
from tailguard.lab.sweep_file import Sweep
from tailguard.lab.target import parse_target

BASE = Setting(
    regime="fixed-real", generations=5, replicates=200, measurements=("tail_mass_lost", "var")
)


def fake(sweep: Sweep, value: Any) -> StoredSweep:
    """A sweep whose cells hold what ``value`` says of their setting."""
    runs = []
    for cell in sweep.cells():
        steps = cell.generations + 1
        each = np.full(steps, float(value(cell)))
        summary = Summary(
            np.full(steps, 200), each, np.zeros(steps), np.zeros(steps), np.tile(each, (5, 1))
        )
        runs.append(StoredRun(cell, "samples", dict.fromkeys(cell.measurements, summary)))
    return StoredSweep(sweep, tuple(runs))


def lost(cell: Setting) -> float:
    return float(10 / cell.n * (1 - cell.regime_settings["real_frac"]))


SHARES, SIZES = ("real_frac", (0.5, 0.0, 1.0)), ("n", (40, 10, 20))


@pytest.mark.parametrize("axes", [(SHARES, SIZES), (SIZES, SHARES)])
def test_every_value_is_in_its_place_in_rising_order(axes: Any) -> None:
    (phase,) = phases(fake(Sweep(BASE, axes), lost), parse_target("tail_mass_lost<30%"))
    assert phase.x == Axis("real_frac", (0.0, 0.5, 1.0))
    assert phase.y == Axis("n", (10, 20, 40))
    assert phase.values.tolist() == [[1.0, 0.5, 0.0], [0.5, 0.25, 0.0], [0.25, 0.125, 0.0]]
    assert phase.statistic == "median" and phase.held == ()


def test_the_line_is_interpolated_between_the_cells_around_it() -> None:
    (phase,) = phases(fake(Sweep(BASE, (SHARES, SIZES)), lost), parse_target("tail_mass_lost<30%"))
    first, second, third = phase.edges
    assert (first.lo, first.hi) == (0.5, 1.0) and math.isclose(first.value, 0.7)
    assert (second.lo, second.hi) == (0.0, 0.5) and math.isclose(second.value, 0.4)
    assert third.lo == -math.inf and third.value == third.hi == 0.0


def test_a_row_that_never_becomes_safe_says_so() -> None:
    (phase,) = phases(fake(Sweep(BASE, (SHARES, SIZES)), lambda c: 1.0), parse_target("var>2"))
    assert all(e.lo == 1.0 and math.isnan(e.value) and e.hi == math.inf for e in phase.edges)


def test_a_row_that_turns_unsafe_again_is_safe_only_beyond() -> None:
    values = {0.0: 0.0, 0.25: 1.0, 0.5: 0.0, 0.75: 1.0}
    sweep = Sweep(BASE, (("real_frac", tuple(values)),))
    stored = fake(sweep, lambda cell: values[cell.regime_settings["real_frac"]])
    (phase,) = phases(stored, parse_target("tail_mass_lost>50%"))
    assert phase.y is None and phase.values.shape == (1, 4)
    assert (phase.edges[0].lo, phase.edges[0].hi) == (0.5, 0.75)


def test_other_axes_make_a_diagram_for_each_of_their_values() -> None:
    axes = (SHARES, ("seed", (0, 1)), SIZES, ("generations", (3, 4)))
    found = phases(fake(Sweep(BASE, axes), lambda cell: cell.seed + cell.generations / 10))
    assert [dict(phase.held) for phase in found] == [
        {"seed": s, "generations": g} for s in (0, 1) for g in (3, 4)
    ]
    assert [phase.values[0, 0] for phase in found] == [0.3, 0.4, 1.3, 1.4]
    assert len(phases(fake(Sweep(BASE, (*axes[:1], ("seed", tuple(range(9))))), lost))) == 6


def test_one_value_makes_no_diagram_and_names_make_rows() -> None:
    assert phases(fake(Sweep(BASE, (("n", (10,)),)), lost)) == []
    axes = (("regime", ("fixed-real", "fresh-real")), SHARES)
    (phase,) = phases(fake(Sweep(BASE, axes), lost), parse_target("tail_mass_lost<5%"))
    assert phase.x.key == "real_frac"
    assert phase.y == Axis("regime", ("fixed-real", "fresh-real"))


def test_a_setting_of_which_more_is_not_safer_gets_no_line() -> None:
    axes = (("generations", (2, 3)), ("seed", (0, 1)))
    found = phases(fake(Sweep(BASE, axes), lambda c: c.generations), parse_target("var<2.5"))
    assert [phase.edges for phase in found] == [(), ()]
    assert found[0].values.tolist() == [[2.0, 3.0]]


def test_cells_that_are_missing_leave_holes() -> None:
    stored = fake(Sweep(BASE, (SHARES, SIZES)), lost)
    holed = StoredSweep(stored.sweep, (None, *stored.runs[1:]))
    (phase,) = phases(holed, parse_target("tail_mass_lost<30%"))
    assert math.isnan(phase.values[2, 1]) and np.isfinite(phase.values).sum() == 8
    assert phase.edges[2].lo == 0.5  # a hole is not taken for safe


def test_theory_draws_the_same_line_as_the_inverse_query() -> None:
    sweep = Sweep(replace(BASE, measurements=("var",)), (SHARES, ("n", (20, 50))))
    target = parse_target("var>90%")
    (phase,) = phases(fake(sweep, lambda cell: 1.0), target)
    assert phase.statistic == "mean"
    for n, answer in zip((20, 50), phase.theory, strict=True):
        assert answer is not None and answer == solve(replace(BASE, n=n), target)
    (early,) = phases(fake(sweep, lambda cell: 1.0), target, generation=2)
    assert early.theory[0] is not None and early.theory[0].value < answer.value + 1
    assert early.theory[0] == solve(replace(BASE, n=20, generations=2), target)


def test_simulated_and_theoretical_lines_agree_on_real_cells() -> None:
    base = replace(BASE, measurements=("var",), replicates=20_000)
    sweep = Sweep(base, (("real_frac", (0.0, 0.2, 0.4, 0.6, 0.8)), ("n", (20, 30))))
    stored = StoredSweep(sweep, tuple(run_cell(cell) for cell in sweep.cells()))
    (phase,) = phases(stored, parse_target("var>0.9"))
    for edge, answer in zip(phase.edges, phase.theory, strict=True):
        assert answer is not None and edge.lo <= answer.value <= edge.hi + 0.05


def test_a_diagram_of_something_else_than_the_target_is_refused() -> None:
    stored = fake(Sweep(BASE, (SHARES, SIZES)), lost)
    with pytest.raises(InputError, match="a target of var"):
        phases(stored, parse_target("tail_mass_lost<5%"), measurement="var")
    with pytest.raises(InputError, match="a generation from 1"):
        phases(stored, generation=0)
    assert math.isnan(phases(stored, generation=99)[0].values[0, 0])
    assert canonical(stored.sweep.cells()[0]) == stored.runs[0].setting  # type: ignore[union-attr]
