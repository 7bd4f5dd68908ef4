"""Map shards and merge results: same code, same bytes, on one core, many, or a cluster."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from tailguard.engine.base import Engine, R, S
from tailguard.engine.local import LocalEngine, SerialEngine
from tailguard.engine.progress import progress
from tailguard.engine.ray import RayEngine
from tailguard.errors import InputError

__all__ = ["ENGINES", "Engine", "map_merge", "map_shards"]

ENGINES: dict[str, type[Engine]] = {
    "serial": SerialEngine,
    "local": LocalEngine,
    "ray": RayEngine,
}


def map_shards(
    fn: Callable[[S], R],
    shards: Sequence[S],
    *,
    engine: str = "local",
    workers: int | None = None,
    label: str = "",
    sizes: Sequence[int] | None = None,
) -> Generator[R, None, None]:
    """Yield ``fn(shard)`` for every shard, in shard order, whichever finishes first.

    Results are computed ahead of the consumer, at most 2 per worker, so memory stays bounded.
    ``engine`` is a key of ``ENGINES``; ``workers`` defaults to the cores this process may use.
    With the engines "local" and "ray", ``fn`` runs in other processes: it must be pure, or write
    in a way that may be repeated, since a shard whose worker dies is run again up to 3 times.
    ``label`` and ``sizes`` (bytes per shard) feed the progress bar.

    Raises what ``fn`` raises, unchanged; EngineError when a shard keeps killing its worker;
    InputError on an unknown engine, a bad number of workers, or a missing extra. Close the
    generator (``contextlib.closing``) to stop early: that ends all work at once.

    >>> list(map_shards(len, ["a", "bb", "ccc"], engine="serial"))
    [1, 2, 3]
    """
    _check(engine, workers, len(shards), sizes)
    return _watched(ENGINES[engine]().run(fn, shards, workers), shards, label, sizes)


def map_merge(
    fn: Callable[[S], R],
    shards: Sequence[S],
    merge: Callable[[R, R], R],
    *,
    engine: str = "local",
    workers: int | None = None,
    label: str = "",
    sizes: Sequence[int] | None = None,
) -> R:
    """Fold ``merge`` over the results from the left, in shard order, in this process.

    ``merge(merge(fn(s0), fn(s1)), fn(s2))`` and so on: the order never depends on the engine or
    the number of workers, so the result is the same to the byte. The other arguments and errors
    are those of ``map_shards``; no shards at all is an InputError.

    >>> map_merge(str, [1, 2, 3], lambda a, b: f"({a}{b})", engine="serial")
    '((12)3)'
    """
    if not shards:
        raise InputError(label or "map_merge", "at least one shard", "none", "check the input")
    results = map_shards(fn, shards, engine=engine, workers=workers, label=label, sizes=sizes)
    with closing(results):
        return functools.reduce(merge, results)


def _watched(
    results: Generator[R, None, None],
    shards: Sequence[object],
    label: str,
    sizes: Sequence[int] | None,
) -> Generator[R, None, None]:
    amounts = [1] * len(shards) if sizes is None else sizes
    with (
        closing(results),
        progress(label, sum(amounts), in_bytes=sizes is not None) as advance,
    ):
        for amount, result in zip(amounts, results, strict=True):
            advance(amount)
            yield result


def _check(engine: str, workers: int | None, shards: int, sizes: Sequence[int] | None) -> None:
    if engine not in ENGINES:
        close = difflib.get_close_matches(engine, ENGINES, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "choose one of them"
        raise InputError("engine", "one of " + ", ".join(ENGINES), f"'{engine}'", hint)
    if workers is not None and workers < 1:
        raise InputError("workers", "a positive number", str(workers), "use 1 or more")
    if sizes is not None and len(sizes) != shards:
        raise InputError(
            "sizes", f"one size per shard ({shards})", str(len(sizes)), "give as many sizes"
        )
