"""Inverse queries: the smallest real share, n or m with which a run meets a target.

From theory where an exact law gives the quantity, else by noisy bisection: candidates are
simulated with the same seed, each decided only when a test says on which side of the target it is,
and replicates are multiplied where none does. If the quantity improves with the parameter, the
interval holds the true threshold with the stated probability: every one of at most 128 decisions
may spend 1/128 of the error (union bound).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import special

from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.lab.bisection import Bisection
from tailguard.lab.measurements import chosen
from tailguard.lab.overlay import applicable, hall
from tailguard.lab.simulate import Setting, planned, simulate_here
from tailguard.lab.target import Target
from tailguard.lab.trajectory import KEPT, Trajectory
from tailguard.mix.registry import REGIMES, nearest
from tailguard.theory.base import Law, every_law

Status = Literal["found", "least suffices", "largest fails", "undecided"]
PARAMETERS = ("real_frac", "m", "width", "n")
DECISIONS = 128
MOST_N = {"statistics": 10**6, "samples": 20_000}
MOST_N_OF_THEORY = 10**9
ALL = 101  # candidates of which a law is asked for each one; among more it is bisected


@dataclass(frozen=True, slots=True)
class Answer:
    """The smallest ``parameter`` from which on the target is met, and how it was found.

    ``value`` is in [``lo``, ``hi``] with probability ``level`` (1 for theory). ``status``: "found";
    "least suffices" (so does the least candidate, ``value``); "largest fails" (``value`` is nan);
    "undecided" (even the most replicates do not tell). ``replicates`` is the most behind one
    decision, ``total`` all that were run.
    """

    target: Target
    parameter: str
    status: Status
    value: float
    lo: float
    hi: float
    level: float
    method: Literal["theory", "simulation"]
    statistic: Literal["mean", "median"]
    generation: int
    largest: float
    replicates: int = 0
    total: int = 0
    law: Law | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Values of a parameter, in order, by whole numbers from ``first`` to ``last``."""

    setting: Setting
    parameter: str
    first: int
    last: int

    def value(self, index: int) -> float:
        """The parameter of a candidate."""
        return index / self.setting.n if self.parameter == "real_frac" else float(index)

    def at(self, index: int) -> Setting:
        """The setting of a candidate."""
        if self.parameter == "n":
            return replace(self.setting, n=index)
        value = self.value(index) if self.parameter == "real_frac" else index
        settings = {**self.setting.regime_settings, self.parameter: value}
        return replace(self.setting, regime_settings=settings)


def solve(
    setting: Setting,
    target: Target,
    *,
    parameter: str | None = None,
    method: str = "auto",
    statistic: str = "auto",
    level: float = 0.95,
    width: float | None = None,
    largest: int | None = None,
    replicates: int = 1_000,
    most_replicates: int = 64_000,
) -> Answer:
    """The smallest parameter from which on ``target`` is met at the last generation.

    ``parameter``: real_frac, m, width or n; by default the first of them that the regime has.
    ``method`` "auto" asks an exact law for the mean, where there is one, else simulates. There
    ``statistic`` "auto" is the median of heavy-tailed measurements and the mean of others.
    ``width``: an interval as narrow as this is enough (default: 0.01 of a share, 5% of a number).
    ``largest``: the largest n looked at. Needs a quantity that improves with the parameter.

    Raises InputError for unknown names and values out of range.

    >>> from tailguard.lab.target import parse_target
    >>> answer = solve(Setting(generations=10), parse_target("var>90%"))
    >>> answer.parameter, answer.value, answer.method
    ('n', 96.0, 'theory')
    """
    _check(method, statistic, level, replicates, most_replicates)
    sheet = chosen([target.measurement])[0]
    setting = replace(setting, measurements=(target.measurement,), replicates=replicates)
    where = candidates(setting, parameter, largest)
    if method != "simulation" and statistic != "median":
        answer = from_theory(where, target, every_law())
        if answer is not None:
            return answer
        if method == "theory":
            what = f"an exact law of {target.measurement} in this setting"
            raise InputError("solve", what, "none", "leave --method out, to simulate")
    if where.parameter == "n":
        path = planned(where.at(where.first))[0]
        where = replace(where, last=MOST_N[path] if largest is None else largest)
    use = statistic if statistic != "auto" else ("median" if sheet.heavy_tailed else "mean")
    return from_simulation(
        where,
        target,
        median=use == "median",
        level=level,
        width=_width(where, width),
        replicates=replicates,
        most_replicates=most_replicates,
    )


