"""Speed of the ledger: durable appends, proofs, index, maps of records, verifying; and a peer.

    python benchmarks/bench_ledger.py [--entries 1000000] [--batch 20000] [--records 1000000]
                                      [--folder DIR] [--peer 100000] [--no-reading]

Entries are in-toto statements of about 450 bytes, each checked once: when `statement` makes it, or
when a ledger gets bytes from elsewhere; both rates are told, the first beside the appends. An
append is durable: each batch is fsynced, tiles first, then the signed checkpoint, before the next
begins. "CPU" is the rate by user and system seconds, which suffers less when others use the
machine. Proofs are of random entries, each with a ledger opened for it: the median of 200, and the
slowest. The peer is pymerkle 7 (if installed) with its SQLite storage: the same
entries, its own transactions, no signature, no check of what is entered, and its own proofs.

Killing writers at 200 random points is a test: LEDGER_KILLS=200 pytest
tests/provenance/test_ledger_crash.py.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np

from tailguard.provenance import merkle
from tailguard.provenance.keys import SecretKey, generate
from tailguard.provenance.ledger.index import Index
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.mapfile import KeyMap, MapBuilder
from tailguard.provenance.ledger.proofs import Prover
from tailguard.provenance.ledger.statements import statement
from tailguard.provenance.ledger.verifying import verify

MADE_AT_ONCE = 100_000
PROOFS = 200


class Clock:
    """Wall and CPU seconds of what runs under it."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def told(self, what: str, n: int, unit: str) -> None:
        """One line: rates by the wall and by CPU."""
        rate = f"{n / self.wall:>12,.0f} {unit}/s"
        print(f"{what:34} {rate}   CPU {n / self.cpu:>10,.0f} {unit}/s   {self.wall:8.1f} s")


def entries(first: int, n: int) -> list[bytes]:
    """Statements on data, all different."""
    predicate = {
        "recorded": "2026-01-01T00:00:00Z",
        "origin": {"kind": "human", "source": "web", "evidence": "declared"},
        "records": 100_000,
        "record_root": "cd" * 32,
        "bytes": 123_456_789,
    }
    return [
        statement("data-registered", [(f"part-{i}", {"sha256": digest(i).hex()})], predicate)
        for i in range(first, first + n)
    ]


def digest(i: int) -> bytes:
    return sha256(b"%d" % i).digest()


def bench_appends(ledger: Ledger, key: SecretKey, n: int, batch: int) -> None:
    making, adding = Clock(), Clock()
    for first in range(0, n, MADE_AT_ONCE):
        with making.running():
            made = entries(first, min(MADE_AT_ONCE, n - first))
        with adding.running():
            for start in range(0, len(made), batch):
                ledger.append(made[start : start + batch], key)
    making.told("making and checking entries", n, "entries")
    adding.told(f"appends, batches of {batch:,}", n, "entries")


def bench_unchecked(ledger: Ledger, key: SecretKey, n: int, batch: int) -> None:
    clock = Clock()
    made = [bytes(one) for one in entries(2 * 10**9, n)]
    with clock.running():
        for start in range(0, n, batch):
            ledger.append(made[start : start + batch], key)
    clock.told("appends of bytes not yet checked", n, "entries")


def bench_single(ledger: Ledger, key: SecretKey, n: int) -> None:
    clock = Clock()
    made = entries(10**9, n)
    with clock.running():
        for one in made:
            ledger.append([one], key)
    clock.told("appends, one at a time", n, "entries")


def timed(what: str, ask: Callable[[], object]) -> None:
    """Median and slowest of ``PROOFS`` calls, in milliseconds."""
    seconds = []
    for _ in range(PROOFS):
        start = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - start)
    median, slowest = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
    print(f"{what:34} {median:12.2f} ms  slowest {slowest:.1f} ms")


