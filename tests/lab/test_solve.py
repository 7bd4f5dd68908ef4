"""Inverse queries: exact where theory is, covered by their interval where it is simulated."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.lab import solve as module
from tailguard.lab.bisection import Bisection
from tailguard.lab.simulate import Setting, simulate
from tailguard.lab.solve import Answer, candidates, from_theory, solve
from tailguard.lab.target import parse_target
from tailguard.theory.anchor import anchor_points, real_mix
from tailguard.theory.base import Law

FIXED = Setting(regime="fixed-real", n=100, generations=20)


def ask(setting: Setting, target: str, **options: Any) -> Answer:
    return solve(setting, parse_target(target), **options)


@pytest.mark.parametrize(
    ("text", "measurement", "side", "value"),
    [
        ("tail_mass_lost<5%", "tail_mass_lost", "<", 0.05),
        (" var > 0.9 ", "var", ">", 0.9),
        ("log_var>=-2.5e-1", "log_var", ">", -0.25),
        ("mean_sq<=+150%", "mean_sq", "<", 1.5),
    ],
)
def test_a_target_is_a_measurement_a_side_and_a_number(
    text: str, measurement: str, side: str, value: float
) -> None:
    target = parse_target(text)
    assert (target.measurement, target.side) == (measurement, side)
    assert math.isclose(target.value, value)
    assert not target.met([math.nan, value]).any()
    assert target.met([value - 1, value + 1]).tolist() == [side == "<", side == ">"]


@pytest.mark.parametrize(
    "text", ["", "var", "var<", "<5", "var=1", "var<five", "var<1..2", "var<1e999", "var<5%%"]
)
def test_a_slip_in_a_target_gets_one_line(text: str) -> None:
    with pytest.raises(InputError, match="measurement<number"):
        parse_target(text)


@pytest.mark.parametrize("kept", [0.7, 0.9, 0.99, 0.9999])
def test_theory_gives_the_least_n_that_the_formula_gives(kept: float) -> None:
    answer = ask(Setting(generations=10), f"var>{kept}")
    formula = math.ceil(1 / (1 - kept**0.1))  # (1 - 1/n)^10 > kept
    assert (answer.parameter, answer.value, answer.method) == ("n", formula, "theory")
    assert answer.lo == answer.hi == answer.value and answer.level == 1.0
    assert answer.law is not None and answer.law.name == "replace: variance"


def test_theory_gives_the_number_of_anchors_that_prevent_collapse() -> None:
    setting = Setting(regime="anchor", n=1_000, generations=20_000)
    answer = ask(setting, "var>95%")
    assert (answer.parameter, answer.value) == ("m", anchor_points(1_000, loss=0.05))


@pytest.mark.parametrize("target", ["var>0.95", "mean_sq<0.1"])
def test_theory_gives_the_least_share_that_a_table_gives(target: str) -> None:
    answer = ask(FIXED, target)
    side = parse_target(target)
    moments = [real_mix(20, k, 100 - k, fixed=True) for k in range(101)]
    met = [bool(side.met(m.var if side.measurement == "var" else m.mean_sq)) for m in moments]
    last = max((k for k in range(101) if not met[k]), default=-1)
    assert answer.value == (last + 1) / 100


def test_unbiased_fits_have_their_own_answer() -> None:
    target = "mean_sq<0.12"
    biased = ask(FIXED, target)
    unbiased = ask(replace(FIXED, family_settings={"unbiased": True}), target)
    assert unbiased.method == "theory" and unbiased.value > biased.value


def test_an_answer_says_when_nothing_is_enough_and_when_anything_is() -> None:
    for options in ({}, {"method": "simulation", "statistic": "mean"}):
        fails = ask(FIXED, "var>0.999", **options)
        assert fails.status == "largest fails" and math.isnan(fails.value)
        assert math.isnan(fails.lo) and math.isnan(fails.hi) and fails.largest == 1.0
        enough = ask(FIXED, "var>0.5", **options)
        assert enough.status == "least suffices"
        assert enough.value == enough.lo == enough.hi == 0.0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("setting", "target"),
    [
        (FIXED, "var>0.9"),
        (replace(FIXED, regime="anchor"), "var>0.85"),
        (Setting(generations=5), "var>0.9"),
    ],
)
def test_simulation_brackets_what_theory_knows(setting: Setting, target: str, seed: int) -> None:
    truth = ask(setting, target)
    options: dict[str, Any] = {"method": "simulation", "statistic": "mean", "width": 0.05}
    found = ask(replace(setting, seed=seed), target, **options)
    assert truth.method == "theory" and found.method == "simulation"
    assert found.status == "found" and found.parameter == truth.parameter
    assert found.lo <= truth.value <= found.hi
    assert found.lo <= found.value <= found.hi
    assert found.total > found.replicates >= 1_000


def test_more_replicates_make_the_interval_as_narrow_as_asked() -> None:
    wide = ask(FIXED, "tail_mass_lost<30%", statistic="mean", width=0.5)
    narrow = ask(FIXED, "tail_mass_lost<30%", statistic="mean", width=0.03)
    assert narrow.hi - narrow.lo <= 0.03 < wide.hi - wide.lo
    assert wide.lo <= narrow.value <= wide.hi
    assert narrow.replicates > wide.replicates


def test_an_answer_is_the_same_twice() -> None:
    options = {"width": 0.1}
    assert ask(FIXED, "tail_mass_lost<30%", **options) == ask(
        FIXED, "tail_mass_lost<30%", **options
    )


def test_heavy_tails_are_asked_for_their_median() -> None:
    setting = Setting(n=30, generations=20)
    answer = ask(setting, "var>0.8", method="simulation", width=0.1)
    assert (answer.parameter, answer.statistic) == ("n", "median")
    for n, expected in ((answer.lo / 1.3, False), (answer.hi * 1.3, True)):
        run = simulate(replace(setting, n=round(n), replicates=4_000), engine="serial")
        assert (run.trajectories["var"].median[-1] > 0.8) == expected


def test_a_sum_that_cannot_be_reached_stays_open_rather_than_guessed() -> None:
    # At the truth itself: the mean of log variance under real data alone is the target.
    setting = replace(FIXED, generations=3, n=20)
    value = float(simulate(
        replace(setting, regime_settings={"real_frac": 1.0}, replicates=50_000), engine="serial"
    ).trajectories["log_var"].mean[-1])  # fmt: skip
    answer = ask(setting, f"log_var>{value}", replicates=100, most_replicates=200)
    assert answer.status == "undecided"
    assert answer.hi == math.inf and answer.lo <= 1.0


def test_a_law_that_does_not_hold_everywhere_is_not_used() -> None:
    def patchy(*, t: Any, n: int, real_frac: float) -> Any:
        if real_frac > 0.5:
            raise InputError("law", "real_frac at most 0.5", f"{real_frac}", "change it")
        return np.full(1, real_frac)

    laws = [Law("patchy", patchy, ("fixed-real",), ("gaussian",), "var")]
    target = parse_target("var>0.2")
    assert from_theory(candidates(FIXED), target, laws) is None
    bound = [replace(laws[0], fn=lambda *, t, n, real_frac: np.full(1, real_frac), kind="bound")]
    assert from_theory(candidates(FIXED), target, bound) is None


def test_what_is_not_monotone_is_said_and_the_safe_end_is_given() -> None:
    def humped(*, t: Any, n: int, real_frac: float) -> Any:
        return np.full(1, 1.0 if 0.2 < real_frac < 0.3 or real_frac >= 0.7 else 0.0)

    laws = [Law("humped", humped, ("fixed-real",), ("gaussian",), "var")]
    answer = from_theory(candidates(FIXED), parse_target("var>0.5"), laws)
    assert answer is not None and answer.value == 0.7
    assert answer.note.startswith("not monotone")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameter": "real_fraq"}, "did you mean 'real_frac'"),
        ({"parameter": "m"}, "a parameter of regime fixed-real, got 'm'"),
        ({"method": "magic"}, "method auto, theory or simulation"),
        ({"statistic": "mode"}, "statistic auto, mean or median"),
        ({"level": 1.5}, r"a level in \[0.5, 1\)"),
        ({"width": -1.0}, "a width of at least 0"),
        ({"width": math.nan}, "a width of at least 0"),
        ({"replicates": 10}, "replicates at least 100"),
        ({"most_replicates": 10}, "most replicates at least 1000"),
        ({"parameter": "n", "largest": 2}, "a largest n of at least 3"),
        ({"method": "theory"}, "an exact law of tail_mass_lost"),
    ],
)
def test_a_question_that_makes_no_sense_gets_one_line(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ask(FIXED, "tail_mass_lost<30%", **options)


def test_a_measurement_that_the_family_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="survivors"):
        ask(FIXED, "survivors>3")


@given(st.integers(0, 60), st.integers(0, 59), st.integers(0, 5))
def test_bisection_finds_the_turn_and_never_hides_what_is_open(
    turn: int, last: int, fog: int
) -> None:
    """Numbers within ``fog`` of the turn stay open, whatever the replicates."""

    def decide(number: int, replicates: int) -> tuple[bool | None, bool]:
        lean = number >= turn
        return (None if abs(number - turn) < fog else lean), lean

    found = Bisection(decide, 0, last, 10, 40, 128).run(lambda low, high: False)
    expected = min(turn, last + 1)
    assert found.low < expected <= found.high
    assert found.best == expected
    assert found.low == min(max(turn - max(fog, 1), -1), last)
    assert found.high == min(turn + fog, last + 1)


def test_doubling_finds_a_far_turn_without_the_largest_number() -> None:
    asked = []

    def decide(number: int, replicates: int) -> tuple[bool | None, bool]:
        asked.append(number)
        return number >= 777, number >= 777

    found = Bisection(decide, 2, 10**9, 10, 10, 128).run(lambda low, high: True, doubling=True)
    assert (found.low, found.high) == (776, 777)
    assert max(asked) <= 2 * 1024


def test_so_many_decisions_share_the_error_that_all_fit() -> None:
    made: list[int] = []

    def open_ended(number: int, replicates: int) -> tuple[bool | None, bool]:
        made.append(number)
        return None, False

    Bisection(open_ended, 0, 10**6, 1, 10**9, module.DECISIONS).run(lambda low, high: False)
    assert len(made) <= module.DECISIONS
