"""The ledger from the command line: a whole life, exit codes, JSON, one line for what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Capture, parsed, printed, refused

from tailguard.cli import ledger as commands
from tailguard.cli.app import app
from tailguard.provenance import keys

# The group may not be part of the program yet; afterwards this does nothing.
if not any(group.name == "ledger" for group in app.registered_groups):
    app.add_typer(commands.app, name="ledger")

NEW_KEY = "00" * 32


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """A folder with data and a ledger in which one of the files is registered."""
    monkeypatch.chdir(tmp_path)
    for name, first in (("a.jsonl", 0), ("b.jsonl", 100)):
        rows = ({"id": f"r{i}", "text": f"text {i}"} for i in range(first, first + 30))
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(capsys, "init", "ledger", "--key", "k.key", "--name", "example.com/log")
    run(capsys, "register", "a.jsonl", "--origin", "human", "--key", "k.key", "--source", "web")
    return tmp_path


def run(capsys: Capture, *arguments: str, code: int = 0) -> str:
    return printed(capsys, "ledger", *arguments, code=code)


def told(capsys: Capture, *arguments: str, code: int = 0) -> Any:
    return parsed(capsys, "ledger", *arguments, code=code)


def refuse(capsys: Capture, *arguments: str, code: int = 2) -> str:
    return refused(capsys, "ledger", *arguments, code=code)


def first_id(capsys: Capture, data: str) -> str:
    record, _, where = run(capsys, "ids", data, "-n", "1").strip().partition("  ")
    assert len(record) == 64 and where == f"{data}#0"
    assert told(capsys, "ids", data, "-n", "1") == [{"record": record, "file": data, "row": 0}]
    return record


def test_from_a_record_to_a_proof_that_anyone_can_check(place: Path, capsys: Capture) -> None:
    record = first_id(capsys, "a.jsonl")
    assert "record: proof written" in run(capsys, "prove", record, "-o", "p.json")
    shutil.rmtree("ledger")
    os.unlink("a.jsonl")
    out = run(capsys, "check", "p.json", "--key", "k.key.pub")
    assert out.startswith(f"holds: record {record} is part of the data-registered 'a.jsonl'")
    found = told(capsys, "check", "p.json", "--key", Path("k.key.pub").read_text().strip())
    assert found["ok"] and found["statement"]["predicate"]["origin"] == {
        "kind": "human", "evidence": "declared", "source": "web",
    }  # fmt: skip


def test_a_proof_that_does_not_hold_exits_with_one(place: Path, capsys: Capture) -> None:
    run(capsys, "prove", first_id(capsys, "a.jsonl"), "-o", "p.json")
    keys.save(keys.generate("example.com/log"), "other.key")
    line = refuse(capsys, "check", "p.json", "--key", "other.key.pub", code=1)
    assert "p.json: expected a signature of example.com/log" in line
    found = told(capsys, "check", "p.json", "--key", "other.key.pub", code=1)
    assert not found["ok"] and "expected a signature" in found["problem"]
    text = Path("p.json").read_text()
    Path("p.json").write_text(text.replace('"index":0', '"index":1'))
    assert "expected an entry" in refuse(capsys, "check", "p.json", "--key", "k.key.pub", code=1)
    Path("p.json").write_text(text[:-9])
    assert "expected JSON" in refuse(capsys, "check", "p.json", "--key", "k.key.pub")
    assert "nothing there" in refuse(capsys, "check", "none.json", "--key", "k.key.pub")


def test_absence_is_proved_under_an_inventory(place: Path, capsys: Capture) -> None:
    record = first_id(capsys, "b.jsonl")
    assert "take one: ledger inventory" in refuse(capsys, "prove", record, "--absent")
    assert run(capsys, "inventory", "--key", "k.key") == "entry 1: inventory\n"
    for arguments in ((record, "--absent"), (record, "--absent", "--entry", "0"),
                      ("--absent", "--about", "b.jsonl")):  # fmt: skip
        run(capsys, "prove", *arguments, "-o", "p.json")
        assert told(capsys, "check", "p.json", "--key", "k.key.pub")["kind"].startswith("no-")
    assert "name: expected one not entered" in refuse(
        capsys, "prove", "--absent", "--about", "a.jsonl"
    )


def test_a_ledger_that_was_changed_exits_with_one(place: Path, capsys: Capture) -> None:
    assert run(capsys, "verify", "--key", "k.key.pub").startswith(
        "sound: example.com/log, 1 entries (1 data-registered)"
    )
    shutil.copy("ledger/checkpoint", "old")
    told(capsys, "register", "b.jsonl", "--origin", "synthetic", "--generator", "m@1",
         "--generation", "1", "--key", "k.key")  # fmt: skip
    assert told(capsys, "verify", "--since", "old")["ok"]
    tile = Path("ledger/tile/entries/000.p/2")
    tile.write_bytes(tile.read_bytes().replace(b'"kind":"synthetic"', b'"kind":"human"    '))
    found = told(capsys, "verify", code=1)
    assert not found["ok"] and found["problems"]
    assert run(capsys, "verify", code=1).startswith("NOT SOUND: example.com/log, 2 entries")
    keys.save(keys.generate("example.com/log"), "other.key")
    assert "the ledger of" in refuse(capsys, "verify", "--key", "other.key.pub", code=1)


def test_entries_of_other_kinds_are_entered_and_listed(place: Path, capsys: Capture) -> None:
    Path("p.json").write_text('{"plan": "plan-7", "data": ["a.jsonl"], "extra": {"x": 0.5}}')
    keys.save(keys.generate("curation team"[:8]), "team.key")
    subject = f"m@1=sha256:{'ab' * 32}"
    out = run(capsys, "enter", "model-trained", "--subject", subject, "--predicate", "p.json",
              "--key", "k.key", "--signer", "team.key")  # fmt: skip
    assert out == "entry 1: model-trained\n"
    lines = run(capsys, "log").splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"] and lines[1].endswith("m@1")
    (row,) = told(capsys, "log", "--kind", "model-trained")
    assert row["statement"]["predicate"]["extra"] == {"x": 0.5} and len(row["signers"]) == 1
    assert [row["sequence"] for row in told(capsys, "log", "--about", subject[4:])] == [1]
    assert [row["sequence"] for row in told(capsys, "log", "-n", "1")] == [1]
    run(capsys, "prove", "--entry", "1", "-o", "e.json")
    assert told(capsys, "check", "e.json", "--key", "k.key.pub", "--signer", "team.key.pub")["ok"]
    refuse(capsys, "check", "e.json", "--key", "k.key.pub", "--signer", "k.key.pub", code=1)
    line = refuse(capsys, "enter", "nonsense", "--subject", subject, "--predicate", "p.json",
                  "--key", "k.key")  # fmt: skip
    assert "expected one of data-registered" in line


def test_witnesses_and_references_are_made_and_asked_for(place: Path, capsys: Capture) -> None:
    keys.save(keys.generate("witness"), "w.key")
    assert told(capsys, "witness", "--key", "w.key", "--state", "w.json",
                "--log-key", "k.key.pub")["size"] == 1  # fmt: skip
    run(capsys, "prove", "--entry", "0", "-o", "p.json")
    vkey = told(capsys, "witness", "--key", "w.key", "--state", "w.json")["key"]
    for witness in ("w.key.pub", vkey):
        found = told(capsys, "check", "p.json", "--key", "k.key.pub", "--witness", witness)
        assert found["witnesses"][0]["name"] == "witness"
    both = ("--witness", "w.key.pub", "--witness", "k.key.pub")
    assert "2 witnesses" in refuse(capsys, "check", "p.json", "--key", "k.key.pub", *both, code=1)
    assert told(capsys, "check", "p.json", "--key", "k.key.pub", *both, "--quorum", "1")["ok"]
    run(capsys, "init", "union", "--key", "u.key")
    out = run(capsys, "refer", "ledger", "--ledger", "union", "--key", "u.key")
    assert out == "entry 0: example.com/log at 1 entries\n"
    run(capsys, "prove", "--entry", "0", "--via", "union", "-o", "v.json")
    assert told(capsys, "check", "v.json", "--key", "u.key.pub")["via"] == "union"
    run(capsys, "prove", "--since", "ledger/checkpoint", "-o", "g.json")
    assert told(capsys, "check", "g.json", "--key", "k.key.pub")["kind"] == "grown"


def test_a_proof_without_an_output_is_printed_as_it_would_be_saved(
    place: Path, capsys: Capture
) -> None:
    out = run(capsys, "prove", "--entry", "0")
    run(capsys, "prove", "--entry", "0", "-o", "p.json")
    assert out.rstrip("\n") == Path("p.json").read_text()


def test_data_without_its_map_is_proved_from_the_data(place: Path, capsys: Capture) -> None:
    made = told(capsys, "register", "b.jsonl", "--origin", "unknown", "--no-map", "--key", "k.key",
                "--name", "crawl", "--workers", "1", "--engine", "serial")  # fmt: skip
    assert made["name"] == "crawl" and made["records"] == 30
    record = first_id(capsys, "b.jsonl")
    assert "in none of 1 maps here" in refuse(capsys, "prove", record)
    run(capsys, "prove", record, "--data", "b.jsonl", "-o", "p.json")
    assert told(capsys, "check", "p.json", "--key", "k.key.pub")["ok"]
    assert "the input itself" in refuse(
        capsys, "prove", record, "--data", "b.jsonl", "-o", "b.jsonl"
    )


@pytest.mark.parametrize(("arguments", "says"), [
    (["init", "ledger", "--key", "k.key"], "a new or empty folder, got a ledger"),
    (["register", "none.jsonl", "--origin", "human", "--key", "k.key"], "nothing there"),
    (["register", "a.jsonl", "--origin", "robot", "--key", "k.key"], "robot"),
    (["register", "a.jsonl", "--origin", "human", "--key", "none.key"], "none.key"),
    (["register", "a.jsonl", "--origin", "human", "--key", "k.key", "-l", "."], "a ledger"),
    (["register", "a.jsonl", "--origin", "human", "--key", "open.key"], "only its owner"),
    (["prove", "xyz"], "a RECORD_ID"), (["prove"], "choose one"),
    (["prove", NEW_KEY], "registered"),
    (["prove", "--entry", "7"], "one of 1 entries"), (["log", "--kind", "x"], "one of data-reg"),
    (["check", "a.jsonl", "--key", "k.key.pub"], "a.jsonl"),
    (["check", "a.jsonl", "--key", "k.key"], "a public key"),
    (["enter", "verdict", "--subject", "x", "--predicate", "a.jsonl", "--key", "k.key"], "a.jsonl"),
    (["witness", "--key", "k.key", "--state", "a.jsonl"], "a.jsonl"),
    (["verify", "--since", "a.jsonl", "-l", "none"], "none: expected a ledger"),
    (["ids", "k.key"], "a known format"),
])  # fmt: skip
def test_what_is_wrong_is_one_line_and_exit_code_two(
    place: Path, capsys: Capture, arguments: list[str], says: str
) -> None:
    shutil.copy("k.key", "open.key")
    os.chmod("open.key", 0o644)
    before = Path("ledger/checkpoint").read_bytes()
    assert says in refuse(capsys, *arguments)
    assert Path("ledger/checkpoint").read_bytes() == before


def test_secrets_stay_out_of_the_ledger_and_of_what_is_printed(
    place: Path, capsys: Capture
) -> None:
    token = "gh" + "p_" + "a1B2" * 9
    line = refuse(capsys, "register", "a.jsonl", "--origin", "human", "--key", "k.key",
                  "--source", f"https://x.example/?t={token}")  # fmt: skip
    assert "nothing secret" in line and token not in line
    secret = Path("k.key").read_text().strip().rsplit("+", 1)[-1]
    held = [p.read_bytes() for p in Path("ledger").rglob("*") if p.is_file()]
    assert len(held) > 5 and not any(secret.encode()[:20] in data for data in held)


def test_names_from_strangers_cannot_write_on_the_terminal(place: Path, capsys: Capture) -> None:
    told(capsys, "register", "b.jsonl", "--origin", "human", "--key", "k.key",
         "--name", "x\x1b[31m\nforged line")  # fmt: skip
    out = run(capsys, "log")
    assert "\x1b" not in out and len(out.splitlines()) == 2
    run(capsys, "prove", "--entry", "1", "-o", "p.json")
    out = run(capsys, "check", "p.json", "--key", "k.key.pub")
    assert "\x1b" not in out and "\nforged" not in out


def test_the_commands_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    page = Path(__file__).parents[2] / "docs/provenance-ledger.md"
    lines = re.findall(r"^\$ tailguard (ledger .*)$", page.read_text(), re.MULTILINE)
    assert len(lines) == 12
    monkeypatch.chdir(tmp_path)
    Path("web.jsonl").write_text('{"text": "one"}\n')
    Path("model.json").write_text('{"plan": "p"}')
    keys.save(keys.generate("witness"), "witness.key")
    run(capsys, "init", "other-ledger", "--key", "other.key")
    run(
        capsys,
        "register",
        "web.jsonl",
        "--origin",
        "human",
        "-l",
        "other-ledger",
        "--key",
        "other.key",
    )
    record = first_id(capsys, "web.jsonl")
    for line in lines:
        if "--witness" in line:
            run(capsys, "prove", record, "-o", "proof.json")
        words = (
            line.replace("RECORD_ID", record).replace("sha256:...", f"sha256:{'ab' * 32}").split()
        )
        run(capsys, *words[1:])
    assert (
        told(capsys, "check", "proof.json", "--key", "ledger.key.pub")["via"] == "example.com/log"
    )
