"""The laboratory's results in plain words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tailguard.lab.measurements import Measurement, measurements
from tailguard.lab.phase import Edge, Phase
from tailguard.lab.solve import Answer
from tailguard.lab.store import StoredRun, Summary
from tailguard.lab.target import Target
from tailguard.report.lab.study import Case, Study
from tailguard.report.words import number

ROUNDING = 1e-12
NAMES = {
    "real_frac": "real share",
    "m": "number of real points",
    "n": "number of samples",
    "width": "window",
}


def named(key: str) -> str:
    """A swept key in words.

    >>> named("regime.real_frac"), named("sampling_bias")
    ('real share', 'sampling_bias')
    """
    name = key.rpartition(".")[2]
    return NAMES.get(name, name)


def value_words(value: Any) -> str:
    """A setting's value as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, tuple):
        return ", ".join(value_words(part) for part in value)
    return number(value) if isinstance(value, int | float) else str(value)


def sheet_of(name: str) -> Measurement | None:
    """The sheet of a measurement; None for one that is no longer known."""
    return measurements().get(name)


def noun(name: str) -> str:
    """A measurement as a noun: its meaning up to the first stop.

    >>> noun("var")
    'variance of the model'
    """
    sheet = sheet_of(name)
    text = sheet.meaning if sheet else name
    for stop in (";", ",", ".", ":"):
        text = text.split(stop)[0]
    head, _, _ = text.partition(" ")
    return text if head.isupper() else text[:1].lower() + text[1:]


def statistic_of(name: str) -> str:
    """The statistic over replicates to report: the median where a few replicates carry the mean."""
    sheet = sheet_of(name)
    return "median" if sheet is None or sheet.heavy_tailed else "mean"


def centre(name: str, summary: Summary) -> Any:
    """That statistic at every generation."""
    return summary.median if statistic_of(name) == "median" else summary.mean


def ends(name: str, run: StoredRun) -> tuple[float, float]:
    """That statistic of the truth and of the last generation."""
    values = centre(name, run.summaries[name])
    return at_start(values), float(values[-1])


def at_start(values: Any) -> float:
    """The value of the truth, rounding errors taken for 0.

    >>> at_start(np.array([1e-15, 0.3])), at_start(np.array([1.0, 0.3]))
    (0.0, 1.0)
    """
    first = float(values[0])
    return 0.0 if abs(first) < ROUNDING else first


def course(name: str, run: StoredRun) -> str:
    """What became of a measurement, as a clause."""
    start, end = ends(name, run)
    if not (math.isfinite(start) and math.isfinite(end)):
        verb = f"goes from {number(start)} to {number(end)}"
    elif abs(end - start) <= 0.005 * max(abs(start), abs(end)):
        verb = f"stays at {number(_short(end))}"
    else:
        way = "falls" if end < start else "rises"
        verb = f"{way} from {number(_short(start))} to {number(_short(end))}"
    return f"the {noun(name)} {verb}"


def stated(name: str, run: StoredRun) -> str:
    """`course`, saying so where it is that of the median."""
    return course(name, run) + (" (median)" if statistic_of(name) == "median" else "")


