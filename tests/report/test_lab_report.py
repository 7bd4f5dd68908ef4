"""The laboratory's page: true, self-contained, drawn within its frame, and safe with any name."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailguard.errors import InputError
from tailguard.lab.overlay import overlays
from tailguard.lab.settings import RunError
from tailguard.lab.simulate import Setting, simulate
from tailguard.lab.store import StoredRun, Summary, save_run, summarised
from tailguard.lab.sweep import StoredSweep, run_cell, run_sweep
from tailguard.lab.sweep_file import Sweep
from tailguard.report.lab.figures import comparison, trajectory
from tailguard.report.lab.page import to_html, write_page
from tailguard.report.lab.phase_figures import edge_rows, phase_figure
from tailguard.report.lab.study import (
    Case,
    Study,
    labelled,
    open_study,
    study_of_runs,
    study_of_sweep,
)
from tailguard.report.lab.wording import course, flags_words, headline, theory_words
from tailguard.theory.base import Law

SETTING = Setting(
    n=30, generations=40, replicates=400, measurements=("var", "log_var", "tail_mass_lost")
)
SWEEP = Sweep(
    Setting(regime="fixed-real", generations=6, replicates=200, measurements=("var",)),
    (("real_frac", (0.0, 0.3, 0.6, 0.9)), ("n", (20, 40))),
    "var>0.9",
)


@cache
def stored(**change: Any) -> StoredRun:
    return summarised(simulate(replace(SETTING, **change), engine="serial"))


@cache
def swept() -> StoredSweep:
    return StoredSweep(SWEEP, tuple(run_cell(cell) for cell in SWEEP.cells()))


@cache
def one() -> Study:
    return study_of_runs("one", [stored()])


@cache
def several() -> Study:
    return study_of_sweep("sweep", swept())


@cache
def one_page() -> str:
    return to_html(one())


@cache
def sweep_page() -> str:
    return to_html(several())


class Reader(HTMLParser):
    """Collects what a browser would load, run, or find twice."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "data") or name.startswith("on"):
                self.loads.append(value or "")


def drawings(page: str) -> list[ElementTree.Element]:
    found = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
    return [ElementTree.fromstring(text) for text in found]


def points(drawing: ElementTree.Element) -> list[tuple[float, float]]:
    """Every end point of every path, where it is drawn."""
    parts, found = {}, []
    for element in drawing.iter():
        if element.tag.endswith("path"):
            numbers = re.findall(r"[ML] (-?[\d.e+-]+) (-?[\d.e+-]+)", element.get("d", ""))
            ends = [(float(x), float(y)) for x, y in numbers]
            if "id" in element.attrib:
                parts[element.attrib["id"]] = ends  # drawn where it is used
            else:
                found += ends
        if element.tag.endswith("use"):
            x, y = float(element.get("x", 0)), float(element.get("y", 0))
            found += [(x + a, y + b) for a, b in parts[element.attrib["href"][1:]]]
    return found


@pytest.mark.parametrize("page", [one_page, sweep_page])
def test_the_page_loads_nothing_and_runs_nothing(page: Any) -> None:
    reader = Reader()
    reader.feed(page())
    assert not {"script", "iframe", "link", "object"} & set(reader.tags) - {"link"}
    assert all(load.startswith(("#", "data:,")) for load in reader.loads), reader.loads
    assert len(set(reader.ids)) == len(reader.ids)
    assert "default-src 'none'" in page() and "prefers-color-scheme: dark" in page()
    assert "@media print" in page() and "url(" not in page() and len(page()) < 1_000_000


@pytest.mark.parametrize("page", [one_page, sweep_page])
def test_every_drawing_stays_within_its_frame(page: Any) -> None:
    # Clipping is lost in the page, so nothing may need it.
    found = drawings(page())
    assert found
    for drawing in found:
        x0, y0, width, height = map(float, drawing.get("viewBox", "").split())
        inside = points(drawing)
        assert len(inside) > 20
        for x, y in inside:
            assert x0 - 1 <= x <= x0 + width + 1 and y0 - 1 <= y <= y0 + height + 1


def test_the_same_study_gives_the_same_page_twice() -> None:
    again = study_of_runs("one", [replace_seed(stored(), 0)])
    assert to_html(again) == one_page()
    assert to_html(study_of_sweep("sweep", swept())) == sweep_page()


def test_a_run_that_keeps_to_theory_says_so_with_sources() -> None:
    study = one()
    assert theory_words(study)[:2] == ("pass", "Agrees with theory")
    page = one_page()
    assert "replace: variance" in page and "Kazdan et al. 2024, arXiv:2410.16713" in page
    assert "median of 400 replicates" in page and "theory of the mean" in page
    median = stored().summaries["var"].median
    assert headline(study) == (
        f"In 40 generations of replace the variance of the model falls from 1 to "
        f"{median[-1]:.3g} (median)."
    )


