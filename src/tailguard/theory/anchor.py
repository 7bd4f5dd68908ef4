"""Real points in every generation: how few prevent collapse, and what they leave.

All laws here are exact, for any n, and come from one step. Blocks of data have means x_b and
weights w_b; n_b samples written by a model with mean m and variance v add v/n_b to E m². With
b = E(mean - mean0)² and q the weighted second moment of the training data, the fitted model has
b' = E(Σ w_b x_b)² and E var' = f·(q' - b'), where f = 1 for maximum likelihood and 1/(1 - Σ w_i²)
for the unbiased estimator. The drift of means between blocks is part of q' - b'.

In d dimensions every entry of the covariance obeys the same law, so ``var`` is the factor by which
E covariance differs from the real one. Maximum likelihood keeps q on average, so E var = var0 - b
always. One-hot data keep |x|² = 1 too: the expected heterozygosity 1 - Σp² of a categorical follows
the law of the maximum-likelihood variance. So does every exponential family with variance function
V(mean) = A + B·mean + C·mean² (Morris 1982): E V = V0 + C·b, with the curvature C of `CURVATURE`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tailguard.theory.base import Floats, Law, Quantity, checked, generations

CITE = "Jangjoo, Marsili & Roudi 2026, PRL 136:197301, arXiv:2506.20623"
# C of V(mean) = A + B·mean + C·mean². A Gaussian with estimated variance obeys the same b as -1,
# one of known variance as 0. Gamma of shape a: 1/a; binomial of size r: -1/r; its negative: 1/r.
CURVATURE = {
    "gaussian": -1.0,
    "bernoulli": -1.0,
    "categorical": -1.0,
    "poisson": 0.0,
    "exponential": 1.0,
}


class Moments(NamedTuple):
    """E var and E(mean - mean0)² (summed over d dimensions), each over t."""

    var: Floats
    mean_sq: Floats


def moments(path: Floats, t: Floats, var0: float, d: int) -> Moments:
    """Rows 2 and 3 of a path of states (1, c, b, v), at t, in the units of var0.

    >>> moments(np.array([[1.0], [0], [0.5], [0.25]]), np.array(0.0), 2.0, 3)
    Moments(var=array(0.5), mean_sq=array(3.))
    """
    at = t.astype(np.int64)
    scale = float(checked("var0", var0, 0))
    return Moments(
        np.asarray(scale * np.maximum(path[3][at], 0.0)),
        np.asarray(float(checked("d", d, 1, whole=True)) * scale * path[2][at]),
    )


def affine_path(matrix: Floats, start: Floats, steps: int) -> Floats:
    """States z, Mz, …, M^steps z as columns, by doubling: O(log steps) products.

    ``matrix`` (s, s), ``start`` (s,); returns (s, steps + 1). Overflows are infinity.

    >>> affine_path(np.array([[0.5]]), np.array([8.0]), 3).tolist()
    [[8.0, 4.0, 2.0, 1.0]]
    """
    path, power = start[:, None], matrix
    with np.errstate(over="ignore", invalid="ignore"):
        while path.shape[1] <= steps:
            path = np.hstack([path, power @ path])
            power = power @ power
    path = path[:, : steps + 1]
    return np.where(np.isnan(path), np.inf, path)  # from infinity times an empty entry


def last_generation(t: Floats) -> int:
    """Largest of ``t``, for laws that go step by step; InputError above 2,000,000.

    >>> last_generation(np.array([3.0, 1.0])), last_generation(np.array([]))
    (3, 0)
    """
    return int(checked("t", t.max(initial=0), 0, 2_000_000))


def mix_step(
    n_real: int,
    n_syn: int,
    *,
    weight: float | None = None,
    fixed: bool = False,
    unbiased: bool = False,
    curvature: float = -1.0,
) -> Floats:
    """One generation of `real_mix` as a matrix on (1, c, b, v), shape (4, 4).

    >>> float(mix_step(0, 10)[3, 3])
    0.9
    """
    a = n_real / (n_real + n_syn) if weight is None else float(checked("real_weight", weight, 0, 1))
    checked("n_real", n_real, 1 if a > 0 else 0, whole=True)
    checked("n_syn", n_syn, 1 if a < 1 else 0, whole=True)
    s = 1.0 - a
    real, syn = (a * a / n_real if a else 0.0), (s * s / n_syn if s else 0.0)
    cross = 2 * a * s if fixed else 0.0
    matrix = np.zeros((4, 4))
    matrix[0, 0] = 1.0
    matrix[1, :2] = (a / n_real if a else 0.0), s
    matrix[2] = real, cross, s * s, syn
    if unbiased:
        matrix[3] = (np.array([a, 0.0, s, s]) - matrix[2]) / (1.0 - real - syn)
    else:  # v = 1 + curvature·b, written in v so that small variances keep their digits
        matrix[3] = 1 - s * s + curvature * real, curvature * cross, 0.0, s * s + curvature * syn
    return matrix


def real_mix(
    t: ArrayLike,
    n_real: int,
    n_syn: int,
    *,
    fixed: bool = False,
    unbiased: bool = False,
    real_weight: float | None = None,
    curvature: float = -1.0,
    n_first: int | None = None,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Train on n_real real samples and n_syn of the newest model, with any weight of the real.

    With weight a on the real samples (default n_real/N, N = n_real + n_syn) and s = 1 - a:
    b' = a²/n_real + 2as·c + s²·(b + v/n_syn), in units of var0. Fresh real samples have c = 0;
    the same ``fixed`` ones have c = E(their mean)(model's mean)/var0, c' = a/n_real + s·c. Then
    v' = f·(a + s·(v + b) - b') if ``unbiased``, f = 1/(1 - Σ w_i²), else v' = 1 +
    ``curvature``·b': -1 is the Gaussian with estimated variance (maximum likelihood), 0 a known
    variance, others in `CURVATURE`.

    The first model sees ``n_first`` real samples (default N), the fixed ones among them; t = 0 is
    the real distribution. n_real or n_syn may be 0. Exact. Source: derived here; regimes of
    Alemohammad et al. (2023), arXiv:2307.01850, families of Jangjoo et al. (2026).

    >>> (1000 * real_mix([1, 2, 1000], 1000, 1000, fixed=True).mean_sq).round(3).tolist()
    [0.5, 0.875, 1.333]
    """
    t = generations(t)
    total = int(checked("n_real + n_syn", n_real + n_syn, 2 if unbiased else 1, whole=True))
    first = int(
        checked("n_first", total if n_first is None else n_first, 2 if unbiased else 1, whole=True)
    )
    step = mix_step(
        n_real, n_syn, weight=real_weight, fixed=fixed, unbiased=unbiased, curvature=curvature
    )
    started = 1.0 if unbiased else 1.0 + curvature / first
    start = np.array([1.0, 1.0 / max(first, n_real), 1.0 / first, started])
    path = affine_path(step, start, last_generation(t))
    return moments(np.hstack([[[1.0], [0.0], [0.0], [1.0]], path]), t, var0, d)


