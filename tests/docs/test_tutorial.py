"""The tutorial works as it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documents import ROOT, Command, check, commands, run_document


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    done = run_document(ROOT / "docs" / "tutorial.md", tmp_path)
    assert len(done) > 10
    assert {command.exit_code for command in done} == {0, 1, 2, 3}
    for name in ("docs.jsonl", "few.parquet", "gold.profile", "report.html", "mixed.html"):
        assert (tmp_path / name).stat().st_size > 0, name
    verdict = json.loads((tmp_path / "mixed.json").read_text())
    stages = {part["value"]: part["stage"] for part in verdict["slices"]}
    assert stages["crawl"] == "healthy"
    assert stages["vendor"] in ("early", "mid", "late")


def test_a_stated_exit_code_is_held_against_the_real_one(tmp_path: Path) -> None:
    assert commands("$ exit 3  # exit code 3\nout\n$ true\n") == [
        Command("exit 3", 3),
        Command("true", 0),
    ]
    check(Command("exit 3", 3), tmp_path)
    with pytest.raises(AssertionError, match="exit code 3"):
        check(Command("exit 3", 0), tmp_path)
