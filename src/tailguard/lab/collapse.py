"""What "model collapse" means: the eight definitions in use, side by side, on the same run.

Schaeffer, Kazdan, Arulandu & Koyejo (2025, arXiv:2503.03150) found eight that contradict each
other. Each is judged here for every replicate and then over replicates, with an interval; so a run
can be collapsed by one and sound by another, and the reader picks. The practical limits are named
constants: none of the definitions comes with numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.lab.simulate import Run, Setting, measurable, simulate
from tailguard.mix.registry import nearest
from tailguard.mix.samples import Floats

CATASTROPHE = 10.0
"""A risk this many times that of the first generation is a catastrophe."""
LEAST_VARIANCE = 0.1
"""Variance below this share of the true one has collapsed."""
TAIL_LOST = 0.5
"""Half of the true tail's mass."""
HALLUCINATED = 0.01
"""Mass where the truth has next to none."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a run collapsed by one definition.

    ``share``: replicates that did, in [0, 1], with its 95% Wilson interval ``lo`` – ``hi``; for
    diverging risk the exponent of growth instead. ``collapsed`` is True when the interval lies
    above a half (for the exponent: above -1), False when below, None when it covers it or when
    the run does not measure what the definition needs.
    """

    definition: str
    collapsed: bool | None
    share: float
    lo: float
    hi: float
    meaning: str


Values = Mapping[str, Floats]
"""Kept replicates of each measurement, shape (R, T+1)."""


def _catastrophic(values: Values, risk: str) -> Floats | None:
    """The population risk grew by an order of magnitude over that of the first model."""
    found = values.get(risk)
    return None if found is None else _decided(found[:, -1] > CATASTROPHE * found[:, 1], found)


def _any_increase(values: Values, risk: str) -> Floats | None:
    """The population risk is higher than that of the first model."""
    found = values.get(risk)
    return None if found is None else _decided(found[:, -1] > found[:, 1], found)


def _variance(values: Values, risk: str) -> Floats | None:
    """The variance of the model went towards zero."""
    found = values.get("var")
    if found is None:
        return None
    return _decided(found[:, -1] < LEAST_VARIANCE * found[:, 0], found)


def _modes(values: Values, risk: str) -> Floats | None:
    """True types, or modes, can no longer be written."""
    found = values.get("survival", values.get("recall"))
    if found is None:
        return None
    return _decided(found[:, -1] < np.minimum(found[:, 0], 1.0), found)


def _tails(values: Values, risk: str) -> Floats | None:
    """Half of the true tail's mass is gone."""
    found = values.get("tail_mass_lost")
    return None if found is None else _decided(found[:, -1] > TAIL_LOST, found)


def _hallucination(values: Values, risk: str) -> Floats | None:
    """The model writes what the truth never would."""
    found = values.get("hallucinated_mass")
    return None if found is None else _decided(found[:, -1] > HALLUCINATED, found)


DEFINITIONS: dict[str, Callable[[Values, str], Floats | None]] = {
    "catastrophic_risk": _catastrophic,
    "any_risk_increase": _any_increase,
    "collapsing_variance": _variance,
    "lost_modes": _modes,
    "lost_tails": _tails,
    "hallucinations": _hallucination,
}
"""Those that can be judged in each replicate; ``diverging_risk`` and ``scaling_law`` cannot."""


def collapse_profile(run: Run, *, risk: str = "w2_sq") -> tuple[Judgement, ...]:
    """Seven definitions on one run; the eighth, a changed scaling law, is `scaling_change`.

    ``risk`` names the measurement that stands for population risk. What a run does not measure is
    judged None. Heavy tails do not matter: replicates are counted, not averaged.

    >>> from tailguard.lab.simulate import Setting, simulate
    >>> wanted = ("w2_sq", "var")
    >>> run = simulate(Setting(n=10, generations=60, replicates=500, measurements=wanted))
    >>> {j.definition: j.collapsed for j in collapse_profile(run)}["collapsing_variance"]
    True
    """
    values = {name: trajectory.kept for name, trajectory in run.trajectories.items()}
    found = []
    for name, judge in DEFINITIONS.items():
        meaning = (judge.__doc__ or "").strip()
        verdicts = judge(values, risk)
        found.append(_counted(name, verdicts, meaning))
    found.insert(2, _diverging(values.get(risk)))
    return tuple(found)


RISKS = ("risk", "w2_sq", "w1")
"""What stands for population risk: the first of these that a family has."""
NEEDED = (
    "var", "survival", "recall", "tail_mass_lost", "hallucinated_mass", "heterozygosity", "absorbed"
)  # fmt: skip
"""What the definitions and the stages look at, where a family has it."""
ALL_DEFINITIONS = (
    "catastrophic_risk", "any_risk_increase", "diverging_risk", "collapsing_variance",
    "scaling_law", "lost_modes", "lost_tails", "hallucinations",
)  # fmt: skip
SIZES = (1, 2, 4)
"""Multiples of n between which the scaling law is fitted."""


def chosen_definitions(wanted: str) -> tuple[str, ...]:
    """Definitions by name, comma-separated, or ``all``. InputError names the nearest known one.

    >>> chosen_definitions("lost_tails, lost_modes")
    ('lost_tails', 'lost_modes')
    """
    names = tuple(name.strip() for name in wanted.split(","))
    if names == ("all",):
        return ALL_DEFINITIONS
    for name in names:
        if name not in ALL_DEFINITIONS:
            hint = nearest(name, ALL_DEFINITIONS)
            raise InputError("definitions", "known names", f"'{name}'", hint)
    return names


