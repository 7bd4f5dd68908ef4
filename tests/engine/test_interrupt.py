"""Ctrl-C stops everything promptly, and nothing outlives the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shard_work import marked_pids, wait_until

WORK = """
import os, signal, sys, time
from pathlib import Path

# What is started in the background inherits that Ctrl-C is ignored; these tests send it on purpose.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tailguard.engine import map_merge, map_shards

folder = Path({folder!r})

def work(index):
    (folder / f"{{index}}.{{os.getpid()}}").touch()
    time.sleep(60 if index else 0)
    return index

try:
    {call}
except KeyboardInterrupt:
    print("cancelled")
    sys.exit(130)
"""
MERGE = "map_merge(work, range(8), max, workers=2)"
LOOP = "for _ in map_shards(work, range(8), workers=2): time.sleep(60)"
IDLE = "map_merge(work, [0] * 8, max, workers=2); time.sleep(60)"


def start(folder: Path, call: str, workers: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK.format(folder=str(folder), call=call)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until(lambda: len(marked_pids(folder)) >= workers, 20)
    return process


def session_is_empty(leader: int) -> bool:
    """Whether no process of the session lives: workers, and what the pool started beside them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            return False
    return True


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "parent"])
@pytest.mark.parametrize("call", [MERGE, LOOP], ids=["merging", "consuming"])
def test_ctrl_c_exits_fast_and_leaves_no_process(tmp_path: Path, call: str, to_all: bool) -> None:
    process = start(tmp_path, call, workers=2)
    began = time.monotonic()
    if to_all:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert (process.returncode, stdout, stderr) == (130, "cancelled\n", "")
    assert wait_until(lambda: session_is_empty(process.pid), 2)


def test_ctrl_c_while_workers_start_is_just_as_quiet(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK.format(folder=str(tmp_path), call=MERGE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def has_children() -> bool:
        return bool(
            Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[2:]
        )

    assert wait_until(has_children, 20)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert stderr == ""
    assert wait_until(lambda: session_is_empty(process.pid), 2)


@pytest.mark.parametrize("call", [MERGE, IDLE], ids=["busy", "idle"])
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path, call: str) -> None:
    process = start(tmp_path, call, workers=1)
    process.kill()
    process.communicate(timeout=10)
    assert wait_until(lambda: session_is_empty(process.pid), 5)


def test_ending_workers_is_quiet_where_no_process_tools_are_installed(tmp_path: Path) -> None:
    # Without psutil, loky kills workers through pgrep, which slim containers lack, and then hangs.
    call = "next(map_shards(lambda n: 1 // n, [0, 1, 0, 1], workers=2))"
    code = WORK.format(folder=str(tmp_path), call=call).replace("KeyboardInterrupt", "Exception")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "cancelled\n", "")
