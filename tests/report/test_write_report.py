from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tailguard.errors import InputError
from tailguard.report.base import Verdict
from tailguard.report.codec import from_json
from tailguard.report.render import (
    FORMS,
    write_report,
)


@pytest.mark.parametrize("suffix", FORMS)
def test_the_suffix_chooses_the_form(verdict: Verdict, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    write_report(verdict, path)
    assert path.read_text("utf-8") == FORMS[suffix](verdict)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_lone_surrogates_are_written_as_what_they_stood_for(
    verdict: Verdict, tmp_path: Path
) -> None:
    odd = dataclasses.replace(verdict, headline="a\udc80b", curves={})
    for suffix in FORMS:
        write_report(odd, tmp_path / f"r{suffix}")
        (tmp_path / f"r{suffix}").read_text("utf-8")
    assert from_json((tmp_path / "r.json").read_text("utf-8")).headline == "a\udc80b"


def test_an_unknown_suffix_is_refused_with_the_known_ones(verdict: Verdict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html, \.json, \.md, \.xml, \.sarif"):
        write_report(verdict, tmp_path / "report.pdf")


def test_a_place_that_cannot_be_written_is_one_line(verdict: Verdict, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.json").mkdir()
    for path in ("missing/r.json", "file/r.json", "folder.json", "a\0b.json", "n" * 300 + ".json"):
        with pytest.raises(InputError) as caught:
            write_report(verdict, tmp_path / path)
        assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.json"]


def test_a_full_disk_leaves_the_old_report_and_no_rest(verdict: Verdict, tmp_path: Path) -> None:
    write_report(verdict, tmp_path / "verdict.json")
    (tmp_path / "r.md").write_text("old")
    code = (
        "import pathlib, resource\n"
        "from tailguard.errors import InputError\n"
        "from tailguard.report.render import from_json, write_report\n"
        "verdict = from_json(pathlib.Path('verdict.json').read_text('utf-8'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n    write_report(verdict, 'r.md')\n"
        "except InputError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "file too large" in done.stdout.lower() and done.stdout.count("\n") == 1
    assert (tmp_path / "r.md").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.md", "verdict.json"]
