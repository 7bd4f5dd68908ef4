"""What a page is about: one run, several, or a sweep, each beside its theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.lab.overlay import ALPHA, Overlay, overlays
from tailguard.lab.phase import Phase, phases
from tailguard.lab.settings import RunError
from tailguard.lab.simulate import Setting
from tailguard.lab.store import StoredRun, load_run
from tailguard.lab.sweep import StoredSweep, is_sweep, load_sweep
from tailguard.lab.sweep_file import Sweep
from tailguard.lab.target import Target, parse_target

MOST_RUNS = 20_000  # on one page


@dataclass(frozen=True, slots=True)
class Case:
    """A run with the label that tells it from the others, and the laws that speak of it."""

    label: str
    run: StoredRun
    overlays: tuple[Overlay, ...]

    @property
    def flagged(self) -> bool:
        """Whether the run contradicts a law."""
        return any(overlay.flagged for overlay in self.overlays)


@dataclass(frozen=True, slots=True)
class Study:
    """All that a page shows. ``sweep`` and ``phases`` are there for a sweep only."""

    name: str
    cases: tuple[Case, ...]
    target: Target | None = None
    sweep: Sweep | None = None
    phases: tuple[Phase, ...] = ()
    missing: int = 0

    @property
    def laws(self) -> int:
        """Comparisons with a law."""
        return sum(len(case.overlays) for case in self.cases)

    @property
    def flagged(self) -> tuple[Case, ...]:
        """Runs that contradict a law."""
        return tuple(case for case in self.cases if case.flagged)


def open_study(folders: Sequence[str | Path], *, target: str = "") -> Study:
    """The runs in these folders, or the sweep in the only one, compared with theory.

    ``target`` (default: the sweep's own) is drawn into phase diagrams. Raises RunError for folders
    that hold neither, InputError for no folder or a sweep among several.
    """
    if not folders:
        raise InputError("lab report", "the folder of a run or a sweep", "none", "name one")
    if len(folders) == 1 and is_sweep(folders[0]):
        return study_of_sweep(Path(folders[0]).resolve().name, load_sweep(folders[0]), target)
    runs = []
    for folder in folders:
        if is_sweep(folder):
            raise InputError(
                str(folder), "a run, where there are several", "a sweep", "report on it alone"
            )
        runs.append(load_run(folder))
    names = [Path(folder).resolve().name for folder in folders]
    return study_of_runs(", ".join(names), runs, target)


def study_of_runs(name: str, runs: Sequence[StoredRun], target: str = "") -> Study:
    """A study of runs that were not one sweep."""
    labels = labelled([run.setting for run in runs])
    return Study(name, _cases(labels, runs), parse_target(target) if target else None)


def study_of_sweep(name: str, stored: StoredSweep, target: str = "") -> Study:
    """A study of a sweep: its finished cells, and a diagram where two axes vary."""
    wanted = target or stored.sweep.target
    aim = parse_target(wanted) if wanted else None
    if aim is not None and aim.measurement not in stored.sweep.base.measurements:
        known = ", ".join(stored.sweep.base.measurements)
        raise InputError("target", f"a measurement of the sweep ({known})", aim.measurement,
                         "choose one of them")  # fmt: skip
    wide = [(i, key) for i, (key, values) in enumerate(stored.sweep.axes) if len(values) > 1]
    labels, runs = [], []
    for point, run in zip(stored.sweep.points(), stored.runs, strict=True):
        if run is not None:
            labels.append(", ".join(f"{key} = {point[i]}" for i, key in wide))
            runs.append(run)
    if not runs:
        raise RunError(name, "a sweep with finished cells", "none", "run the sweep again")
    return Study(
        name,
        _cases(labels, runs),
        aim,
        stored.sweep,
        tuple(phases(stored, aim)),
        len(stored.runs) - len(runs),
    )


def _cases(labels: Sequence[str], runs: Sequence[StoredRun]) -> tuple[Case, ...]:
    if len(runs) > MOST_RUNS:
        raise InputError("lab report", f"at most {MOST_RUNS:,} runs", f"{len(runs):,}",
                         "report on fewer")  # fmt: skip
    # A true law may be flagged anywhere on the page with the same small chance.
    comparisons = sum(len(run.summaries) for run in runs)
    cases = []
    with progress("comparing with theory", len(runs), in_bytes=False) as advance:
        for label, run in zip(labels, runs, strict=True):
            found = overlays(run, alpha=ALPHA / max(1, comparisons))
            cases.append(Case(label, run, tuple(found)))
            advance(1)
    return tuple(cases)


def labelled(settings: Sequence[Setting]) -> list[str]:
    """What tells settings apart: the values that are not the same in all of them.

    >>> labelled([Setting(n=10), Setting(n=20)])
    ['n = 10', 'n = 20']
    """
    flat = [flattened(setting) for setting in settings]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    telling = [k for k in keys if any(one.get(k) != flat[0].get(k) for one in flat)]
    labels = [
        ", ".join(f"{key.rpartition('.')[2]} = {_shown(one[key])}" for key in telling if key in one)
        for one in flat
    ]
    if len(set(labels)) < len(labels) or not telling:
        labels = [f"{i}: {label}".rstrip(": ") for i, label in enumerate(labels, start=1)]
    return labels


def flattened(setting: Setting) -> dict[str, Any]:
    """All settings by name; those of family, regime and truth as in ``regime.real_frac``."""
    flat: dict[str, Any] = {}
    for field in fields(Setting):
        value = getattr(setting, field.name)
        if field.name.endswith("_settings"):
            part = field.name.removesuffix("_settings")
            flat |= {f"{part}.{name}": v for name, v in value.items()}
        else:
            flat[field.name] = value
    return flat


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