def candidates(
    setting: Setting, parameter: str | None = None, largest: int | None = None
) -> Candidates:
    """What a parameter can be: shares of whole samples, points up to n, sizes from 2."""
    has = [p for p in PARAMETERS if p == "n" or p in REGIMES.sheet(setting.regime).settings]
    name = has[0] if parameter is None else parameter.replace("-", "_")
    if name not in has:
        what = f"a parameter of regime {setting.regime}"
        raise InputError("solve", what, f"'{name}'", nearest(name, has))
    if largest is not None and largest < 3:
        raise InputError("solve", "a largest n of at least 3", f"{largest}", "raise it")
    first, last = {
        "real_frac": (0, setting.n),
        "m": (0, setting.n),
        "width": (1, setting.generations + 1),
        "n": (2, largest or MOST_N_OF_THEORY),
    }[name]
    where = Candidates(setting, name, first, last)
    # Some regimes need a real sample, or a synthetic one.
    if name != "n" and not _runs(where.at(first)):
        where = replace(where, first=first + 1)
    if name != "n" and not _runs(where.at(last)):
        where = replace(where, last=last - 1)
    planned(replace(where.at(where.first), path=setting.path))
    return where


def _runs(setting: Setting) -> bool:
    try:
        planned(setting)
    except InputError:
        return False
    return True


def from_theory(where: Candidates, target: Target, laws: Iterable[Law]) -> Answer | None:
    """The answer of an exact law of the mean; None where no law holds for all candidates."""
    exact = [law for law in laws if law.kind == "exact" and law.quantity == target.measurement]
    used: list[Law] = []
    t = np.array([where.setting.generations])

    def met(index: int) -> bool | None:
        for law, value, _ in applicable(where.at(index), target.measurement, t, exact):
            used.append(law)
            return bool(target.met(value)[0])
        return None

    if met(where.first) is None or met(where.last) is None:
        return None
    grid = _grid(where)
    found = {index: met(index) for index in grid}
    if None in found.values():
        return None
    falls = any(found[a] and not found[b] for a, b in pairwise(grid))
    notes = ["not monotone: smaller values may do, all larger ones do"] if falls else []
    if chosen([target.measurement])[0].heavy_tailed:
        notes.append("few replicates carry this mean; for the typical one ask for the median")
    bad = [index for index in grid if not found[index]]
    low = bad[-1] if bad else where.first - 1
    high = next((index for index in grid if index > low), where.last + 1)
    while high - low > 1 and high <= where.last:
        middle = (low + high) // 2
        low, high = (low, middle) if met(middle) else (middle, high)
    value = where.value(high) if high <= where.last else math.nan
    status: Status = "found"
    if high > where.last or low < where.first:
        status = "largest fails" if high > where.last else "least suffices"
    return Answer(
        target=target,
        parameter=where.parameter,
        status=status,
        value=value,
        lo=value,
        hi=value,
        level=1.0,
        method="theory",
        statistic="mean",
        generation=where.setting.generations,
        largest=where.value(where.last),
        law=used[0],
        note="; ".join(notes),
    )


def _grid(where: Candidates) -> list[int]:
    """All candidates, or so many of them, denser at the start, that bisection does the rest."""
    span = where.last - where.first
    if span < ALL:
        return list(range(where.first, where.last + 1))
    steps = np.geomspace(1, span + 1, ALL).round().astype(np.int64) - 1
    return sorted({where.first + int(step) for step in steps} | {where.last})


