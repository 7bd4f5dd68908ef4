"""The nouns of the engine: a shard, its result, and the engine that turns one into the other."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

S = TypeVar("S")
R = TypeVar("R")

# Shards submitted and not yet handed out, per worker: one running and one waiting keeps every
# worker busy while memory stays bounded.
IN_FLIGHT = 2

# How often a shard is run again after the worker that ran it died.
RETRIES = 3

# What a worker's environment says. Workers are processes, one per core: threads inside them would
# only fight for the same cores. LOKY_MAX_CPU_COUNT makes a map inside a map run in its own worker,
# and the last line keeps loky from replacing workers that merely hold a large profile.
WORKER_ENV = {
    "LOKY_MAX_CPU_COUNT": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15",
}


class Engine(Protocol):
    """Runs a function over shards somewhere, and yields the results in shard order."""

    def run(
        self, fn: Callable[[S], R], shards: Sequence[S], workers: int | None
    ) -> Generator[R, None, None]:
        """Yield ``fn(shard)`` for every shard; at most ``IN_FLIGHT * workers`` are in flight.

        An exception raised by ``fn`` passes through unchanged. A shard whose worker died is run
        again up to ``RETRIES`` times. Closing the generator ends what is still running.
        """


def shard_name(index: int, shards: Sequence[object]) -> str:
    """Name a shard for an error message.

    >>> shard_name(1, ["a.parquet", "b.parquet"])
    "shard 2 of 2 ('b.parquet')"
    """
    return f"shard {index + 1} of {len(shards)} ({reprlib.repr(shards[index])})"
