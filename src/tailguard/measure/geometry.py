"""How much room the feature vectors of one corpus fill: Vendi score, ranks, variance, spread.

All of these rest on sums over rows, so they take time linear in n, and are summed in double
precision block by block: small eigenvalues are the tail, and single precision would invent them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailguard.errors import InputError
from tailguard.measure.base import Floats

Features = NDArray[np.floating[Any]]

BLOCK_ROWS = 8192
LARGEST = 1e100  # beyond this, squares of doubles may overflow when summed


def as_features(x: ArrayLike, who: str) -> Features:
    """``x`` as a contiguous (n, d) array of float32 or float64, checked; n may be 0.

    Raises InputError unless ``x`` is a table of finite real numbers with at least one column.

    >>> as_features([[1, 2], [3, 4]], "demo").dtype
    dtype('float64')
    """
    try:
        array = np.asarray(x)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        got = f"an array of shape {array.shape} and type {array.dtype}"
        raise InputError(who, "numbers of shape (n, d), d ≥ 1", got, "pass one row per record")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    if array.size:
        low, high = float(array.min()), float(array.max())
        if not max(-low, high) <= LARGEST:  # nan fails this too
            got = f"values from {low:g} to {high:g}"
            raise InputError(who, f"finite values within ±{LARGEST:g}", got, "repair those rows")
    return np.ascontiguousarray(array)


def as_feature_pair(x: ArrayLike, y: ArrayLike, who: str) -> tuple[Features, Features]:
    """``x`` (n, d) and ``y`` (m, d), both checked and of one type; InputError if d differs."""
    first, second = as_features(x, who), as_features(y, who)
    if first.shape[1] != second.shape[1]:
        got = f"{first.shape[1]} and {second.shape[1]}"
        raise InputError(who, "equally many columns", got, "use one feature extractor for both")
    dtype = np.result_type(first, second)
    return first.astype(dtype, copy=False), second.astype(dtype, copy=False)


def row_blocks(x: Features) -> Iterator[slice]:
    """Slices that cover the rows of ``x`` in order."""
    return (slice(start, start + BLOCK_ROWS) for start in range(0, len(x), BLOCK_ROWS))


def unit_rows(x: Features) -> Features:
    """The rows of ``x`` scaled to length 1, in the type of ``x``; a zero row becomes nan."""
    unit = np.empty_like(x)
    for rows in row_blocks(x):
        unit[rows] = _unit_block(x[rows])
    return unit


def _unit_block(block: Features) -> Floats:
    wide = block.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    wide /= np.where(norms > 0, norms, np.nan)[:, None]
    return wide


def covariance(x: Features) -> tuple[Floats, Floats]:
    """Mean (d,) and unbiased covariance (d, d) of the n ≥ 2 rows of ``x``."""
    mean = x.mean(axis=0, dtype=np.float64)
    gram = np.zeros((x.shape[1], x.shape[1]))
    for rows in row_blocks(x):
        centred = x[rows] - mean
        gram += centred.T @ centred
    return mean, gram / (len(x) - 1)


def _spectrum(symmetric: Floats, n: int) -> Floats:
    """Eigenvalues of a positive semidefinite matrix, with those within rounding of 0 set to 0."""
    eigenvalues = np.linalg.eigvalsh(symmetric)
    resolution = eigenvalues[-1] * max(n, len(symmetric)) * np.finfo(np.float64).eps
    return np.where(eigenvalues > resolution, eigenvalues, 0.0)


def _hill_number(weights: Floats, q: float) -> float:
    """Effective number of categories of order q of nonnegative weights with a positive sum."""
    p = weights[weights > 0] / weights.sum()
    if q == 1:
        return float(np.exp(-(p @ np.log(p))))
    if np.isinf(q):
        return float(1 / p.max())
    return float(np.exp(np.log((p**q).sum()) / (1 - q)))


def vendi(x: ArrayLike, q: float = 1.0) -> float:
    """Vendi score: the effective number of distinct rows under cosine similarity.

    The Hill number of order q of the eigenvalues λ of K/n, K the cosine kernel: exp(−Σ λ log λ)
    at q = 1, (Σ λ^q)^(1/(1−q)) elsewhere, 1/max λ at q = ∞, the rank at q = 0. Rows are not
    centred. For n > d the eigenvalues are taken from the d×d dual.

    ``x`` (n, d). In [1, min(n, d)]; nan for n = 0 or when a row is all zero, which has no
    direction. Duplicating every row leaves it unchanged; it grows with n otherwise, so compare at
    equal n. InputError for q < 0.

    >>> round(vendi([[1, 0], [0, 1], [2, 0], [0, 3]]), 9)
    2.0

    Friedman & Dieng 2023 (TMLR); orders q: Pasarkar & Dieng 2024 (AISTATS).
    """
    features = as_features(x, "vendi")
    if not q >= 0:
        raise InputError("vendi", "an order q ≥ 0", str(q), "use q = 0, 1, 2 or inf")
    n, d = features.shape
    if n == 0:
        return float("nan")
    if n <= d:
        unit = _unit_block(features)
        gram = unit @ unit.T
    else:
        gram = np.zeros((d, d))
        for rows in row_blocks(features):
            unit = _unit_block(features[rows])
            gram += unit.T @ unit
    if np.isnan(gram).any():
        return float("nan")
    return _hill_number(_spectrum(gram / n, n), q)


def _variances(x: ArrayLike, who: str) -> Floats:
    """Variances along the principal axes of the centred rows; empty for n < 2."""
    features = as_features(x, who)
    n, d = features.shape
    if n < 2:
        return np.empty(0)
    if n > d:
        return _spectrum(covariance(features)[1], n)
    centred = features - features.mean(axis=0, dtype=np.float64)
    return _spectrum(centred @ centred.T / (n - 1), d)


def effective_rank(x: ArrayLike) -> float:
    """Effective rank of the centred rows: exp of the entropy of their singular values.

    exp(−Σ p log p) with p = σ/Σσ over the singular values σ (not their squares) of the matrix
    ``x`` (n, d) after its column means are taken off; the paper does not centre, but a common
    offset is no diversity. In [1, min(n−1, d)]; nan for n < 2 or without variance. Unchanged when
    every row is duplicated, and under rotation, shift and scaling.

    >>> round(effective_rank([[1, 0], [-1, 0], [0, 1], [0, -1]]), 9)
    2.0

    Roy & Vetterli 2007 (EUSIPCO).
    """
    variances = _variances(x, "effective_rank")
    return _hill_number(np.sqrt(variances), 1.0) if variances.any() else float("nan")


def participation_ratio(x: ArrayLike) -> float:
    """Participation ratio (Σ λ)² / Σ λ² of the covariance eigenvalues λ of ``x`` (n, d).

    In [1, min(n−1, d)]; nan for n < 2 or without variance. Unchanged when every row is duplicated,
    and under rotation, shift and scaling. Biased downwards, by about the value squared over n.

    >>> round(participation_ratio([[1, 0], [-1, 0], [0, 1], [0, -1]]), 9)
    2.0

    Gao et al. 2017 (bioRxiv 214262); the effective rank of order 2 of the variances.
    """
    variances = _variances(x, "participation_ratio")
    return _hill_number(variances, 2.0) if variances.any() else float("nan")


def total_variance(x: ArrayLike) -> float:
    """Total variance: the sum over columns of the unbiased (n − 1) variance of ``x`` (n, d).

    In squared feature units, ≥ 0; nan for n < 2. Unbiased, so it may be compared between sizes;
    duplicating every row multiplies it by (2n−2)/(2n−1).

    >>> total_variance([[0, 0], [2, 4]])
    10.0
    """
    features = as_features(x, "total_variance")
    if len(features) < 2:
        return float("nan")
    mean = features.mean(axis=0, dtype=np.float64)
    squares = 0.0
    for rows in row_blocks(features):
        centred = (features[rows] - mean).ravel()
        squares += float(centred @ centred)
    return squares / (len(features) - 1)


def spread(x: ArrayLike) -> float:
    """Spread: the mean cosine distance 1 − cos over all pairs of different rows of ``x`` (n, d).

    1 − (‖Σ u‖² − n) / (n(n−1)) with u the rows at unit length, in time linear in n. In
    [0, 1 + 1/(n−1)]; nan for n < 2 or when a row is all zero. Unbiased, so it may be compared
    between sizes; duplicating every row multiplies it by (2n−2)/(2n−1).

    >>> spread([[1, 0], [0, 5]])
    1.0
    """
    features = as_features(x, "spread")
    n, d = features.shape
    if n < 2:
        return float("nan")
    total = np.zeros(d)
    for rows in row_blocks(features):
        total += _unit_block(features[rows]).sum(axis=0)
    return 1 - (float(total @ total) - n) / (n * (n - 1))
