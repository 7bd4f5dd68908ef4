"""Every command does what its help says, and speaks JSON when asked."""

from __future__ import annotations

import csv
import gzip
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
import typer.main
from cli_runs import Capture, human_texts, lines, parsed, printed, refused

import tailguard
from tailguard.cli import run
from tailguard.cli.app import app
from tailguard.corpus import open_corpus
from tailguard.measure.base import AXES

ROOT = Path(__file__).parents[2]
N = 24


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(lines(human_texts()[:N]))
    return path


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_bytes(lines(human_texts()[N : 3 * N]))
    return path


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield f"{name}{key}", command
            yield from commands(command, f"{name}{key} ")
        else:
            yield f"{name}{key}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_program_has_the_commands_it_is_known_by() -> None:
    assert set(COMMANDS) >= {
        "audit", "profile", "measure", "demo", "metrics", "metrics list", "corpus", "corpus head",
        "corpus stats", "corpus convert", "corpus sample",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_a_help_text(name: str, capsys: Capture) -> None:
    command = COMMANDS[name]
    assert command.help and command.help.rstrip().endswith((".", "?", "data."))
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name}"
    out = printed(capsys, *name.split(), "--help")
    for parameter in command.params:
        assert parameter.opts[0].lstrip("-") in out.lower()


def test_the_version_is_that_of_the_package_and_of_the_project(capsys: Capture) -> None:
    assert printed(capsys, "--version").strip() == tailguard.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == tailguard.__version__