def real_mix_limit(
    n_real: int,
    n_syn: int,
    *,
    fixed: bool = False,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
) -> Moments:
    """Where `real_mix` ends, weights by size: m = n_real, N the sum, s = n_syn/N, D = 1 + s.

    b = var0·(1 + 2s·[fixed])/(mD - curvature·s), E var = var0 + curvature·b; infinite once
    mD <= curvature·s. Gaussian: E var/var0 = (mD - m/N)/(mD + s) fresh, (m-1)D/(mD + s) fixed;
    unbiased (mD - m/N)/(mD - 1) and (m-1)D/((m-1)D + s). One fixed real point does not prevent
    collapse; one fresh point a generation does. Without real data the mean wanders: E var is 0, or
    var0 unbiased, and b is var0 or infinite. Exact. Source: fixed point of `real_mix`.

    >>> [float(real_mix_limit(1, 99, fixed=fixed).var.round(3)) for fixed in (False, True)]
    [0.664, 0.0]
    """
    m = float(checked("n_real", n_real, 0, whole=True))
    total = float(checked("n_real + n_syn", m + n_syn, 2 if unbiased else 1, whole=True))
    s = 1 - m / total
    if unbiased and m:
        top = (m - 1) * (1 + s) if fixed else m * (1 + s) - m / total
        rest = (m - 1) * (1 + s) + s if fixed else m * (1 + s) - 1
        v = top / rest
        b = (1 - s + s * v + 2 * s * fixed) / (m * (1 + s))
    elif unbiased:
        v, b = 1.0, np.inf
    else:
        rest = m * (1 + s) - curvature * s
        b = (1 + 2 * s * (fixed and m > 0)) / rest if rest > 0 else np.inf
        v = 1.0 + curvature * b if curvature else 1.0
    return Moments(np.asarray(var0 * v), np.asarray(var0 * b))


