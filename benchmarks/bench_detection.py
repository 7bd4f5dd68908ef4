"""Speed and memory of detection. Linux only (it reads memory peaks from /proc).

    python benchmarks/bench_detection.py [--part speed memory fit] [--kinds linear ...]
                                         [--words 0 100] [--mb 40] [--data FOLDER]

Texts are sentences of ``../shared/data`` (basemodel_pairs and WikiText-2), drawn again into
documents of 4 to 23 sentences (about 1.4 kB); incoming files are half human, half synthetic. MB are
of text as it stands in the file, also where only the last words of a text are looked at. "CPU"
divides by CPU seconds of the process and so suffers less when others use the machine.

- speed: ``alone`` is the detector on texts in memory (best of three); ``end to end`` is what
  ``tailguard detect score`` does, Parquet to Parquet in two passes behind the drift gate, with
  evidence; the gate's comparison of up to 2,000 texts of each slice is a fixed cost, which weighs
  less in the larger files under memory. The peer is scikit-learn: HashingVectorizer with the same
  grams and buckets, and the product with a logistic regression's weights, from whole texts in
  memory.
- memory: peak of a process that scores 50 MB, and of one that scores 200 MB.
- fit: wall time and peak of fitting 100 MB, 50 MB of each class; and the peer on a part of it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MB = 1_000_000
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ROWS = 4096
FITTED_MB, HELD_MB, PEER_MB = 4, 3, 8
MEMORY_MB, FIT_MB = (50, 200), 50


def sentences(data: Path) -> dict[str, pa.Array]:
    """Sentences of each class."""
    lines = (data / "basemodel_pairs" / "gpt2xl_neo_opt.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    wiki = "".join(f.read_text("utf-8") for f in sorted((data / "wikitext2").glob("*.txt")))
    sides = {"human": [wiki], "synthetic": []}
    for row in rows:
        sides["synthetic" if row["label"] else "human"].append(row["text"])
    return {
        name: pa.array(
            [s for text in texts for s in re.split(r"(?<=[.!?])\s+", text) if s.strip()],
            pa.string(),
        )
        for name, texts in sides.items()
    }


def documents(pool: pa.Array, rng: np.random.Generator) -> pa.Array:
    """``ROWS`` documents of sentences drawn with replacement."""
    lengths = rng.integers(4, 24, ROWS)
    drawn = pool.take(pa.array(rng.integers(0, len(pool), int(lengths.sum()))))
    bounds = pa.array(np.concatenate([[0], np.cumsum(lengths)]))
    joined = pc.binary_join(pa.ListArray.from_arrays(bounds.cast(pa.int32()), drawn), " ")
    return joined.cast(pa.large_string())


def make(folder: Path, name: str, megabytes: float, pools: list[pa.Array], seed: int) -> Path:
    """Write a corpus with three sources, its documents from the pools in turn."""
    path = folder / f"{name}.parquet"
    rng = np.random.default_rng(seed)
    schema = pa.schema({"text": pa.large_string(), "source": pa.string()})
    size = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while size < megabytes * MB:
            parts = [documents(pool, rng) for pool in pools]
            texts = pa.concat_arrays(parts).take(pa.array(rng.permutation(ROWS * len(parts))))
            sizes = np.cumsum(pc.binary_length(texts).to_numpy())
            texts = texts[: max(1, int(np.searchsorted(sizes, megabytes * MB - size)))]
            source = pa.array([f"source {k}" for k in rng.integers(0, 3, len(texts)).tolist()])
            writer.write_table(pa.table([texts, source], schema))
            size += int(sizes[len(texts) - 1])
    return path


def peak_mb() -> float:
    """Largest resident size of this process so far (getrusage would count its parent's too)."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else float("nan")


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def text_of(path: Path) -> pa.Array:
    """All texts of a file."""
    return pa.concat_arrays(pq.read_table(path, columns=["text"]).column(0).chunks)


def ready(folder: Path, kind: str, words: int) -> Any:
    """A calibrated detector of a kind, and how it was fitted."""
    from tailguard.corpus import open_corpus
    from tailguard.detect.calibration import Target
    from tailguard.detect.canonical import Window
    from tailguard.detect.detectors.registry import make_detector
    from tailguard.detect.fitting import calibrate_detector, fit_detector

    sides = [open_corpus(str(folder / f"small_{name}.parquet")) for name in ("human", "synthetic")]
    saved, _ = fit_detector(*sides, detector=make_detector(kind, Window(words)))
    held = open_corpus(str(folder / "held.parquet"))
    return calibrate_detector(saved, held, Target(0.01))[0]


def scored(saved: Any, source: Path, output: Path) -> dict[str, int]:
    """What ``tailguard detect score`` does."""
    from tailguard.corpus import Quarantine, open_corpus
    from tailguard.corpus.write import write_corpus
    from tailguard.detect.calibration import Target
    from tailguard.detect.scoring import Scorer

    corpus, scorer = open_corpus(str(source)), Scorer(saved, Target(0.01))
    scorer.look(corpus, rng=np.random.default_rng(0))
    write_corpus(scorer.batches(corpus, Quarantine()), output)
    return scorer.counts


def one_speed(folder: Path, kind: str, words: int) -> dict[str, Any]:
    """Time a kind alone and end to end, in this process."""
    saved = ready(folder, kind, words)
    texts = text_of(folder / "some.parquet")
    saved.detector.score(texts[:50])
    scored(saved, folder / "held.parquet", folder / "out.parquet")
    alone = min(
        (timed(lambda: saved.detector.score(texts)) for _ in range(3)), key=lambda t: t["wall"]
    )
    out: dict[str, Any] = {}
    whole = timed(
        lambda: out.update(scored(saved, folder / "incoming.parquet", folder / "out.parquet"))
    )
    return {"alone": alone, "whole": whole, "counts": out}


def one_peer(folder: Path, kind: str, words: int) -> dict[str, Any]:
    """scikit-learn's hashing of the same grams: fit on the same texts, then score."""
    import scipy.sparse as sp
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    grams: list[dict[str, Any]] = [
        {"ngram_range": (1, 2), "token_pattern": r"\w+|[^\w\s]"},
        {"analyzer": "char", "ngram_range": (3, 4)},
    ]
    makers = [HashingVectorizer(n_features=1 << 18, alternate_sign=False, **g) for g in grams]
    features = lambda texts: sp.hstack([m.transform(texts) for m in makers], format="csr")  # noqa: E731
    sides = [
        text_of(folder / f"small_{name}.parquet").to_pylist() for name in ("human", "synthetic")
    ]
    labels = np.repeat([0, 1], [len(side) for side in sides])
    model = LogisticRegression(C=10.0, solver="liblinear", dual=True, tol=1e-3)
    fit = timed(lambda: model.fit(features(sides[0] + sides[1]), labels))
    some = text_of(folder / "peer.parquet").to_pylist()
    alone = timed(lambda: model.decision_function(features(some)))
    return {
        "alone": alone,
        "fit": fit,
        "fit_mb": sum(len(t.encode()) for s in sides for t in s) / MB,
    }


def one_memory(folder: Path, kind: str, words: int) -> dict[str, Any]:
    """Peak of scoring each of two sizes, in this process."""
    from tailguard.detect.store import load_detector

    saved = load_detector(folder / f"{kind}.detector")
    spent = timed(
        lambda: scored(saved, folder / f"incoming_{words}.parquet", folder / "out.parquet")
    )
    return {"peak": peak_mb(), **spent}


def one_fit(folder: Path, kind: str, words: int) -> dict[str, Any]:
    """Wall time and peak of a fit, in this process."""
    from tailguard.corpus import open_corpus
    from tailguard.detect.canonical import Window
    from tailguard.detect.detectors.registry import make_detector
    from tailguard.detect.fitting import fit_detector

    sides = [open_corpus(str(folder / f"{name}.parquet")) for name in ("human", "synthetic")]
    spent = timed(lambda: fit_detector(*sides, detector=make_detector(kind, Window(words))))
    return {"peak": peak_mb(), **spent}


ONE = {"speed": one_speed, "peer": one_peer, "memory": one_memory, "fit": one_fit}


def apart(name: str, folder: Path, kind: str, words: int) -> dict[str, Any]:
    """A measurement in a fresh process."""
    command = [sys.executable, __file__, "--one", name, str(folder), kind, str(words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rates(size: float, spent: dict[str, float]) -> str:
    """MB/s by wall and by CPU seconds."""
    return f"{size / spent['wall']:7.1f}{size / spent['cpu']:7.1f}"


def speed(folder: Path, asked: argparse.Namespace) -> None:
    """Print MB/s of every kind and window, beside the peer."""
    some, incoming = (text_of(folder / f"{n}.parquet").nbytes / MB for n in ("some", "incoming"))
    peer = apart("peer", folder, "-", 0)
    peer_mb = text_of(folder / "peer.parquet").nbytes / MB
    print(f"scoring, MB/s by wall and CPU seconds of one process; {incoming:.0f} MB end to end")
    print(f"{'':44}{'alone':>7}{'CPU':>7}{'whole':>7}{'CPU':>7}{'ratio':>7}")
    print(f"{'HashingVectorizer, same grams, in memory':44}{rates(peer_mb, peer['alone'])}")
    for kind in asked.kinds:
        for words in asked.words:
            found = apart("speed", folder, kind, words)
            ratio = some / found["alone"]["cpu"] / (peer_mb / peer["alone"]["cpu"])
            name = f"{kind}, {f'last {words} words' if words else 'whole texts'}"
            print(f"{name:44}{rates(some, found['alone'])}{rates(incoming, found['whole'])}"
                  f"{ratio:7.1f}  {found['counts']}", flush=True)  # fmt: skip


def memory(folder: Path, asked: argparse.Namespace) -> None:
    """Print peaks of scoring files of two sizes."""
    from tailguard.detect.store import save_detector

    for kind in asked.kinds:
        save_detector(ready(folder, kind, max(asked.words)), folder / f"{kind}.detector")
        for size in MEMORY_MB:
            found = apart("memory", folder, kind, size)
            spent = f"{found['wall']:.1f} s, {size / found['cpu']:.1f} MB/s of CPU"
            print(f"{kind}, scoring {size:4} MB: peak {found['peak']:5.0f} MB, {spent}", flush=True)


def fit(folder: Path, asked: argparse.Namespace) -> None:
    """Print wall time and peak of fitting 100 MB."""
    for kind in asked.kinds:
        for words in asked.words:
            found = apart("fit", folder, kind, words)
            name = f"{kind}, {f'last {words} words' if words else 'whole texts'}"
            print(f"{name}: {2 * FIT_MB} MB fitted in {found['wall']:.0f} s ({found['cpu']:.0f} s "
                  f"of CPU), peak {found['peak'] / 1000:.1f} GB", flush=True)  # fmt: skip
    peer = apart("peer", folder, "-", 0)
    print(f"HashingVectorizer and logistic regression: {peer['fit_mb']:.0f} MB in "
          f"{peer['fit']['wall']:.0f} s ({peer['fit']['cpu']:.0f} s of CPU)")  # fmt: skip


def main() -> None:
    """Make the corpora and run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts: dict[str, Callable[[Path, argparse.Namespace], None]] = {
        "speed": speed, "memory": memory, "fit": fit,
    }  # fmt: skip
    parser.add_argument("--part", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--kinds", nargs="+", default=["linear"])
    parser.add_argument("--words", nargs="+", type=int, default=[0, 100])
    parser.add_argument("--mb", type=float, default=40)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        name, folder, kind, words = asked.one
        print(json.dumps(ONE[name](Path(folder), kind, int(words))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder, pools = Path(temporary), sentences(asked.data)
        both = list(pools.values())
        for seed, (name, pool) in enumerate(pools.items()):
            make(folder, f"small_{name}", FITTED_MB, [pool], seed)
            if "fit" in asked.part:
                make(folder, name, FIT_MB, [pool], 10 + seed)
        make(folder, "held", HELD_MB, [pools["human"]], 2)
        make(folder, "some", asked.mb / 2, both, 3)
        make(folder, "peer", min(PEER_MB, asked.mb), both, 4)
        make(folder, "incoming", asked.mb, both, 5)
        for size in MEMORY_MB if "memory" in asked.part else ():
            make(folder, f"incoming_{size}", size, both, 6)
        for part in asked.part:
            parts[part](folder, asked)


if __name__ == "__main__":
    main()
