"""Eight definitions of collapse and the stages, on runs whose fate theory knows."""

from __future__ import annotations

import pytest

from tailguard.lab.collapse import collapse_profile, scaling_change
from tailguard.lab.simulate import Run, Setting, simulate
from tailguard.lab.stages import stages

WANTED = ("var", "w2_sq", "tail_mass_lost", "hallucinated_mass")


def run(regime: str, **more: object) -> Run:
    setting = {"n": 20, "generations": 64, "replicates": 2_000, "measurements": WANTED, **more}
    return simulate(Setting(regime=regime, **setting), engine="serial")  # type: ignore[arg-type]


def judged(found: Run, risk: str = "w2_sq") -> dict[str, bool | None]:
    return {j.definition: j.collapsed for j in collapse_profile(found, risk=risk)}


def test_replacing_collapses_variance_and_tails_and_accumulating_does_not() -> None:
    replaced, kept = judged(run("replace")), judged(run("accumulate"))
    for name in ("collapsing_variance", "lost_tails", "any_risk_increase"):
        assert replaced[name] is True, name
    assert kept["collapsing_variance"] is False and kept["lost_tails"] is False
    # The definitions contradict each other on the same run: that is the paper's point.
    assert kept["any_risk_increase"] is True and kept["catastrophic_risk"] is False


def test_risk_diverges_when_replacing_a_regression_and_is_bounded_when_accumulating() -> None:
    options = {"family": "linear", "measurements": ("risk",), "n": 100, "replicates": 4_000}
    assert judged(run("replace", **options), "risk")["diverging_risk"] is True
    assert judged(run("accumulate", **options), "risk")["diverging_risk"] is False


def test_lost_types_are_lost_modes_and_shares_that_never_were_are_no_hallucination() -> None:
    found = run("replace", family="categorical", measurements=("survival", "hallucinated_mass"))
    assert judged(found)["lost_modes"] is True
    assert judged(found)["hallucinations"] is False


def test_what_a_run_does_not_measure_is_not_judged() -> None:
    found = judged(run("replace", measurements=("log_var",)))
    assert set(found.values()) == {None} and len(found) == 7


def test_the_scaling_law_of_replace_is_that_of_the_first_model_once_n_is_large() -> None:
    # W2² of g generations of n is about 1.5 g / n for n much above g: the exponent stays 1.
    options = {"generations": 4, "measurements": ("w2_sq",), "replicates": 4_000}
    large = scaling_change({n: run("replace", **options, n=n) for n in (200, 400, 800)})
    assert large.collapsed is not True and large.share == pytest.approx(1, abs=0.1)
    options["generations"] = 60
    small = scaling_change({n: run("replace", **options, n=n) for n in (10, 20, 40)})
    assert small.collapsed is True


def test_stages_go_from_early_to_late_when_replacing_and_stay_early_when_accumulating() -> None:
    found = stages(run("replace", n=50, generations=300)).stage
    order = [name for i, name in enumerate(found) if i == 0 or found[i - 1] != name]
    assert order == ["healthy", "early", "mid", "late"]
    assert set(stages(run("accumulate", n=50)).stage[1:]) == {"early"}
    assert set(stages(run("fresh-real", regime_settings={"real_frac": 1.0}, n=4_000)).stage) == {
        "healthy"
    }
