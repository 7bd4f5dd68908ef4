from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailguard.report.base import SliceResult, Verdict
from tailguard.report.figures import MAX_POINTS, MAX_SLICES, charts
from tailguard.report.svg import COLOURS

NAMES = ["retention", "rarefaction", "rank-frequency", "tail-recall", "slices"]


def names(verdict: Verdict) -> list[str]:
    return [chart.name for chart in charts(verdict)]


def test_every_figure_is_labelled_svg_with_caption_and_numbers(verdict: Verdict) -> None:
    drawn = charts(verdict)
    assert [chart.name for chart in drawn] == NAMES
    for chart in drawn:
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img" and len(root.get("aria-label") or "") > 30
        assert chart.caption and chart.rows
        assert all(len(row) == len(chart.columns) for row in chart.rows)


def test_figures_carry_no_date_no_reference_out_and_no_fixed_colour(verdict: Verdict) -> None:
    for chart in charts(verdict):
        assert "http" not in chart.svg and "url(" not in chart.svg and "<style" not in chart.svg
        for colour in COLOURS.values():
            assert chart.svg.count(colour) == chart.svg.count(f", {colour})")


def test_a_missing_curve_leaves_its_figure_out(verdict: Verdict) -> None:
    for curve, name in zip(
        ("rarefaction", "rank_frequency", "tail_recall"), NAMES[1:4], strict=True
    ):
        rest = {key: value for key, value in verdict.curves.items() if key != curve}
        left = names(dataclasses.replace(verdict, curves=rest))
        assert left == [n for n in NAMES if n != name]
    assert names(dataclasses.replace(verdict, axes=())) == NAMES[1:]
    assert names(dataclasses.replace(verdict, slices=())) == NAMES[:-1]


def test_one_side_alone_is_drawn_alone(verdict: Verdict) -> None:
    curves = {"rarefaction": {"gold": verdict.curves["rarefaction"]["gold"]}}
    (chart,) = charts(dataclasses.replace(verdict, curves=curves, axes=(), slices=()))
    assert {row[0] for row in chart.rows} == {"gold"}


def test_an_axis_that_was_not_measured_has_no_bar(verdict: Verdict) -> None:
    axes = tuple(dataclasses.replace(a, retention=math.nan) for a in verdict.axes[:1])
    chart = charts(dataclasses.replace(verdict, axes=axes + verdict.axes[1:]))[0]
    assert [row[0] for row in chart.rows] == ["sharpening", "narrowing", "repetition"]


def test_labels_from_data_are_text_never_mathematics_or_markup(verdict: Verdict) -> None:
    name = "$\\frac{$<b>古\x00"
    slices = tuple(dataclasses.replace(s, value=name) for s in verdict.slices)
    chart = charts(dataclasses.replace(verdict, slices=slices))[-1]
    texts = [element.text for element in ElementTree.fromstring(chart.svg).iter("text")]
    assert "source = $\\frac{$<b>古␀" in texts


def test_long_curves_and_many_slices_are_thinned_to_what_can_be_read(verdict: Verdict) -> None:
    rank = list(range(1, 50_001))
    curves = {"rank_frequency": {"gold": {"rank": rank, "freq": [1e5 / r for r in rank]}}}
    one = verdict.slices[0]
    slices = tuple(SliceResult("k", str(i), 9, 9, one.stage, one.retention) for i in range(300))
    many = dataclasses.replace(verdict, curves=curves, slices=slices, axes=())
    curve, dots = charts(many)
    assert len(curve.rows) <= MAX_POINTS and curve.rows[-1][1] == "50,000"
    assert len(dots.rows) == MAX_SLICES and "25 worst of 300" in dots.caption


values = st.none() | st.floats() | st.integers(-5, 10) | st.text(max_size=2) | st.just([1.0])
columns = st.lists(values, max_size=4) | st.lists(st.floats(), max_size=4) | values
sides = st.dictionaries(st.sampled_from(["m", "value", "lo", "hi", "rank", "freq"]), columns)
curves_ = st.fixed_dictionaries(
    {},
    optional={
        "rarefaction": st.dictionaries(st.sampled_from(["batch", "gold"]), sides | values),
        "rank_frequency": st.dictionaries(st.sampled_from(["batch", "gold"]), sides | values),
        "tail_recall": values
        | st.dictionaries(st.sampled_from(["bands", "batch", "lo", "hi", "expected"]), columns),
    },
)


@settings(max_examples=80, deadline=None)
@given(curves=curves_)
@example(curves={"rarefaction": {"batch": {"m": [1, 2], "value": [1, 1e308]}}})
@example(curves={"rank_frequency": {"batch": {"rank": [1, 2], "freq": [-1.7e308, 1.7e308]}}})
@example(curves={"tail_recall": {"bands": ["1", "2"], "batch": [1, 1e308]}})
@pytest.mark.filterwarnings("error")
def test_no_curve_however_wrong_stops_the_report(curves: dict[str, Any]) -> None:
    charts(_bare(curves))


def _bare(curves: dict[str, Any]) -> Verdict:
    from tailguard.report.base import Side

    side = Side("x", 0, 0, 0, 0, "")
    return Verdict(
        "pass", "healthy", "r", "h", 0.0, 0.0, 0.0, (), (), (), (), (), (), side, side, False,
        False, None, 0, "0", {}, curves,
    )  # fmt: skip


def test_drawing_never_touches_pyplot(verdict: Verdict) -> None:
    import subprocess

    code = "import sys, tailguard.report.page, tailguard.report.render as r\n"
    code += "assert 'matplotlib' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True)
    charts(verdict)
    import matplotlib

    assert matplotlib.rcParams["svg.fonttype"] == matplotlib.rcParamsDefault["svg.fonttype"]
