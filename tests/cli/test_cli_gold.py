"""``tailguard gold``, as its users run it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runs import Capture, parsed, printed, refused

from tailguard.provenance import keys


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without keys, in a folder of their own."""
    home = tmp_path / "home"
    monkeypatch.setenv("TAILGUARD_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def make(folder: str, n: int = 300, first: int = 0) -> Path:
    path = Path(folder)
    path.mkdir(exist_ok=True)
    texts = [f"record {i}" for i in range(first, first + n)]
    pq.write_table(pa.table({"text": texts}), path / "a.parquet", row_group_size=64)
    (path / "b.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    return path


LOCK = ("gold", "lock", "corpus", "--by", "curation team", "-o", "gold.lock", "--engine", "serial")
VERIFY = ("gold", "verify", "gold.lock", "corpus", "--engine", "serial")


def locked(capture: Capture, *more: str) -> None:
    make("corpus")
    printed(capture, "gold", "keygen", "--name", "team")
    printed(capture, *LOCK, *more)


def test_gold_is_locked_and_verified_with_two_commands(capsys: Capture, own_home: Path) -> None:
    locked(capsys)
    assert stat.S_IMODE((own_home / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(own_home.stat().st_mode) == 0o700
    out = printed(capsys, *VERIFY)
    assert out.startswith("✔ Unchanged: 302 records in 2 files, locked by curation team")
    found = parsed(capsys, *VERIFY)
    assert found["ok"] and found["lock"]["rows"] == 302 and found["changed"] == []


def test_what_changed_is_named_and_the_exit_code_is_one(capsys: Capture) -> None:
    locked(capsys, "--group-rows", "64")
    texts = [f"record {i}" for i in range(300)]
    texts[130] = "altered"
    pq.write_table(pa.table({"text": texts}), "corpus/a.parquet")
    Path("corpus/b.jsonl").rename("corpus/c.jsonl")
    out = printed(capsys, *VERIFY, code=1)
    assert out.startswith("✘ The data is not what was locked")
    assert "changed: a.parquet: rows 128–191 (1 groups)" in out
    assert "renamed: b.jsonl is now c.jsonl" in out
    found = parsed(capsys, *VERIFY, code=1)
    assert found["changed"][0]["groups"] == [{"group": 2, "first_row": 128, "end_row": 192}]


def test_a_lock_of_a_stranger_fails_until_the_key_is_believed(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    locked(capsys)
    public = tmp_path / "home" / "signing.key.pub"
    monkeypatch.setenv("TAILGUARD_HOME", str(tmp_path / "other"))
    out = printed(capsys, *VERIFY, code=1)
    assert "the signer is not trusted: team" in out and "--key" in out
    assert parsed(capsys, *VERIFY, code=1)["signature"] == "unknown"
    assert printed(capsys, *VERIFY, "--key", str(public)).startswith("✔")
    assert "is trusted" in printed(capsys, "gold", "trust", public, "--publisher", "The Team")
    assert printed(capsys, *VERIFY).startswith("✔")


def test_an_altered_lock_is_said_to_be_one(capsys: Capture) -> None:
    locked(capsys)
    data = Path("gold.lock").read_text()
    told = json.loads(data)
    signature = told["signatures"][0]["sig"]
    told["signatures"][0]["sig"] = ("B" if signature[0] == "A" else "A") + signature[1:]
    Path("gold.lock").write_text(json.dumps(told, separators=(",", ":"), sort_keys=True) + "\n")
    assert "altered after it was signed" in printed(capsys, *VERIFY, code=1)
    assert parsed(capsys, *VERIFY, code=1)["lock"] is None
    Path("gold.lock").write_text(data[:-1])
    assert "a cut file" in refused(capsys, *VERIFY)


def test_releases_are_linked_and_their_history_checked(capsys: Capture) -> None:
    locked(capsys)
    shutil.copytree("corpus", "old")
    Path("corpus/c.jsonl").write_text('{"text": "three"}\n')
    second = (*LOCK[:-4], "-o", "second.lock", "--engine", "serial")
    printed(capsys, *second, "--previous", "gold.lock")
    out = printed(capsys, "gold", "history", "gold.lock", "second.lock")
    assert out.splitlines() == ["✔ gold.lock: the first release", "✔ second.lock: appended only"]
    Path("corpus/b.jsonl").write_text('{"text": "two"}\n')
    assert "pass the old data" in refused(capsys, *second, "--previous", "gold.lock")
    printed(capsys, *second, "--previous", "gold.lock", "--old-data", "old")
    found = parsed(capsys, "gold", "history", "gold.lock", "second.lock", "--data", "corpus")
    assert [one["removed"] for one in found] == [0, 1]
    out = printed(capsys, "gold", "history", "second.lock", "gold.lock", code=1)
    assert "names no release before it" in out


def test_shipments_are_attested_or_less(capsys: Capture, tmp_path: Path) -> None:
    locked(capsys)
    attest = ("gold", "attest", "corpus", "--engine", "serial", "--signed", "gold.lock")
    assert printed(capsys, *attest, code=1).startswith("evidence declared: signed by a key")
    public = tmp_path / "home" / "signing.key.pub"
    printed(capsys, "gold", "trust", public, "--publisher", "Example Press")
    assert printed(capsys, *attest) == "evidence attested: signed by Example Press\n"
    assert parsed(capsys, *attest)["publisher"] == "Example Press"
    assert printed(capsys, *attest[:-2], code=1) == "evidence declared: it is not signed\n"
    Path("corpus/b.jsonl").unlink()
    assert printed(capsys, *attest, code=1) == "evidence none: b.jsonl is missing\n"


def test_the_fingerprint_of_a_profile_is_entered(capsys: Capture) -> None:
    make("corpus")
    printed(capsys, "gold", "keygen")
    printed(capsys, "profile", "corpus/a.parquet", "-o", "gold.profile", "--engine", "serial")
    told = parsed(capsys, *LOCK, "--profile", "gold.profile")
    assert told["profile"].startswith("sha256:") and len(told["profile"]) == 71


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no key": (LOCK, "gold keygen"),
    "no data": ((*LOCK[:2], "missing", *LOCK[3:]), "missing"),
    "no lock": (VERIFY, "gold.lock"),
    "old data alone": ((*LOCK, "--old-data", "corpus"), "--previous"),
    "no public key": ((*VERIFY, "--key", "missing.pub"), "missing.pub"),
    "half an identity": ((*VERIFY, "--identity", "a@example.org"), "pass both"),
    "a folder as output": ((*LOCK[:5], "-o", "corpus"), "corpus"),
    "no folder for output": ((*LOCK[:5], "-o", "missing/gold.lock"), "missing"),
    "groups of 100": ((*LOCK, "--group-rows", "100"), "power of two"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_use_is_refused_in_one_line(name: str, capsys: Capture, own_home: Path) -> None:
    make("corpus")
    arguments, told = BAD[name]
    if name != "no key":
        keys.save(keys.generate("team"), prepared(own_home))
    if name in ("half an identity", "no public key"):
        printed(capsys, *LOCK)
    line = refused(capsys, *arguments)
    assert told in line
    assert Path("gold.lock").exists() == (name in ("half an identity", "no public key"))


def prepared(home: Path) -> Path:
    home.mkdir(exist_ok=True)
    return home / "signing.key"


def test_a_key_that_others_can_read_is_refused(capsys: Capture, own_home: Path) -> None:
    make("corpus")
    keys.save(keys.generate("team"), prepared(own_home))
    (own_home / "signing.key").chmod(0o644)
    assert "chmod 600" in refused(capsys, *LOCK)
    assert "signing.key" in refused(capsys, "gold", "keygen")
    assert not Path("gold.lock").exists()


def test_secrets_are_never_printed(capsys: Capture, own_home: Path) -> None:
    locked(capsys)
    secret = (own_home / "signing.key").read_text().strip().rsplit("+", 1)[1]
    out = printed(capsys, "gold", "keygen", "-o", "other.key", "--json")
    assert json.loads(out)["secret"] == "other.key"
    held = Path("other.key").read_text().strip().rsplit("+", 1)[1]
    for text in (out, Path("gold.lock").read_text(), printed(capsys, *VERIFY)):
        assert secret[2:20] not in text and held[2:20] not in text


def test_help_of_gold_comes_without_heavy_imports() -> None:
    code = (
        "import sys, typer.main; from tailguard.cli import gold;"
        "typer.main.get_command(gold.app);"
        "print(*{'numba', 'pyarrow', 'cryptography', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True
    )
    assert done.stdout.strip() == ""
