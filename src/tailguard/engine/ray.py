"""The engine for more than one machine: the same calls, run as Ray tasks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from tailguard.engine.base import IN_FLIGHT, RETRIES, WORKER_ENV, R, S, shard_name
from tailguard.errors import EngineError, InputError


class RayEngine:
    """Runs shards as Ray tasks, on the cluster of ``RAY_ADDRESS`` or else on this machine.

    ``workers`` sets the size of a cluster started here and bounds what is in flight on any;
    by default all cores of the cluster. Every machine must reach the shards by the same names.
    """

    def run(
        self, fn: Callable[[S], R], shards: Sequence[S], workers: int | None
    ) -> Generator[R, None, None]:
        ray = _connect(workers)
        window = IN_FLIGHT * (workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
        task = ray.remote(max_retries=RETRIES, runtime_env={"env_vars": WORKER_ENV})(_call)
        shared_fn = ray.put(fn)
        pending: deque[Any] = deque()
        try:
            for done in range(len(shards)):
                for shard in shards[done + len(pending) : done + window]:
                    pending.append(task.remote(shared_fn, shard))
                try:
                    result: R = ray.get(pending[0])
                except ray.exceptions.RayError as error:
                    cause = getattr(error, "cause", error)
                    if not isinstance(cause, ray.exceptions.RayError):
                        raise cause from None
                    raise EngineError(
                        f"{shard_name(done, shards)}: expected a result, got"
                        f" {type(cause).__name__} after {RETRIES} retries; free memory, make"
                        " shards smaller, or see Ray's logs"
                    ) from error
                pending.popleft()
                yield result
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)


def _call(fn: Callable[[S], R], shard: S) -> R:
    return fn(shard)


def _connect(workers: int | None) -> Any:
    # Ray reports usage to its makers, and prints errors of tasks nobody waits for, unless told not.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    try:
        import ray
    except ImportError:
        raise InputError(
            "engine ray", "the package ray", "none installed", "pip install tailguard[ray]"
        ) from None
    if not ray.is_initialized():
        here = "RAY_ADDRESS" not in os.environ
        options = {"num_cpus": workers, "include_dashboard": False} if here else {}
        ray.init(log_to_driver=False, logging_level="error", **options)
    return ray
