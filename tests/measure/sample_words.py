"""Document samples out of word numbers, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailguard.measure.documents import DocumentSample, fingerprint
from tailguard.measure.grams import ngram_hashes
from tailguard.measure.units import Units, make_units

NAMES = np.random.default_rng(20240229).integers(0, 2**63, 60_000).astype(np.uint64)
NAMES = NAMES * np.uint64(2) + np.uint64(1)


def sample_of(documents: Sequence[np.ndarray], k: int = 1_024) -> DocumentSample:
    """The sample of documents given as arrays of word numbers below 60,000."""
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    tokens = NAMES[np.concatenate([*documents, np.zeros(0, np.int64)]).astype(np.int64)]
    content, keys = fingerprint(tokens, offsets, *ngram_hashes(tokens, offsets, 4))
    return DocumentSample.of(k, tokens, offsets, content, keys, below=float("inf"))


def units_of(gold: Sequence[np.ndarray], batch: Sequence[np.ndarray]) -> Units:
    """Scored units of two lists of documents."""
    return make_units(sample_of(gold), sample_of(batch))


def zipf_documents(
    n: int, *, rng: np.random.Generator, shortest: int = 300, longest: int = 900
) -> list[np.ndarray]:
    """Documents of Zipf words with a topic each: some words belong to every fifth document only."""
    documents = []
    for _ in range(n):
        words = rng.zipf(1.3, int(rng.integers(shortest, longest))) % 20_000
        topic = int(rng.integers(5))
        own = rng.random(len(words)) < 0.1
        words[own] = 20_000 + 50 * topic + words[own] % 50
        documents.append(words)
    return documents