def bench_proofs(path: Path, key: SecretKey, rng: random.Random) -> None:
    size = Ledger.open(path, key.public).size

    def inclusion() -> None:
        Prover(Ledger.open(path, key.public)).entry(rng.randrange(size))

    def consistency() -> None:
        tree = Ledger.open(path, key.public).tree()
        old = rng.randrange(1, size)
        proof = tree.consistency(old)
        assert merkle.verify_consistency(old, size, proof, tree.root(old), tree.root())

    timed("inclusion, made and checked", inclusion)
    timed("consistency, made and checked", consistency)


def bench_index(ledger: Ledger, rng: random.Random) -> None:
    size, clock = ledger.size, Clock()
    with clock.running(), Index(ledger) as index:
        assert index.size == size
    clock.told("index, from nothing", size, "entries")

    def find() -> None:
        with Index(ledger) as index:
            assert index.find(f"name:part-{rng.randrange(size // 2)}")

    timed("entries that have a name", find)


def bench_map(folder: Path, n: int, rng: random.Random) -> None:
    keys = np.random.default_rng(1).integers(0, 256, (n, 32), np.uint8)
    clock = Clock()
    with clock.running(), MapBuilder(folder) as builder:
        for first in range(0, n, 50_000):
            builder.add(keys[first : first + 50_000], 1)
        root, _ = builder.write(folder / "map")
    clock.told("map of records, built", n, "records")

    def there() -> None:
        with KeyMap(folder / "map") as stored:
            key = keys[rng.randrange(n)].tobytes()
            assert stored.prove(key).root(key) == root

    def absent() -> None:
        with KeyMap(folder / "map") as stored:
            key = rng.randbytes(32)
            assert stored.prove(key).value(key) is None

    timed("a record is in the data", there)
    timed("a record is not in the data", absent)


def bench_verify(ledger: Ledger) -> None:
    (ledger.folder.path / "index.sqlite").unlink(missing_ok=True)
    clock = Clock()
    with clock.running():
        found = verify(ledger)
    assert found.ok, found.problems
    clock.told("verifying all of it", ledger.size, "entries")


def bench_peer(folder: Path, n: int, batch: int, rng: random.Random) -> None:
    try:
        from pymerkle import SqliteTree, verify_inclusion
    except ImportError:
        print("pymerkle is not installed: no comparison")
        return
    made, clock = entries(0, n), Clock()
    tree = SqliteTree(str(folder / "peer.sqlite"), algorithm="sha256")
    with clock.running():
        for start in range(0, n, batch):
            tree.append_entries(made[start : start + batch])
    clock.told(f"pymerkle, appends of {n:,}", n, "entries")

    def inclusion() -> None:
        index = rng.randrange(1, n + 1)
        proof = tree.prove_inclusion(index, n)
        verify_inclusion(tree.get_leaf(index), tree.get_root(n), proof)

    timed("pymerkle, inclusion", inclusion)
    ours, key = Clock(), generate("bench.example/peer")
    ledger = Ledger.init(folder / "ours", key)
    with ours.running():
        for start in range(0, n, batch):
            ledger.append(made[start : start + batch], key)
    ours.told(f"this ledger, appends of {n:,}", n, "entries")
    timed("this ledger, inclusion", lambda: Prover(ledger).entry(rng.randrange(n)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--peer", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to write; default: the temporary one")
    parser.add_argument("--no-reading", action="store_true", help="no index, no verifying")
    asked = parser.parse_args()
    rng, key = random.Random(1), generate("bench.example/log")
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        path = Path(place)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        if asked.peer:
            bench_peer(path, asked.peer, asked.batch, rng)
        ledger = Ledger.init(path / "ledger", key)
        bench_appends(ledger, key, asked.entries, asked.batch)
        bench_unchecked(ledger, key, min(asked.entries, MADE_AT_ONCE), asked.batch)
        bench_single(ledger, key, 200)
        bench_proofs(path / "ledger", key, rng)
        bench_map(path, asked.records, rng)
        if not asked.no_reading:
            bench_index(ledger, rng)
            bench_verify(ledger)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak of memory {peak:,.0f} MiB, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