@pytest.mark.parametrize("arguments", [[], ["corpus"], ["metrics"]])
def test_a_group_alone_shows_its_commands_and_is_bad_use(
    arguments: list[str], capsys: Capture
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert "Commands:" in out and err == ""


def test_an_audit_prints_the_verdict_that_its_schema_describes(
    batch: Path, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = parsed(capsys, "audit", batch, "--gold", gold, "--engine", "serial", code=3)
    schema = Path(tailguard.__file__).parent / "report" / "verdict.schema.json"
    jsonschema.validate(data, json.loads(schema.read_text()))
    assert (data["status"], data["batch"]["documents"]) == ("inconclusive", N)
    assert [axis["axis"] for axis in data["axes"]] == list(AXES)


def test_an_audit_of_saved_profiles_is_the_audit_of_the_corpora(
    batch: Path, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    profiles = []
    for path in (batch, gold):
        profiles.append(path.with_suffix(".profile"))
        printed(capsys, "profile", path, "-o", profiles[-1])
    one = parsed(capsys, "audit", batch, "--gold", gold, code=3)
    two = parsed(capsys, "audit", profiles[0], "--gold", profiles[1], code=3)
    for data in (one, two):
        del data["created"], data["batch"]["name"], data["gold"]["name"]
    assert one == two


def test_an_audit_writes_every_report_it_is_asked_for_and_names_it(
    batch: Path, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    paths = [tmp_path / f"report.{end}" for end in ("html", "json", "md", "xml", "sarif")]
    outputs = [part for path in paths for part in ("-o", path)]
    out = printed(capsys, "audit", batch, "--gold", gold, *outputs, code=3)
    assert "INCONCLUSIVE" in out
    for path in paths:
        assert path.stat().st_size > 500 and f"report: {path}" in out


def test_a_passing_a_failing_and_a_small_batch_have_their_own_exit_codes(
    tmp_path: Path, capsys: Capture
) -> None:
    texts = human_texts()
    middle = len(texts) // 2
    batches = {0: texts[:middle], 1: [*texts[: middle // 2]] * 2, 3: texts[:5]}
    gold = tmp_path / "gold.jsonl"
    gold.write_bytes(lines(texts[middle:]))
    for code, batch in batches.items():
        path = tmp_path / f"batch-{code}.jsonl"
        path.write_bytes(lines(batch))
        out = printed(capsys, "audit", path, "-g", gold, "--engine", "serial", code=code)
        assert out.split()[1] == {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}[code]


def test_a_profile_tells_what_it_read_and_its_slices(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "batch.jsonl"
    rows = ({"body": t, "source": f"s{i % 3}"} for i, t in enumerate(human_texts()[:N]))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = tmp_path / "batch.profile"
    data = parsed(capsys, "profile", path, "-o", target, "--text-column", "body", "--by", "source")
    assert (data["documents"], data["slices"]) == (N, {f"source=s{i}": 8 for i in range(3)})
    assert target.stat().st_size > 1_000


def test_measuring_gives_every_metric_its_row_and_null_for_what_is_undefined(
    batch: Path, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    known = {sheet["name"]: sheet for sheet in parsed(capsys, "metrics", "list")}
    alone = parsed(capsys, "measure", batch)
    assert {r["metric"] for r in alone} == {n for n, s in known.items() if not s["needs_gold"]}
    assert {r["metric"] for r in parsed(capsys, "measure", batch, gold)} == set(known)
    tested = parsed(capsys, "measure", batch, gold, "--null", "4", "--metrics", "hill_0,rare_mass")
    assert all(r["null_p"] is not None for r in tested)
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(lines([""] * 3))
    assert all(r["value"] is not None or r["note"] for r in parsed(capsys, "measure", empty, gold))
    few = parsed(capsys, "measure", batch, "--metrics", "late, hill_0")
    assert {"hill_0", "looped_documents"} <= {r["metric"] for r in few} < set(known)


def test_tables_for_people_show_what_the_json_holds(batch: Path, capsys: Capture) -> None:
    assert f"{N}" in printed(capsys, "corpus", "stats", batch)
    assert parsed(capsys, "corpus", "stats", batch)["documents"] == N
    assert "hill_0" in printed(capsys, "metrics", "list")
    assert "hill_0" in printed(capsys, "measure", batch, "--metrics", "hill_0")


def test_converting_there_and_back_keeps_every_record(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": f'line {i}\nand, "more"', "n": i, "tag": None} for i in range(7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for end in ("parquet", "csv", "tsv", "jsonl.gz", "jsonl.zst", "back.jsonl"):
        target = tmp_path / f"b.{end}"
        assert "7 records" in printed(capsys, "corpus", "convert", path, "-o", target)
        path = target
    found = [row for batch in open_corpus(path).batches() for row in batch.to_pylist()]
    assert [row["text"] for row in found] == [row["text"] for row in rows]
    assert [int(row["n"]) for row in found] == list(range(7))
    assert pq.read_table(tmp_path / "b.parquet").num_rows == 7
    assert len(list(csv.reader((tmp_path / "b.csv").open(newline="")))) == 8
    assert len(gzip.decompress((tmp_path / "b.jsonl.gz").read_bytes()).splitlines()) == 7


def test_a_sample_is_a_subset_in_order_and_follows_its_seed(
    batch: Path, tmp_path: Path, capsys: Capture
) -> None:
    found = []
    for number, seed in enumerate(("0", "0", "1")):
        target = tmp_path / f"sample-{number}.jsonl"
        printed(capsys, "corpus", "sample", batch, "-n", "9", "-o", target, "--seed", seed)
        found.append([json.loads(line)["text"] for line in target.read_text().splitlines()])
    assert found[0] == found[1] != found[2]
    order = [human_texts().index(text) for text in found[0]]
    assert len(order) == 9 and order == sorted(order) and order[-1] < N


def test_a_sample_larger_than_the_corpus_is_the_corpus(
    batch: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = printed(capsys, "corpus", "sample", batch, "-n", "999", "-o", tmp_path / "s.jsonl")
    assert out.startswith(f"{N} records written")


def test_sampling_draws_every_record_equally_often(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([f"text {i}" for i in range(10)]))
    drawn = [0] * 10
    for seed in range(80):
        printed(capsys, "corpus", "sample", path, "-n", "5", "-o", tmp_path / "s.csv",
                "--seed", str(seed))  # fmt: skip
        for row in csv.DictReader((tmp_path / "s.csv").open()):
            drawn[int(row["text"].split()[1])] += 1
    assert sum(drawn) == 400
    assert all(22 <= n <= 58 for n in drawn)  # 40 expected, four standard errors


def test_the_head_is_the_first_records_and_tells_of_rows_left_out(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{\n" + lines(["a", "b", "c"]))
    assert run(["corpus", "head", str(path), "-n", "2"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a", "b"]
    assert err == "tailguard: 1 row quarantined (not JSON: 1)\n"


def test_the_demonstration_writes_the_reports_it_names(tmp_path: Path, capsys: Capture) -> None:
    rows = parsed(capsys, "demo", "-o", tmp_path / "demo", "--generations", "2")
    assert [row["batch"] for row in rows] == ["held-out human", "generation 1", "generation 2"]
    assert [row["verdict"] for row in rows] == ["pass", "fail", "fail"]
    assert all("<html" in Path(row["report"]).read_text() for row in rows)
    assert rows[0]["vocabulary"] == 1.0 > rows[1]["vocabulary"] > rows[2]["vocabulary"]


def test_the_wheel_takes_in_everything_beside_the_code_that_runs() -> None:
    # hatchling packs all files of a package that version control does not ignore.
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert wheel == {"targets": {"wheel": {"packages": ["src/tailguard"]}}}
    package = ROOT / "src" / "tailguard"
    for name in ("py.typed", "report/verdict.schema.json", "report/templates/verdict.html.j2",
                 "report/templates/verdict.css"):  # fmt: skip
        assert (package / name).is_file()
    ignored = {line.strip("*/ ") for line in (ROOT / ".gitignore").read_text().split()}
    assert not {"templates", "j2", "css", "json", "py.typed"} & ignored


def test_a_mistyped_command_is_answered_with_the_right_one(capsys: Capture) -> None:
    assert "Did you mean 'audit'" in refused(capsys, "audti", "x")
