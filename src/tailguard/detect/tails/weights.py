"""Importance weights in place of deletion: a mixed corpus weighted back to the law of its humans.

A corpus has the law q = (1 - a) h + a s of humans h and synthetic documents s, with synthetic share
a. A document with score t weighs

    w(t) = h(t) / q(t) = 1 / ((1 - a) + a r(t)),    r = s / h,

which is also P(human | t) / P(human). The mean weight is 1, and weighted means are those of the
humans wherever the score is a balancing score: at one score, humans and synthetic documents do not
differ in what is averaged (Rosenbaum and Rubin 1983). Where they do differ the weighted mean keeps
that difference. Deletion above a threshold leaves no mass there at all; these weights are never 0.

Source: Drayson, Yilmaz and Lampos 2025 (EMNLP), who resample with weights (1 - confidence)^b of a
detector's confidence. With b = 1 and P(synthetic | t) of this corpus as confidence, those are these
weights up to a factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tailguard.detect.base import DetectorError
from tailguard.detect.prevalence.mixture import bin_borders
from tailguard.measure.base import Floats, Ints

LEAST = 100
"""Held-out documents of each kind below which no likelihood ratio is estimated."""

Method = Literal["systematic", "multinomial"]


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """s(t) / h(t) as a step function that never falls: ``ratios`` (K,) between ``edges`` (K - 1,).

    Positive and finite. A score that equals an edge belongs to the bin above it.
    """

    edges: Floats
    ratios: Floats

    @classmethod
    def fit(cls, human: Floats, synthetic: Floats) -> LikelihoodRatio:
        """From scores of documents of both kinds that the detector was not fitted on.

        Both laws are counted in up to 20 bins with 25 of each kind's documents in mind, 1/2
        added to each count, and the share of synthetic documents, at equal weight of the kinds, is
        made monotone by pooling adjacent violators. Raises :class:`DetectorError` below ``LEAST``
        finite scores of a kind.

        >>> rng = np.random.default_rng(0)
        >>> found = LikelihoodRatio.fit(rng.normal(size=9999), rng.normal(1.0, 1.0, 9999))
        >>> found.at(np.array([-0.5, 0.5, 1.5])).round(1).tolist()  # exp(t - 1/2): .4, 1, 2.7
        [0.4, 1.0, 2.8]

        Source: Ayer et al. 1955 (pooling); Zadrozny and Elkan 2002 (calibration by it).
        """
        from scipy.optimize import isotonic_regression

        for name, values in (("human", human), ("synthetic", synthetic)):
            if len(values) < LEAST or not np.isfinite(values).all():
                got = f"{len(values)}" if len(values) < LEAST else "nan or infinity"
                raise DetectorError(f"{name} scores", f"{LEAST} finite ones or more", got,
                                    "add held-out documents")  # fmt: skip
        edges = bin_borders(human, synthetic)
        k = len(edges) + 1
        laws = []
        for values in (human, synthetic):
            counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=k) + 0.5
            laws.append(counts / counts.sum())
        h, s = laws
        share = isotonic_regression(s / (h + s), weights=h + s).x
        return cls(edges, share / (1.0 - share))

    def at(self, scores: Floats) -> Floats:
        """s / h at every score, shape (n,); nan where the score is."""
        found = self.ratios[np.searchsorted(self.edges, scores, "right")]
        return np.where(np.isnan(scores), np.nan, found)


def importance_weights(ratios: Floats, share: float) -> Floats:
    """w = 1 / ((1 - share) + share * ratio), not yet normalised or clipped, shape (n,).

    ``ratios`` are s / h at every document, in [0, inf]; nan gives nan. ``share`` is the synthetic
    share of the corpus. Range [0, 1 / (1 - share)]; 1 everywhere where the share is 0; never rising
    in the ratio. Raises :class:`DetectorError` for a share outside [0, 1].

    >>> importance_weights(np.array([0.0, 1.0, 3.0]), 0.5).tolist()
    [2.0, 1.0, 0.5]
    """
    if not 0.0 <= share <= 1.0:
        raise DetectorError("synthetic share", "a number from 0 to 1", str(share), "as in 0.3")
    r = np.asarray(ratios, np.float64)
    if bool((r < 0).any()):
        raise DetectorError("ratios", "numbers from 0 up", "a negative one", "pass s / h")
    if share == 0.0:
        return np.where(np.isnan(r), np.nan, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / ((1.0 - share) + share * r), np.float64)


@dataclass(frozen=True, slots=True)
class Clipped:
    """Weights of mean 1, and what clipping and unevenness cost.

    ``weights`` (n,) have mean 1 over the documents that have one, nan elsewhere. ``cap`` is the
    largest weight before the last normalisation, ``clipped`` how many exceeded it, ``mean`` that of
    the weights as they were, ``removed`` the mass d = mean (w - cap)+ taken off. The weighted law
    differs from the unclipped one by at most d in total variation, so that the weighted mean of any
    f is off by at most d (max f - min f). ``size`` is the effective sample size of Kish,
    (Σ w)² / Σ w², at least n (1 - d) / cap.
    """

    weights: Floats
    cap: float
    clipped: int
    mean: float
    removed: float
    size: float

    def of(self, weights: Floats) -> Floats:
        """The same cut and the same factors for some of the documents, as they come again."""
        return np.minimum(weights / self.mean, self.cap) / (1.0 - self.removed)


def clip_weights(weights: Floats, cap: float | None = None) -> Clipped:
    """Normalise to mean 1, cut at ``cap``, normalise again; nan stays and counts nowhere.

    Without ``cap`` it is √n, which leaves estimates consistent (Ionides 2008). Why the bound: with
    w of mean 1 and w' = min(w, cap), the mean of w' is 1 - d; the clipped law w' q / (1 - d) is
    nowhere below w' q, so it misses at most (w - w') q of the unclipped law, d in all. Raises
    :class:`DetectorError` for negative or infinite weights, none above 0, or a cap below 1.

    Source: Ionides 2008 (truncation); Kish 1965 (effective size).

    >>> found = clip_weights(np.array([1.0, 1.0, 1.0, 5.0]), cap=2.0)
    >>> found.weights.round(3).tolist(), round(found.removed, 3)
    ([0.571, 0.571, 0.571, 2.286], 0.125)
    """
    known = ~np.isnan(weights)
    w = np.asarray(weights, np.float64)[known]
    _usable(w)
    limit = float(np.sqrt(len(w))) if cap is None else cap
    if not limit >= 1.0:
        raise DetectorError("cap", "a number from 1 up", str(cap), "the mean weight is 1")
    mean = float(w.mean())
    w = w / mean
    cut = np.minimum(w, limit)
    left = min(1.0, float(cut.mean()))
    out = np.full(len(weights), np.nan)
    out[known] = cut / left
    clipped = int((w > limit).sum())
    return Clipped(out, limit, clipped, mean, 1.0 - left, effective_size(cut))


def effective_size(weights: Floats) -> float:
    """(Σ w)² / Σ w²: as many equal weights would leave a mean as uncertain. Range [1, n].

    For importance weights of a large corpus with synthetic share a it is at least (1 - a) n, since
    E w² over the corpus is E w over its humans, at most 1 / (1 - a). A perfect detector reaches
    that bound, and one that tells nothing apart has n. Source: Kish 1965.

    >>> effective_size(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    w = np.asarray(weights, np.float64)
    _usable(w)
    w = w / w.max()
    return float(w.sum() ** 2 / (w @ w))


@dataclass(frozen=True, slots=True)
class Resampled:
    """``rows`` (m,) ascending numbers of documents, ``times`` (m,) how often each; n in all."""

    rows: Ints
    times: Ints


def resample(
    weights: Floats, n: int, *, rng: np.random.Generator, method: Method = "systematic"
) -> Resampled:
    """Draw ``n`` documents with chances proportional to weights, with replacement.

    Document i comes n w_i / Σ w times in expectation. ``systematic``: floor or ceil of that, the
    least variance, from one uniform number; documents near each other are drawn together, so it
    should not run through an order with the period of its steps. ``multinomial``: independent
    draws. Raises :class:`DetectorError` for unusable weights (nan too: leave those documents out)
    or n < 1. Source: Kitagawa 1996; Douc, Cappé and Moulines 2005.

    >>> drawn = resample(np.array([2.0, 0.0, 1.0]), 6, rng=np.random.default_rng(0))
    >>> drawn.rows.tolist(), drawn.times.tolist()
    ([0, 2], [4, 2])
    """
    w = np.asarray(weights, np.float64)
    _usable(w)
    if n < 1:
        raise DetectorError("resample", "1 document or more", str(n), "ask for some")
    w = w / w.max()
    if method == "multinomial":
        times = rng.multinomial(n, w / w.sum()).astype(np.int64)
    elif method == "systematic":
        upto = np.cumsum(w)
        marks = np.ceil(upto / upto[-1] * n - rng.random()).astype(np.int64)
        # Point i + u is drawn by the first document whose running sum exceeds it.
        marks[-1] = n
        marks = np.clip(marks, 0, n)
        times = np.diff(marks, prepend=0)
    else:
        raise DetectorError("method", "systematic or multinomial", repr(method), "name one")
    rows = np.flatnonzero(times)
    return Resampled(rows, times[rows])


def _usable(w: Floats) -> None:
    got = ""
    if w.ndim != 1 or not len(w):
        got = "none"
    elif not np.isfinite(w).all():
        got = "nan or infinity"
    elif (w < 0).any():
        got = "a negative one"
    elif not (w > 0).any():
        got = "zeros only"
    if got:
        raise DetectorError("weights", "finite numbers from 0 up, one above 0", got, "correct them")
