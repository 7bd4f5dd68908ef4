from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import typing
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.measure.base import AxisResult
from tailguard.report.base import Finding, Side, SliceResult, Verdict
from tailguard.report.codec import from_json, plain, to_json
from tailguard.report.page import CITATIONS, SHOWN_FINDINGS
from tailguard.report.render import (
    FORMS,
    to_html,
    to_junit,
    to_markdown,
    to_sarif,
    write_report,
)

HOSTILE = (
    "</style></title><script>alert(1)</script>\"'><img src=x onerror=y>&{{ 7*7 }}$\\frac$`|\x00\x1b"
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)
verdicts = st.builds(Verdict, policy=json_objects, curves=json_objects)


def schema() -> dict[str, Any]:
    text = resources.files("tailguard.report").joinpath("verdict.schema.json").read_text("utf-8")
    return dict(json.loads(text))


def with_hostile_text(verdict: Verdict, text: str = HOSTILE) -> Verdict:
    side = Side(text, 1, 1, 1, 1, text)
    return dataclasses.replace(
        verdict,
        headline=text,
        rule=text,
        version=text,
        created=text,
        todo=(text, text),
        caveats=(text, text),
        batch=side,
        gold=side,
        policy=dict.fromkeys(verdict.policy, text),
        axes=tuple(dataclasses.replace(a, metric=text) for a in verdict.axes),
        readings=tuple(dataclasses.replace(r, metric=text, note=text) for r in verdict.readings),
        slices=tuple(dataclasses.replace(s, by=text, value=text) for s in verdict.slices),
        findings=tuple(
            Finding(text, text, f.severity, text, text if f.fix else "", (text,) * len(f.examples))
            for f in verdict.findings
        ),
        curves=verdict.curves
        | {k: c | {"bands": [text] * 7} for k, c in verdict.curves.items() if k == "tail_recall"},
    )