def anchor(
    t: ArrayLike,
    n: int,
    m: int,
    *,
    fixed: bool = False,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """m real points among the n of every generation, fresh or the same ones; see `real_mix`.

    Fresh, maximum likelihood, 1 <= m <= n: E(mean - mean0)² → var0/(m(2 - m/n) + 1 - m/n), so
    E var → var0·2m/(2m + 1) for m << n, whatever n is: the number of real points counts, not their
    share. Exact for the Gaussian and every family of `CURVATURE` (d dimensions of the same var0).
    Source: regime of Jangjoo, Marsili & Roudi (2026), PRL 136:197301; recursion derived here.

    >>> [float(anchor(10**5, n, m=1).var.round(2)) for n in (100, 1000, 10_000)]
    [0.66, 0.67, 0.67]
    """
    checked("m", m, 0, n, whole=True)
    return real_mix(
        t, m, n - m, fixed=fixed, unbiased=unbiased, curvature=curvature, var0=var0, d=d
    )


def anchor_limit(
    n: int, m: int, *, fixed: bool = False, curvature: float = -1.0, var0: float = 1.0
) -> Moments:
    """Where `anchor` ends; see `real_mix_limit`. Exact.

    >>> float(anchor_limit(10**6, 5).var.round(4)), 10 / 11
    (0.9091, 0.9090909090909091)
    """
    checked("m", m, 0, n, whole=True)
    return real_mix_limit(m, n - m, fixed=fixed, curvature=curvature, var0=var0)


def anchor_decay(n: int, m: int, *, curvature: float = -1.0) -> float:
    """Factor by which each generation of fresh points brings E mean² and E var nearer their limit.

    s(s + curvature/n) with s = 1 - m/n; for -1, (1 - m/n)(1 - (m+1)/n), so memory lasts about
    n/(2m + 1) generations. At least 1: there is no limit. Exact. Source: eigenvalue of `mix_step`.

    >>> anchor_decay(100, 0), anchor_decay(100, 100)
    (0.99, 0.0)
    """
    s = 1 - float(checked("m", m, 0, n, whole=True)) / n
    return max(0.0, s * (s + curvature / n))


def anchor_points(n: int, loss: float) -> int:
    """Least number of fresh real points that keeps E var above (1 - loss)·var0 for ever.

    Solves m(2 - m/n) + 1 - m/n >= 1/loss, so m is about (1/loss - 1)/2 and does not grow with n;
    for loss < 1/n even real data alone lose more, and the answer is n. ``loss`` in (0, 1].
    Exact. Source: `real_mix_limit`, maximum likelihood.

    >>> anchor_points(1000, loss=0.05), anchor_points(10**6, loss=0.05)
    (10, 10)
    """
    loss = float(checked("loss", loss, np.finfo(float).tiny, 1))
    if loss <= 1 / n:
        return n
    # m²/n - (2 - 1/n)m + (1/loss - 1) <= 0
    half = (2 - 1 / n) / 2
    least = n * (half - np.sqrt(half * half - (1 / loss - 1) / n))
    return min(n, int(np.ceil(least - 1e-9)))


def anchor_critical_points(n: int, curvature: float) -> float:
    """Number of fresh real points below which E(mean - mean0)² diverges.

    The m with m(2 - m/n) = curvature·(1 - m/n), about curvature/2; 0 for curvature <= 0, where any
    point suffices. One point is enough up to curvature 2 (the exponential has 1, a Gamma of shape a
    has 1/a). Exact. Source: `anchor_decay` = 1.

    >>> round(anchor_critical_points(1000, 1.0), 3), anchor_critical_points(1000, -1.0)
    (0.5, 0.0)
    """
    half = (2 + curvature / n) / 2
    return max(0.0, float(n * (half - np.sqrt(half * half - curvature / n))))


def law_of(
    source: Callable[..., NamedTuple],
    name: str,
    *,
    rename: Mapping[str, str] | None = None,
    held: Mapping[str, object] | None = None,
) -> Callable[..., Floats]:
    """One of the values of ``source`` as a function of its own, for a `Law`.

    ``rename`` maps parameters to new names; parameters in ``held`` are fixed and disappear.

    >>> law_of(anchor, "var", rename={"var0": "h0"}, held={"unbiased": False})(1, n=10, m=1, h0=0.5)
    array(0.45)
    """
    names, fixed = rename or {}, held or {}
    back = {new: old for old, new in names.items()}

    def law(t: ArrayLike, **settings: object) -> Floats:
        given = {back.get(key, key): value for key, value in settings.items()}
        value: Floats = getattr(source(t, **given, **fixed), name)
        return value

    signature = inspect.signature(source)
    kept = [p for p in signature.parameters.values() if p.name not in fixed]
    law.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(name=names.get(p.name, p.name)) for p in kept]
    )
    law.__doc__, law.__name__ = source.__doc__, f"{source.__name__}_{name}"
    return law


