"""A study as one self-contained HTML page: no script, no request, light, dark and print."""

from __future__ import annotations

import shlex
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tailguard.corpus.atomic import replacing
from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.overlay import ALPHA, LEAST_REPLICATES, MOST_SKEWED, Overlay
from tailguard.lab.simulate import Setting
from tailguard.mix.registry import REGIMES, Registry
from tailguard.report import words
from tailguard.report.lab import wording
from tailguard.report.lab.figures import MAX_BANDS, MAX_LINES, Figure, comparison, trajectory
from tailguard.report.lab.phase_figures import edge_rows, phase_figure
from tailguard.report.lab.study import Case, Study, flattened

MOST_FIGURES = 12
MOST_CELLS = 300  # rows of the table of runs
MOST_FLAGS = 20  # runs named beside a law that they left


def to_html(study: Study) -> str:
    """The study as one HTML page. The same study always gives the same text."""
    badge, badge_words, agreement = wording.theory_words(study)
    keys, same = _settings(study)
    return _template().render(
        study=study,
        badge=badge,
        badge_words=badge_words,
        agreement=agreement,
        headline=wording.headline(study),
        courses=_courses(study),
        phases=[(phase_figure(p, i), p, edge_rows(p)) for i, p in enumerate(study.phases)],
        figures=_figures(study),
        laws=_laws(study),
        cells=_cells(study),
        same=same,
        keys=keys,
        sources=_sources(study),
        command=_command(study.cases[0].run.setting) if len(study.cases) == 1 else "",
    )


def check_page_path(path: str | Path) -> None:
    """Raise InputError unless ``path`` ends in .html.

    >>> check_page_path("runs.html")
    """
    suffix = Path(path).suffix
    if suffix.lower() not in (".html", ".htm"):
        got = f"'{suffix}'" if suffix else "no ending"
        raise InputError(str(path), "a page ending in .html", got, "name it so")


def write_page(study: Study, path: str | Path) -> None:
    """Write the page under a temporary name and rename it. InputError where it cannot be."""
    check_page_path(path)
    data = to_html(study).encode("utf-8", "backslashreplace")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except ValueError as error:  # a NUL in the path
        raise InputError(
            repr(str(path)), "the path of a file", str(error), "choose another"
        ) from None


def _figures(study: Study) -> list[Figure]:
    first = study.cases[0].run
    names = [name for name in first.setting.measurements if _drawable(first.summaries[name])]
    if len(study.cases) == 1:
        return [trajectory(study.cases[0], m, i) for i, m in enumerate(names[:MOST_FIGURES])]
    shown, about = _examples(study)
    return [
        comparison([case for case in shown if name in case.run.summaries], name, i, about)
        for i, name in enumerate(names[:MOST_FIGURES])
    ]


def _drawable(summary: Any) -> bool:
    return bool((abs(summary.median) < 1e300).any())


