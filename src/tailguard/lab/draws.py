"""Random numbers by the hundred million: normals, and the moments of normal samples.

A call takes a `Generator` only for a seed: 65 streams of xoroshiro128++, 64 that run side by side
in vector registers and one for the rare slow paths. Nothing depends on threads or on how arrays lie
in memory: same generator state, same bytes. Kernels hold no Python lock.

Sources: Blackman & Vigna 2021, ACM TOMS 47:36 (xoroshiro128++); Marsaglia & Tsang 2000, J. Stat.
Softw. 5(8) (ziggurat, here of 1024 layers) and ACM TOMS 26:363 (gamma).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from tailguard.mix.samples import Floats

Bits = NDArray[np.uint64]

LANES = 64
BATCH = 512  # random words of one kind made at once; a multiple of LANES
_WHOLE = 2.0**-53
LAYERS = 1024  # more make the slow path rarer; the tables must fit the first-level cache
_TAIL = 4.038849846109505  # where the lowest layer's tail begins: then all layers have equal area


def stream(*, rng: np.random.Generator) -> Bits:
    """The state of `fill` and `word`, shape (2, 65), seeded from ``rng``."""
    return rng.integers(0, 2**64, (2, LANES + 1), dtype=np.uint64)


def normals(mean: Floats, var: Floats, n: int, *, rng: np.random.Generator) -> Floats:
    """n draws from each of R normals, shape (R, n).

    >>> normals(np.zeros(2), np.ones(2), 3, rng=np.random.default_rng(0)).shape
    (2, 3)
    """
    return np.asarray(Normals(mean, var, n, rng=rng))


class Normals(NDArrayOperatorsMixin):
    """n draws from each of R normals, which stands for an array (R, n) until somebody looks at it.

    Its `moments` are those of the array, to the bit, but the draws are then never stored, which
    takes no memory, and less time where the array would not fit the cache. Everything else makes
    the array, once.

    >>> x = Normals(np.zeros(2), np.ones(2), 3, rng=np.random.default_rng(0))
    >>> x.shape, bool((moments(x)[0] == moments(x + 0.0)[0]).all())
    ((2, 3), True)
    """

    def __init__(self, mean: Floats, var: Floats, n: int, *, rng: np.random.Generator) -> None:
        self._mean, self._deviation = _flat(mean), np.sqrt(_flat(var))
        self._state = stream(rng=rng)
        self.shape = (len(self._mean), n)
        self.ndim = 2
        self.dtype = np.dtype(np.float64)

    @cached_property
    def _array(self) -> Floats:
        out = np.empty(self.shape)
        _draw(self._state.copy(), self._mean, self._deviation, out)
        return out

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and scatter of the rows, shape (R,) each."""
        if "_array" in self.__dict__:
            return moments(self._array)
        centre, scatter = np.empty(len(self)), np.empty(len(self))
        state = self._state.copy()
        _moments_drawn(state, self._mean, self._deviation, self.shape[1], centre, scatter)
        return centre, scatter

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        return self._array[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, Normals) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **settings)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._array, name)


