"""Nearest neighbours in feature space, exact and in bounded memory.

Squared distances come in tiles out of one matrix product each (all cores, in the type of the
features), and compiled one-pass kernels reduce a tile before the next one is made. Distances
closer than the rounding error of that product count as equal, so that copies lie at distance 0
and exact ties never pass for "closer".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Ints
from tailguard.measure.geometry import Features, as_feature_pair, as_features, unit_rows

TILE = 2048  # a float32 tile of 16 MB: large enough for the matrix product, small enough for cache

Tile = tuple[slice, slice, Features]


class PRDC(NamedTuple):
    """Improved precision and recall, density and coverage; all nan where undefined."""

    precision: float
    recall: float
    density: float
    coverage: float


def rounding(x: Features) -> Any:
    """Relative rounding error of a squared distance got from a product of two rows of ``x``."""
    return x.dtype.type((8 + np.sqrt(x.shape[1])) * np.finfo(x.dtype).eps)


def centred(*samples: Features) -> tuple[list[Features], float]:
    """Copies of the samples about their joint mean and near magnitude 1, and the unit taken out.

    Distances between the rows times the unit are those of the originals. Without it, the squares
    of rows far from the origin would cancel, and those of huge or tiny rows leave the range of
    float32. The unit is a power of two, which costs no rounding.
    """
    dtype = np.result_type(*samples)
    largest = max((float(abs(s).max()) for s in samples if s.size), default=0.0)
    limit = -int(np.finfo(dtype).minexp)
    exponent = int(np.clip(np.frexp(largest)[1], -limit, limit))
    scaled = [s * dtype.type(2.0**-exponent) for s in samples]
    rows = max(1, sum(map(len, samples)))
    mean = sum(s.sum(axis=0, dtype=np.float64) for s in scaled) / rows
    for s in scaled:
        s -= mean.astype(dtype)
    return scaled, 2.0**exponent


def squared_norms(x: Features) -> Features:
    """Squared length of each row, (n,), in the type of ``x``."""
    return np.asarray(np.einsum("ij,ij->i", x, x))


@njit(cache=True, nogil=True)
def _to_squared_distances(products: Any, xx: Any, yy: Any, error: Any) -> None:
    zero = xx.dtype.type(0)
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            size = xx[i] + yy[j]
            squared = size - (products[i, j] + products[i, j])
            products[i, j] = squared if squared > error * size else zero


def distance_tiles(x: Features, y: Features | None = None) -> Iterator[Tile]:
    """Squared Euclidean distances tile by tile: row slice, column slice, tile.

    Between ``x`` and ``y``, or without ``y`` within ``x``, and then only on and above the
    diagonal. The tile is overwritten by the next one. Give centred features.
    """
    other = x if y is None else y
    xx, yy, error = squared_norms(x), squared_norms(other), rounding(x)
    buffer = np.empty(min(TILE, len(x)) * min(TILE, len(other)), dtype=x.dtype)
    for top in range(0, len(x), TILE):
        rows = slice(top, min(top + TILE, len(x)))
        for left in range(top if y is None else 0, len(other), TILE):
            columns = slice(left, min(left + TILE, len(other)))
            shape = rows.stop - rows.start, columns.stop - columns.start
            tile = buffer[: shape[0] * shape[1]].reshape(shape)
            np.matmul(x[rows], other[columns].T, out=tile)
            _to_squared_distances(tile, xx[rows], yy[columns], error)
            yield rows, columns, tile


@njit(cache=True, nogil=True)
def _insert(smallest: Any, row: int, value: Any) -> None:
    at = smallest.shape[1] - 1
    while at > 0 and smallest[row, at - 1] > value:
        smallest[row, at] = smallest[row, at - 1]
        at -= 1
    smallest[row, at] = value


@njit(cache=True, nogil=True)
def _keep_smallest(tile: Any, of_rows: Any, of_columns: Any, mirror: bool) -> None:
    """Insert a tile's values into the ascending k smallest of its rows and, mirrored, columns."""
    last = of_rows.shape[1] - 1
    for i in range(tile.shape[0]):
        for j in range(tile.shape[1]):
            value = tile[i, j]
            if value < of_rows[i, last]:
                _insert(of_rows, i, value)
            if mirror and value < of_columns[j, last]:
                _insert(of_columns, j, value)


