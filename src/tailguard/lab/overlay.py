"""Theory beside a run: the laws that speak of it, and whether the run keeps to them.

A law of the expectation is compared with the Monte-Carlo mean, generation by generation, where
that mean can be trusted; a law with a band also with quantiles, which heavy tails do not disturb.
All comparisons of one law together flag a true law with probability ``ALPHA``.

Sources: Hall (1992), J. R. Stat. Soc. B 54:221 (mean of skewed data); David & Nagaraja (2003),
*Order Statistics*, section 2.1 (distribution of a sample quantile).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.settings import canonical
from tailguard.lab.simulate import Setting, built, true_model
from tailguard.lab.store import QUANTILES, StoredRun, Summary
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Floats, Ints
from tailguard.theory.base import Law, every_law

ALPHA = 0.01
# Largest |skewness|/√R at which the mean of R replicates is trusted. Above it the next terms of
# the expansion that Hall's correction ends at are no longer small.
MOST_SKEWED = 0.1
LEAST_REPLICATES = 30
# Quantiles of a law cost time, so only so many generations are compared.
MOST_GENERATIONS = 12
COMPARED = (0.05, 0.5, 0.95)
DRAWN_LEVEL = 0.9
# Laws and means agree to this relative precision where replicates do not differ.
ROUNDING = 1e-6
# Parameters by which a law knows of the truth.
STARTS = {"var0", "h0", "p", "p0", "count", "d", "norm"}
TRUTH = "truth"
# Settings of families that say what the truth is, and nothing of how they are fitted.
SHAPES = {"k", "probabilities", "types", "exponent"}


@dataclass(frozen=True, slots=True)
class Overlay:
    """A law beside one measurement of a run.

    ``value``, shape (T+1,): the law with the ``settings`` of the run. ``checked``: generations
    compared; ``outside``: those that left the law. ``how`` says what was compared, in words.
    """

    law: Law
    settings: Mapping[str, Any]
    value: Floats
    checked: Ints
    outside: Ints
    how: str
    alpha: float

    @property
    def flagged(self) -> bool:
        """Whether the run contradicts the law."""
        return bool(self.outside.size)

    def band(self, t: Ints, level: float = DRAWN_LEVEL) -> tuple[Floats, Floats] | None:
        """The interval that one replicate leaves with probability 1 - ``level``, if it is known."""
        if self.law.band is None:
            return None
        return self.law.band(t=t, level=level, **self.settings)


def overlays(
    run: StoredRun, *, laws: Iterable[Law] | None = None, alpha: float = ALPHA
) -> list[Overlay]:
    """Every law that speaks of a measurement of this run, compared with it.

    ``laws`` default to all of `tailguard.theory`. ``alpha``: chance of flagging one that is true.

    >>> from tailguard.lab.simulate import simulate
    >>> from tailguard.lab.store import summarised
    >>> setting = Setting(n=20, generations=5, replicates=2_000, measurements=("var",))
    >>> [(o.law.name, o.flagged) for o in overlays(summarised(simulate(setting, engine="serial")))]
    [('replace: variance', False)]
    """
    known = list(every_law()) if laws is None else list(laws)
    t = np.arange(run.setting.generations + 1)
    found: list[Overlay] = []
    for name, summary in run.summaries.items():
        for law, value, held in applicable(run.setting, name, t, known):
            if any(_same(value, o.value) and o.law.kind == law.kind for o in found):
                continue  # the same law, stated twice
            found.append(_compared(law, value, held, summary, run, alpha))
    return found


def applicable(
    setting: Setting, quantity: str, t: Ints, laws: Iterable[Law]
) -> Iterator[tuple[Law, Floats, dict[str, Any]]]:
    """Laws of ``quantity`` that hold for a setting, their values over ``t``, and their settings.

    A law holds if it names family and regime, gets all that it requires, and takes every setting
    that is not at its default (one that does not know of a setting says nothing about it).
    """
    try:
        setting = canonical(setting)
    except InputError:  # a family or regime of someone else's, which no law names
        return
    if setting.truth is not None:  # laws take a family to be fitted to a truth of its own
        return
    given, changed = _parameters(setting)
    for law in laws:
        if law.quantity != quantity or not law.applies(setting.family, setting.regime):
            continue
        takes = set(inspect.signature(law.fn).parameters) - {"t"}
        spoken = takes | ({TRUTH} if takes & (STARTS | SHAPES) else set())
        if not changed <= spoken or not set(law.required) <= given.keys():
            continue
        held = {name: value for name, value in given.items() if name in takes}
        try:
            value = np.broadcast_to(np.asarray(law.fn(t=t, **held), np.float64), t.shape)
        except (InputError, TypeError):  # outside the law's domain
            continue
        yield law, value, held


def _parameters(setting: Setting) -> tuple[dict[str, Any], set[str]]:
    """What laws may ask for, and which settings are not at their default."""
    family, regime = FAMILIES.sheet(setting.family), REGIMES.sheet(setting.regime)
    made, _ = built(setting)
    given: dict[str, Any] = {"n": setting.n}
    changed: set[str] = set()
    for values, defaults in (
        (setting.family_settings, family.settings),
        (setting.regime_settings, regime.settings),
    ):
        for name, value in values.items():
            given[name] = value
            if value != defaults.get(name):
                changed.add(TRUTH if name in SHAPES else name)
    # Where the truth lies does not change how far models move from it.
    place = {k: v for k, v in setting.truth_settings.items() if k == "mean"}
    usual = canonical(replace(setting, truth_settings=place))
    if setting.truth_settings != usual.truth_settings:
        changed.add(TRUTH)
    return given | _starts(true_model(setting, made, 1)), changed


def _starts(truth: Any) -> dict[str, Any]:
    """What laws want to know of the true distribution."""
    found: dict[str, Any] = {}
    spread = np.asarray(getattr(truth, "var", np.nan))
    if spread.ndim == 1:
        found["var0"] = float(spread[0])
    if hasattr(truth, "probabilities"):
        p = np.asarray(truth.probabilities)[0]
        found |= {"p": p, "h0": float(1 - (p**2).sum()), "k": len(p)}
    if hasattr(truth, "coef"):
        coef = np.asarray(truth.coef)[0]
        found |= {"d": len(coef), "norm": float(np.linalg.norm(coef))}
    return found


def _same(one: Floats, other: Floats) -> bool:
    return bool(np.allclose(one, other, rtol=1e-6, atol=1e-12, equal_nan=True))


def _compared(
    law: Law, value: Floats, held: Mapping[str, Any], summary: Summary, run: StoredRun, alpha: float
) -> Overlay:
    nothing = np.empty(0, np.int64)
    side = _side(law)
    if law.kind == "asymptotic" or side is None:
        how = f"drawn only: {law.note or law.kind}"
        return Overlay(law, held, value, nothing, nothing, how, alpha)
    part = alpha / 2 if law.band is not None else alpha
    checked, outside = _of_means(summary, value, run.setting.replicates, side, part)
    how = _extent("mean", checked, value.size)
    if law.band is not None:
        at, off = _of_quantiles(law, held, summary, run.kept, alpha / 2)
        checked, outside = np.union1d(checked, at), np.union1d(outside, off)
        how += f"; 5%, 50% and 95% quantiles at {at.size} generations"
    if side:
        how += f", bound {'from above' if side > 0 else 'from below'}"
    return Overlay(law, held, value, checked, outside, how, alpha)


def _side(law: Law) -> int | None:
    """0 for an exact law, 1 for a bound from above, -1 from below, None where it is not said."""
    if law.kind == "exact":
        return 0
    words = law.note.lower()
    above, below = ("above" in words or "upper" in words), ("below" in words or "lower" in words)
    return None if above == below else (1 if above else -1)


def _extent(what: str, checked: Ints, size: int) -> str:
    if checked.size == size:
        return f"{what} at every generation"
    if not checked.size:
        return f"{what} nowhere: too few replicates carry it"
    return f"{what} at {checked.size} of {size} generations; too few replicates carry the rest"


def trusted(summary: Summary, replicates: int) -> Any:
    """Generations, as a mask (T+1,), at which the mean over replicates can be trusted.

    All replicates are finite, there are at least 30, and |skewness|/√R is at most 0.1; or they do
    not differ at all.
    """
    full = summary.count == replicates
    with np.errstate(invalid="ignore"):
        even = np.abs(summary.skewness) <= MOST_SKEWED * np.sqrt(replicates)
    return full & ((even & (replicates >= LEAST_REPLICATES)) | (summary.se == 0))


def _of_means(
    summary: Summary, value: Floats, replicates: int, side: int, alpha: float
) -> tuple[Ints, Ints]:
    """Generations whose mean was compared with the law, and those where it left it."""
    able = trusted(summary, replicates) & np.isfinite(value)
    scale = np.abs(value[np.isfinite(value)]).max(initial=0.0)
    gap = summary.mean - value
    exact = np.abs(gap) <= ROUNDING * np.maximum(np.abs(value), 1e-9 * scale)
    still = (summary.se == 0) | ~np.isfinite(summary.se)
    # Replicates that do not differ say nothing about chance, but at generation 0 none is left.
    able &= ~still | exact | (np.arange(value.size) == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = hall(gap / summary.se, summary.skewness, replicates)
    score = np.where(still, np.copysign(np.inf, gap), score)
    sides = 1 if side else 2
    each = alpha / (sides * max(1, int(able.sum())))
    limit = -special.stdtrit(max(1, replicates - 1), each)  # of Student's t
    off = (score * side > limit) if side else np.abs(score) > limit
    return np.flatnonzero(able), np.flatnonzero(able & ~exact & off)


def hall(t: Floats, skewness: Floats, replicates: int) -> Floats:
    """Hall's transform of a t statistic of skewed data, about N(0, 1).

    t + a·t²/3 + a²·t³/27 + a/6 with a = skewness/√R; its error is of order 1/R, not 1/√R. Monotone
    in t. Source: Hall (1992), J. R. Stat. Soc. B 54:221.

    >>> hall(np.array([3.0]), np.array([2.0]), 400).round(3).tolist()
    [3.327]
    """
    a = skewness / np.sqrt(replicates)
    return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6


def _of_quantiles(
    law: Law, held: Mapping[str, Any], summary: Summary, kept: int, alpha: float
) -> tuple[Ints, Ints]:
    """Generations whose quantiles were compared with the law's, and those where one left them.

    The k-th of R sorted values has F(x) ~ Beta(k, R + 1 - k), whatever F is.
    """
    assert law.band is not None
    last = summary.mean.size - 1
    at = np.unique(np.linspace(1, last, min(last, MOST_GENERATIONS)).round().astype(np.int64))
    each = alpha / (2 * len(COMPARED) * at.size)
    off = np.zeros(at.size, bool)
    for q in COMPARED:
        seen = summary.quantiles[QUANTILES.index(q)][at]
        k = int(np.ceil(kept * q))
        shape = k, kept + 1 - k
        reach = special.betaincinv(*shape, each), special.betainccinv(*shape, each)
        low, high = (_quantile(law, held, at, float(p)) for p in reach)
        room = ROUNDING * np.maximum(np.abs(low), np.abs(high))
        with np.errstate(invalid="ignore"):
            off |= (seen < low - room) | (seen > high + room)
    return at, at[off]


def _quantile(law: Law, held: Mapping[str, Any], t: Ints, p: float) -> Floats:
    """The law's p-quantile of one replicate, from its central intervals."""
    assert law.band is not None
    lo, hi = law.band(t=t, level=abs(1 - 2 * p), **held)
    return np.asarray(lo if p < 0.5 else hi)