def wrong_study(factor: float = 1.6) -> Study:
    def wrong(*, t: Any, n: int) -> Any:
        return (1 - factor / n) ** np.asarray(t, float)

    law = Law("a wrong law", wrong, ("replace",), ("gaussian",), "var", cite="Nobody 1900")
    run = stored()
    return Study("wrong", (Case("1", run, tuple(overlays(run, laws=[law]))),))


def test_a_run_that_leaves_theory_is_flagged_where_it_does() -> None:
    study = wrong_study()
    kind, words, text = theory_words(study)
    assert (kind, words) == ("fail", "Leaves theory") and text.startswith("1 of 1 comparison")
    page = to_html(study)
    where = flags_words(study.cases[0].overlays[0].outside)
    assert where and f"leaves it at {where}" in page
    assert f"leaves theory at {where}" in page and "Nobody 1900" in page
    assert 'class="hero fail"' in page and 'class="hero fail"' not in one_page()


def test_settings_without_theory_say_that_too() -> None:
    study = study_of_runs("one", [stored(regime="top-p", family="bernoulli", generations=3,
                                         measurements=("heterozygosity",))])  # fmt: skip
    assert theory_words(study)[:2] == ("inconclusive", "No theory applies")
    assert "stand on the simulation alone" in to_html(study)


def test_a_mean_that_few_replicates_carry_is_not_drawn_as_if_it_were_sure() -> None:
    figure = trajectory(one().cases[0], "var")
    texts = [key.text for key in figure.legend]
    assert any(re.fullmatch(r"mean, trusted at \d+ of 41 generations", text) for text in texts)
    assert "the median is shown" in figure.caption
    sure = trajectory(one().cases[0], "log_var")
    assert "The mean over replicates is shown" in sure.caption
    assert not any("trusted" in key.text for key in sure.legend)


def test_the_numbers_behind_a_figure_are_those_of_the_run() -> None:
    figure = trajectory(one().cases[0], "log_var")
    assert figure.columns[:2] == ("generation", "mean") and len(figure.rows) == 41
    assert figure.rows[40][1] == f"{stored().summaries['log_var'].mean[-1]:.4g}".replace("-", "−")
    assert figure.columns[-1] == "replace: log-variance"


def test_several_runs_share_figures_and_a_table() -> None:
    runs = [stored(), stored(regime="accumulate"), stored(n=60)]
    study = study_of_runs("several", runs)
    assert [case.label for case in study.cases] == [
        "regime = replace, n = 30", "regime = accumulate, n = 30", "regime = replace, n = 60",
    ]  # fmt: skip
    assert headline(study).startswith("At the last generation the variance of the model is 0.9")
    figure = comparison(study.cases, "var")
    assert [key.text for key in figure.legend][:3] == [case.label for case in study.cases]
    page = to_html(study)
    assert "Every run" in page and page.count("regime = accumulate, n = 30") >= 3


def test_labels_of_equal_settings_are_numbered() -> None:
    assert labelled([SETTING, SETTING]) == ["1", "2"]
    assert labelled([SETTING]) == ["1"]


def test_a_sweep_leads_with_the_safe_mix_and_its_table() -> None:
    study = several()
    (phase,) = study.phases
    least = [answer.value for answer in phase.theory if answer is not None]
    assert headline(study) == (
        f"A real share of {min(least):.2g} to {max(least):.2g}, depending on the number of "
        "samples, keeps the variance of the model above 0.9."
    )
    page = sweep_page()
    for row in edge_rows(phase):
        assert all(html.escape(cell) in page for cell in row)
    assert page.index('id="phases"') < page.index('id="trajectories"')
    cells = drawings(page)[0]
    texts = [e.text for e in cells.iter() if e.tag.endswith("text")]
    assert {"0", "0.3", "0.6", "0.9", "20", "40", "real share", "number of samples"} <= set(texts)


def test_a_target_of_the_reader_takes_the_place_of_the_sweeps_own() -> None:
    study = study_of_sweep("sweep", swept(), "var>99.9%")
    assert headline(study).startswith("No real share that was tried keeps")
    with pytest.raises(InputError, match="a measurement of the sweep"):
        study_of_sweep("sweep", swept(), "kl<1")
    with pytest.raises(InputError, match="did you mean 'var'"):
        study_of_sweep("sweep", swept(), "vra<1")


def test_an_unfinished_sweep_says_what_is_missing() -> None:
    half = StoredSweep(SWEEP, (None, *swept().runs[1:]))
    page = to_html(study_of_sweep("sweep", half))
    assert "1 of 8 cells are not run yet" in page and "Empty cells" in page
    with pytest.raises(RunError, match="finished cells"):
        study_of_sweep("sweep", StoredSweep(SWEEP, (None,) * 8))