def _short(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")


def sentence(text: str) -> str:
    """The text with a capital at its head and a stop at its end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def headline(study: Study) -> str:
    """The page in one sentence."""
    if study.phases and study.phases[0].target is not None:
        phase, target = study.phases[0], study.phases[0].target
        return _of_phase(phase, target) if phase.edges else _of_cells(phase, target)
    first = study.cases[0]
    name = first.run.setting.measurements[0]
    if len(study.cases) == 1:
        setting = first.run.setting
        long = f"in {number(setting.generations)} generations of {setting.regime}"
        return sentence(f"{long} {stated(name, first.run)}")
    return _of_runs(name, study.cases)


def _of_runs(name: str, cases: tuple[Case, ...]) -> str:
    sheet = sheet_of(name)
    found = [(ends(name, case.run)[1], case.label) for case in cases if name in case.run.summaries]
    found = [pair for pair in found if not math.isnan(pair[0])]
    if not found:
        return f"{len(cases)} runs."
    (low, least), (high, most) = min(found), max(found)
    what = f"at the last generation the {noun(name)} is"
    spread = f"{number(_short(low))} with {least} and {number(_short(high))} with {most}"
    if sheet is not None and sheet.worse == "lower":
        spread = f"{number(_short(high))} with {most} and {number(_short(low))} with {least}"
    return sentence(f"{what} {spread}{' (median)' * (statistic_of(name) == 'median')}")


def _of_phase(phase: Phase, target: Target) -> str:
    what = f"{noun(target.measurement)} {'below' if target.side == '<' else 'above'}"
    goal = f"the {what} {number(target.value)}"
    rows = [(v, _least(phase, i)) for i, v in enumerate(phase.y.values if phase.y else ("",))]
    known = [value for _, value in rows if math.isfinite(value)]
    none = [value_words(row) for row, value in rows if math.isnan(value)]
    if not known:
        return sentence(f"no {named(phase.x.key)} that was tried keeps {goal}")
    low, high = number(_short(min(known), 2)), number(_short(max(known), 2))
    span = low if low == high else f"{low} to {high}"
    by = f", depending on the {named(phase.y.key)}," if phase.y and low != high else ""
    text = f"a {named(phase.x.key)} of {span}{by} keeps {goal}"
    if none and phase.y:
        text += f"; with a {named(phase.y.key)} of {', '.join(none)} none that was tried does"
    return sentence(text)


def _of_cells(phase: Phase, target: Target) -> str:
    known = np.isfinite(phase.values)
    met = int(target.met(phase.values[known]).sum())
    side = "below" if target.side == "<" else "above"
    what = f"the {noun(target.measurement)} is {side} {number(target.value)}"
    return sentence(f"{what} in {met} of {int(known.sum())} cells")


def _least(phase: Phase, row: int) -> float:
    """The least safe value of a row: theory's where it is exact, else the simulated one."""
    answer = phase.theory[row]
    return phase.edges[row].value if answer is None else answer.value


def edge_words(edge: Edge) -> str:
    """Where a row becomes safe, in words."""
    if math.isnan(edge.value):
        return "not in the swept range"
    if math.isinf(edge.lo):
        return f"{number(edge.hi)} already, the least that was tried"
    between = f"{number(edge.lo)} and {number(edge.hi)}"
    return f"about {number(_short(edge.value))} (between {between})"


def answer_words(answer: Answer | None) -> str:
    """What theory says of the same, in words."""
    if answer is None:
        return "–"
    if answer.status == "largest fails":
        return f"none up to {number(answer.largest)}"
    if answer.status == "least suffices":
        return f"{number(answer.value)} already"
    return number(answer.value)


def theory_words(study: Study) -> tuple[str, str, str]:
    """Kind of badge, its text, and a sentence on the agreement with theory."""
    if not study.laws:
        return (
            "inconclusive",
            "No theory applies",
            ("No closed form of the literature that Tailguard knows speaks of these settings."),
        )
    single = len(study.cases) == 1
    found = [overlay for case in study.cases for overlay in case.overlays]
    count = f"{len(found)} comparison{'s' * (len(found) != 1)} with theory"
    if study.flagged:
        off = sum(overlay.flagged for overlay in found)
        text = (
            f"{off} of {count} failed. Look there first: the code or the theory is wrong, or the "
            "theory does not speak of this setting."
        )
        return "fail", "Leaves theory", text
    if not any(overlay.checked.size for overlay in found):
        text = f"Theory is drawn, but not compared: {found[0].how}."
        return "inconclusive", "Theory not compared", text
    if single:
        text = "The closed form that speaks of this setting agrees."
        if len(found) > 1:
            text = f"All {len(found)} closed forms that speak of this setting agree."
    else:
        text = f"{count}, and the runs keep to it in all."
    return "pass", "Agrees with theory", text


def flags_words(outside: Any) -> str:
    """Generations that left a law, shortened.

    >>> flags_words(np.array([1, 2, 3, 7]))
    '1 to 3, 7'
    """
    runs = np.split(outside, np.flatnonzero(np.diff(outside) > 1) + 1)
    parts = [f"{r[0]} to {r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs if len(r)]
    return ", ".join(parts[:6]) + (" …" if len(parts) > 6 else "")
