"""Speed of self-BLEU, self-repetition and the other n-gram measures, beside their peers.

    python benchmarks/bench_overlap.py [--megabytes 100]

The corpus is the standard library's own source, cut into documents of 400 words and repeated with
15% of the words replaced at random until it is large enough. Peers (``diversity``, ``nltk``) are
run on 1 MB and 0.1 MB, and only where they import. Times start from token hashes; "with hashing"
adds a plain Python loop that numbers the words, which the profile's tokeniser does far faster.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import resource
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from tailguard.measure.base import Hashes, Ints
from tailguard.measure.compression import compression_ratio, ngram_diversity_score
from tailguard.measure.overlap import self_bleu, self_bleu_per_document, self_repetition
from tailguard.measure.repetition import minhash, near_duplicate_rate, repetition

WORDS = 400
MB = 1_000_000


def source_words() -> list[str]:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = "\n".join(file.read_text("utf-8", "replace") for file in files)
    return re.findall(r"\w+|[^\w\s]", text)


def corpus(words: list[str], size_bytes: int) -> tuple[Ints, list[str]]:
    """Codes of words, about ``size_bytes`` long when joined by spaces, and the vocabulary."""
    rng = np.random.default_rng(1)
    vocabulary, codes = np.unique(words, return_inverse=True)
    mean_bytes = float(np.char.str_len(vocabulary)[codes].mean()) + 1
    total = int(size_bytes / mean_bytes) // WORDS * WORDS
    tiled = np.resize(codes, total)
    swap = rng.random(total) < 0.15
    tiled[swap] = rng.choice(codes, int(swap.sum()))
    return tiled, vocabulary.tolist()


def hashed(codes: Ints) -> tuple[Hashes, Ints]:
    words = np.random.default_rng(2).integers(1, 2**63, int(codes.max()) + 1, dtype=np.uint64)
    return words[codes], np.arange(0, codes.size + 1, WORDS)


def texts_of(codes: Ints, vocabulary: list[str]) -> list[str]:
    return [
        " ".join(vocabulary[code] for code in codes[i : i + WORDS])
        for i in range(0, codes.size, WORDS)
    ]


def numbered(texts: list[str]) -> tuple[Hashes, Ints]:
    numbers: dict[str, int] = {}
    rows = [[numbers.setdefault(word, len(numbers)) for word in text.split()] for text in texts]
    return hashed(np.array([code for row in rows for code in row], np.int64))


def timed(call: Callable[[], object], repeats: int = 1) -> tuple[float, object]:
    best, value = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        best = min(best, time.perf_counter() - start)
    return best, value


def peer_file(name: str) -> ModuleType | None:
    """One file of ``diversity``; the package itself imports language models."""
    spec = importlib.util.find_spec("diversity")
    if spec is None or spec.origin is None or importlib.util.find_spec("nltk") is None:
        return None
    source = Path(spec.origin).with_name(f"{name}.py")
    file_spec = importlib.util.spec_from_file_location(name, source)
    assert file_spec is not None and file_spec.loader is not None
    module = importlib.util.module_from_spec(file_spec)
    file_spec.loader.exec_module(module)
    return module


def ours(codes: Ints) -> None:
    hashes, offsets = hashed(codes)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("self_bleu", lambda: self_bleu(hashes, offsets)),
        ("self_repetition", lambda: self_repetition(hashes, offsets)),
        ("ngram_diversity_score", lambda: ngram_diversity_score(hashes, offsets)),
        ("repetition", lambda: float(repetition(hashes, offsets).seq_rep.mean())),
        ("minhash + near_duplicate_rate", lambda: near_duplicate_rate(minhash(hashes, offsets))),
    ]
    print(f"{offsets.size - 1:,} documents, {hashes.size:,} tokens")
    for name, call in calls:
        seconds, value = timed(call)
        print(f"  {name:32} {seconds:7.2f} s   = {value:.4f}")


def peers(codes: Ints, vocabulary: list[str]) -> Iterator[tuple[str, float, float, float]]:
    """Name, seconds of the peer, of ours, of ours with hashing."""
    texts = texts_of(codes, vocabulary)
    hashing, corpus_arrays = timed(lambda: numbered(texts))
    hashes, offsets = hashed(codes)
    assert isinstance(corpus_arrays, tuple)
    repeats, diversity = peer_file("self_repetition"), peer_file("ngram_diversity")
    gzip = peer_file("compression")
    if repeats is None or diversity is None or gzip is None:
        print("  peers skipped: diversity or nltk is not installed")
        return
    theirs, value = timed(lambda: repeats.self_repetition_score(texts, verbose=False))
    own, mine = timed(lambda: self_repetition(hashes, offsets), 5)
    assert np.isclose(value, mine), (value, mine)
    yield "diversity.self_repetition_score", theirs, own, own + hashing
    theirs, _ = timed(lambda: diversity.ngram_diversity_score(texts))
    own, _ = timed(lambda: ngram_diversity_score(hashes, offsets), 5)
    yield "diversity.ngram_diversity_score", theirs, own, own + hashing
    theirs, _ = timed(lambda: gzip.compression_ratio(texts))
    own, _ = timed(lambda: compression_ratio([text.encode() for text in texts]))
    yield "diversity.compression_ratio", theirs, own, own
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    split = [text.split() for text in texts[: len(texts) // 10]]
    hashes, offsets = hashed(codes[: len(split) * WORDS])
    method = SmoothingFunction().method1
    theirs, value = timed(
        lambda: [
            sentence_bleu(split[:d] + split[d + 1 :], own_words, smoothing_function=method)
            for d, own_words in enumerate(split)
        ]
    )
    own, mine = timed(lambda: self_bleu_per_document(hashes, offsets), 5)
    np.testing.assert_allclose(mine, value)
    yield "nltk sentence_bleu (0.1 MB)", theirs, own, own + hashing / 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=100)
    megabytes = parser.parse_args().megabytes
    words = source_words()
    small, vocabulary = corpus(words, MB)
    first, _ = timed(lambda: self_bleu(*hashed(small)))
    repetition(*hashed(small))
    near_duplicate_rate(minhash(*hashed(small)))
    print(f"first use (compiled or read from cache): {first:.2f} s")
    print("1 MB beside the peers: theirs, ours, ratio; ours with hashing, ratio")
    for name, theirs, own, with_hashing in peers(small, vocabulary):
        print(
            f"  {name:32} {theirs:8.3f} s {own:8.4f} s {theirs / own:7.0f}x"
            f" {with_hashing:8.4f} s {theirs / with_hashing:6.1f}x"
        )
    large, _ = corpus(words, int(megabytes * MB))
    del words
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{megabytes:g} MB, ours: ", end="")
    ours(large)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1e6:.2f} GB, of which the corpus and its making {before / 1e6:.2f}")


if __name__ == "__main__":
    main()
