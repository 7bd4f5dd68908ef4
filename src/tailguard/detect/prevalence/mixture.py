"""The synthetic share of a corpus, with an interval, from document scores.

The scores of an incoming corpus are a mixture, (1 - a) H + a S, of the score laws of humans and of
synthetic documents. Both laws are counted on held-out documents, so the detector's errors cancel
instead of biasing the share. What is uncertain (the corpus, the humans, the synthetics, and which
generator wrote the synthetic part) is resampled or enveloped, and a corpus that no mixture explains
gets a wide interval and a warning instead of a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tailguard.detect.base import DetectorError
from tailguard.detect.laws import LEAST
from tailguard.measure.base import Floats, Ints

BINS = 20
MISFIT = 0.001
"""Below this p-value of the fit, no mixture of the held-out laws explains the corpus."""
_ROUNDS = 400

Status = Literal["ok", "widened"]


@dataclass(frozen=True, slots=True)
class Prevalence:
    """The synthetic share of n documents, in [0, 1], with an interval.

    ``fit_p`` is the p-value that a mixture of the held-out laws gives such scores; where it is
    below ``MISFIT`` the status is ``widened``: the interval then runs from the share that humans
    alone cannot explain, whatever wrote the rest, up to 1. ``note`` says which assumption carries
    the interval.
    """

    share: float
    lo: float
    hi: float
    n: int
    fit_p: float
    status: Status
    note: str


def mixture_share(counts: Floats, human: Floats, synthetic: Floats) -> Floats:
    """The likeliest a in [0, 1] of (1 - a) human + a synthetic, for each row of binned counts.

    All of shape (B, K), rows of ``human`` and ``synthetic`` positive and summing to 1. The
    likelihood is concave in a, so its slope is bisected.

    >>> h, s = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    >>> mixture_share(np.array([[55.0, 45.0]]), h, s).round(3).tolist()
    [0.5]
    """
    way = synthetic - human
    lo, hi = np.zeros(len(counts)), np.ones(len(counts))
    for _ in range(40):
        a = (lo + hi) / 2
        up = (counts * way / (human + a[:, None] * way)).sum(axis=1) > 0
        lo, hi = np.where(up, a, lo), np.where(up, hi, a)
    found = (lo + hi) / 2
    # At the borders exactly, so that an interval can hold 0 and 1.
    found[(counts * way / human).sum(axis=1) <= 0] = 0.0
    found[(counts * way / synthetic).sum(axis=1) >= 0] = 1.0
    return found


def score_prevalence(
    incoming: Floats,
    human: Floats,
    synthetic: dict[str, Floats],
    *,
    rng: np.random.Generator,
    clusters: Ints | None = None,
    human_clusters: Ints | None = None,
    level: float = 0.95,
) -> Prevalence:
    """Estimate the synthetic share of ``incoming`` scores (nan ones are left out).

    ``human`` and ``synthetic`` (by generator) are scores of held-out documents. ``clusters`` and
    ``human_clusters`` number the groups that documents come in (author, page, prompt), which are
    resampled whole. With several generators the interval is the envelope over each of them alone
    and over all together: the incoming mix of generators is not known. A generator that none of
    them resembles is found only where the fit breaks.

    Raises :class:`DetectorError` with fewer than ``LEAST`` documents of a kind. Source: the
    mixture of Liang et al. 2024 with binned scores in place of words; bootstrap of Rubin 1981.
    """
    if not 0.5 <= level < 1:
        raise DetectorError("level", "a number from 0.5 to below 1", str(level), "as in 0.95")
    known = np.isfinite(incoming)
    incoming = incoming[known]
    groups = np.arange(len(incoming)) if clusters is None else np.asarray(clusters)[known]
    own = np.arange(len(human)) if human_clusters is None else np.asarray(human_clusters)
    for name, values in (("incoming", incoming), ("human", human), *synthetic.items()):
        if len(values) < LEAST or not np.isfinite(values).all():
            got = f"{len(values)}" if len(values) < LEAST else "nan or infinity"
            raise DetectorError(f"{name} scores", f"at least {LEAST} finite ones", got, "add some")
    if not synthetic:
        raise DetectorError("synthetic scores", "one generator at least", "none", "add some")
    made = np.concatenate(list(synthetic.values()))
    borders = bin_borders(human, made)
    if len(np.unique(np.concatenate([human, made]))) < 3:
        raise DetectorError("scores", "scores that differ", "the same for all", "fit again")
    counts = _draws(incoming, groups, borders, prior=False, rng=rng)
    more = _draws(incoming, groups, borders, prior=True, rng=rng)
    humans = _draws(human, own, borders, prior=True, rng=rng)
    parts = [made, *synthetic.values()] if len(synthetic) > 1 else [made]
    runs, fits = [], []
    for part in parts:
        laws = _draws(part, np.arange(len(part)), borders, prior=True, rng=rng)
        runs += [mixture_share(given, _law(humans), _law(laws)) for given in (counts, more)]
        fits.append(_fit(counts, humans, laws, runs[-2]))
    tail = (1 - level) / 2
    lo = min(_ends(run, tail)[0] for run in runs)
    hi = max(_ends(run, tail)[1] for run in runs)
    share, fit_p = float(runs[0][0]), max(fits)
    n = len(incoming)
    if fit_p < MISFIT:
        floor = float(np.quantile(_floor(counts[1:], humans[1:]), tail))
        note = (
            "no mixture of the held-out laws explains these scores (another domain, or an unknown "
        )
        note += "generator): from the share that these humans cannot explain, to 1"
        return Prevalence(share, min(lo, floor), 1.0, n, fit_p, "widened", note)
    note = "assumes humans like the held-out ones and generators among or like "
    return Prevalence(share, lo, hi, n, fit_p, "ok", note + ", ".join(sorted(synthetic)))


def bin_borders(human: Floats, made: Floats) -> Floats:
    """Inner borders of bins: equal shares of both kinds together, at least 25 documents in each."""
    bins = int(min(BINS, len(human) // 25, len(made) // 25))
    at = np.arange(1, bins) / bins
    # Interleaved quantiles of the two kinds weigh them alike, whatever their sizes.
    both = np.sort(np.concatenate([np.quantile(human, at), np.quantile(made, at)]))
    return np.unique(both[::2])


def _ends(run: Floats, tail: float) -> tuple[float, float]:
    """The ends of an interval from an estimate and its draws: percentiles, or their reflection.

    Near a border the estimate is drawn inwards, and the draws once more; the reflection about the
    estimate undoes that (Efron and Tibshirani 1993, 13). The wider of the two is taken.
    """
    low, high = np.quantile(run[1:], [tail, 1 - tail])
    lo, hi = min(low, 2 * run[0] - high), max(high, 2 * run[0] - low)
    return max(float(lo), 0.0), min(float(hi), 1.0)


def _draws(
    values: Floats, groups: Ints, edges: Floats, *, prior: bool, rng: np.random.Generator
) -> Floats:
    """Counts per bin, shape (1 + rounds, K): the data first, then draws of what they might be.

    The Bayesian bootstrap (Rubin 1981) of whole groups: each group weighs Exp(1). With ``prior``
    every bin gets Gamma(1 / K) of a document beside them, one in all (Perks 1947): without it a bin
    that held nothing could hold nothing, and an interval at the border would have no width.
    """
    where = np.searchsorted(edges, values, "right")
    k = len(edges) + 1
    names, number = np.unique(groups, return_inverse=True)
    table = np.zeros((len(names), k))
    np.add.at(table, (number, where), 1.0)
    rows, copies = np.unique(table, axis=0, return_counts=True)
    # A sum of c weights Exp(1) is Gamma(c), so groups alike in their counts are drawn together.
    drawn = rng.gamma(copies.astype(float), size=(_ROUNDS, len(rows))) @ rows
    if prior:
        drawn += rng.gamma(1.0 / k, size=(_ROUNDS, k)) * float(table.sum() / len(names))
    return np.vstack([table.sum(axis=0)[None], drawn])


def _law(counts: Floats) -> Floats:
    """Shares of each row; the first with the mean of the prior, which draws have in them."""
    smoothed = counts + 1e-9
    smoothed[0] += 1.0 / counts.shape[1]
    return smoothed / smoothed.sum(axis=1, keepdims=True)


def _fit(counts: Floats, humans: Floats, laws: Floats, shares: Floats) -> float:
    """The p-value that the bins' shares differ from the fitted mixture by chance alone.

    Residuals of the resamples, around the data's own, give the spread that clusters and held-out
    counts leave; their covariance is that of the residual under the null.
    """
    from scipy.stats import chi2

    a = shares[:, None]
    fitted = (1 - a) * _law(humans) + a * _law(laws)
    rest = counts / counts.sum(axis=1, keepdims=True) - fitted
    spread = np.cov((rest[1:] - rest[0]).T)
    values, vectors = np.linalg.eigh(np.atleast_2d(spread))
    # The residuals sum to zero, and the fitted share takes a second direction.
    kept = np.argsort(values)[2:] if len(values) > 2 else np.zeros(0, int)
    kept = kept[values[kept] > 1e-12]
    if not len(kept):
        return 1.0
    z = (vectors[:, kept].T @ rest[0]) / np.sqrt(values[kept])
    # Hotelling's correction for a covariance estimated from the rounds.
    scale = (_ROUNDS - len(kept)) / _ROUNDS
    return float(chi2.sf(scale * float(z @ z), len(kept)))


def _floor(counts: Floats, humans: Floats) -> Floats:
    """max over u of 1 - F_incoming(u) / F_human(u), the share that humans cannot explain, (B,).

    Holds whatever wrote the rest, since F_incoming >= (1 - a) F_human. Bins with under 5% of the
    humans are passed over: their ratio is noise, and its maximum would be biased upwards.
    """
    mine = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
    theirs = np.cumsum(humans, axis=1) / humans.sum(axis=1, keepdims=True)
    ratio = np.where(theirs > 0.05, mine / np.maximum(theirs, 1e-12), 1.0)
    return np.clip(1.0 - ratio.min(axis=1), 0.0, 1.0)