class Page(HTMLParser):
    """The elements and attributes of a page, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append("/" + tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# --- JSON and its schema


def test_json_gives_the_same_verdict_back(verdict: Verdict) -> None:
    bare = dataclasses.replace(verdict, curves={}, readings=(), slices=())
    assert from_json(to_json(bare)) == bare


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(verdicts)
def test_any_verdict_survives_json_and_fits_the_schema(verdict: Verdict) -> None:
    text = to_json(verdict)
    again = from_json(text)
    assert plain(again) == plain(verdict)
    assert to_json(again) == text
    jsonschema.Draft202012Validator(schema()).validate(json.loads(text))


def test_undefined_numbers_are_null_in_json_and_nan_in_python(empty: Verdict) -> None:
    text = to_json(dataclasses.replace(empty, score_hi=float("inf")))
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["score"] is None
    assert from_json(text).score_hi != from_json(text).score_hi


def test_the_schema_is_valid_and_accepts_real_reports(verdict: Verdict, empty: Verdict) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    for one in (verdict, empty):
        jsonschema.validate(json.loads(to_json(one)), schema())


def test_the_schema_refuses_a_verdict_with_a_wrong_stage(verdict: Verdict) -> None:
    data = json.loads(to_json(verdict)) | {"stage": "terminal"}
    with pytest.raises(jsonschema.ValidationError, match="terminal"):
        jsonschema.validate(data, schema())


def test_schema_and_dataclasses_have_the_same_fields() -> None:
    published = schema()
    parts = {"Verdict": published} | published["$defs"]
    from tailguard.measure.base import Reading, Stage
    from tailguard.report.base import Status

    for cls in (Verdict, AxisResult, Reading, Finding, SliceResult, Side):
        fields = [f.name for f in dataclasses.fields(cls)]
        listed = [name for name in parts[cls.__name__]["properties"] if name != "schema_version"]
        assert listed == fields
        assert set(parts[cls.__name__]["required"]) - {"schema_version"} == set(fields)
    assert parts["Stage"]["enum"] == list(typing.get_args(Stage))
    assert published["properties"]["status"]["enum"] == list(typing.get_args(Status))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version 1, got 2"),
        ({"stage": "terminal"}, "verdict.stage: expected one of healthy"),
        ({"seed": True}, "verdict.seed: expected a whole number"),
        ({"score": "much"}, "verdict.score: expected a number"),
        ({"score": 10**400}, "range of a double"),
        ({"axes": {}}, "verdict.axes: expected a list"),
        ({"extra": 1}, "extra"),
        ({"batch": {"name": "x"}}, "verdict.batch: expected a field 'documents'"),
    ],
)
def test_json_of_another_shape_is_refused_in_one_line(
    verdict: Verdict, change: dict[str, Any], message: str
) -> None:
    text = json.dumps(json.loads(to_json(verdict)) | change)
    with pytest.raises(InputError) as caught:
        from_json(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe\x00"])
def test_text_that_is_no_verdict_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError):
        from_json(text)


# --- HTML


def test_the_page_tells_the_verdict_first_and_everything_in_order(verdict: Verdict) -> None:
    text = Page(to_html(verdict)).text
    order = [
        "Fail",
        verdict.headline,
        "What to do",
        verdict.todo[0],
        "The four axes",
        "Tail (T) 86.1%",
        "84.2% to 87.9%",
        "Findings",
        "thixotropic",
        "How much variety a sample holds",
        "Common and rare",
        "Is the rare still there?",
        "Where it sits",
        "Slices of the batch",
        "All readings",
        "no embeddings were given",
        "What was compared",
        "tg1:5f0c2a9be41d77c3",
        "Before you rely on this",
        "How this was measured",
        "Sources",
        "To reproduce this",
    ]
    at = -1
    for phrase in order:
        at = text.find(phrase, at + 1)
        assert at >= 0, f"{phrase!r} is missing or out of order"


def test_the_page_asks_for_nothing_from_outside(verdict: Verdict) -> None:
    html = to_html(verdict)
    page = Page(html)
    links = {link for _, link in CITATIONS}
    for tag, name, value in page.attributes:
        assert name != "src" and not name.startswith("on")
        if name.endswith("href"):
            assert value in links if tag == "a" else value.startswith(("#", "data:"))
    assert not {"script", "iframe", "object", "embed", "img", "base"} & set(page.tags)
    assert "@import" not in html and "url(" not in html
    assert "default-src 'none'" in html


def test_the_page_has_no_id_twice_and_every_mark_it_refers_to(verdict: Verdict) -> None:
    page = Page(to_html(verdict))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for t, n, v in page.attributes if t == "use" and n == "href"} <= set(ids)


def test_hostile_text_changes_no_element_of_the_page(verdict: Verdict) -> None:
    kind = Page(to_html(with_hostile_text(verdict, "x")))
    page = Page(to_html(with_hostile_text(verdict)))
    assert page.tags == kind.tags
    assert "script" not in page.tags and "img" not in page.tags
    assert page.text.count("<script>alert(1)</script>") > 30
    assert "{{ 7*7 }}" in page.text and "\x00" not in page.text


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(min_size=1) | st.text("<>/\"'&!-scripte=", min_size=1))
def test_no_text_changes_an_element_of_the_page(verdict: Verdict, text: str) -> None:
    bare = dataclasses.replace(verdict, axes=(), slices=(), curves={})
    kind = Page(to_html(with_hostile_text(bare, "x")))
    assert Page(to_html(with_hostile_text(bare, text))).tags == kind.tags


def test_status_is_told_by_word_and_icon_not_by_colour_alone(verdict: Verdict) -> None:
    icons = set()
    for status, word in (
        ("pass", "Pass"),
        ("warn", "Warning"),
        ("fail", "Fail"),
        ("inconclusive", "Inconclusive"),
    ):
        one = dataclasses.replace(verdict, status=status, axes=(), slices=(), curves={})  # type: ignore[arg-type]
        html = to_html(one)
        badge = html[html.index('<p class="badge') :].split("</p>")[0]
        assert word in badge
        icons.add(badge.split("<path")[1])
    assert len(icons) == 4


def test_a_verdict_without_anything_still_makes_every_form(empty: Verdict) -> None:
    html = to_html(empty)
    assert "The batch holds no documents." in html and "400 documents" in html
    assert "<figure" not in html and "nan" not in Page(html).text.lower()
    for form in FORMS.values():
        assert form(empty)


def test_of_a_thousand_findings_the_page_shows_the_worst_and_folds_the_rest(
    verdict: Verdict,
) -> None:
    many = tuple(
        Finding("tail", f"finding {i}", "fail" if i == 999 else "info", "d") for i in range(1000)
    )
    html = to_html(dataclasses.replace(verdict, findings=many))
    open_part, folded = html.split('<details class="more">')
    assert "finding 999" in open_part and open_part.count('class="finding ') == SHOWN_FINDINGS
    assert folded.count('class="finding ') == 1000 - SHOWN_FINDINGS
    assert "more in the JSON report" in to_markdown(dataclasses.replace(verdict, findings=many))


# --- the other forms


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_same_verdict_gives_the_same_bytes(form: Any, verdict: Verdict) -> None:
    assert form(verdict) == form(verdict)


def test_the_same_verdict_gives_the_same_bytes_in_another_process(
    verdict: Verdict, tmp_path: Path
) -> None:
    write_report(verdict, tmp_path / "verdict.json")
    write_report(from_json((tmp_path / "verdict.json").read_text("utf-8")), tmp_path / "a.html")
    code = (
        "import pathlib, sys\n"
        "from tailguard.report.render import from_json, write_report\n"
        "write_report(from_json(pathlib.Path('verdict.json').read_text('utf-8')), 'b.html')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_junit_counts_the_failures_it_holds(verdict: Verdict) -> None:
    suite = ElementTree.fromstring(to_junit(verdict)).find("testsuite")
    assert suite is not None
    assert int(suite.get("tests", "")) == len(suite.findall("testcase")) == 1 + 4 + 3
    assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure")) == 4
    failing = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failing[:3] == ["verdict", "Tail (T)", "Sharpening (S)"]


def test_junit_of_a_warning_fails_nothing_and_of_too_little_data_is_an_error(
    verdict: Verdict, empty: Verdict
) -> None:
    warned = dataclasses.replace(verdict, status="warn", findings=verdict.findings[::2])
    suite = ElementTree.fromstring(to_junit(warned))
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert ElementTree.fromstring(to_junit(empty)).get("errors") == "1"


def test_hostile_text_leaves_junit_and_sarif_readable(verdict: Verdict) -> None:
    hostile = with_hostile_text(verdict)
    root = ElementTree.fromstring(to_junit(hostile))
    assert "<script>" in (root.find("testsuite/testcase/failure").get("message") or "")  # type: ignore[union-attr]
    uri = json.loads(to_sarif(hostile))["runs"][0]["results"][0]["locations"][0][
        "physicalLocation"
    ]["artifactLocation"]["uri"]
    assert not set(uri) & set(" <>\"'{}|\\^`\0")


def test_sarif_has_the_shape_the_standard_asks_for(verdict: Verdict, empty: Verdict) -> None:
    for one in (verdict, empty):
        log = json.loads(to_sarif(one))
        assert log["version"] == "2.1.0" and len(log["runs"]) == 1
        driver, results = log["runs"][0]["tool"]["driver"], log["runs"][0]["results"]
        assert driver["name"] == "tailguard"
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(ids) == len(set(ids)) and len(results) == 1 + len(one.findings)
        for result in results:
            assert ids[result["ruleIndex"]] == result["ruleId"]
            assert result["level"] in {"none", "note", "warning", "error"}
            assert (result["kind"] == "fail") == (result["level"] != "none")
            assert result["message"]["text"]
            assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert log["runs"][0]["invocations"][0]["exitCode"] == one.exit_code
    levels = [r["level"] for r in json.loads(to_sarif(verdict))["runs"][0]["results"]]
    assert levels == ["error", "note", "error", "warning"]


def test_markdown_tables_keep_their_columns_whatever_the_names(verdict: Verdict) -> None:
    text = to_markdown(with_hostile_text(verdict, "a|b\\|c`d``\n\n# e <b>"))
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "\n# e" not in text


def test_hostile_text_is_code_or_escaped_in_markdown(verdict: Verdict) -> None:
    text = to_markdown(with_hostile_text(verdict, "<b>`x`"))
    assert "<b>" not in re.sub(r"(`+)[^`](.*?)[^`]\1(?!`)", "", text)
    assert "\\<b\\>\\`x\\`" in text


# --- files
