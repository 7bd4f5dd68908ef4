"""Engines of one machine: in this process, or over a pool of worker processes."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from tailguard.engine.base import IN_FLIGHT, RETRIES, WORKER_ENV, R, S, shard_name
from tailguard.errors import EngineError

# Idle workers wait this long for the next map before they exit.
KEEP_WARM_S = 30


class SerialEngine:
    """Runs shards one after the other in this process."""

    def run(
        self, fn: Callable[[S], R], shards: Sequence[S], workers: int | None
    ) -> Generator[R, None, None]:
        for shard in shards:
            yield fn(shard)


class LocalEngine:
    """Runs shards on a pool of processes, by default one per core this process may use.

    One shard or one worker needs no pool and runs in this process. The pool stays warm for the
    next map, and is killed when a map ends early (an error, Ctrl-C, a closed generator).
    """

    def run(
        self, fn: Callable[[S], R], shards: Sequence[S], workers: int | None
    ) -> Generator[R, None, None]:
        from loky import cpu_count

        workers = min(workers or cpu_count(), len(shards))
        if workers <= 1:
            return SerialEngine().run(fn, shards, workers)
        return _pooled(fn, shards, workers)


def _pooled(fn: Callable[[S], R], shards: Sequence[S], workers: int) -> Generator[R, None, None]:
    from loky.process_executor import (
        BrokenProcessPool,
        ShutdownExecutorError,
        TerminatedWorkerError,
    )

    pool = _pool(workers)
    pending: deque[Future[R]] = deque()
    done = losses = suspects = 0
    try:
        while done < len(shards):
            # A dying worker takes the whole pool along, so all that were in flight are suspects:
            # they run again one at a time, which finds the guilty shard and spares the others.
            window = 1 if done < suspects else IN_FLIGHT * workers
            try:
                for shard in shards[done + len(pending) : done + window]:
                    pending.append(_submit(pool, fn, shard))
                result = pending[0].result()
            except (TerminatedWorkerError, ShutdownExecutorError):
                losses += 1
                if losses > RETRIES:
                    raise EngineError(
                        f"{shard_name(done, shards)}: expected a result, got {losses} dead workers"
                        " (killed, crashed or out of memory); free memory or make shards smaller"
                    ) from None
                suspects = done + max(1, len(pending))
                pending.clear()
                pool = _pool(workers)
                continue
            except BrokenProcessPool as error:
                raise EngineError(
                    f"{shard_name(done, shards)}: expected work and results that pickle, got"
                    f" {error}; run it with the serial engine to see it fail"
                ) from error
            pending.popleft()
            done, losses = done + 1, 0
            yield result
    except BaseException:
        pool.shutdown(wait=True, kill_workers=True)
        raise


def _pool(workers: int) -> Any:
    """The warm pool of this thread, or a new one when there is none or it is broken."""
    from loky import get_reusable_executor

    # Nothing to act on: an idle worker left just as new work arrived, and is replaced.
    warnings.filterwarnings("ignore", "A worker stopped while", UserWarning)
    with _quiet_trackers():
        return get_reusable_executor(
            workers,
            timeout=KEEP_WARM_S,
            env=WORKER_ENV,
            initializer=_end_with,
            initargs=(os.getpid(),),
        )


@contextmanager
def _quiet_trackers() -> Iterator[None]:
    """Start the processes that tidy up after this one without their word on what they tidied.

    After Ctrl-C they find semaphores, remove them and warn on the terminal: news to nobody.
    """
    from loky.backend.resource_tracker import ensure_running as ensure_running_of_loky

    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker")))
    try:
        resource_tracker.ensure_running()
        ensure_running_of_loky()
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _end_with(parent: int) -> None:
    """Let this worker end, even in the middle of a shard, soon after its parent is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _submit(pool: Any, fn: Callable[[S], R], shard: S) -> Future[R]:
    # Workers inherit a blocked SIGINT: Ctrl-C, which a terminal sends to all of them, then stops
    # this process only, and it ends them without a traceback from each. The tracker must run
    # beforehand, because starting it unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        future: Future[R] = pool.submit(fn, shard)
        return future
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
