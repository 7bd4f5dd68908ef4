"""The engine gives the same bytes everywhere, survives dead workers, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from shard_work import (
    alive,
    die_always,
    die_once,
    environment,
    hang_after_first,
    leave_mark,
    map_inside,
    marked_pids,
    nest,
    own_pid,
    refuse_third,
    same,
    slow_at_first,
    wait_until,
)

import tailguard.errors
from tailguard.engine import ENGINES, map_merge, map_shards
from tailguard.engine.base import IN_FLIGHT, RETRIES, WORKER_ENV
from tailguard.errors import EngineError, InputError, TailguardError

WAYS = [("serial", 1), ("local", 1), ("local", 2), ("local", 4)]


@pytest.mark.parametrize(("engine", "workers"), WAYS)
def test_results_come_in_shard_order_whatever_finishes_first(engine: str, workers: int) -> None:
    results = map_shards(slow_at_first, range(12), engine=engine, workers=workers)
    assert list(results) == [bytes([i]) * (1 + i % 3) for i in range(12)]


@pytest.mark.parametrize(("engine", "workers"), WAYS)
def test_merging_gives_the_same_bytes_on_any_engine(engine: str, workers: int) -> None:
    expected = slow_at_first(0)
    for shard in range(1, 9):
        expected = nest(expected, bytes([shard]) * (1 + shard % 3))
    assert map_merge(slow_at_first, range(9), nest, engine=engine, workers=workers) == expected


def test_one_shard_or_one_worker_runs_in_this_process() -> None:
    assert list(map_shards(own_pid, [0])) == [os.getpid()]
    assert set(map_shards(own_pid, range(3), workers=1)) == {os.getpid()}
    assert os.getpid() not in set(map_shards(own_pid, range(3), workers=2))


def test_no_shards_give_no_results_but_cannot_be_merged() -> None:
    assert list(map_shards(own_pid, [])) == []
    with pytest.raises(InputError, match="at least one shard"):
        map_merge(own_pid, [], max)


def test_workers_use_one_thread_and_map_inside_themselves() -> None:
    for found in map_shards(environment, range(4), workers=2):
        assert found == WORKER_ENV
    assert all(len(pids) == 1 for pids in map_shards(map_inside, range(2), workers=2))


def test_a_slow_consumer_holds_the_workers_back(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(40)]
    with closing(map_shards(leave_mark, shards, workers=2)) as results:
        for taken in range(1, 4):
            next(results)
            time.sleep(0.2)
            # What was taken before this one, and the window that begins with this one.
            assert taken <= len(list(tmp_path.iterdir())) <= taken - 1 + IN_FLIGHT * 2


def test_nothing_runs_before_the_first_result_is_asked_for(tmp_path: Path) -> None:
    results = map_shards(leave_mark, [(tmp_path, i) for i in range(4)], workers=2)
    time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []
    results.close()


def test_a_worker_killed_once_loses_no_result(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(10)]
    assert list(map_shards(die_once, shards, workers=2)) == list(range(10))
    assert (tmp_path / "died").exists()


def test_the_shard_that_always_kills_its_worker_is_named_and_no_other(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(6)]
    with pytest.raises(EngineError, match="shard 3 of 6") as caught:
        list(map_shards(die_always, shards, workers=3))
    assert "\n" not in str(caught.value)
    # One run beside the others, which proves nothing, then a first run alone and its retries.
    assert len((tmp_path / "runs-2").read_text()) in (RETRIES + 1, RETRIES + 2)


def test_bad_input_passes_unchanged_and_ends_all_workers(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        list(map_shards(refuse_third, [(tmp_path, i) for i in range(8)], workers=2))
    assert time.monotonic() - start < 10
    assert caught.value.args == ("third.jsonl", "text", "noise", "remove it")
    assert not any(alive(pid) for pid in marked_pids(tmp_path))


def test_closing_the_results_ends_the_work(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(8)]
    with closing(map_shards(hang_after_first, shards, workers=2)) as results:
        assert next(results) == 0
        assert wait_until(lambda: len(marked_pids(tmp_path)) == 2)
    assert not any(alive(pid) for pid in marked_pids(tmp_path))


def test_two_maps_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    first = map_shards(slow_at_first, range(12), workers=2)
    second = map_shards(hang_after_first, [(tmp_path, i) for i in range(8)], workers=2)
    got = [next(first)]
    assert next(second) == 0
    second.close()
    assert [*got, *first] == [slow_at_first(i) for i in range(12)]


def test_a_map_works_in_a_thread_beside_the_main_one() -> None:
    got: list[bytes] = []
    thread = threading.Thread(
        target=lambda: got.extend(map_shards(slow_at_first, range(6), workers=2))
    )
    thread.start()
    thread.join()
    assert got == [bytes([i]) * (1 + i % 3) for i in range(6)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "loca"}, "did you mean 'local'?"),
        ({"engine": "slurm"}, "one of serial, local, ray"),
        ({"workers": 0}, "a positive number"),
        ({"sizes": [1]}, "one size per shard"),
    ],
)
def test_wrong_options_are_refused_before_any_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        map_shards(own_pid, range(3), **options)
    assert message in str(caught.value)


def test_every_error_survives_the_way_between_processes() -> None:
    kinds = [kind for kind in vars(tailguard.errors).values() if isinstance(kind, type)]
    assert InputError in kinds
    errors = [kind(*(4 if issubclass(kind, InputError) else 1) * ["word"]) for kind in kinds]
    for sent, back in zip(errors, map_shards(same, errors, workers=2), strict=True):
        assert isinstance(back, TailguardError) and back is not sent
        assert (type(back), back.args, str(back)) == (type(sent), sent.args, str(sent))


def test_a_missing_ray_is_one_clear_line() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from tailguard.engine import map_shards\n"
        "try: list(map_shards(len, ['a', 'b'], engine='ray'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("InputError") and done.stdout.count("\n") == 1
    assert "pip install tailguard[ray]" in done.stdout


def test_the_table_names_every_engine() -> None:
    assert list(ENGINES) == ["serial", "local", "ray"]