def _smallest_squared_distances(x: Features, k: int) -> Features:
    """Squared distances from each row to its k nearest other rows, ascending, (n, k)."""
    smallest = np.full((len(x), k), np.inf, dtype=x.dtype)
    for rows, columns, tile in distance_tiles(x):
        own = rows == columns
        if own:
            np.fill_diagonal(tile, np.inf)
        _keep_smallest(tile, smallest[rows], smallest[columns], not own)
    return smallest


@njit(cache=True, nogil=True)
def _count_balls(
    tile: Any, xx: Any, yy: Any, error: Any, real_radii: Any, fake_radii: Any,
    around_fake: Any, covered: Any, recalled: Any,
) -> None:  # fmt: skip
    """Count for each fake row the real balls it lies in; mark real rows met and recalled."""
    for i in range(tile.shape[0]):
        meets = recalls = False
        for j in range(tile.shape[1]):
            reach = tile[i, j] + error * (xx[i] + yy[j])
            inside = reach < real_radii[i]
            around_fake[j] += inside
            meets |= inside
            recalls |= reach < fake_radii[j]
        covered[i] |= meets
        recalled[i] |= recalls


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5) -> PRDC:
    """Improved precision and recall, density and coverage, from balls to the k-th neighbour.

    With B(a) the open ball around a row to its k-th nearest other row of the same sample:
    precision is the share of fake rows in some B(real), recall the share of real rows in some
    B(fake), density the mean number of B(real) around a fake row over k, coverage the share of
    B(real) that hold a fake row.

    ``real`` (n, d), ``fake`` (m, d). In [0, 1], density in [0, n/k]; nan for n ≤ k or m ≤ k.
    Exact, in the type of the features, O((n² + m² + 2nm) d) time; memory two copies of them.
    A row on the edge of a ball, as copies and repeated rows are, lies outside. All four depend
    on n and m: compare at equal sizes. For identical sources at n = m coverage tends to 1 − 2^−k.
    InputError for k < 1.

    >>> prdc([[0], [1], [2]], [[0], [1], [2]], k=1)
    PRDC(precision=1.0, recall=1.0, density=1.0, coverage=1.0)

    Kynkäänniemi et al. 2019 (NeurIPS); Naeem et al. 2020 (ICML).
    """
    first, second = as_feature_pair(real, fake, "prdc")
    if k < 1:
        raise InputError("prdc", "k ≥ 1 neighbours", str(k), "pass k=5")
    if min(len(first), len(second)) <= k:
        return PRDC(*[float("nan")] * 4)
    (x, y), _ = centred(first, second)
    real_radii = _smallest_squared_distances(x, k)[:, -1]
    fake_radii = _smallest_squared_distances(y, k)[:, -1]
    xx, yy, error = squared_norms(x), squared_norms(y), rounding(x)
    around_fake: Ints = np.zeros(len(y), dtype=np.int64)
    covered: NDArray[np.bool_] = np.zeros(len(x), dtype=np.bool_)
    recalled = covered.copy()
    for rows, columns, tile in distance_tiles(x, y):
        _count_balls(
            tile, xx[rows], yy[columns], error, real_radii[rows], fake_radii[columns],
            around_fake[columns], covered[rows], recalled[rows],
        )  # fmt: skip
    return PRDC(
        float((around_fake > 0).mean()),
        float(recalled.mean()),
        float(around_fake.mean() / k),
        float(covered.mean()),
    )


def nearest_cosine(x: ArrayLike) -> Floats:
    """Cosine similarity of each row of ``x`` (n, d) to its nearest other row, (n,).

    In [−1, 1]; 1 for a row that has a copy, up to scale. nan for a row that is all zero, which
    takes no part, and where no other row is left. Exact, O(n² d) time; grows with n, so compare
    at equal n.

    >>> nearest_cosine([[1, 0], [2, 0], [0, 1]]).tolist()
    [1.0, 1.0, 0.0]
    """
    unit = unit_rows(as_features(x, "nearest_cosine"))
    directed = ~np.isnan(unit[:, 0])
    nearest = np.full(len(unit), np.nan)
    if directed.sum() >= 2:
        squared = _smallest_squared_distances(unit[directed], 1)[:, 0]
        nearest[directed] = 1 - squared.clip(max=4).astype(np.float64) / 2
    return nearest
