"""Contaminated streams: a share of every batch of "real" data was written by the newest model.

Assumptions, plainly: one functional (the mean) is estimated by the mean of the training data; a
share a = 1 - real_frac of each batch of n samples comes from the newest model, the rest from the
real distribution; models sample with the mean they fitted. Two regimes: `batch` trains each model
on the newest batch, `stream` on all data so far. ``counts`` says whether every batch has exactly
the share a, or each sample is synthetic with chance a (which adds a(1-a)(mean - mean0)²/n).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from tailguard.theory.anchor import affine_path, last_generation, law_of
from tailguard.theory.base import Floats, Law, checked, generations

CITE = "Wang, Niu & Li 2026, arXiv:2602.16065"
AMIN = "Amin et al. 2026, arXiv:2601.15468"


class Risk(NamedTuple):
    """Over t: E error of the mean, E error², its variance, and E var of the model."""

    bias: Floats
    mean_sq: Floats
    variance: Floats
    var: Floats


def batch_bias(
    t: ArrayLike,
    real_frac: float,
    *,
    start: float = 0.0,
    real_bias: float = 0.0,
    fit_bias: float = 0.0,
) -> Floats:
    """E(mean - mean0) when each model is trained on the newest batch.

    e' = a·e + (1-a)·real_bias + fit_bias, so e_t = e* + a^t(start - e*) with e* = real_bias +
    fit_bias/(1-a): old errors are forgotten geometrically, a bias of the real data stays as it is,
    and a bias made anew by each fit is amplified by 1/real_frac. Without real data fit_bias adds up
    without bound. Exact. Source: derived here; regime of Wang, Niu & Li (2026), arXiv:2602.16065.

    >>> batch_bias([0, 1, 100], 0.25, fit_bias=1.0).round(3).tolist()
    [0.0, 1.0, 4.0]
    """
    t = generations(t)
    real = float(checked("real_frac", real_frac, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = np.where(t > 0, -np.expm1(t * np.log1p(-real)), 0.0)  # 1 - a^t
    made = gone / real if real > 0 else t  # Σ a^i, i < t
    return np.asarray((1 - gone) * start + gone * real_bias + made * fit_bias)


def batch(
    t: ArrayLike,
    n: int,
    real_frac: float,
    *,
    counts: bool = False,
    known_var: bool = False,
    unbiased: bool = False,
    start: float = 0.0,
    real_bias: float = 0.0,
    fit_bias: float = 0.0,
    var0: float = 1.0,
) -> Risk:
    """Each model is trained on the newest batch: bias, E error², its variance, E var.

    M = E error²: M' = E(a·e + (1-a)δ)² + noise/n, δ = real_bias, noise = (1-a)var0 + a·v, plus
    a(1-a)E(e - δ)² unless ``counts``; then ``fit_bias`` shifts the result. The model's variance v
    is var0 if ``known_var``, else E second moment of the data - M', times n/(n-1) if ``unbiased``.
    Model 0 is the real distribution shifted by ``start``. Exact. Source: derived here; regime of
    Wang, Niu & Li (2026), arXiv:2602.16065.

    >>> float((100 * batch(99, 100, 0.5, counts=True, known_var=True).mean_sq).round(4))
    1.3333
    """
    t = generations(t)
    factor = _factor(n, unbiased)
    a = _synthetic(n, real_frac, counts)
    apart = 0.0 if counts else a * (1 - a)
    step = _batch_step(n, a, apart, factor, real_bias, fit_bias, var0)
    if known_var:
        step[3] = var0, 0.0, 0.0, 0.0
    state = np.array([1.0, start, start**2, var0])
    bias, mean_sq, var = affine_path(step, state, last_generation(t))[1:, t.astype(np.int64)]
    return Risk(bias, mean_sq, np.maximum(mean_sq - bias**2, 0.0), var)


def _synthetic(n: int, real_frac: float, counts: bool) -> float:
    """Synthetic share of a batch; of whole samples where they are counted."""
    checked("n", n, 1, whole=True)
    real = float(checked("real_frac", real_frac, 0, 1))
    return 1 - (round(real * n) / n if counts else real)


def _factor(size: float, unbiased: bool) -> float:
    return float(checked("n", size, 2)) / (size - 1) if unbiased else 1.0


def _batch_step(
    n: int, a: float, apart: float, factor: float, shift: float, fit_bias: float, var0: float
) -> Floats:
    """One generation as a matrix on (1, e, M, v)."""
    r = 1 - a
    unit = np.eye(4)
    mean = a * unit[1] + r * shift * unit[0]
    between = unit[2] - 2 * shift * unit[1] + shift**2 * unit[0]
    square = a * a * unit[2] + 2 * a * r * shift * unit[1] + (r * shift) ** 2 * unit[0]
    noise = r * var0 * unit[0] + a * unit[3] + apart * between
    fitted = square + noise / n
    second = r * (var0 + shift**2) * unit[0] + a * (unit[3] + unit[2])
    return np.stack([unit[0], mean + fit_bias * unit[0],
                     fitted + 2 * fit_bias * mean + fit_bias**2 * unit[0],
                     factor * (second - fitted)])  # fmt: skip


def batch_limit(
    n: int, real_frac: float, *, counts: bool = False, known_var: bool = False, var0: float = 1.0
) -> Risk:
    """`batch` at t → ∞ without biases: E error² = var0/(n(1 - a²) - x), E var = var0 - that.

    x = a(1-a) unless ``counts``, less a unless ``known_var``. So the error is about 1/(1 - a²)
    times that of n clean samples; it is approached as a^(2t). Without real data E error² is var0,
    or infinite if ``known_var``. Exact. Source: fixed point of `batch`.

    >>> [float(batch_limit(100, f).mean_sq.round(4)) for f in (1.0, 0.5, 0.1)]
    [0.01, 0.0133, 0.0505]
    """
    a = _synthetic(n, real_frac, counts)
    rest = n * (1 - a) * (1 + a) - (0.0 if counts else a * (1 - a)) + (0.0 if known_var else a)
    risk = np.asarray(var0 / rest if rest > 0 else np.inf)
    return Risk(np.zeros(()), risk, risk, np.asarray(var0) if known_var else var0 - risk)


def stream(
    t: ArrayLike,
    n: int,
    real_frac: float,
    *,
    n_real: int | None = None,
    counts: bool = False,
    known_var: bool = False,
    unbiased: bool = False,
    start: float = 0.0,
    var0: float = 1.0,
) -> Risk:
    """Each model is trained on all data so far: n_real real samples, then contaminated batches.

    With pools N, N' = N + n and s = n/N': e' = (1 - s·real_frac)e, M' = (1 - s·real_frac)²M +
    s²·noise/n, noise as in `batch`. The first pool may have a bias ``start``; it fades as
    t^(-real_frac), see `stream_bias`. E var is var0 if ``known_var``, else the pool's second moment
    - M, times N/(N-1) if ``unbiased``. ``n_real`` defaults to n. Exact. Source: uniform weighting
    in Amin et al. (2026), arXiv:2601.15468; with variance and by chance derived here.

    >>> float((10_000 * stream(100, 100, 0.6, known_var=True).mean_sq).round(3))
    3.424
    """
    t = generations(t)
    a = _synthetic(n, real_frac, counts)
    size = float(checked("n_real", n if n_real is None else n_real, 1, whole=True))
    e, m, second = start, var0 / size + start**2, var0 + start**2
    rows = [(0.0, 0.0, var0)]
    for _ in range(last_generation(t)):
        v = var0 if known_var else _factor(size, unbiased) * (second - m)
        rows.append((e, m, v))
        s = n / (size + n)
        noise = (1 - a) * var0 + a * v + (0.0 if counts else a * (1 - a) * m)
        fresh = (1 - a) * var0 + a * (v + m)
        m = (1 - s * (1 - a)) ** 2 * m + s * s * noise / n
        second += s * (fresh - second)
        e, size = (1 - s * (1 - a)) * e, size + n
    bias, mean_sq, var = np.array(rows).T[:, t.astype(np.int64)]
    return Risk(bias, mean_sq, np.maximum(mean_sq - bias**2, 0.0), var)


def stream_bias(t: ArrayLike, real_frac: float, *, start: float = 1.0) -> Floats:
    """Bias of `stream` for equal batches: start·Γ(t + a)/(Γ(t + 1)Γ(1 + a)), about t^(-real_frac).

    a = 1 - real_frac; t >= 1, nan at 0. Exact. Source: product of 1 - real_frac/i, i = 2…t.

    >>> stream_bias([1, 2, 4], 0.5).round(4).tolist()
    [1.0, 0.75, 0.5469]
    """
    t = generations(t)
    a = 1 - float(checked("real_frac", real_frac, 0, 1))
    late = np.maximum(t, 1)
    value = start * np.exp(gammaln(late + a) - gammaln(late + 1) - gammaln(1 + a))
    return np.asarray(np.where(t >= 1, value, np.nan))


def stream_rate(real_frac: float, *, baseline: float = 0.5) -> float:
    """Exponent r of the error t^(-r) of a contaminated stream: min(baseline, real_frac).

    ``baseline`` is the model's own rate with clean data, 1/2 for a mean. At equality the error has
    a further factor √log t. Asymptotic in t. Source: Wang, Niu & Li (2026), arXiv:2602.16065.

    >>> stream_rate(0.3), stream_rate(0.8)
    (0.3, 0.5)
    """
    return min(
        float(checked("baseline", baseline, 0)), float(checked("real_frac", real_frac, 0, 1))
    )


def _laws(source: Callable[..., Risk], regime: str) -> tuple[Law, ...]:
    """Variance and mean of a Gaussian, heterozygosity of a categorical; no biases."""
    held: dict[str, object] = {"start": 0.0, "known_var": False}
    if source is batch:
        held |= {"real_bias": 0.0, "fit_bias": 0.0}
    share = law_of(source, "var", rename={"var0": "h0"}, held=held | {"unbiased": False})
    return (
        Law(f"{regime}: variance", law_of(source, "var", held=held), (regime,), ("gaussian",),
            "var", cite=CITE),
        Law(f"{regime}: mean", law_of(source, "mean_sq", held=held), (regime,), ("gaussian",),
            "mean_sq", cite=CITE),
        Law(f"{regime}: heterozygosity", share, (regime,), ("categorical", "bernoulli", "zipf"),
            "heterozygosity", cite=CITE),
        Law(f"{regime}: mean of poisson",
            law_of(source, "mean_sq", held=held | {"known_var": True, "unbiased": False}),
            (regime,), ("poisson",), "mean_sq", cite=CITE),
    )  # fmt: skip


LAWS: tuple[Law, ...] = (*_laws(batch, "contaminated"), *_laws(stream, "contaminated-stream"))
