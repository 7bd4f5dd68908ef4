"""Whatever arrives: one line, exit code 2 (or 3), and nothing left behind."""

from __future__ import annotations

import gzip
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runs import Capture, human_texts, lines, one_line, parsed, refused, started

from tailguard.cli import run
from tailguard.measure.profile import profile_texts
from tailguard.measure.store import dump_profile, save_profile


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": list(human_texts()[:9])}), sink)
    return bytes(sink.getvalue().to_pybytes())


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_bytes(lines(human_texts()[:30]))
    return path


GOOD = lines(["fine"])
# name of the file -> its bytes, and what the line must say.
DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.jsonl": (lambda: b"", "at least one"),
    "empty.parquet": (lambda: b"", "got"),
    "blank.jsonl": (lambda: b"\n \n\n", "at least one"),
    "column.jsonl": (lambda: b'{"txet": "a"}\n', "--text-column"),
    "cut.jsonl.gz": (lambda: gzip.compress(lines(human_texts()))[:-99], "undamaged"),
    "cut.parquet": (lambda: parquet()[:-30], "undamaged"),
    "flipped.parquet": (lambda: b"X" + parquet()[1:-1] + b"X", "undamaged"),
    "undecodable.jsonl": (lambda: b'{"text": "a\xff"}\n' * 3, "invalid UTF-8: 3"),
    "types.jsonl": (lambda: b'{"text": 5}\n{"text": [1]}\n{"text": null}\n', "3 rows quarantined"),
    "zeros.jsonl": (lambda: bytes(5_000), "got"),
    "prose.jsonl": (lambda: b"Call me Ishmael.\n", "got"),
    "cut.profile": (lambda: dump_profile(profile_texts(["a b"]))[:-1], "checksum"),
    "magic.profile": (lambda: b"TGPROF", "got"),
    "batch.xyz": (lambda: b"abc", "a known format"),
    "batch.csv": (lambda: b"a,b\nx,y\n", "--text-column"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_batch_or_gold_is_one_line_and_exit_code_two(
    name: str, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    make, says = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(make())
    before = sorted(os.listdir(tmp_path))
    report = tmp_path / "report.html"
    for arguments in ((path, "-g", gold), (gold, "-g", path)):
        line = refused(capsys, "audit", *arguments, "-o", report)
        assert says in line and name in line
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("command", [["audit", "-g", "gold"], ["profile", "-o", "out"],
                                     ["measure"], ["corpus", "head"], ["corpus", "stats"],
                                     ["corpus", "convert", "-o", "out.csv"],
                                     ["corpus", "sample", "-n", "2", "-o", "out.csv"]])  # fmt: skip
def test_every_command_refuses_a_missing_file_alike(
    command: list[str], gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    places = {
        "gold": str(gold),
        "out": str(tmp_path / "o.profile"),
        "out.csv": str(tmp_path / "o.csv"),
    }
    arguments = [places.get(part, part) for part in command]
    line = refused(capsys, *arguments, tmp_path / "none.jsonl")
    assert "none.jsonl: expected a file or folder, got nothing there" in line
    assert os.listdir(tmp_path) == ["gold.jsonl"]


def test_a_wrong_column_is_answered_with_the_nearest_one(
    gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b'{"body": "a", "id": "1"}\n')
    line = refused(capsys, "profile", path, "-o", tmp_path / "p", "--text-column", "bodi")
    assert "did you mean 'body'?" in line


def test_nuls_and_some_bad_rows_are_counted_and_the_rest_is_read(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(GOOD * 5 + b'{"text": "nul \\u0000"}\n{\0\n{"text": "\xff"}\n{"text": 1}\n')
    bad = tmp_path / "bad.jsonl"
    data = parsed(capsys, "profile", path, "-o", tmp_path / "p.profile", "--quarantine", bad)
    assert (data["documents"], data["quarantined"]) == (6, 3)
    reasons = {json.loads(line)["reason"] for line in bad.read_text().splitlines()}
    assert reasons == {"not JSON", "invalid UTF-8", "text is int, not a string"}


@pytest.mark.slow
def test_a_gigabyte_in_one_line_is_quarantined_and_the_next_line_read(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "batch.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "')
        file.seek(1 << 30)  # a hole: no disk is used
        file.write(b'"}\n' + GOOD)
    data = parsed(capsys, "corpus", "stats", path)
    assert (data["documents"], data["quarantined"]) == (1, 1)


def test_a_million_empty_documents_are_too_little_text_and_quick(
    gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b'{"text": ""}\n' * 1_000_000)
    began = time.perf_counter()
    data = parsed(capsys, "audit", path, "-g", gold, "--engine", "serial", code=3)
    assert time.perf_counter() - began < 20
    assert data["batch"]["documents"] == 1_000_000
    assert "1,000,000 of the batch's 1,000,000 documents are empty" in " ".join(data["caveats"])


def test_a_profile_of_another_version_says_which(
    gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = bytearray(dump_profile(profile_texts(["a b c"])))
    data[7] = 9
    path = tmp_path / "old.profile"
    path.write_bytes(data)
    line = refused(capsys, "audit", gold, "-g", path)
    assert "a profile of version 1, got version 9" in line and "tailguard profile" in line


def test_a_flipped_bit_anywhere_in_a_profile_is_refused(
    gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    sound = dump_profile(profile_texts(human_texts()[:5]))
    path = tmp_path / "gold.profile"
    for place in range(8, len(sound), max(1, len(sound) // 12)):
        data = bytearray(sound)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        assert "an undamaged profile" in refused(capsys, "audit", gold, "-g", path)


def test_gold_as_its_own_batch_is_refused_in_every_form(
    gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    saved, copy = tmp_path / "gold.profile", tmp_path / "copy.jsonl"
    save_profile(profile_texts(human_texts()[:30]), saved)
    copy.write_bytes(lines(reversed(human_texts()[:30])))
    for batch in (gold, saved, copy):
        for against in (gold, saved):
            line = refused(capsys, "audit", batch, "-g", against)
            assert "got gold itself" in line


@pytest.mark.parametrize("n", [1, 5])
def test_a_gold_or_batch_of_few_documents_is_inconclusive(
    n: int, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_bytes(lines(human_texts()[50 : 50 + n]))
    for arguments in ((few, "-g", gold), (gold, "-g", few)):
        data = parsed(capsys, "audit", *arguments, code=3)
        assert (data["stage"], data["rule"]) == ("insufficient", "insufficient")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may do everything, so step down to nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_folders_that_may_not_be_read_or_written_are_refused(gold: Path, capsys: Capture) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.jsonl").write_bytes(GOOD)
        # Once with all rights, so that no module is left to import.
        assert run(["profile", folder, "-o", f"{folder}/a.profile"]) == 0
        assert run(["corpus", "stats", f"{folder}/none.jsonl"]) == 2
        Path(folder, "a.profile").unlink()
        capsys.readouterr()
        os.chmod(folder, 0o555)
        with unprivileged():
            line = refused(capsys, "profile", folder, "-o", f"{folder}/a.profile")
        assert "permission denied" in line.lower()
        os.chmod(folder, 0o000)
        try:
            with unprivileged():
                line = refused(capsys, "corpus", "stats", folder)
        finally:
            os.chmod(folder, 0o700)
        assert "permission denied" in line
        assert os.listdir(folder) == ["a.jsonl"]


@pytest.mark.parametrize("command", ["profile", "html", "json", "jsonl", "sample", "quarantine"])
def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    command: str, gold: Path, tmp_path: Path, capsys: Capture
) -> None:
    batch = tmp_path / "batch.jsonl"
    batch.write_bytes(lines(human_texts()[40:60]) + b"{" * 3_000 + b"\n")
    target = tmp_path / "target"
    arguments = {
        "profile": ["profile", batch, "-o", target],
        "html": ["audit", batch, "-g", gold, "-o", f"{target}.html"],
        "json": ["audit", batch, "-g", gold, "-o", f"{target}.json"],
        "jsonl": ["corpus", "convert", batch, "-o", f"{target}.jsonl"],
        "sample": ["corpus", "sample", batch, "-n", "15", "-o", f"{target}.parquet"],
        "quarantine": ["profile", batch, "-o", target, "--quarantine", f"{target}.bad"],
    }[command]
    # Once with room, so that compiled code is in its cache before the disk is full.
    warm = [str(a).replace(str(target), str(tmp_path / "warm")) for a in arguments]
    assert run(warm) in (0, 1, 3)
    capsys.readouterr()
    for left in tmp_path.glob("warm*"):
        left.unlink()
    before = sorted(os.listdir(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500 if command == "quarantine" else 2_000, hard))
    try:
        line = refused(capsys, *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "target" in line and "too large" in line.lower()
    assert sorted(os.listdir(tmp_path)) == before


def test_a_full_standard_output_is_one_line_and_a_closed_one_is_none(gold: Path) -> None:
    with open("/dev/full", "w") as full:
        process = started("corpus", "head", gold, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no space left" in one_line(err)
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        process = started("corpus", "head", gold, "-n", "30", stdout=closed)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_a_terminal_of_few_characters_shows_what_it_can(gold: Path) -> None:
    process = started("measure", gold, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "\\u2013" in out


BAD_USE: dict[str, tuple[list[str], str]] = {
    "unknown option": (["audit", "B", "-g", "G", "--wrokers", "2"], "--workers"),
    "unknown engine": (["audit", "B", "-g", "G", "--engine", "slurm"], "'local', 'serial', 'ray'"),
    "no gold": (["audit", "B"], "--gold"),
    "no batch": (["audit", "-g", "G"], "batch"),
    "seed below zero": (["audit", "B", "-g", "G", "--seed", "-1"], "--seed"),
    "sample seed": (["corpus", "sample", "B", "-n", "3", "-o", "s.csv", "--seed", "-2"], "--seed"),
    "no workers": (["audit", "B", "-g", "G", "--workers", "0"], "a positive number"),
    "workers in words": (["audit", "B", "-g", "G", "--workers", "two"], "--workers"),
    "unknown report": (["audit", "B", "-g", "G", "-o", "r.pdf"], ".html, .json, .md"),
    "report without ending": (["audit", "B", "-g", "G", "-o", "report"], "no ending"),
    "report nowhere": (["audit", "B", "-g", "G", "-o", "none/r.html"], "an existing folder"),
    "profile nowhere": (["profile", "B", "-o", "none/p"], "an existing folder"),
    "profile is a folder": (["profile", "B", "-o", "."], "the name of a file"),
    "unknown format": (["corpus", "convert", "B", "-o", "b.doc"], ".parquet, .jsonl"),
    "unknown policy": (["audit", "B", "-g", "G", "--policy", "none.yaml"], "a policy file"),
    "unknown metric": (["measure", "B", "--metrics", "hil_0"], "did you mean 'hill_0'?"),
    "metric without gold": (["measure", "B", "--metrics", "rare_recall"], "a second corpus"),
    "unknown slice": (["audit", "B", "-g", "G", "--by", "sauce"], "choose from text"),
    "unknown builtin": (["corpus", "head", "builtin:python-dogs"], "'builtin:python-docs'"),
    "no records asked for": (["corpus", "head", "B", "-n", "0"], "-n"),
    "no generations": (["demo", "--generations", "0"], "--generations"),
    "demo over a file": (["demo", "-o", "B", "--generations", "1"], "file exists"),
    "profile over its input": (["profile", "B", "-o", "B"], "the input itself"),
    "profile over a glob": (["profile", "*.jsonl", "-o", "B"], "the input itself"),
    "convert over its input": (["corpus", "convert", "B", "-o", "B"], "the input itself"),
    "convert over its folder": (["corpus", "convert", ".", "-o", "B"], "the input itself"),
    "sample over its input": (["corpus", "sample", "B", "-n", "2", "-o", "B"], "the input itself"),
    "quarantine over gold": (["audit", "B", "-g", "G", "--quarantine", "G"], "the input itself"),
}


@pytest.mark.parametrize("case", BAD_USE)
def test_bad_use_is_one_line_that_says_what_would_do(
    case: str, gold: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, says = BAD_USE[case]
    (tmp_path / "batch.jsonl").write_bytes(lines(human_texts()[40:45]))
    monkeypatch.chdir(tmp_path)
    before = {path: (tmp_path / path).read_bytes() for path in os.listdir(tmp_path)}
    names = {"B": "batch.jsonl", "G": "gold.jsonl"}
    assert says in refused(capsys, *[names.get(part, part) for part in arguments])
    assert {path: (tmp_path / path).read_bytes() for path in os.listdir(tmp_path)} == before


@pytest.mark.parametrize(
    "output", [["r.pdf"], ["none/r.html"], ["good.html", "r.doc"]], ids=" ".join
)
def test_a_wrong_report_name_is_refused_before_anything_is_read(
    output: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [part for path in output for part in ("-o", path)]
    # Neither of the corpora exists, yet it is the report that is complained about.
    line = refused(capsys, "audit", "none.jsonl", "-g", "none.jsonl", *options)
    assert output[-1] in line and "none.jsonl" not in line


def test_a_device_never_gives_way_to_a_result(gold: Path, tmp_path: Path, capsys: Capture) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "a device, a pipe" in refused(capsys, "profile", gold, "-o", pipe)
    assert pipe.is_fifo()


def test_bad_input_is_the_same_one_line_from_a_process_of_its_own(gold: Path) -> None:
    cases = {
        ("audit", "none.jsonl", "-g", gold): "got nothing there",
        ("audit", gold, "-g", gold): "got gold itself",
        ("audit", gold, "-g", gold, "-o", "x.doc"): ".html",
    }
    for arguments, says in cases.items():
        process = started(*arguments)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, "")
        assert says in one_line(err)