def normal_moments(
    mean: Floats, var: Floats, n: int, *, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Mean and scatter (sum of squared deviations) of n unseen draws from each of R normals.

    Their exact law: mean ~ N(μ, σ²/n), scatter ~ σ²·χ²(n - 1), independent; n ≥ 1. Shape (R,) each.
    """
    centre, scatter = np.empty(len(mean)), np.empty(len(mean))
    _moments_unseen(stream(rng=rng), _flat(mean), _flat(var), n, centre, scatter)
    return centre, scatter


def moments(data: Floats | Normals) -> tuple[Floats, Floats]:
    """Mean and scatter of the rows of ``data`` (R, n), n ≥ 1; shape (R,) each.

    One pass, with deviations from a row's first value: the relative error of the scatter is at
    most about n ulp, however far the mean lies from 0.

    >>> [x.tolist() for x in moments(np.array([[1.0, 3.0], [5.0, 5.0]]))]
    [[2.0, 5.0], [2.0, 0.0]]
    """
    if isinstance(data, Normals):
        return data.moments()
    centre, scatter = np.empty(len(data)), np.empty(len(data))
    _moments_of(_flat(data), centre, scatter)
    return centre, scatter


def _flat(values: Floats) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)


@njit(cache=True, nogil=True, inline="always")
def _turn(x: np.uint64, k: int) -> np.uint64:
    return (x << np.uint64(k)) | (x >> np.uint64(64 - k))


@njit(cache=True, nogil=True)
def fill(state: Bits, out: Bits) -> None:
    """Random words; the length of ``out`` must be a multiple of LANES."""
    for start in range(0, len(out), LANES):
        part = out[start : start + LANES]
        for lane in range(LANES):
            a, b = state[0, lane], state[1, lane]
            part[lane] = _turn(a + b, 17) + a
            b ^= a
            state[0, lane] = _turn(a, 49) ^ b ^ (b << np.uint64(21))
            state[1, lane] = _turn(b, 28)


@njit(cache=True, nogil=True)
def word(state: Bits) -> np.uint64:
    """One random word, of the stream for slow paths."""
    a, b = state[0, LANES], state[1, LANES]
    out = _turn(a + b, 17) + a
    b ^= a
    state[0, LANES] = _turn(a, 49) ^ b ^ (b << np.uint64(21))
    state[1, LANES] = _turn(b, 28)
    return out


@njit(cache=True, nogil=True, inline="always")
def unit(random: np.uint64) -> float:
    """A word as a number in [0, 1)."""
    return (random >> np.uint64(11)) * _WHOLE


@njit(cache=True, nogil=True, inline="always")
def _inside(random: np.uint64) -> float:
    """A word as a number in (0, 1)."""
    return ((random >> np.uint64(11)) + 0.5) * _WHOLE


def _layers() -> tuple[Floats, Floats, Floats]:
    """The ziggurat: a layer's width per unit of a 54-bit number, what is surely inside, heights."""

    def density(x: float) -> float:
        return math.exp(-0.5 * x * x)

    tail = math.sqrt(math.pi / 2) * math.erfc(_TAIL / math.sqrt(2))
    area = _TAIL * density(_TAIL) + tail
    edge = np.zeros(LAYERS)
    edge[-1] = _TAIL
    for i in range(LAYERS - 1, 1, -1):
        edge[i - 1] = math.sqrt(-2 * math.log(area / edge[i] + density(edge[i])))
    width = edge.copy()
    width[0] = area / density(_TAIL)
    inner = np.concatenate([[_TAIL, 0.0], edge[1:-1]])
    return width * 2.0**-53, inner, np.exp(-0.5 * edge**2)


_WIDTH, _INNER, _HEIGHT = _layers()


@njit(cache=True, nogil=True, inline="always")
def _step(random: np.uint64) -> tuple[np.uint64, float]:
    """A layer from the lowest 10 bits, and a point across it from the other 54, a signed number."""
    layer = random & np.uint64(LAYERS - 1)
    return layer, np.float64(np.int64(random) >> np.int64(10)) * _WIDTH[layer]


@njit(cache=True, nogil=True)
def _edge_case(state: Bits, random: np.uint64) -> float:
    """Finish a draw whose point is not surely under the curve."""
    while True:
        layer, x = _step(random)
        if abs(x) < _INNER[layer]:
            return x
        if layer == 0:
            while True:
                beyond = -math.log(_inside(word(state))) / _TAIL
                if -2.0 * math.log(_inside(word(state))) > beyond * beyond:
                    return math.copysign(_TAIL + beyond, x)
        below = np.int64(layer)
        height = _HEIGHT[below] + _inside(word(state)) * (_HEIGHT[below - 1] - _HEIGHT[below])
        if height < math.exp(-0.5 * x * x):
            return x
        random = word(state)


@njit(cache=True, nogil=True)
def standard_normals(state: Bits, random: Bits, out: Floats) -> None:
    """Standard normals out of random words, one each."""
    for i in range(len(out)):  # apart, because it vectorises
        out[i] = np.float64(np.int64(random[i]) >> np.int64(10))
    for i in range(len(out)):
        layer = random[i] & np.uint64(LAYERS - 1)
        out[i] *= _WIDTH[layer]
        if abs(out[i]) >= _INNER[layer]:
            out[i] = _edge_case(state, random[i])


@njit(cache=True, nogil=True)
def _moments_of(data: Floats, centre: Floats, scatter: Floats) -> None:
    # Four rows at a time: their sums do not wait for each other.
    last, n = len(data) - 1, data.shape[1]
    for r in range(0, len(data), 4):
        rows = (r, min(r + 1, last), min(r + 2, last), min(r + 3, last))
        a, b, c, d = data[rows[0]], data[rows[1]], data[rows[2]], data[rows[3]]
        a0, b0, c0, d0 = a[0], b[0], c[0], d[0]
        a1 = b1 = c1 = d1 = a2 = b2 = c2 = d2 = 0.0
        for i in range(n):
            x, y, z, w = a[i] - a0, b[i] - b0, c[i] - c0, d[i] - d0
            a1, b1, c1, d1 = a1 + x, b1 + y, c1 + z, d1 + w
            a2, b2, c2, d2 = a2 + x * x, b2 + y * y, c2 + z * z, d2 + w * w
        firsts, sums, squares = (a0, b0, c0, d0), (a1, b1, c1, d1), (a2, b2, c2, d2)
        for k in range(4):
            centre[rows[k]] = firsts[k] + sums[k] / n
            scatter[rows[k]] = max(0.0, squares[k] - sums[k] * sums[k] / n)


@njit(cache=True, nogil=True)
def _rows_at_once(n: int) -> int:
    """Rows that are drawn together: a multiple of 4, few enough for the first-level cache."""
    return max(4, 2048 // max(n, 1) // 4 * 4)


@njit(cache=True, nogil=True)
def _draw_rows(state: Bits, mean: Floats, deviation: Floats, random: Bits, out: Floats) -> None:
    flat = out.reshape(-1)
    for start in range(0, len(flat), BATCH):
        part = flat[start : start + BATCH]
        fill(state, random[: -(-len(part) // LANES) * LANES])
        standard_normals(state, random, part)
    for r in range(len(out)):
        row, centre, scale = out[r], mean[r], deviation[r]
        for i in range(len(row)):
            row[i] = centre + scale * row[i]


@njit(cache=True, nogil=True)
def _draw(state: Bits, mean: Floats, deviation: Floats, out: Floats) -> None:
    random, rows = np.empty(BATCH, np.uint64), _rows_at_once(out.shape[1])
    for r in range(0, len(out), rows):
        _draw_rows(state, mean[r : r + rows], deviation[r : r + rows], random, out[r : r + rows])


@njit(cache=True, nogil=True)
def _moments_drawn(
    state: Bits, mean: Floats, deviation: Floats, n: int, centre: Floats, scatter: Floats
) -> None:
    """What `_moments_of` makes of `_draw`."""
    random, rows = np.empty(BATCH, np.uint64), _rows_at_once(n)
    buffer = np.empty((rows, n))
    for r in range(0, len(mean), rows):
        drawn = buffer[: len(mean) - r]
        _draw_rows(state, mean[r : r + rows], deviation[r : r + rows], random, drawn)
        _moments_of(drawn, centre[r : r + rows], scatter[r : r + rows])


@njit(cache=True, nogil=True)
def _chi_squares(state: Bits, normal: Floats, random: Bits, dof: int, out: Floats) -> None:
    """χ²(dof) out of a normal x and a uniform u each, dof ≥ 2.

    Marsaglia & Tsang: with d = dof/2 - 1/3, y = x/√(9d), v = (1 + y)³, accept 2dv if
    log u < h = x²/2 + d - dv + d log v. Their squeeze is replaced by one that tightens with d:
    h = -3d ∫ t³/(1 + t) dt over [0, y], so that h ≥ -1.5·d·y⁴ = -x⁴/(54d) for y ≥ -1/2, and
    e^h ≥ 1 + h. The first pass has no branch and vectorises; the second mends what it refused.
    """
    d = 0.5 * dof - 1.0 / 3.0
    slope = 1.0 / math.sqrt(9.0 * d)
    squeeze = 1.0 / (54.0 * d)
    sure = np.empty(len(out), np.bool_)
    for i in range(len(out)):
        x = normal[i]
        v = 1.0 + slope * x
        out[i] = 2.0 * d * v * v * v
        sure[i] = (v >= 0.5) & (unit(random[i]) < 1.0 - squeeze * (x * x) * (x * x))
    for i in range(len(out)):
        if not sure[i]:
            x, u = normal[i], _inside(random[i])
            while True:
                v = (1.0 + slope * x) ** 3
                if v > 0.0 and math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
                    break
                again = word(state)
                layer, x = _step(again)
                if abs(x) >= _INNER[layer]:
                    x = _edge_case(state, again)
                u = _inside(word(state))
            out[i] = 2.0 * d * v


@njit(cache=True, nogil=True)
def _moments_unseen(
    state: Bits, mean: Floats, var: Floats, n: int, centre: Floats, scatter: Floats
) -> None:
    random = np.empty(3 * BATCH, np.uint64)
    normal, ratio, share = np.empty(2 * BATCH), np.zeros(BATCH), 1.0 / n
    for start in range(0, len(mean), BATCH):
        end = min(start + BATCH, len(mean))
        fill(state, random)
        standard_normals(state, random, normal)
        if n == 2:
            for i in range(BATCH):
                ratio[i] = normal[BATCH + i] ** 2
        elif n > 2:
            _chi_squares(state, normal[BATCH:], random[2 * BATCH :], n - 1, ratio)
        spread, here = var[start:end], mean[start:end]
        to_centre, to_scatter = centre[start:end], scatter[start:end]
        for i in range(end - start):
            to_centre[i] = here[i] + math.sqrt(spread[i] * share) * normal[i]
            to_scatter[i] = spread[i] * ratio[i]