def test_where_more_is_not_safer_the_cells_themselves_are_parted() -> None:
    axes = (("generations", (2, 6)), ("seed", (0,)), ("truth.var", (1.0, 4.0)))
    sweep = Sweep(replace(SWEEP.base, n=8), axes, "var>0.9")
    runs = StoredSweep(sweep, tuple(run_cell(cell) for cell in sweep.cells()))
    study = study_of_sweep("cells", runs)
    (phase,) = study.phases
    met = int((phase.values > 0.9).sum())
    assert not phase.edges and 0 < met < 4
    assert headline(study) == f"The variance of the model is above 0.9 in {met} of 4 cells."
    figure = phase_figure(phase, 0)
    assert figure.legend[0].text == "between cells with and without var > 0.9"
    assert "The numbers" in to_html(study) and edge_rows(phase) == []


def test_one_axis_is_drawn_as_a_line_and_names_as_rows() -> None:
    base = replace(SWEEP.base, n=20)
    single = Sweep(base, SWEEP.axes[:1], "var>0.9")
    runs = StoredSweep(single, tuple(run_cell(cell) for cell in single.cells()))
    (phase,) = study_of_sweep("line", runs).phases
    assert phase.y is None and "real share" in phase_figure(phase, 0).svg
    named = Sweep(base, (("regime", ("fixed-real", "fresh-real")), ("seed", (0, 1))))
    runs = StoredSweep(named, tuple(run_cell(cell) for cell in named.cells()))
    (first, second) = study_of_sweep("names", runs).phases
    assert dict(first.held) == {"seed": 0} and dict(second.held) == {"seed": 1}
    assert "fresh-real" in phase_figure(first, 0).svg


HOSTILE = "<script>alert(1)</script>$\\frac{x_1$&\"'\x00\u202e"


def hostile_run() -> StoredRun:
    """What a forged folder could hold: names nobody registered, numbers that are none."""
    steps = 4
    odd = np.array([np.nan, np.inf, -np.inf, 1e308])
    zero = np.zeros(steps)
    full = np.full(steps, 5)
    summaries = {
        HOSTILE: Summary(full, odd, odd, odd, np.tile(odd, (5, 1))),
        "var": Summary(full, zero, zero, np.full(steps, np.nan), np.zeros((5, steps))),
        "log_var": Summary(full, -odd, zero, zero, np.full((5, steps), np.nan)),
        "tail_mass_lost": Summary(full, odd, odd, odd, np.tile([1e-300, 1, 2, 1e299], (5, 1))),
    }
    setting = Setting(
        family=HOSTILE, regime=HOSTILE, truth=HOSTILE, generations=3, replicates=5,
        regime_settings={HOSTILE: HOSTILE}, measurements=tuple(summaries),
    )  # fmt: skip
    return StoredRun(setting, "samples", summaries)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_forged_run_is_shown_but_never_obeyed(count: int) -> None:
    runs = [replace_seed(hostile_run(), seed) for seed in range(count)]
    page = to_html(study_of_runs(HOSTILE, runs))
    reader = Reader()
    reader.feed(page)
    assert "script" not in reader.tags and "&lt;script&gt;" in page
    assert "\x00" not in page
    for drawing in drawings(page):
        assert all(np.isfinite(point).all() for point in points(drawing))


def replace_seed(run: StoredRun, seed: int) -> StoredRun:
    return StoredRun(replace(run.setting, seed=seed), run.path, run.summaries)


def test_what_became_of_a_measurement_is_said_in_plain_words() -> None:
    run = stored()
    assert course("var", run).startswith("the variance of the model falls from 1 to ")
    assert course("tail_mass_lost", run).startswith("the share of the true tail's mass")
    still = Summary(*(np.ones(3),) * 4, np.ones((5, 3)))
    assert course("var", StoredRun(SETTING, "samples", {"var": still})).endswith("stays at 1")
    assert course(HOSTILE, hostile_run()).endswith("goes from – to 1e+308")


def test_folders_become_a_study_or_are_refused(tmp_path: Path) -> None:
    save_run(stored(), tmp_path / "a")
    save_run(stored(n=60), tmp_path / "b")
    run_sweep(SWEEP, tmp_path / "s", engine="serial")
    assert [case.label for case in open_study([tmp_path / "a", tmp_path / "b"]).cases] == [
        "n = 30", "n = 60",
    ]  # fmt: skip
    assert open_study([tmp_path / "s"]).sweep == SWEEP
    assert open_study([tmp_path / "s"]).name == "s"
    for folders in ([], [tmp_path / "a", tmp_path / "s"], [tmp_path / "c"], [tmp_path]):
        with pytest.raises(InputError):
            open_study(folders)


def test_a_page_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    study = wrong_study()
    write_page(study, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == to_html(study)
    for name in ("page.pdf", "page", "no/page.html", "a\0.html"):
        with pytest.raises(InputError):
            write_page(study, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_comparisons_of_a_page_share_one_rate_of_error() -> None:
    alone = one().cases[0].overlays[0].alpha
    among = several().cases[0].overlays[0].alpha
    assert np.isclose(alone, 0.01 / 3) and np.isclose(among, 0.01 / 8)
