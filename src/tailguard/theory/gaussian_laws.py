"""The laws of a Gaussian that a run of replace can be compared with, plain or decoded.

Decoding multiplies the variance of what a model writes by a factor λ every time: a sampling bias λ
or a temperature λ. Real data are not decoded: the first model is fitted to them as they are. That
is the biased recursion of `tailguard.theory.gaussian` started from a variance var0/λ, for t >= 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tailguard.theory import gaussian, gaussian_paths
from tailguard.theory.base import Floats, Law, checked, generations

CITE = "Kazdan et al. 2024, arXiv:2410.16713; Shumailov et al. 2024, Nature 631:755"
DECODED = "Alemohammad et al. 2023, arXiv:2307.01850"
WIDE = 0.1


def decoded_var(
    t: ArrayLike, n: int, *, factor: float, unbiased: bool = False, var0: float = 1.0
) -> Floats:
    """E σ²_t when model samples, not real ones, have their variance multiplied: λ^{t-1}·(…)^t.

    Exact: var0·λ^{t-1}·(1 - 1/n)^t, or var0·λ^{t-1} if unbiased, t >= 1. Domain: λ = factor > 0.

    >>> decoded_var([0, 1, 2], 10, factor=0.5).round(4).tolist()
    [1.0, 0.9, 0.405]

    Source: Alemohammad et al. 2023, arXiv:2307.01850.
    """
    return _after_real(gaussian.replace_var, t, factor, var0, var0, n=n, unbiased=unbiased)


def decoded_log_var(
    t: ArrayLike, n: int, *, factor: float, unbiased: bool = False, var0: float = 1.0
) -> Floats:
    """E log σ²_t under the same; exact. Domain: λ = factor > 0.

    >>> decoded_log_var([0, 1, 2], 10, factor=0.5).round(4).tolist()
    [0.0, -0.2206, -1.1343]
    """
    start = float(np.log(checked("var0", var0, np.finfo(float).tiny)))
    return _after_real(gaussian.replace_log_var, t, factor, var0, start, n=n, unbiased=unbiased)


def decoded_mean_sq(
    t: ArrayLike, n: int, *, factor: float, unbiased: bool = False, var0: float = 1.0
) -> Floats:
    """E(μ_t - μ_0)² under the same; exact. λ < 1: bounded, the model shrinks before it walks far.

    >>> decoded_mean_sq([0, 1, 2], 10, factor=0.5).round(4).tolist()
    [0.0, 0.1, 0.145]
    """
    return _after_real(gaussian.replace_mean_sq, t, factor, var0, 0.0, n=n, unbiased=unbiased)


def decoded_var_band(
    t: ArrayLike,
    n: int,
    *,
    factor: float,
    level: float = 0.95,
    unbiased: bool = False,
    var0: float = 1.0,
) -> tuple[Floats, Floats]:
    """Interval that σ²_t of one replicate leaves with probability 1 - ``level``, under the same.

    >>> [float(x.round(3)) for x in decoded_var_band(2, 100, factor=0.5)]
    [0.32, 0.707]
    """
    low, high = gaussian_paths.var_band(
        t, n, level=level, unbiased=unbiased, sampling_bias=factor, var0=var0 / _factor(factor)
    )
    start = generations(t) == 0
    return np.where(start, var0, low), np.where(start, var0, high)


def wide(t: ArrayLike, n: int, *, unbiased: bool = False, var0: float = 1.0) -> Floats:
    """P(σ_t > σ_0/10) in the replace regime; exact. The truth's own scale does not matter.

    >>> wide([0, 50], 10, unbiased=True).round(3).tolist()
    [1.0, 0.376]

    Source: Suresh et al. 2024, arXiv:2412.17646.
    """
    checked("var0", var0, np.finfo(float).tiny)
    return gaussian_paths.sd_exceeds(WIDE, t, n, unbiased=unbiased)


def _factor(factor: float) -> float:
    return float(checked("factor", factor, np.finfo(float).tiny))


def _after_real(
    law: Callable[..., Floats],
    t: ArrayLike,
    factor: float,
    var0: float,
    start: float,
    **settings: object,
) -> Floats:
    """``law`` for t >= 1, begun at var0/λ; ``start`` at t = 0."""
    times, scale = generations(t), _factor(factor)
    later = law(times, sampling_bias=scale, var0=var0 / scale, **settings)
    return np.where(times == 0, start, later)


def _named(law: Callable[..., Floats], regime_setting: str) -> Callable[..., Floats]:
    """``law`` of ``factor`` as a law of the setting by which a regime calls it."""
    if regime_setting == "sampling_bias":
        return lambda t, n, sampling_bias, unbiased=False, var0=1.0: law(
            t, n, factor=sampling_bias, unbiased=unbiased, var0=var0
        )
    return lambda t, n, temperature, unbiased=False, var0=1.0: law(
        t, n, factor=temperature, unbiased=unbiased, var0=var0
    )


def _named_band(regime_setting: str) -> Callable[..., tuple[Floats, Floats]]:
    def band(t: ArrayLike, n: int, level: float = 0.95, **settings: float) -> tuple[Floats, Floats]:
        factor = settings.pop(regime_setting)
        return decoded_var_band(t, n, level=level, factor=factor, **settings)  # type: ignore[arg-type]

    return band


_PLAIN, _OF = ("replace",), ("gaussian",)
LAWS: tuple[Law, ...] = (
    Law("replace: variance", gaussian.replace_var, _PLAIN, _OF, "var", cite=CITE,
        band=gaussian_paths.var_band),
    Law("replace: log-variance", gaussian.replace_log_var, _PLAIN, _OF, "log_var", cite=CITE,
        band=gaussian_paths.log_var_band),
    Law("replace: mean", gaussian.replace_mean_sq, _PLAIN, _OF, "mean_sq", cite=CITE),
    Law("replace: W₂²", gaussian.replace_w2_sq, _PLAIN, _OF, "w2_sq", cite=CITE),
    Law("replace: divergence from the truth", gaussian_paths.kl_from_truth, _PLAIN, _OF, "kl",
        cite=CITE),
    Law("replace: divergence to the truth", gaussian_paths.kl_to_truth, _PLAIN, _OF, "kl_reverse",
        cite=CITE),
    Law("replace: not yet narrow", wide, _PLAIN, _OF, "wide",
        cite="Suresh et al. 2024, arXiv:2412.17646"),
    *(
        law
        for regime, setting in (("bias", "sampling_bias"), ("temperature", "temperature"))
        for law in (
            Law(f"{regime}: variance", _named(decoded_var, setting), (regime,), _OF, "var",
                cite=DECODED, band=_named_band(setting)),
            Law(f"{regime}: log-variance", _named(decoded_log_var, setting), (regime,), _OF,
                "log_var", cite=DECODED),
            Law(f"{regime}: mean", _named(decoded_mean_sq, setting), (regime,), _OF, "mean_sq",
                cite=DECODED),
        )
    ),
)  # fmt: skip
