"""kill -9 at any point: the ledger verifies, and nothing acknowledged is lost.

LEDGER_KILLS=200 pytest tests/provenance/test_ledger_crash.py kills at 200 random points.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from ledger_cases import KEY, entry, filled
from ledger_writer import SPAN, series

from tailguard.provenance import keys
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.tiles import tiles_in
from tailguard.provenance.ledger.verifying import verify

KILLS = int(os.environ.get("LEDGER_KILLS", "20"))
WRITER = Path(__file__).with_name("ledger_writer.py")


class Writer:
    """A writer process; what it acknowledged is collected as it comes."""

    def __init__(self, ledger: Path, key: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, WRITER, ledger, key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        self.acknowledged: list[tuple[int, int, int]] = []
        self.until("ready")

    def send(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def until(self, word: str) -> int:
        """Read on to a line that begins with ``word``; its number."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            first, *rest = line.split()
            if first == "ack":
                self.acknowledged.append((int(rest[0]), int(rest[1]), int(rest[2])))
            if first == word:
                return int(rest[0]) if rest else 0
        raise AssertionError(f"the writer ended before it said {word}")


@contextmanager
def writers(path: Path, n: int = 1) -> Iterator[list[Writer]]:
    key = path / "key"
    if not key.exists():
        keys.save(KEY, key)
    made = [Writer(path / "ledger", key) for _ in range(n)]
    try:
        yield made
    finally:
        for writer in made:
            writer.process.kill()
            writer.process.communicate()


def lost(ledger: Ledger, acknowledged: list[tuple[int, int, int]], seed: int) -> list[int]:
    """Numbers of acknowledged entries that are not where they were acknowledged."""
    tree = ledger.tree()
    return [
        first + i
        for first, count, number in acknowledged
        for i, expected in enumerate(series(seed, number, count))
        if first + i >= tree.size or tree.entry(first + i) != expected
    ]


def test_killed_at_random_points_a_ledger_loses_nothing_acknowledged(tmp_path: Path) -> None:
    filled(tmp_path / "ledger", 250)
    rng = random.Random(7)
    appended = 0
    with writers(tmp_path) as (writer,):
        for seed in range(1, KILLS + 1):
            writer.acknowledged.clear()
            writer.send(f"forever {seed}")
            child = writer.until("pid")
            for _ in range(rng.choice([0, 1, 1, 2, 4])):
                writer.until("ack")
            time.sleep(rng.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            assert writer.until("done") == signal.SIGKILL
            ledger = Ledger.open(tmp_path / "ledger")
            assert not lost(ledger, writer.acknowledged, seed)
            appended += len(writer.acknowledged)
            if seed % 5 == 0 or seed == KILLS:
                assert verify(ledger).problems == []
    assert appended > KILLS  # or nobody was killed at work


def test_killed_at_every_file_operation_an_append_happens_or_does_not(tmp_path: Path) -> None:
    outcomes = set()
    place = tmp_path / "ledger"
    filled(tmp_path / "whole", 253)
    with writers(tmp_path) as (writer,):
        for event in range(1, 200):
            if place.exists():
                place.rename(tmp_path / f"former-{event}")
            shutil.copytree(tmp_path / "whole", place)
            # One that has written before, and goes on after another was killed.
            ledger = Ledger.open(place)
            ledger.append([entry(253)], KEY)
            before = ledger.head()[0]
            writer.acknowledged.clear()
            writer.send(f"event {event}")  # its entries complete a tile
            status = writer.until("done")
            after = Ledger.open(place).head()[0]
            assert after.size in (before.size, before.size + SPAN)
            assert not writer.acknowledged or after.size == before.size + SPAN
            assert verify(ledger).problems == []
            outcomes.add((after.size - before.size, status))
            # The next writer goes on from there, and what the dead one left is gone.
            ledger.append([entry(1)], KEY)
            assert verify(ledger).problems == [] and verify(ledger).notes == []
            assert not list(place.glob(".*.tmp"))
            if status == 0:
                break
    assert outcomes == {(0, signal.SIGKILL), (SPAN, signal.SIGKILL), (SPAN, 0)}
    assert event > 15


def test_what_a_killed_writer_left_is_never_taken_for_the_log(tmp_path: Path) -> None:
    """Tiles of an append that did not happen, where later appends put their own."""
    ledger = filled(tmp_path / "ledger", 250)
    head = (tmp_path / "ledger/checkpoint").read_bytes()
    ledger.append([entry(i) for i in range(5_000, 5_700)], KEY)
    (tmp_path / "ledger/checkpoint").write_bytes(head)  # as if killed before the commit
    (tmp_path / "ledger/tile/entries/000").unlink()
    again = filled(tmp_path / "other", 250)
    for name, _, _ in list(tiles_in(again.folder, "entries")) + list(tiles_in(again.folder, 0)):
        target = tmp_path / "ledger" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((tmp_path / "other" / name).read_bytes())
    ledger = Ledger.open(tmp_path / "ledger")
    found = verify(ledger)
    assert found.problems == [] and "left by an interrupted writer" in found.notes[0]
    ledger.append([entry(i) for i in range(250, 300)], KEY)
    assert verify(ledger).problems == [] and verify(ledger).notes == []
    assert [one.data for one in ledger.entries()] == [entry(i) for i in range(300)]


def test_writers_at_once_and_one_killed_make_one_sound_log(tmp_path: Path) -> None:
    Ledger.init(tmp_path / "ledger", KEY)
    with writers(tmp_path, 3) as (first, second, victim):
        first.send("batches 1 8")
        second.send("batches 2 8")
        victim.send("forever 3")
        child = victim.until("pid")
        first.until("done")
        os.kill(child, signal.SIGKILL)
        victim.until("done")
        second.until("done")
    ledger = Ledger.open(tmp_path / "ledger")
    for seed, writer in enumerate((first, second, victim), start=1):
        assert not lost(ledger, writer.acknowledged, seed)
    assert len(first.acknowledged) == len(second.acknowledged) == 8
    taken = sorted(
        (start, count) for w in (first, second, victim) for start, count, _ in w.acknowledged
    )
    assert all(a + n <= b for (a, n), (b, _) in pairwise(taken))
    assert verify(ledger).problems == []


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals")
def test_a_writer_that_only_waits_is_no_obstacle_for_readers(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger", 10)
    with ledger.folder.lock():
        assert Ledger.open(tmp_path / "ledger").size == 10
        assert verify(Ledger.open(tmp_path / "ledger")).ok