def judge(setting: Setting, *, scaling: bool = True) -> tuple[Run, tuple[Judgement, ...]]:
    """Run a setting with all that the definitions need, and judge it by all eight.

    ``scaling``: also run it with two and four times n, for the eighth definition. Raises
    InputError when no measurement of the family stands for risk.
    """
    risks = measurable(setting, RISKS)
    if not risks:
        raise InputError("collapse", "a family with " + ", ".join(RISKS), "none", "choose another")
    names = tuple(dict.fromkeys((risks[0], *measurable(setting, NEEDED))))
    run = simulate(replace(setting, measurements=names))
    found = collapse_profile(run, risk=risks[0])
    if not scaling:
        return run, found
    small = replace(setting, measurements=(risks[0],), replicates=min(setting.replicates, 2_000))
    runs = {m * setting.n: simulate(replace(small, n=m * setting.n)) for m in SIZES}
    return run, (*found[:4], scaling_change(runs, risk=risks[0]), *found[4:])


def scaling_change(runs: Mapping[int, Run], *, risk: str = "w2_sq") -> Judgement:
    """Does risk still fall with n as it does for the first model? Needs runs of several n.

    Exponents of risk ∝ n^-a are fitted to the medians of generation 1 and of the last; the share is
    their ratio a_T / a_1, its interval from the spread of replicates (delta method); collapsed when
    it lies below 1. Source: Dohmatob et al. 2024, arXiv:2402.07043.
    """
    sizes = sorted(runs)
    kept = [runs[n].trajectories[risk].kept for n in sizes]
    first, first_error = _exponent(sizes, [k[:, 1] for k in kept])
    last, last_error = _exponent(sizes, [k[:, -1] for k in kept])
    ratio = last / first
    reach = 1.96 * math.hypot(last_error, ratio * first_error) / abs(first)
    lo, hi = ratio - reach, ratio + reach
    collapsed = True if hi < 1 else False if lo > 1 else None
    meaning = "The exponent of risk in n, over that of the first model, is below 1."
    return Judgement("scaling_law", collapsed, ratio, lo, hi, meaning)


def _exponent(sizes: list[int], risks: list[Floats]) -> tuple[float, float]:
    """Least-squares slope of -log median risk on log n, and its standard error."""
    x = np.log(np.asarray(sizes, float))
    x -= x.mean()
    y = np.array([-np.log(np.median(r)) for r in risks])
    # The median of log risk has standard error 1.2533 sd / sqrt(R) when it is near normal.
    errors = np.array([1.2533 * np.log(r[r > 0]).std(ddof=1) / math.sqrt(len(r)) for r in risks])
    slope = float(x @ y / (x @ x))
    return slope, float(math.sqrt(((x * errors) ** 2).sum()) / (x @ x))


def _decided(verdicts: NDArray[np.bool_], values: Floats) -> Floats:
    """1 or 0 for each replicate whose first and last values are known."""
    known = ~np.isnan(values[:, [0, 1, -1]]).any(axis=1)
    return verdicts[known].astype(float)


def _counted(name: str, verdicts: Floats | None, meaning: str) -> Judgement:
    if verdicts is None or len(verdicts) == 0:
        return Judgement(name, None, math.nan, math.nan, math.nan, meaning + " (not measured)")
    share, n, z = float(verdicts.mean()), len(verdicts), 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    lo, hi = max(0.0, centre - reach), min(1.0, centre + reach)
    collapsed = True if lo > 0.5 else False if hi < 0.5 else None
    return Judgement(name, collapsed, share, lo, hi, meaning)


def _diverging(risk: Floats | None) -> Judgement:
    """Whether the mean risk grows without bound: its increments fall no faster than 1/t.

    Increments ∝ t^s add up to a finite sum exactly when s < -1. The exponent is fitted over the
    second half of the run from increments over windows that double, with a bootstrap interval.
    """
    meaning = "Increments of mean risk fall no faster than 1/t, so that they add up without bound."
    nothing = Judgement("diverging_risk", None, math.nan, math.nan, math.nan, meaning)
    if risk is None or risk.shape[1] < 17 or len(risk) < 30 or not np.isfinite(risk[:, 1:]).all():
        return nothing
    last = risk.shape[1] - 1
    ends = [last // 4, last // 2, last]
    # Two adjacent windows, the later twice as long: of increments t^s their ratio is 2^(s+1).
    early = risk[:, ends[1]] - risk[:, ends[0]]
    late = risk[:, ends[2]] - risk[:, ends[1]]
    draws = np.random.default_rng(0).integers(0, len(risk), (400, len(risk)))
    ratios = late[draws].mean(axis=1) / early[draws].mean(axis=1)
    if early.mean() <= 0 or late.mean() <= 0:
        return Judgement("diverging_risk", False, -math.inf, -math.inf, -math.inf, meaning)
    with np.errstate(invalid="ignore", divide="ignore"):
        exponents = np.log2(ratios) - 1
    if np.isnan(exponents).any():
        return nothing
    lo, hi = np.quantile(exponents, [0.025, 0.975]).tolist()
    middle = float(np.log2(late.mean() / early.mean()) - 1)
    collapsed = True if lo > -1 else False if hi < -1 else None
    return Judgement("diverging_risk", collapsed, middle, lo, hi, meaning)
