"""Speed and memory of the one-pass text profile. Linux only (it reads memory peaks from /proc).

    python benchmarks/bench_profile.py [--mb 1000] [--formats jsonl parquet]
                                       [--engines serial local]

The corpus is English prose (``../shared/data`` if it is there, otherwise the standard library's
sources), tiled as documents of about 2.5 kB in which a fifth of the words is replaced by random
others and one in 200 by a word made up on the spot, so that types of all orders keep growing.
Every measurement is a process of its own, with compilation and start of workers left out.
``serial`` is one core, ``local`` two worker processes; "gain" compares with the first engine.
"MB/s of CPU" divides by user and system seconds, and so suffers less when others use the machine.
The peer counts words and 4-grams only, in plain Python, on 5 MB already in memory.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

MB = 1_000_000
DOCUMENT_WORDS = 520
SWAPPED, COINED = 0.2, 0.005
PEER_BYTES = 5 * MB
DATA = Path(__file__).parents[2] / "shared" / "data"


def source_text() -> str:
    files = [*DATA.glob("books/*.txt"), *DATA.glob("wikitext2/*.txt")]
    files = files or sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return "\n".join(file.read_text("utf-8", "replace") for file in files)


def lines(rng: np.random.Generator) -> Iterator[bytes]:
    """JSON lines without end, some thousand documents at a time."""
    # Words carry the white space that follows them, and are escaped once, not at every use.
    words = [
        json.dumps(word, ensure_ascii=False)[1:-1] for word in re.findall(r"\S+\s+", source_text())
    ]
    vocabulary, codes = np.unique(np.array(words, object), return_inverse=True)
    parts = [word.encode() for word in vocabulary] + [b'{"text": "', b'"}\n']
    arena = np.frombuffer(b"".join(parts), np.uint8)
    sizes = np.array([len(part) for part in parts])
    starts = np.cumsum(sizes) - sizes
    head, tail = len(parts) - 2, len(parts) - 1
    while True:
        rows = 4096
        at = rng.integers(0, len(codes) - DOCUMENT_WORDS, rows)[:, None] + np.arange(DOCUMENT_WORDS)
        chosen = codes[at]
        swap = rng.random(chosen.shape) < SWAPPED
        chosen[swap] = rng.choice(codes, int(swap.sum()))
        # Documents of 350 to 520 words: the rest of the row is left out.
        chosen[np.arange(DOCUMENT_WORDS) >= rng.integers(350, DOCUMENT_WORDS + 1, (rows, 1))] = -1
        framed = np.concatenate(
            [np.full((rows, 1), head), chosen, np.full((rows, 1), tail)], axis=1
        ).ravel()
        framed = framed[framed >= 0]
        size = sizes[framed]
        ends = np.cumsum(size)
        out = arena[np.arange(ends[-1]) + np.repeat(starts[framed] - ends + size, size)]
        coined = np.flatnonzero((rng.random(len(framed)) < COINED) & (framed < head) & (size > 5))
        for place in range(4):
            out[(ends - size)[coined] + place] = rng.integers(97, 123, len(coined))
        yield _intact(out.tobytes())


def _intact(text: bytes) -> bytes:
    """Made-up letters may fall into a multi-byte character or an escape: keep the sound lines."""
    kept = []
    for line in text.splitlines(keepends=True):
        try:
            json.loads(line)
        except ValueError:
            continue
        kept.append(line)
    return b"".join(kept)


def make(folder: Path, megabytes: int) -> int:
    """Write the corpus in both formats, and a 5 MB head of it; the bytes of text in it."""
    rng = np.random.default_rng(0)
    text_bytes = written = 0
    writer = None
    with (folder / "corpus.jsonl").open("wb") as file:
        for piece in lines(rng):
            table = pj.read_json(pa.BufferReader(piece))
            if writer is None:
                writer = pq.ParquetWriter(folder / "corpus.parquet", table.schema)
            writer.write_table(table)
            if not written:
                (folder / "head.jsonl").write_bytes(piece[: piece.rfind(b"\n", 0, PEER_BYTES) + 1])
                (folder / "head2.jsonl").write_bytes(piece[: piece.find(b"\n") + 1])
            file.write(piece)
            written += len(piece)
            text_bytes += int(pc.sum(pc.binary_length(table["text"])).as_py())
            if written >= megabytes * MB:
                break
    assert writer is not None
    writer.close()
    return text_bytes


def children() -> list[Path]:
    """The /proc folders of this process and of the workers it started."""
    found = [Path("/proc/self")]
    for listed in Path("/proc/self/task").glob("*/children"):
        found += [Path("/proc", number) for number in listed.read_text().split()]
    return found


def cpu_seconds() -> float:
    ticks = 0
    for folder in children():
        fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mb() -> tuple[float, float]:
    """Largest resident size so far of this process, and of its hungriest worker."""
    peaks = []
    for folder in children():
        found = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
        peaks.append(int(found[1]) / 1000 if found else 0.0)
    return peaks[0], max(peaks[1:], default=0.0)


def measure(path: str, engine: str) -> dict[str, Any]:
    """Profile or only read one file in this process; the small head goes before, to warm up."""
    from tailguard.corpus import open_corpus
    from tailguard.measure.survey import survey

    heads = str(Path(path).with_name("head*.jsonl"))
    if engine == "read":
        run: Any = lambda source: sum(b.num_rows for b in open_corpus(source).batches())  # noqa: E731
    else:
        run = lambda source: survey(source, engine=engine, workers=2).profile.n_documents  # noqa: E731
    run(heads)
    wall, cpu = time.perf_counter(), cpu_seconds()
    documents = run(path)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    own, worker = peak_mb()
    return {"documents": documents, "wall": wall, "cpu": cpu, "peak": own, "worker": worker}


def counted(path: str) -> dict[str, Any]:
    """The peer: two dictionaries of words and of 4-grams over ``str.split``, nothing else."""
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    wall, cpu = time.perf_counter(), cpu_seconds()
    words: collections.Counter[str] = collections.Counter()
    grams: collections.Counter[tuple[str, ...]] = collections.Counter()
    for text in texts:
        split = text.lower().split()
        words.update(split)
        grams.update(zip(split, split[1:], split[2:], split[3:], strict=False))
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    size = sum(len(text.encode()) for text in texts)
    return {"bytes": size, "wall": wall, "cpu": cpu, "peak": peak_mb()[0], "worker": 0.0}


def apart(*arguments: str) -> dict[str, Any]:
    """A measurement in a fresh process."""
    command = [sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, megabytes: float, found: dict[str, Any], one_core: float | None) -> str:
    gain = f"{one_core / found['wall']:.2f}" if one_core else ""
    worker = f"{found['worker']:.0f}" if found["worker"] else ""
    return (
        f"| {name} | {found['wall']:.1f} | {megabytes / found['wall']:.1f} | {found['cpu']:.1f}"
        f" | {megabytes / found['cpu']:.1f} | {gain} | {found['peak']:.0f} | {worker} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--formats", nargs="+", default=["jsonl", "parquet"])
    parser.add_argument("--engines", nargs="+", default=["serial", "local"])
    parser.add_argument("--one", nargs=2, metavar=("FILE", "ENGINE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        path, engine = asked.one
        print(json.dumps(counted(path) if engine == "peer" else measure(path, engine)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make(folder, asked.mb) / MB
        print(f"{size:.0f} MB of text\n")
        print("| what | wall s | MB/s | CPU s | MB/s of CPU | gain | peak MB | worker's peak MB |")
        print("|---|---|---|---|---|---|---|---|")
        for kind in asked.formats:
            path = str(folder / f"corpus.{kind}")
            print(row(f"{kind}, read only", size, apart(path, "read"), None), flush=True)
            one_core = None
            for engine in asked.engines:
                found = apart(path, engine)
                print(row(f"{kind}, {engine}", size, found, one_core), flush=True)
                one_core = one_core or found["wall"]
        peer = apart(str(folder / "head.jsonl"), "peer")
        print(row("two Counters over str.split", peer["bytes"] / MB, peer, None))


if __name__ == "__main__":
    main()