def from_simulation(
    where: Candidates,
    target: Target,
    *,
    median: bool,
    level: float,
    width: float,
    replicates: int,
    most_replicates: int,
) -> Answer:
    """The answer of noisy bisection; ``width`` is of a share, or relative for other parameters."""
    most = min(most_replicates, KEPT) if median else most_replicates
    limit = (1 - level) / DECISIONS
    share = where.parameter == "real_frac"

    def narrow(low: int, high: int) -> bool:
        if high > where.last:
            return low == where.last
        apart = where.value(high) - where.value(low + 1)
        return apart <= width * (1.0 if share else where.value(high))

    with progress("decisions, at most", DECISIONS, in_bytes=False) as advance:

        def decide(index: int, size: int) -> tuple[bool | None, bool]:
            run = simulate_here(replace(where.at(index), replicates=size))
            advance(1)
            trajectory = run.trajectories[target.measurement]
            if median:
                return _of_median(trajectory, target, limit)
            return _of_mean(trajectory, target, size, limit)

        search = Bisection(decide, where.first, where.last, min(replicates, most), most, DECISIONS)
        turn = search.run(narrow, doubling=where.parameter == "n")
    fails = turn.low >= where.last
    status: Status = "largest fails" if fails else "undecided"
    if turn.high <= where.last:
        status = "least suffices" if turn.high == where.first else "found"
    return Answer(
        target=target,
        parameter=where.parameter,
        status=status,
        value=where.value(turn.best) if turn.best <= where.last else math.nan,
        lo=math.nan if fails else where.value(turn.low + 1),
        hi=where.value(turn.high) if turn.high <= where.last else math.nan if fails else math.inf,
        level=level,
        method="simulation",
        statistic="median" if median else "mean",
        generation=where.setting.generations,
        largest=where.value(where.last),
        replicates=turn.replicates,
        total=turn.total,
    )


def _of_median(run: Trajectory, target: Target, alpha: float) -> tuple[bool | None, bool]:
    """Sign test: does more than half of the distribution meet the target? And the majority."""
    met, n = int(target.met(run.kept[:, -1]).sum()), len(run.kept)
    for count, answer in ((met, True), (n - met, False)):
        if count and special.bdtrc(count - 1, n, 0.5) < alpha:  # so many or more
            return answer, answer
    return None, 2 * met > n


def _of_mean(
    run: Trajectory, target: Target, replicates: int, alpha: float
) -> tuple[bool | None, bool]:
    """Does the mean meet the target, by Hall's statistic? And the estimate."""
    mean, error = float(run.mean[-1]), float(run.error[-1])
    lean = bool(target.met(mean))
    if run.count[-1] < replicates:  # an infinite or undefined mean meets nothing
        return False, False
    if error == 0 or mean == target.value:
        return (lean if error == 0 else None), lean
    score = float(hall(np.array([(mean - target.value) / error]), run.skewness[-1:], replicates)[0])
    sure = abs(score) > -special.stdtrit(max(1, replicates - 1), alpha)
    return (lean if sure and (score > 0) == (mean > target.value) else None), lean


def _width(where: Candidates, width: float | None) -> float:
    if width is not None:
        if not width >= 0:
            raise InputError("solve", "a width of at least 0", f"{width:g}", "change it")
        return width
    return max(0.01, 1 / where.setting.n) if where.parameter == "real_frac" else 0.05


def _check(method: str, statistic: str, level: float, replicates: int, most: int) -> None:
    for ok, expected, got in (
        (method in ("auto", "theory", "simulation"), "method auto, theory or simulation", method),
        (statistic in ("auto", "mean", "median"), "statistic auto, mean or median", statistic),
        (0.5 <= level < 1, "a level in [0.5, 1)", f"{level:g}"),
        (replicates >= 100, "replicates at least 100", f"{replicates}"),
        (most >= replicates, f"most replicates at least {replicates}", f"{most}"),
    ):
        if not ok:
            raise InputError("solve", expected, f"{got!r}", "change it")
