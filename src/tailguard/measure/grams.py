"""N-grams as hashes, in reading order and never across a document border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numba import config, njit

from tailguard.errors import InputError
from tailguard.measure.base import Hashes, Ints
from tailguard.measure.tokens import mix64

PARTITION = 1 << 14
"""N-grams handled at a time by one thread: tables of that many stay in a core's cache."""


@njit(cache=True, nogil=True)
def gram_hash(hashes: Hashes, start: int, n: int) -> np.uint64:
    """Hash of the n tokens from ``start``: order matters, and each token is mixed in in full."""
    gram = np.uint64(0)
    for i in range(start, start + n):
        gram = mix64(gram + hashes[i] + np.uint64(0x9E3779B97F4A7C15))
    return gram


@njit(cache=True, nogil=True)
def _fill_grams(
    hashes: Hashes, offsets: Ints, out: Hashes, at: Ints, n: int, first: int, last: int
) -> None:
    for d in range(first, last):
        for i in range(at[d + 1] - at[d]):
            out[at[d] + i] = gram_hash(hashes, offsets[d] + i, n)


def ranges(bounds: Ints) -> list[tuple[int, int]]:
    """Cut blocks of unequal size into one run of about equal work per thread."""
    parts = int(vars(config)["NUMBA_NUM_THREADS"]) if bounds[-1] > PARTITION else 1
    cuts = np.searchsorted(bounds, bounds[-1] * np.arange(1, parts) // parts)
    edges = [0, *cuts.tolist(), bounds.size - 1]
    return list(pairwise(edges))


def in_threads(kernel: Callable[..., None], jobs: Sequence[tuple[Any, ...]]) -> None:
    """Run a kernel that lets go of the interpreter once for each set of arguments."""
    if len(jobs) == 1:
        kernel(*jobs[0])
        return
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(lambda job: kernel(*job), jobs))


def check_tokens(hashes: Hashes, offsets: Ints) -> None:
    """Refuse arrays that are not token hashes with document offsets.

    >>> check_tokens(np.zeros(3, np.uint64), np.array([0, 2]))
    Traceback (most recent call last):
    tailguard.errors.InputError: offsets: expected 0 first, never falling, 3 last, got [0 2]; ...
    """
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        got = f"{hashes.dtype} with {hashes.ndim} axes"
        raise InputError("hashes", "uint64 with one axis", got, "hash the tokens first")
    if (
        offsets.dtype != np.int64
        or offsets.ndim != 1
        or offsets.size == 0
        or offsets[0] != 0
        or offsets[-1] != hashes.size
        or bool(np.any(offsets[1:] < offsets[:-1]))
    ):
        expected = f"0 first, never falling, {hashes.size} last"
        next_step = "pass int64 offsets so that document d is hashes[offsets[d]:offsets[d + 1]]"
        raise InputError("offsets", expected, np.array2string(offsets, threshold=8), next_step)


def check_order(n: int) -> None:
    """Refuse an n-gram order below one."""
    if n < 1:
        raise InputError("n", "an n-gram order of at least 1", str(n), "pass n >= 1")


def ngram_hashes(hashes: Hashes, offsets: Ints, n: int) -> tuple[Hashes, Ints]:
    """Hashes of all n-grams in reading order, never across a document border.

    ``hashes`` (T,) and ``offsets`` (D+1,) give ``grams`` (N,) and their offsets (D+1,), where
    N = sum of max(len - n + 1, 0); a document shorter than n has none. Raises InputError.

    >>> grams, at = ngram_hashes(np.array([7, 8, 7, 8], np.uint64), np.array([0, 2, 4]), 2)
    >>> at.tolist(), bool(grams[0] == grams[1])
    ([0, 1, 2], True)
    """
    check_tokens(hashes, offsets)
    check_order(n)
    at = np.zeros(offsets.size, np.int64)
    np.cumsum(np.maximum(np.diff(offsets) - n + 1, 0), out=at[1:])
    grams = np.empty(int(at[-1]), np.uint64)
    in_threads(_fill_grams, [(hashes, offsets, grams, at, n, a, b) for a, b in ranges(at)])
    return grams, at
