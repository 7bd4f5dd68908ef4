"""Ray gives the same bytes, errors and retries as the local engines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shard_work
from shard_work import (
    die_always,
    die_once,
    environment,
    leave_mark,
    nest,
    refuse_third,
    slow_at_first,
)

from tailguard.engine import map_merge, map_shards
from tailguard.engine.base import IN_FLIGHT, WORKER_ENV
from tailguard.errors import EngineError, InputError

ray: Any = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """The first map starts a cluster, whose workers cannot import from this folder."""
    ray.cloudpickle.register_pickle_by_value(shard_work)
    yield
    ray.cloudpickle.unregister_pickle_by_value(shard_work)
    ray.shutdown()


def test_ray_merges_to_the_bytes_of_the_serial_engine() -> None:
    expected = map_merge(slow_at_first, range(9), nest, engine="serial")
    assert map_merge(slow_at_first, range(9), nest, engine="ray", workers=2) == expected


def test_ray_workers_use_one_thread_each() -> None:
    for found in map_shards(environment, range(3), engine="ray", workers=2):
        assert found == WORKER_ENV


def test_a_ray_worker_killed_once_loses_no_result(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(6)]
    assert list(map_shards(die_once, shards, engine="ray", workers=2)) == list(range(6))
    assert (tmp_path / "died").exists()


def test_a_shard_that_always_kills_its_ray_worker_is_named(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(4)]
    with pytest.raises(EngineError, match="shard 3 of 4"):
        list(map_shards(die_always, shards, engine="ray", workers=2))


def test_bad_input_passes_unchanged_through_ray(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(6)]
    with pytest.raises(InputError) as caught:
        list(map_shards(refuse_third, shards, engine="ray", workers=2))
    assert type(caught.value) is InputError
    assert caught.value.args == ("third.jsonl", "text", "noise", "remove it")


def test_a_slow_consumer_holds_ray_workers_back(tmp_path: Path) -> None:
    shards = [(tmp_path, i) for i in range(20)]
    with closing(map_shards(leave_mark, shards, engine="ray", workers=2)) as results:
        next(results)
        time.sleep(1)
        assert len(list(tmp_path.iterdir())) <= IN_FLIGHT * 2
