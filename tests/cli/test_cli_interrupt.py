"""Ctrl-C and kill -9 in the middle of long work leave nothing half-done."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import human_texts, lines, one_line, started


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def long_work(folder: Path, workers: int) -> subprocess.Popen[str]:
    """A profile of some gigabytes: one file under many names, as many shards."""
    data = folder / "data"
    data.mkdir()
    (data / "0.jsonl").write_bytes(lines(human_texts()) * 8)
    for number in range(1, 600):
        os.link(data / "0.jsonl", data / f"{number}.jsonl")
    process = started("profile", data, "-o", folder / "gold.profile", "--workers", str(workers))
    least = 1 if workers == 1 else workers + 1
    assert wait_until(lambda: len(session(process.pid)) >= least, 30)
    return process


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "parent"])
def test_ctrl_c_stops_everything_within_seconds_in_one_line(
    tmp_path: Path, workers: int, to_all: bool
) -> None:
    process = long_work(tmp_path, workers)
    time.sleep(2.5)  # well into the work
    began = time.monotonic()
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 8
    assert (process.returncode, out) == (130, "")
    assert one_line(err) == "interrupted; nothing was left half-written"
    assert os.listdir(tmp_path) == ["data"]
    assert wait_until(lambda: not session(process.pid), 3)


def test_ctrl_c_during_the_start_is_just_as_quiet() -> None:
    for delay in (0.05, 0.15, 0.3, 0.5):
        process = started("audit", "builtin:python-docs", "-g", "builtin:python-code")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        # Before the program itself runs, the interpreter answers in its own way.
        assert "cli/__init__.py" not in err
        assert process.returncode not in (0, 1) or "Traceback" in err


def test_kill_9_leaves_the_old_profile_whole_and_no_workers(tmp_path: Path) -> None:
    target = tmp_path / "gold.profile"
    target.write_bytes(b"the old one")
    process = long_work(tmp_path, workers=2)
    time.sleep(1)
    process.kill()
    process.communicate(timeout=30)
    assert target.read_bytes() == b"the old one"
    assert wait_until(lambda: not session(process.pid), 10)