def laws_of(source: Callable[..., Moments], regime: str, cite: str) -> tuple[Law, ...]:
    """The laws of a regime: variance and mean of a Gaussian, heterozygosity of a categorical.

    >>> [law.quantity for law in laws_of(anchor, "anchor", "")]
    ['var', 'mean_sq', 'heterozygosity']
    """
    share = law_of(source, "var", rename={"var0": "h0"}, held={"unbiased": False})
    return (
        Law(f"{regime}: variance", law_of(source, "var"), (regime,), ("gaussian",), "var",
            cite=cite),
        Law(f"{regime}: mean", law_of(source, "mean_sq"), (regime,), ("gaussian",), "mean_sq",
            cite=cite),
        Law(f"{regime}: heterozygosity", share, (regime,),
            ("categorical", "bernoulli", "zipf"), "heterozygosity", cite=cite),
    )  # fmt: skip


def family_laws_of(source: Callable[..., Moments], regime: str, cite: str) -> tuple[Law, ...]:
    """The same for one-parameter families, of a ``source`` that takes a curvature.

    >>> [law.families for law in family_laws_of(anchor, "anchor", "")][::2]
    [('poisson',), ('exponential',), ('bernoulli',)]
    """
    both: tuple[tuple[Quantity, str], ...] = (("var", "variance"), ("mean_sq", "mean"))
    return tuple(
        Law(f"{regime}: {word} of {family}",
            law_of(source, quantity, held={"curvature": CURVATURE[family], "unbiased": False}),
            (regime,), (family,), quantity, cite=cite)
        for family in ("poisson", "exponential", "bernoulli")
        for quantity, word in both
    )  # fmt: skip


LAWS: tuple[Law, ...] = (*laws_of(anchor, "anchor", CITE), *family_laws_of(anchor, "anchor", CITE))
