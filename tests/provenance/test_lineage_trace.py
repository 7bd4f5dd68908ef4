"""The lineage of a corpus as a whole: slices, graph, page, command."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from lineage_cases import statement
from typer.testing import CliRunner

from tailguard.cli import lineage as lineage_commands
from tailguard.cli import standards as standard_commands
from tailguard.corpus import open_corpus
from tailguard.errors import TailguardError
from tailguard.provenance import keys
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.lineage.base import Depth, LineageError
from tailguard.provenance.lineage.depth import graph_depths
from tailguard.provenance.lineage.draw import MOST_DRAWN, draw, shown
from tailguard.provenance.lineage.page import lineage_html, lineage_json, write_lineage
from tailguard.provenance.lineage.trace import Lineage, trace
from tailguard.provenance.lineage.wording import lineage_lines

STATEMENTS = [
    statement("gold-release", "gold", root="0" * 64, records=100),
    statement("model-trained", "m@1", plan="plan-1", data=["gold"], created="2022-05-01"),
    statement("samples-drawn", "samples", model="m@1", records=9),
    statement("model-trained", "m@2", plan="plan-2", data=["samples", "gold"]),
]
COLUMNS: dict[str, list[Any]] = {
    "id": ["a", "b", "c", "d", "e"],
    "text": ["one", "two", "three", "four", "five"],
    "kind": ["human", "human", "synthetic", "synthetic", "synthetic"],
    "generator": [None, None, "m@1", "m@2", "stranger"],
    "source": ["x.org", "y.org", "y.org", "y.org", "z.org"],
    "evidence": ["audited", "declared", "declared", "declared", "none"],
}


def traced(extra: dict[str, list[Any]] | None = None, **how: Any) -> Lineage:
    return trace(open_corpus(pa.table(COLUMNS | (extra or {}))), STATEMENTS, name="batch", **how)


def test_every_slice_has_its_depth_and_says_how_we_know() -> None:
    found = traced()
    depth = {(s.axis, s.value): str(s.depth) for s in found.slices}
    assert depth["generator", ""] == "0"
    assert depth["generator", "m@1"] == "1"
    assert depth["generator", "m@2"] == "2"
    assert depth["generator", "stranger"] == "at least 1"
    assert depth["source", "x.org"] == "0" and depth["source", "y.org"] == "2"
    how = {s.value: s.how for s in found.slices if s.axis == "generator"}
    assert how["m@2"][1] == (
        "m@2 was trained on depth 1: m@2 ← plan-2 ← samples ← m@1 ← plan-1 ← gold "
        "(evidence: declared)"
    )
    assert "not known" in how["stranger"][1]
    assert found.depth.depth == Depth(2, None)


def test_parents_are_joined_where_there_are_any() -> None:
    alone = traced()
    joined = traced({"parents": [None, ["e"], ["d"], None, ["lost"]]})
    assert alone.orphans == 0 and joined.orphans == 1
    depth = {(s.axis, s.value): str(s.depth) for s in joined.slices}
    assert depth["generator", "m@1"] == "3"  # a parent of depth 2, one step deeper
    assert joined.contradiction_counts["human_of_synthetic"] == 1


def test_a_record_may_name_a_parent_in_another_file(tmp_path: Path) -> None:
    for i, parents in enumerate((None, ["r0"], ["r1"])):
        row = {
            "id": [f"r{i}"],
            "text": ["t"],
            "kind": ["synthetic" if i else "human"],
            "generator": pa.array(["m" if i else None], pa.string()),
            "parents": pa.array([parents], pa.list_(pa.string())),
        }
        pq.write_table(pa.table(row), tmp_path / f"{i}.parquet")
    found = trace(open_corpus(str(tmp_path)))
    assert found.orphans == 0 and found.depth.depth == Depth(2, None)


def test_the_model_asked_for_is_shown_with_its_training() -> None:
    found = traced(model="m@2")
    told = lineage_json(found)["model"]
    assert told["depth"] == [1, 1] and told["trained_on_data"] is False
    assert "dataset:gold" in told["made_of"]
    with pytest.raises(LineageError, match="a known model"):
        traced(model="m@9")


def test_a_data_set_of_counted_records_is_as_deep_as_they_are() -> None:
    columns = {name: values[:4] for name, values in COLUMNS.items()}
    said = [*STATEMENTS, statement("data-registered", "batch", origin={"kind": "mixed"})]
    found = trace(open_corpus(pa.table(columns)), said, name="batch")
    assert found.depth.depth == Depth(2, 2) and not found.depth.disputed


def test_data_that_a_ledger_calls_human_is_disputed_by_its_records() -> None:
    said = [*STATEMENTS, statement("data-registered", "batch", origin={"kind": "human"})]
    found = trace(open_corpus(pa.table(COLUMNS)), said, name="batch")
    assert found.depth.disputed
    assert any(c.rule == "human_of_synthetic" for c in found.contradictions)


def test_the_json_is_plain_and_whole() -> None:
    told = json.loads(json.dumps(lineage_json(traced()), allow_nan=False))
    ids = {node["id"] for node in told["nodes"]}
    assert {edge["child"] for edge in told["edges"]} | {e["parent"] for e in told["edges"]} <= ids
    assert told["records"] == 5 and told["depth"] == [2, None]


HOSTILE = '<script>alert(1)</script>"&\x1b[31m\u202e]]>--><!--'


def hostile() -> Lineage:
    columns = COLUMNS | {"generator": [HOSTILE, None, HOSTILE, None, None], "source": [HOSTILE] * 5}
    said = [statement("data-registered", HOSTILE, "aa", origin={"parents": [HOSTILE * 50]})]
    return trace(open_corpus(pa.table(columns)), said, name=HOSTILE)


def test_the_page_stands_alone_and_runs_nothing() -> None:
    for found in (traced(model="m@2"), hostile()):
        page = lineage_html(found)
        assert page == lineage_html(found)
        assert "<script" not in page and "\x1b" not in page and "\u202e" not in page
        assert "default-src 'none'" in page
        assert not re.search(r"(?:href|src)=\"(?!data:|#)", page)
        assert "prefers-color-scheme: dark" in page
        drawn = page[page.index("<svg") : page.index("</svg>") + 6]
        root = ET.fromstring(drawn)
        assert root.get("role") == "img"
        titles = [e for e in root.iter() if e.tag.endswith("title")]
        assert titles[0].get("id") in str(root.get("aria-labelledby"))
        assert len(titles) > len([e for e in root.iter() if e.tag.endswith("marker")])


def test_nothing_in_the_drawing_is_told_by_colour_alone() -> None:
    page = lineage_html(traced())
    drawn = page[page.index("<svg") : page.index("</svg>")]
    words = re.findall(r">((?:generation|trained on) [^<]+)<", drawn)
    assert any("generation 0 · audited" in w for w in words)
    assert any("trained on unknown · none" in w for w in words)
    assert {"7 4", "5 3"} <= set(re.findall(r'stroke-dasharray="([^"]+)"', drawn))


def test_a_huge_graph_is_drawn_in_part_and_says_so() -> None:
    found = traced()
    for i in range(500):
        node = found.graph.add("dataset", f"n{i}")
        found.graph.link(found.data, "derived-from", node)
    depths = graph_depths(found.graph)
    drawing = draw(found.graph, depths, list(found.graph.nodes), "t")
    assert drawing.left_out == len(found.graph.nodes) - MOST_DRAWN
    assert drawing.svg.count("<text") == 2 * MOST_DRAWN


def test_a_drawing_of_a_cycle_ends() -> None:
    found = traced()
    found.graph.link("dataset:gold", "derived-from", "dataset:samples")
    depths = graph_depths(found.graph)
    assert "</svg>" in draw(found.graph, depths, list(found.graph.nodes), "t").svg


def test_text_from_data_is_one_line_without_controls() -> None:
    for line in lineage_lines(hostile()):
        assert "\n" not in line and "\x1b" not in line and "\u202e" not in line
    assert shown("\ud800") == "?"


@pytest.fixture
def app() -> typer.Typer:
    """The commands as the integrator hangs them."""
    top = typer.Typer()
    top.add_typer(lineage_commands.app, name="lineage")
    ledger = typer.Typer()
    standard_commands.add_commands(ledger)
    top.add_typer(ledger, name="ledger")
    return top


def run(app: typer.Typer, *arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, a key and a ledger that knows what the statements say."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(COLUMNS), "batch.parquet")
    key = keys.generate("test")
    keys.save(key, tmp_path / "key")
    Ledger.init("ledger", key)
    Path("story.jsonl").write_text("".join(json.dumps(s) + "\n" for s in STATEMENTS))
    return tmp_path


def test_the_commands_import_trace_revoke_and_export(app: typer.Typer, place: Path) -> None:
    out = run(app, "ledger", "import", "story.jsonl", "--key", "key")
    assert "model-trained m@1" in out
    out = run(app, "lineage", "batch.parquet", "--model", "m@2", "-o", "l.html", "-o", "l.svg")
    assert "m@2: trained on generation 1" in out and "by source" in out
    assert Path("l.html").read_text().startswith("<!DOCTYPE html>")
    ET.parse("l.svg")
    told = json.loads(run(app, "lineage", "--json", "batch.parquet"))
    assert told["records"] == 5
    out = run(app, "lineage", "revoke", "generator:m@1", "batch.parquet")
    assert "model m@2" in out and "records: 2 made by it" in out
    told = json.loads(run(app, "lineage", "revoke", "generator:m@1", "--json"))
    assert {node["name"] for node in told["downstream"]} >= {"m@2", "plan-2"}
    run(app, "ledger", "export", "--to", "prov", "-o", "out.json")
    assert "m@2" in Path("out.json").read_text()
    out = run(app, "lineage", "batch.parquet", "-l", "ledger", "--document", "out.json", "--by", "")
    assert "by kind" in out and "by source" not in out


def test_samples_that_a_document_tells_of_are_entered_too(app: typer.Typer, place: Path) -> None:
    run(app, "ledger", "import", "story.jsonl", "--key", "key")
    told = json.loads(run(app, "lineage", "revoke", "model:m@1", "--json"))
    assert "samples" in {node["name"] for node in told["downstream"]}


def test_royalties_are_printed_and_written(app: typer.Typer, place: Path) -> None:
    plan = {"creator": ["a", "b", None], "weight": [1.0, 1.0, 2.0], "tokens": [1, 2, 3]}
    pq.write_table(pa.table(plan), "plan.parquet")
    out = run(app, "ledger", "royalties", "--plan", "plan.parquet", "--pot", "90", "-o", "s.csv")
    assert "20.00" in out and "held back: 60.00" in out
    told = json.loads(
        run(app, "ledger", "royalties", "--plan", "plan.parquet", "--pot", "90", "--json")
    )
    assert [share["cents"] for share in told["shares"]] == [2000, 1000]


@pytest.mark.parametrize(
    "arguments",
    [
        ("lineage", "nothing.parquet"),
        ("lineage", "revoke", "generator:nobody"),
        ("lineage", "batch.parquet", "-o", "batch.parquet"),
        ("lineage", "batch.parquet", "--model", "m@9"),
        ("lineage", "batch.parquet", "--document", "key"),
        ("lineage", "batch.parquet", "-l", "nowhere"),
        ("ledger", "export", "--to", "runes", "-o", "x"),
        ("ledger", "export", "--to", "croissant", "-o", "x", "--about", "nobody"),
        ("ledger", "import", "nothing.json", "--key", "key"),
        ("ledger", "royalties", "--plan", "batch.parquet", "--pot", "1"),
        ("ledger", "royalties", "--plan", "nothing", "--pot", "1"),
        ("ledger", "royalties", "--plan", "key", "--pot", "1"),
    ],
)
def test_bad_use_is_one_line_with_exit_code_two(
    app: typer.Typer, place: Path, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(TailguardError) as refused:
        run(app, *arguments)
    assert "\n" not in str(refused.value) and refused.value.exit_code == 2


def test_writing_a_page_replaces_nothing_on_failure(tmp_path: Path) -> None:
    with pytest.raises(TailguardError):
        write_lineage(traced(), tmp_path)
    assert not list(tmp_path.iterdir())
