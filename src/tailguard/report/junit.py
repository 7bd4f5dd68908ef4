"""A verdict as JUnit XML, which every CI system shows beside the tests."""

from __future__ import annotations

from xml.etree import ElementTree

from tailguard.measure.base import AxisResult
from tailguard.report.base import Finding, Verdict
from tailguard.report.words import (
    STAGE_WORDS,
    axis_state,
    axis_title,
    clean,
    interval,
    one_line,
    p_value,
    percent,
)


def to_junit(verdict: Verdict) -> str:
    """The verdict as one JUnit test suite: a case for the verdict, each axis, and each finding.

    A failing verdict, the axes that led to it and findings of severity ``fail`` are failures; an
    inconclusive verdict is an error, since nothing was tested.
    """
    suite = ElementTree.Element("testsuite", name="tailguard")
    _verdict_case(suite, verdict)
    for axis in verdict.axes:
        _axis_case(suite, verdict, axis)
    for finding in verdict.findings:
        _finding_case(suite, finding)
    for count, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        suite.set(count, str(len(list(suite.iter(tag)))))
    suite.set("skipped", "0")
    root = ElementTree.Element("testsuites", dict(suite.attrib))
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    case = {"classname": f"tailguard.{one_line(group, 80)}", "name": one_line(name), "time": "0"}
    return ElementTree.SubElement(suite, "testcase", case)


def _mark(case: ElementTree.Element, tag: str, message: str, text: str) -> None:
    mark = ElementTree.SubElement(case, tag, message=one_line(message), type="tailguard")
    mark.text = clean(text)


def _verdict_case(suite: ElementTree.Element, verdict: Verdict) -> None:
    case = _case(suite, "audit", "verdict")
    lines = [
        f"stage {verdict.stage}: {STAGE_WORDS[verdict.stage]}",
        f"rule: {verdict.rule}",
        f"collapse score {percent(verdict.score)} ({interval(verdict.score_lo, verdict.score_hi)})",
        *verdict.todo,
    ]
    text = "\n".join(lines)
    if verdict.status == "fail":
        _mark(case, "failure", verdict.headline, text)
    elif verdict.status == "inconclusive":
        _mark(case, "error", verdict.headline, text)
    else:
        ElementTree.SubElement(case, "system-out").text = clean(f"{verdict.headline}\n{text}")


def _axis_case(suite: ElementTree.Element, verdict: Verdict, axis: AxisResult) -> None:
    case = _case(suite, "axis", axis_title(axis))
    text = (
        f"retention {percent(axis.retention)} ({interval(axis.lo, axis.hi)}), "
        f"p {p_value(axis.p)}, by {axis.metric}: {axis_state(axis)[1]}"
    )
    if verdict.status == "fail" and axis.alarm and axis.beyond:
        _mark(case, "failure", text, text)
    else:
        ElementTree.SubElement(case, "system-out").text = clean(text)


def _finding_case(suite: ElementTree.Element, finding: Finding) -> None:
    case = _case(suite, finding.section, finding.title)
    text = "\n".join(filter(None, [finding.detail, finding.fix, *finding.examples]))
    if finding.severity == "fail":
        _mark(case, "failure", finding.title, text)
    else:
        out = ElementTree.SubElement(case, "system-out")
        out.text = clean(f"{finding.severity}: {text}")
