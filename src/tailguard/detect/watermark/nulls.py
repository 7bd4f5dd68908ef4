"""Exact laws of the sums of scores when a text has nothing to do with the key."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.watermark.base import GREEN, Scheme

Floats = NDArray[np.float64]
_LEAST = float(np.finfo(np.float64).tiny)


def _trials(scheme: Scheme, units: Any) -> tuple[Any, float]:
    if scheme.name in GREEN:
        return units, scheme.gamma
    return units * scheme.layers, 0.5


def _reach(k: Any, n: Any, p: float) -> Floats:
    """P(Binomial(n, p) ≥ k)."""
    from scipy.special import betainc

    with np.errstate(invalid="ignore"):
        inner = betainc(np.maximum(k, 1.0), np.maximum(n - k + 1.0, 1.0), p)
        # At k = n the integral is p^n; below 1 and above n the answer is certain.
        return np.where(k <= 0, 1.0, np.where(k > n, 0.0, inner))


def p_values(scheme: Scheme, units: Any, sums: Any) -> Floats:
    """The chance, over the random key, of a sum at least as large; nan where ``units`` is 0.

    With n units: P(Binomial(n, γ) ≥ s) for kgw, kgw-self and unigram; P(Gamma(n, 1) ≥ s) for exp;
    P(Binomial(n·layers, ½) ≥ s) for synthid. Exact at any n, by the regularised incomplete beta
    and gamma functions; ``units`` and ``sums`` broadcast. In [2.2e-308, 1]; a discrete sum makes it
    conservative: P(p ≤ α) ≤ α.

    >>> p_values(Scheme("kgw"), [3, 3, 0], [3, 0, 0]).tolist()
    [0.015625, 1.0, nan]
    """
    from scipy.special import gammaincc

    n, s = np.asarray(units, np.float64), np.asarray(sums, np.float64)
    if scheme.name == "exp":
        found = gammaincc(np.maximum(n, 1.0), s)
    else:
        trials, p = _trials(scheme, n)
        found = _reach(s, trials, p)
    # A chance too small for a float is not 0.
    return np.asarray(np.where(n > 0, np.maximum(found, _LEAST), np.nan), np.float64)


def randomised(scheme: Scheme, units: Any, sums: Any, *, rng: np.random.Generator) -> Floats:
    """P(S > s) + U·P(S = s) with U uniform: exactly uniform under the null, for tests of it.

    Decisions use `p_values`; these are for checking that the null is right. nan where no units.
    """
    p = p_values(scheme, units, sums)
    if scheme.name == "exp":
        return p
    above = p_values(scheme, units, np.asarray(sums, np.float64) + 1.0)
    return np.asarray(above + rng.random(p.shape) * (p - above), np.float64)


def attainable(scheme: Scheme, units: Any) -> Floats:
    """The least p-value that n units can give: γⁿ, 2^(-n·layers), or 0 for exp; nan at n = 0.

    >>> attainable(Scheme("kgw"), [2, 0]).tolist()
    [0.0625, nan]
    """
    n = np.asarray(units, np.float64)
    if scheme.name == "exp":
        return np.where(n > 0, 0.0, np.nan)
    trials, p = _trials(scheme, n)
    return np.where(n > 0, p**trials, np.nan)


def holm(p: Any) -> Floats:
    """p-values of several keys, corrected by Holm's steps along the last axis; nan stays nan.

    The i-th smallest of m becomes max over j ≤ i of (m - j + 1)·p₍ⱼ₎, at most 1. The chance that
    any true null falls to α or below is at most α, whatever their dependence.

    >>> holm([0.01, 0.04, 0.5]).tolist()
    [0.03, 0.08, 0.5]

    Source: Holm 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, axis=-1)  # nan sorts last
    ranked = np.take_along_axis(p, order, -1)
    valid = (~np.isnan(ranked)).sum(axis=-1, keepdims=True)
    steps = ranked * np.maximum(valid - np.arange(p.shape[-1]), 1)
    steps = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0)
    out = np.empty_like(p)
    np.put_along_axis(out, order, steps, -1)
    return out
