"""Ancestors of a resampled corpus: the dual that makes laws of drift exact.

Each of the n tokens of sample t is a copy of a token of sample t - 1, drawn at random with
replacement. Followed backwards, n tokens have A_0 = n, A_1, A_2, … distinct ancestors: A_{j+1} is
the number of n boxes that A_j balls hit. A set of symbols of total probability x is all that is
left at t when all ancestors in sample 1 are of it, which has probability E x^{A_{t-1}}.

`generating` gives E x^{A_t} for any n. Up to ``LARGEST`` ancestors it follows the exact chain;
above, their number is normal with mean and variance from a second-order recursion. That changes
E x^{A_t} by less than 1e-6 (compared with the exact chain at n = 2,000 in the tests).

Source: Kingman (1982), J. Appl. Prob. 19A:27; duality of the Wright–Fisher model (Ewens 2004).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from tailguard.errors import InputError
from tailguard.theory.base import Floats, checked, generations

# The exact chain takes LARGEST² numbers, 32 MB.
LARGEST = 2_000
# Probabilities below this are left out; thousands of them together stay below rounding errors.
_NOTHING = 1e-20


def ancestors(t: ArrayLike, n: int) -> Floats:
    """Distribution of the number of ancestors, 0 … n, after t generations back; shape t + (n+1,).

    All n at t = 0; in the end one. Exact; n <= 2,000.

    >>> ancestors([0, 1], 2).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.5, 0.5]]
    """
    t, size = generations(t), exact_size(n)
    times, where = np.unique(t, return_inverse=True)
    law = np.zeros((len(times), size + 1))
    for row, (_, state) in zip(law, _walk(times, size, LARGEST), strict=True):
        row[: len(state)] = state
    return law[where.reshape(t.shape)]


def mean_ancestors(t: ArrayLike, n: ArrayLike) -> Floats:
    """a_t: a_0 = n, a_{j+1} = n·(1 - (1 - 1/n)^{a_j}), an upper bound on the mean of `ancestors`.

    A bound (each step is concave), close while there are many: about n·g_{t+1}, with g of
    `tailguard.theory.survival.poisson_rate`. n may be infinite only at t = 0.

    >>> mean_ancestors([0, 1], 100).round(2).tolist()
    [100.0, 63.4]
    """
    t, size = generations(t), checked("n", n, 1, 1e15, whole=True)
    shape = np.broadcast_shapes(t.shape, size.shape)
    at, now = np.broadcast_to(t, shape), np.broadcast_to(size, shape)
    with np.errstate(divide="ignore"):
        log_miss = np.log1p(-1 / size)
    out = now.copy()
    for j in range(1, int(t.max(initial=0)) + 1):
        now = -size * np.expm1(now * log_miss)
        out = np.where(at == j, now, out)
    return out


def generating(t: ArrayLike, n: int, x: ArrayLike, *, largest: int = LARGEST) -> Floats:
    """E x^{A_t}, shape t + x, for x in [0, 1] and any n >= 1.

    Exact for n <= ``largest``, else to about 1e-6. t = 0: x^n. t → ∞: x.

    >>> generating([0, 1], 2, [0.5, 1.0]).tolist()
    [[0.25, 1.0], [0.375, 1.0]]
    """
    t, base = generations(t), checked("x", x, 0, 1)
    size = int(checked("n", n, 1, 1e15, whole=True))
    values, at = np.unique(base, return_inverse=True)
    times, when = np.unique(t, return_inverse=True)
    out = np.empty((len(times), len(values)))
    with np.errstate(divide="ignore"):
        log_x = np.log(values)
    for row, (moments, state) in enumerate(_walk(times, size, largest)):
        if moments is not None:
            mean, var = moments
            safe = np.maximum(log_x, -1e3 / mean)  # x^A is nothing below that, and var·log²x stays
            out[row] = np.where(log_x < safe, 0.0, np.exp(mean * safe + var * safe**2 / 2))
            continue
        support = np.flatnonzero(state > 1e-18)
        for part in np.array_split(np.arange(len(values)), 1 + len(values) // 1024):
            powers = np.power(values[part], support[:, None])
            out[row, part] = state[support] @ powers
    return out[when.reshape(t.shape)][..., at.reshape(base.shape)]


def expected_lineages(n: int, *, largest: int = LARGEST) -> tuple[Floats, Floats]:
    """Expected number of generations with 2, 3, … ancestors, and how many ancestors each was.

    Exact for n <= ``largest``; above (n <= 1e8), each generation before the exact chain stands for
    its mean. Both have the same shape; the first sums to the mean time back to one ancestor.

    >>> [x.tolist() for x in expected_lineages(2)]
    [[2.0], [2.0]]
    """
    size = int(checked("n", n, 1, 1e8, whole=True))
    early, state = _descend(size, largest)
    top = len(state) - 1
    if top < 2:
        return np.ones(len(early)), np.array(early)
    stay = np.eye(top - 1) - _occupancy(size, top)[2:, 2:]
    green = solve_triangular(stay, state[2:], trans="T", lower=True)
    return np.r_[np.ones(len(early)), green], np.r_[early, np.arange(2.0, top + 1)]


def exact_size(n: int) -> int:
    """``n`` as an int, or InputError where it is too large for the exact chain.

    >>> exact_size(10)
    10
    """
    if n > LARGEST:
        raise InputError("n", f"at most {LARGEST} for a whole distribution", str(n), "lower n")
    return int(checked("n", n, 1, whole=True))


_Moments = tuple[float, float]


def _walk(times: Floats, n: int, largest: int) -> list[tuple[_Moments | None, Floats]]:
    """At ascending times: mean and variance while there are many ancestors, then distributions."""
    now, moments, state = 0, (float(n), 0.0), np.empty(0)
    many, out = True, []
    for time in times:
        while True:
            if many and _fits(moments, largest):
                many, state = False, _discrete(moments, min(n, largest))
            if now == int(time):
                break
            if many:
                moments = _mean_field(moments, n)
            else:
                last = int(np.flatnonzero(state > _NOTHING)[-1]) + 1
                state = state[:last] @ _occupancy(n, min(n, largest))[:last, :last]
            now += 1
        out.append((moments if many else None, state))
    return out


def _descend(n: int, largest: int) -> tuple[list[float], Floats]:
    """Mean ancestors of the generations before the exact chain, and where the chain starts."""
    moments, early = (float(n), 0.0), []
    while not _fits(moments, largest):
        early.append(moments[0])
        moments = _mean_field(moments, n)
    return early, _discrete(moments, min(n, largest))


def _fits(moments: _Moments, largest: int) -> bool:
    return moments[0] + 9 * moments[1] ** 0.5 <= largest


def _mean_field(moments: _Moments, n: int) -> _Moments:
    """Mean and variance one generation back, to second order in the spread.

    Given a balls, n·(1 - 1/n)^a boxes stay empty on average; two given boxes both with
    probability (1 - 2/n)^a, which gives the variance.
    """
    mean, var = moments
    one, both = np.log1p(-1 / n), np.log1p(-2 / n)
    empty = n * np.exp(mean * one)
    # n(n-1)·(1 - 2/n)^a - n²·(1 - 1/n)^{2a}, without cancellation
    pairs = empty**2 * np.expm1(mean * (both - 2 * one)) - n * np.exp(mean * both)
    return (
        float(n - empty - empty * one**2 * var / 2),
        float(max(empty + pairs, 0.0) + (empty * one) ** 2 * var),
    )


def _discrete(moments: _Moments, top: int) -> Floats:
    """Normal probabilities on 0 … top; a point where the variance is 0."""
    mean, var = moments
    if var == 0:
        return np.eye(1, top + 1, round(mean))[0]
    edges = ndtr((np.arange(top + 2) - 0.5 - mean) / var**0.5)
    mass = np.diff(edges)
    return np.asarray(mass / mass.sum())


@lru_cache(maxsize=2)
def _occupancy(n: int, top: int) -> Floats:
    """Row a <= top: distribution of how many of n boxes a balls hit. All terms positive: stable."""
    matrix = np.zeros((top + 1, top + 1))
    matrix[0, 0] = 1.0
    hit = np.arange(top + 1) / n
    for a in range(top):
        matrix[a + 1] = matrix[a] * hit
        matrix[a + 1, 1:] += matrix[a, :-1] * (1 - hit[:-1])
    matrix.flags.writeable = False
    return matrix
