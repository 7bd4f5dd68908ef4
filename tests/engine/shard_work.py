"""Work for the engine's tests; it lives in a module of its own so that workers can import it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tailguard.engine import map_shards
from tailguard.engine.base import WORKER_ENV
from tailguard.errors import InputError


def slow_at_first(shard: int) -> bytes:
    """Early shards finish last, so an engine that does not order its results is found out."""
    time.sleep(0.05 * max(0, 4 - shard))
    return bytes([shard]) * (1 + shard % 3)


def nest(left: bytes, right: bytes) -> bytes:
    """Neither commutative nor associative: every other order or grouping gives other bytes."""
    return b"(" + left + right + b")"


def leave_mark(shard: tuple[Path, int]) -> int:
    folder, index = shard
    (folder / f"{index}.{os.getpid()}").touch()
    return index


def die_once(shard: tuple[Path, int]) -> int:
    folder, index = shard
    marker = folder / "died"
    if index == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return index


def die_always(shard: tuple[Path, int]) -> int:
    folder, index = shard
    with open(folder / f"runs-{index}", "a") as runs:
        runs.write(".")
    if index < 2:
        time.sleep(0.3)
    if index == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return index


def refuse_third(shard: tuple[Path, int]) -> int:
    index = leave_mark(shard)
    if index == 2:
        raise InputError("third.jsonl", "text", "noise", "remove it")
    if index > 2:
        time.sleep(60)
    return index


def hang_after_first(shard: tuple[Path, int]) -> int:
    leave_mark(shard)
    if shard[1]:
        time.sleep(60)
    return shard[1]


def environment(_: int) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in WORKER_ENV}


def map_inside(shard: int) -> set[int]:
    return set(map_shards(own_pid, range(4))) | {os.getpid()} if shard >= 0 else set()


def same(shard: object) -> object:
    return shard


def own_pid(_: int) -> int:
    return os.getpid()


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def marked_pids(folder: Path) -> set[int]:
    return {int(mark.suffix[1:]) for mark in folder.iterdir() if mark.suffix[1:].isdigit()}


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return true()