def _examples(study: Study) -> tuple[list[Case], str]:
    """Runs to draw together: all, or along one axis of a sweep in the middle of the others."""
    cases = list(study.cases)
    if len(cases) <= MAX_LINES:
        return cases, ""
    if not study.phases:
        return cases[:MAX_LINES], f"the first {MAX_LINES} of {len(cases)} runs"
    phase = study.phases[0]
    fixed = dict(phase.held)
    if phase.y is not None:
        fixed[phase.y.key] = phase.y.values[len(phase.y.values) // 2]
    asked = [f"{key} = {value}" for key, value in fixed.items()]
    along = [case for case in cases if all(part in case.label.split(", ") for part in asked)]
    step = -(-len(along) // MAX_BANDS)
    return (along[::step] or cases[:MAX_LINES]), " and ".join(asked)


def _courses(study: Study) -> list[str]:
    """What became of each measurement, for a single run."""
    if len(study.cases) > 1:
        return []
    run = study.cases[0].run
    return [wording.sentence(wording.stated(name, run)) for name in run.setting.measurements[1:6]]


def _laws(study: Study) -> list[dict[str, Any]]:
    """One row a law: how often it was compared, and how; then where it was left."""
    found: dict[str, list[tuple[Case, Overlay]]] = {}
    for case in study.cases:
        for overlay in case.overlays:
            found.setdefault(overlay.law.name, []).append((case, overlay))
    return [_law(pairs) for pairs in found.values()]


def _law(pairs: list[tuple[Case, Overlay]]) -> dict[str, Any]:
    law = pairs[0][1].law
    compared = [overlay for _, overlay in pairs if overlay.checked.size]
    how = pairs[0][1].how
    if len(pairs) > 1:
        checks = sum(overlay.checked.size for overlay in compared)
        how = f"{len(compared)} of {len(pairs)} runs, {checks:,} generations in all"
    off = [
        (case.label, wording.flags_words(overlay.outside))
        for case, overlay in pairs
        if overlay.flagged
    ]
    return {
        "law": law.name,
        "kind": law.kind,
        "cite": law.cite,
        "how": how,
        "compared": bool(compared),
        "off": off[:MOST_FLAGS],
        "count": len(off),
    }


def _cells(study: Study) -> dict[str, Any]:
    """The table of runs: what tells them apart, and where each measurement ended."""
    names = list(study.cases[0].run.setting.measurements)
    head = [f"{name}, {wording.statistic_of(name)}" for name in names]
    rows = [
        (
            case.label,
            [
                words.number(wording.ends(name, case.run)[1]) if name in case.run.summaries else "–"
                for name in names
            ],
            "leaves theory" if case.flagged else "",
        )
        for case in study.cases[:MOST_CELLS]
    ]
    return {"head": head, "rows": rows, "hidden": max(0, len(study.cases) - MOST_CELLS)}


def _settings(study: Study) -> tuple[list[str], list[tuple[str, str]]]:
    """Keys that differ between runs, and the settings that all runs share."""
    flat = [flattened(case.run.setting) for case in study.cases]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    differ = [k for k in keys if any(one.get(k) != flat[0].get(k) for one in flat)]
    same = [(k, wording.value_words(flat[0][k])) for k in keys if k not in differ]
    if len({case.run.path for case in study.cases}) == 1:
        same = [(k, study.cases[0].run.path if k == "path" else v) for k, v in same]
    return differ, same


def _sources(study: Study) -> list[str]:
    found = [overlay.law.cite for case in study.cases for overlay in case.overlays]
    registries: tuple[tuple[Registry[Any], str], ...] = ((FAMILIES, "family"), (REGIMES, "regime"))
    for registry, kind in registries:
        known = {sheet.name: sheet.cite for sheet in registry}
        found += [known.get(getattr(case.run.setting, kind), "") for case in study.cases]
    for name in study.cases[0].run.setting.measurements:
        sheet = wording.sheet_of(name)
        found.append(sheet.cite if sheet else "")
    parts = [part.strip() for text in found for part in text.split(";")]
    return sorted({part for part in parts if part})


def _command(setting: Setting) -> str:
    """The command that makes the run again."""
    plain = {f.name: f.default for f in fields(Setting)}
    said = ["tailguard", "lab", "run", "--family", setting.family, "--regime", setting.regime]
    if setting.truth:
        said += ["--truth", setting.truth]
    for name in ("n", "generations", "replicates"):
        said += [f"--{name}", str(getattr(setting, name))]
    for name in ("seed", "path"):
        if getattr(setting, name) != plain[name]:
            said += [f"--{name}", str(getattr(setting, name))]
    said += ["--measurements", ",".join(setting.measurements)]
    for option, held in (
        ("--set", setting.regime_settings),
        ("--family-set", setting.family_settings),
        ("--truth-set", setting.truth_settings),
    ):
        for key, value in held.items():
            if value is not None:
                said += [option, f"{key}={_typed(value)}"]
    return shlex.join(said)


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ",".join(_typed(part) for part in value) + "]"
    return str(value)


def _finalize(value: Any) -> Any:
    """Whatever the template prints, fit for HTML; markup of our own passes untouched."""
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("tailguard.report.lab"), jinja2.PackageLoader("tailguard.report")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number, percent=words.percent, cut=words.cut, drawing=Markup
    )
    environment.globals.update(
        alpha=ALPHA,
        least_replicates=LEAST_REPLICATES,
        most_skewed=MOST_SKEWED,
        named=wording.named,
        noun=wording.noun,
        sheet_of=wording.sheet_of,
        statistic_of=wording.statistic_of,
    )
    return environment.get_template("lab.html.j2")
