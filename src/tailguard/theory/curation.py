"""Curation by users: of K candidates one is kept, the better the likelier.

A model writes K independent candidates with rewards r; a user keeps candidate i with probability
exp(r_i)/Σ_j exp(r_j) (Bradley–Terry, Plackett–Luce), and the next model fits what was kept, with
infinitely many samples. Then p'(x) = p(x)·H(x), where H(x) = E K·w(x)/(w(x) + w(X_2) + … + w(X_K))
and w = exp(r). Here p has finite support, ``p`` and ``reward`` (m,); ``candidates`` is K.

With L(u) = Σ p·exp(-u·w), H(x) = K·w(x)·∫_0^∞ exp(-u·w(x))·L(u)^{K-1} du: one quadrature serves
all K. In log u the trapezoid rule converges geometrically, here to about 1e-13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.theory.base import Floats, checked, generations
from tailguard.theory.survival import probabilities

_STEP = 0.1
_REACH = 38.0
_WIDEST = 600.0


def curate(p: ArrayLike, reward: ArrayLike, candidates: float) -> Floats:
    """One round of curation, p' (m,). Exact to about 1e-13. Domain: K >= 1, range of r at most 600.

    K = 1: p. K = 2: p'(x) = 2·p(x)·Σ_y p(y)·logistic(r(x) - r(y)). K = ∞: p·exp(r) renormalised.
    Ratios of probabilities of better to worse never fall.

    >>> curate([0.6, 0.3, 0.1], [0, 1, 2], 2).round(4).tolist()
    [0.4711, 0.3693, 0.1596]

    Source: Ferbach et al. 2024, arXiv:2407.09499, lemma 2.1; integral derived here.
    """
    share, score, k = _inputs(p, reward, candidates)
    return _curate(share, score, k)


def curated(
    t: ArrayLike,
    p: ArrayLike,
    reward: ArrayLike,
    candidates: float,
    *,
    real_frac: float = 0.0,
) -> Floats:
    """Distribution after t rounds, shape t + (m,): p_{t+1} = a·p_0 + (1 - a)·curate(p_t).

    ``real_frac`` a is the share of real data p_0 in every round, 1/(1 + λ) in the paper. Exact. For
    a = 0 and K >= 2, t → ∞: p_0 on the best rewards only, renormalised.

    >>> curated(5, [0.6, 0.3, 0.1], [0, 1, 2], 2).round(4).tolist()
    [0.0483, 0.3395, 0.6122]

    Source: Ferbach et al. 2024, arXiv:2407.09499, sections 2.1 (pure) and 2.2 (with real data).
    """
    share, score, k = _inputs(p, reward, candidates)
    a, t = float(checked("real_frac", real_frac, 0, 1)), generations(t)
    path = [share]
    for _ in range(int(t.max(initial=0))):
        path.append(a * share + (1 - a) * _curate(path[-1], score, k))
    return np.array(path)[t.astype(np.int64)]


def curated_reward(
    t: ArrayLike,
    p: ArrayLike,
    reward: ArrayLike,
    candidates: float,
    *,
    real_frac: float = 0.0,
    exponential: bool = False,
) -> Floats:
    """E r under `curated`, or E exp(r) if ``exponential``; shape of t.

    Exact. Never falls for a = 0.

    >>> float(curated_reward(5, [0.6, 0.3, 0.1], [0, 1, 2], 2).round(4))
    1.5639

    Source: Ferbach et al. 2024, arXiv:2407.09499.
    """
    score = np.asarray(reward, dtype=np.float64)
    with np.errstate(over="ignore"):
        value = np.exp(score) if exponential else score
    return np.asarray(curated(t, p, reward, candidates, real_frac=real_frac) @ value)


def curated_limit(
    p: ArrayLike, reward: ArrayLike, candidates: float, *, real_frac: float = 0.0
) -> Floats:
    """Limit t → ∞ of `curated`, (m,).

    For a = 0 exact: p_0 on the best rewards, renormalised (p_0 itself for K = 1). For a > 0 the
    fixed point, iterated until rounds change it by less than 1e-14, or InputError after 10⁵ rounds.

    >>> curated_limit([0.6, 0.3, 0.1], [0, 1, 2], 2).tolist()
    [0.0, 0.0, 1.0]
    >>> curated_limit([0.6, 0.3, 0.1], [0, 1, 2], 2, real_frac=0.5).round(4).tolist()
    [0.4576, 0.3401, 0.2023]

    Source: Ferbach et al. 2024, arXiv:2407.09499, theorems 2.1 and 2.2.
    """
    share, score, k = _inputs(p, reward, candidates)
    a = float(checked("real_frac", real_frac, 0, 1))
    if k == 1:
        return share
    if a == 0:
        best = np.where(score == score[share > 0].max(), share, 0.0)
        return np.asarray(best / best.sum())
    now = share
    for _ in range(100_000):
        after = a * share + (1 - a) * _curate(now, score, k)
        if np.abs(after - now).max() < 1e-14:
            return np.asarray(after)
        now = after
    raise InputError("real_frac", "a share at which curation settles", f"{a}", "raise it")


def reward_gain_bound(p: ArrayLike, reward: ArrayLike, candidates: float) -> float:
    """Lower bound on how much one round raises E exp(r): (1 - 1/K)·Var(exp(r))/max exp(r).

    A bound, for a = 0. Selection raises the reward by as much as there is variance to select from.

    >>> round(reward_gain_bound([0.5, 0.5], [0.0, 1.0], 2), 4)
    0.1358

    Source: Ferbach et al. 2024, arXiv:2407.09499, lemma 2.2.
    """
    share, score, k = _inputs(p, reward, candidates)
    top = score[share > 0].max()
    w = np.exp(score - top)
    variance = share @ w**2 - (share @ w) ** 2
    return float((1 - 1 / k) * variance * np.exp(top))


def _inputs(p: ArrayLike, reward: ArrayLike, candidates: float) -> tuple[Floats, Floats, float]:
    share = probabilities(p)
    score = checked("reward", reward, -np.finfo(float).max, np.finfo(float).max)
    if score.shape != share.shape or np.ptp(score) > _WIDEST:
        got = f"shape {score.shape}, range {np.ptp(score) if score.size else 0:g}"
        raise InputError(
            "reward", f"one per category, within {_WIDEST:g} of each other", got, "rescale"
        )
    return share, score, float(checked("candidates", candidates, 1, whole=True))


def _curate(p: Floats, reward: Floats, k: float) -> Floats:
    w = np.exp(reward - reward.max())
    if k == 1:
        return p
    if np.isinf(k):
        return np.asarray(p * w / (p @ w))
    low, high = -_REACH - np.log(k), np.log(_REACH + 12) - np.log(w.min())
    u = np.exp(np.arange(low, high + _STEP, _STEP))
    decay = np.exp(-np.outer(u, w))
    with np.errstate(divide="ignore"):
        rest = np.exp((k - 1) * np.log(decay @ p))
    kept = p * w * (k * _STEP * (u * rest) @ decay)
    return np.asarray(kept / kept.sum())
