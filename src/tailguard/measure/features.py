"""Feature vectors of documents: hashed TF-IDF, reduced by a singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from tailguard.measure.base import Floats, Hashes, Ints

BUCKETS = 1 << 13
DIMENSIONS = 64


def term_frequencies(tokens: Hashes, offsets: Ints) -> sp.csr_array:
    """Hashed word counts of documents, sparse (D, 8192), damped as 1 + log count.

    >>> found = term_frequencies(np.array([1, 1, 2**63], np.uint64), np.array([0, 3]))
    >>> found.data.round(3).tolist()
    [1.693, 1.0]
    """
    documents = len(offsets) - 1
    bucket = (tokens >> np.uint64(64 - 13)).astype(np.int64)
    # Adding up duplicates moves the row borders in place, so they are copied.
    counts = sp.csr_array((np.ones(len(bucket)), bucket, offsets.copy()), (documents, BUCKETS))
    counts.sum_duplicates()
    counts.data = 1.0 + np.log(counts.data)
    return counts


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """TF-IDF followed by a linear projection, both fitted once and then applied to any document.

    x = V^T (tf * idf) / |tf * idf| with V the leading right singular vectors, shape (8192, d).
    Source: latent semantic analysis, Deerwester et al. 1990, with hashed terms.
    """

    idf: Floats
    basis: Floats

    @classmethod
    def fit(cls, tokens: Hashes, offsets: Ints, dimensions: int = DIMENSIONS) -> FeatureMap:
        """Fit on documents; fewer than two documents give an empty basis."""
        counts = term_frequencies(tokens, offsets)
        documents = counts.shape[0]
        found = np.bincount(counts.indices, minlength=BUCKETS)
        idf = np.log((1.0 + documents) / (1.0 + found)) + 1.0
        d = min(dimensions, documents - 1)
        if d < 1:
            return cls(idf, np.zeros((BUCKETS, 0)))
        # A fixed start vector makes the decomposition the same on every run.
        start = np.cos(np.arange(min(documents, BUCKETS)))
        _, _, rows = svds(_weighted(counts, idf), k=d, v0=start, solver="arpack")
        return cls(idf, np.ascontiguousarray(rows[::-1].T))

    def weighted(self, tokens: Hashes, offsets: Ints) -> sp.csr_array:
        """TF-IDF vectors of documents at unit length before the projection, sparse (D, 8192)."""
        return _weighted(term_frequencies(tokens, offsets), self.idf)

    def transform(self, tokens: Hashes, offsets: Ints) -> Floats:
        """Feature vectors of documents, shape (D, d)."""
        return np.asarray(self.weighted(tokens, offsets) @ self.basis)


def _weighted(counts: sp.csr_array, idf: Floats) -> sp.csr_array:
    weighted = counts.copy()
    weighted.data = weighted.data * idf[weighted.indices]
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1))).ravel()
    weighted.data = weighted.data / np.repeat(np.maximum(norms, 1e-300), np.diff(weighted.indptr))
    return weighted
