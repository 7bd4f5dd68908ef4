"""Speed and memory of locking and verifying gold. Linux only (it reads memory peaks from /proc).

    python benchmarks/bench_hashing.py [--rows 1000000] [--compression zstd] [--workers 2]

The gold is one Parquet file of rows with 1.6 kB of English prose (``../shared/data`` if it is
there, otherwise the standard library's sources) and five more columns. Every measurement is a
process of its own on a file that is in the page cache, with compilation left out; engines are
"serial" (one core) and "local" (a process a core). Stages of one core are read (Parquet to Arrow),
+ bytes (canonical bytes of every record), + hash (SHA-256 of each), and lock (all of it, with the
trees). MB are of the values as Arrow holds them, whatever the file takes on disk; "file MB/s"
counts the stored bytes. "MB/s of CPU" divides by user and system seconds.

Peers, in the same run: ``model-signing`` hashing the bytes of the same file (it knows nothing of
records), and the root of as many leaves with ``pymerkle``, both only if they are installed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_profile import cpu_seconds, peak_mb

MB = 1_000_000
TEXT_BYTES = 1_550
DATA = Path(__file__).parents[2] / "shared" / "data"
PEER_LEAVES = 50_000


def prose() -> bytes:
    files = [*DATA.glob("books/*.txt"), *DATA.glob("wikitext2/*.txt")]
    files = files or sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = "\n".join(file.read_text("utf-8", "replace") for file in files)
    return text.encode("ascii", "replace")


def make(path: Path, n: int, compression: str) -> int:
    """Write the gold; the bytes of its values."""
    rng = np.random.default_rng(0)
    source = np.frombuffer(prose(), np.uint8)
    writer, size = None, 0
    for first in range(0, n, 20_000):
        rows = min(20_000, n - first)
        at = rng.integers(0, len(source) - TEXT_BYTES, rows)
        text = source[at[:, None] + np.arange(TEXT_BYTES)]
        # Eight random letters a row, so that no two rows are alike.
        text[:, :8] = rng.integers(97, 123, (rows, 8), np.uint8)
        offsets = np.arange(rows + 1, dtype=np.int32) * TEXT_BYTES
        buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())]
        table = pa.table({
            "text": pa.Array.from_buffers(pa.string(), rows, buffers),
            "id": pa.array([f"record-{first + i:09}" for i in range(rows)]),
            "kind": pa.array(["human"] * rows),
            "generation": pa.array(np.zeros(rows, np.int64)),
            "source": pa.array([f"shelf-{i % 50}" for i in range(rows)]),
            "score": pa.array(rng.random(rows)),
        })  # fmt: skip
        writer = writer or pq.ParquetWriter(path, table.schema, compression=compression)
        writer.write_table(table)
        size += table.nbytes
    assert writer is not None
    writer.close()
    return size


def work_of(what: str, path: str, workers: int) -> Callable[[], Any]:
    """What is measured, as a function of nothing."""
    from tailguard.provenance import canonical, envelope, keys, merkle
    from tailguard.provenance.gold import lock, verify

    key = keys.generate("bench")

    def read(use: Callable[[pa.RecordBatch], object]) -> None:
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(5_000, use_threads=False):
                use(batch)

    def locked(engine: str) -> envelope.Envelope:
        return lock(path, by="bench", key=key, engine=engine, workers=workers)

    def peer() -> object:
        import model_signing

        return model_signing.hashing.Config().hash(Path(path).parent)

    def pymerkle_root(leaves: int) -> object:
        from pymerkle import InmemoryTree

        tree = InmemoryTree(algorithm="sha256")
        for i in range(leaves):
            tree.append_entry(i.to_bytes(8, "big"))
        return tree.get_state()

    def our_root(leaves: int) -> object:
        tree = merkle.Accumulator()
        tree.extend([merkle.leaf_hash(i.to_bytes(8, "big")) for i in range(leaves)])
        return tree.root()

    warm = pa.record_batch({"a": ["a"], "b": [1], "c": [0.5]})
    canonical.record_hashes(warm)
    works: dict[str, Callable[[], Any]] = {
        "read": lambda: read(len),
        "+ bytes": lambda: read(lambda b: sum(len(d) for d, _ in canonical.canonical_rows(b))),
        "+ hash": lambda: read(canonical.record_hashes),
        "lock, one core": lambda: locked("serial"),
        "lock, all workers": lambda: locked("local"),
        "model-signing, SHA-256 of the file": peer,
        "root, tailguard": lambda: our_root(PEER_LEAVES),
        "root, pymerkle": lambda: pymerkle_root(PEER_LEAVES),
    }
    if what == "verify, one core":
        signed = envelope.load(Path(path).with_name("gold.lock"))
        trusted = [keys.parse_vkey(json.loads(signed.payload)["key"])]
        return lambda: verify(signed, path, trusted=trusted, engine="serial").ok
    return works[what]


def measure(what: str, path: str, workers: int) -> dict[str, Any]:
    work = work_of(what, path, workers)
    if what == "lock, all workers":  # start the workers and let them import first
        from tailguard.engine import map_shards

        list(map_shards(_import, range(workers), workers=workers))
    wall, cpu = time.perf_counter(), cpu_seconds()
    found = work()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    if what == "lock, one core":
        from tailguard.provenance import envelope

        envelope.save(found, Path(path).with_name("gold.lock"))
    assert found is not False
    own, worker = peak_mb()
    return {"wall": wall, "cpu": cpu, "peak": max(own, worker)}


def _import(number: int) -> int:
    from tailguard.provenance import canonical

    canonical.record_hashes(pa.record_batch({"a": ["a"], "b": [1], "c": [0.5]}))
    time.sleep(0.5)  # so that each worker gets one
    return number


def apart(*arguments: str) -> dict[str, Any] | None:
    """A measurement in a fresh process; none where the peer is not installed."""
    command = [sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and re.search("ModuleNotFoundError", done.stderr):
        return None
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _per_cpu(what: str, size: float, found: dict[str, Any]) -> str:
    """Workers come and go, and take their CPU seconds along."""
    return "" if "workers" in what else f"{size / max(found['cpu'], 0.01):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--compression", default="zstd")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one, asked.workers)))
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "gold", "gold.parquet")
        path.parent.mkdir()
        size = make(path, asked.rows, asked.compression) / MB
        stored = path.stat().st_size / MB
        print(f"{asked.rows:,} rows, {size:.0f} MB of values, {stored:.0f} MB on disk", end="")
        print(f" ({asked.compression})\n")
        print("| what | wall s | MB/s | MB/s of CPU | file MB/s | peak MB |")
        print("|---|---|---|---|---|---|")
        rates: dict[str, dict[str, Any]] = {}
        for what in ("read", "+ bytes", "+ hash", "lock, one core", "verify, one core",
                     "lock, all workers", "model-signing, SHA-256 of the file"):  # fmt: skip
            found = apart(what, str(path), "--workers", str(asked.workers))
            if found is None:
                print(f"| {what} | not installed | | | | |")
                continue
            rates[what] = found
            print(
                f"| {what} | {found['wall']:.1f} | {size / found['wall']:.0f}"
                f" | {_per_cpu(what, size, found)} | {stored / found['wall']:.0f}"
                f" | {found['peak']:.0f} |",
                flush=True,
            )
        ours, peer = rates["lock, one core"], rates.get("model-signing, SHA-256 of the file")
        if peer is not None:
            for clock, unit in (("wall", "s"), ("cpu", "s of CPU")):
                mine, theirs = size / ours[clock], stored / peer[clock]
                print(
                    f"\nlock, one core: {mine:.0f} MB of values/{unit}, model-signing in the same"
                    f" run: {theirs:.0f} MB of file/{unit}, ratio {mine / theirs:.2f}",
                    end="",
                )
            print()
        roots = [apart(f"root, {who}", str(path)) for who in ("tailguard", "pymerkle")]
        told = ["not installed" if one is None else f"{one['wall']:.3f} s" for one in roots]
        print(f"root of {PEER_LEAVES:,} leaves: tailguard {told[0]}, pymerkle {told[1]}")


if __name__ == "__main__":
    main()
