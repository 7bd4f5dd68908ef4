"""How much of a pooled text is new: compression ratio, distinct n-grams, n-gram entropy.

All of these change with the amount of text: compare at equal size only.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import zstandard

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.grams import check_order, ngram_hashes
from tailguard.measure.overlap import Tally, tally

Codec = Literal["zlib", "zstd"]

_LEVELS: dict[Codec, range] = {"zlib": range(1, 10), "zstd": range(1, 23)}


def compression_ratio(
    texts: bytes | Sequence[bytes], *, codec: Codec = "zlib", level: int = 9
) -> float:
    """Original bytes over compressed bytes: > 0, higher = more redundant; nan without any byte.

    Documents are joined by one newline, in the order given, which matters: a codec sees repeats
    only as far back as its window (zlib 32 KiB; zstd megabytes, growing with ``level``). ``zlib``
    at level 9 is gzip's method, as in the source; the stream's own few bytes of framing count.
    Equal bytes give equal ratios with the same codec library. Raises InputError.
    Source: Shaib et al. 2024. (The package ``diversity`` gzips twice.)

    >>> compression_ratio(b"tail " * 1000) > 50 > compression_ratio(b"a tail of its own")
    True
    """
    if codec not in _LEVELS:
        raise InputError("codec", "'zlib' or 'zstd'", repr(codec), "pass one of them")
    levels = _LEVELS[codec]
    if level not in levels:
        expected = f"{levels.start} to {levels.stop - 1} for {codec}"
        raise InputError("level", expected, str(level), "pass a level in that range")
    data = texts if isinstance(texts, bytes) else b"\n".join(texts)
    if not data:
        return float("nan")
    if codec == "zlib":
        return len(data) / len(zlib.compress(data, level))
    return len(data) / len(zstandard.ZstdCompressor(level=level).compress(data))


def distinct_n_pooled(grams: Hashes) -> float:
    """Distinct n-grams of the pooled corpus over all of them, in (0, 1]; nan without any.

    Falls as a corpus grows: compare at equal size. Source: Li et al. 2016.

    >>> distinct_n_pooled(np.array([1, 2, 1, 1], np.uint64))
    0.5
    """
    return _pooled(grams).types.size / grams.size if grams.size else float("nan")


def distinct_n_per_document(grams: Hashes, offsets: Ints) -> Floats:
    """Each document's distinct n-grams over all of its n-grams, (D,) in (0, 1]; nan without any.

    >>> distinct_n_per_document(np.array([1, 1, 1, 2], np.uint64), np.array([0, 2, 4, 4]))
    array([0.5, 1. , nan])
    """
    totals = np.diff(offsets)
    out = np.full(totals.size, np.nan)
    return np.divide(tally(grams, offsets).distinct, totals, out=out, where=totals > 0)


def ngram_diversity_score(hashes: Hashes, offsets: Ints, max_n: int = 4) -> float:
    """Sum over n = 1..max_n of pooled distinct-n, in (0, max_n]; nan if an order has no n-gram.

    N-grams stop at document borders (the package ``diversity`` joins all documents first, and so
    counts n-grams nobody wrote). Compare at equal size. Source: Meister et al. 2023; Shaib et al.
    2024.

    >>> ngram_diversity_score(np.array([1, 2, 1, 2], np.uint64), np.array([0, 2, 4]), max_n=2)
    1.0
    """
    check_order(max_n)
    orders = range(1, max_n + 1)
    return sum(distinct_n_pooled(ngram_hashes(hashes, offsets, n)[0]) for n in orders)


def ngram_entropy_bits(grams: Hashes) -> float:
    """Plug-in Shannon entropy of the pooled n-gram frequencies in bits, in [0, log2 N]; nan if N=0.

    H = log2 N - (1/N) sum_g c(g) log2 c(g). Grows with N: compare at equal size.

    >>> ngram_entropy_bits(np.array([1, 2, 1, 2], np.uint64))
    1.0
    """
    if not grams.size:
        return float("nan")
    # By frequency of frequencies, so that the order of documents cannot change the last bit.
    counts, types = np.unique(_pooled(grams).counts, return_counts=True)
    return float(np.log2(grams.size) - np.sum(types * counts * np.log2(counts)) / grams.size)


def _pooled(grams: Hashes) -> Tally:
    return tally(grams, np.array([0, grams.size], np.int64))
