"""The drift gate: does an incoming slice look like what the detector was calibrated on?

A guarantee on human documents says nothing about other human documents. The gate compares the mean
word vector of a slice with every mixture of the calibration humans and the synthetic texts fitted
on, because a slice may hold any share of these. What no such mixture explains is another domain or
an unknown generator, and then every decision is withheld.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import scipy.sparse as sp

from tailguard.detect.base import DetectorError, Texts, as_array
from tailguard.detect.canonical import Window, canonical
from tailguard.measure.base import Floats
from tailguard.measure.features import BUCKETS, FeatureMap, term_frequencies
from tailguard.measure.tokens import tokenize

LEAST = 30
"""Documents below which a slice cannot be compared."""
LEVEL = 0.001
"""Chance of a false gate on a slice that matches."""
MARGIN = 0.005
"""Unexplained squared distance, as a share of the variance between human documents, that is let by.

One half of one percent: a topic that differs more than documents of one domain do by chance.
"""
_SAMPLE = 1_000

State = Literal["match", "drift", "unchecked"]


@dataclass(frozen=True, slots=True)
class Side:
    """Mean word vector of n documents, and their total and squared spread.

    ``total`` is tr(S) and ``square`` tr(S^2) of the documents' covariance S.
    """

    n: int
    mean: Floats
    total: float
    square: float

    @classmethod
    def of(cls, vectors: sp.csr_array) -> Side:
        """Summarise unit vectors of documents, sparse (n, 8192)."""
        n = vectors.shape[0]
        if n < 2:
            return cls(n, np.zeros(BUCKETS), 0.0, 0.0)
        mean = np.asarray(vectors.sum(axis=0)).ravel() / n
        # |mean|^2 overstates |E|^2 by tr(S) / n.
        total = (1.0 - float(mean @ mean)) * n / (n - 1)
        every = vectors[:: max(1, -(-n // _SAMPLE))]
        along = every @ mean
        gram = (every @ every.T).toarray() - along[:, None] - along[None, :] + mean @ mean
        m = len(gram)
        square = (float((gram**2).sum()) - float((np.diag(gram) ** 2).sum())) / max(m * (m - 1), 1)
        return cls(n, mean, total, max(square, total**2 / BUCKETS))


@dataclass(frozen=True, slots=True)
class Drift:
    """What the gate found on a slice of n documents.

    ``excess`` is the squared distance from the nearest mixture beyond what chance explains, over
    the variance between human documents (0 for a match; below 0 by chance), ``p`` its p-value,
    ``against`` the calibration source compared with.
    """

    state: State
    n: int
    excess: float
    p: float
    against: str
    slices: int = 1

    @property
    def line(self) -> str:
        """One sentence for a report."""
        who = f"{self.slices} small slices together: " if self.slices > 1 else ""
        if self.state == "unchecked":
            least = f"{LEAST} different documents are needed to compare with the calibration"
            return f"{who}{least}, got {self.n}"
        found = f"excess {self.excess:.4f} of the variance between documents; {MARGIN:g} is let by"
        if self.state == "match":
            return (
                f"{who}matches the calibration humans, or a mix with known synthetic text ({found})"
            )
        step = "calibrate on humans like these"
        return f"{who}does not match the calibration humans ({found}, p {self.p:.2g}): {step}"


@dataclass(frozen=True)
class DriftGate:
    """Word statistics of what was fitted (synthetic) and calibrated on (humans, by source)."""

    idf: Floats
    window: Window
    synthetic: Side
    humans: dict[str, Side] = field(default_factory=dict)

    @classmethod
    def fit(cls, human: Texts, synthetic: Texts, window: Window) -> DriftGate:
        """Learn the weights of words from both classes and the place of the synthetic one."""
        found = [tokenize(canonical(texts, window)) for texts in (human, synthetic)]
        counts = sp.vstack([term_frequencies(t.hashes, t.offsets) for t in found], format="csr")
        df = np.bincount(counts.indices, minlength=BUCKETS)
        idf = np.log((1.0 + counts.shape[0]) / (1.0 + df)) + 1.0
        gate = cls(idf, window, Side(0, np.zeros(BUCKETS), 0.0, 0.0))
        return replace(gate, synthetic=Side.of(gate.vectors(synthetic)))

    def vectors(self, texts: Texts) -> sp.csr_array:
        """Unit TF-IDF vectors of the texts that hold a word, sparse (n, 8192)."""
        tokens = tokenize(canonical(texts, self.window))
        all_ = FeatureMap(self.idf, np.zeros((BUCKETS, 0))).weighted(tokens.hashes, tokens.offsets)
        return all_[np.flatnonzero(tokens.lengths > 0)]

    def calibrate(self, texts: Texts, sources: list[str]) -> DriftGate:
        """The gate with these humans as its reference: all of them, and each source of enough."""
        names = np.array(sources, object)
        tokens = tokenize(canonical(texts, self.window))
        names = names[tokens.lengths > 0]
        vectors = self.vectors(texts)
        if vectors.shape[0] < LEAST:
            expected = f"at least {LEAST} human texts with words"
            raise DetectorError("drift gate", expected, str(vectors.shape[0]), "add human texts")
        humans = {"": Side.of(vectors)}
        for name in sorted(set(names.tolist()) - {""}):
            chosen = np.flatnonzero(names == name)
            if len(chosen) >= LEAST:
                humans[name] = Side.of(vectors[chosen])
        return replace(self, humans=humans)

    def check(self, texts: Texts, source: str | None = None) -> Drift:
        """Compare a slice with its own source's humans, or with all where it names no known one.

        Copies count once: they are no documents of their own.
        """
        if not self.humans:
            raise DetectorError("drift gate", "a calibrated one", "none", "calibrate it first")
        against = source if source is not None and source in self.humans else ""
        found = Side.of(self.vectors(as_array(texts).unique()))
        if found.n < LEAST:
            return Drift("unchecked", found.n, float("nan"), float("nan"), against)
        excess, p = _unexplained(found, self.humans[against], self.synthetic)
        # Written so that what cannot be computed (nan) is no match.
        matches = p >= LEVEL or excess <= MARGIN
        return Drift("match" if matches else "drift", found.n, excess, p, against)


def _unexplained(slice_: Side, human: Side, synthetic: Side) -> tuple[float, float]:
    """Excess and p-value of |m - (1 - a) h - a s|^2 at the best a in [0, 1].

    Under the null the squared distance is a sum of weighted chi-squares; a scaled chi-square of the
    same mean and variance stands for it (Satterthwaite 1946). The best a only makes it smaller, so
    the p-value errs towards a match.
    """
    from scipy.stats import chi2

    gap, way = slice_.mean - human.mean, synthetic.mean - human.mean
    length = float(way @ way)
    share = min(1.0, max(0.0, float(gap @ way) / length)) if length and synthetic.n else 0.0
    rest = gap - share * way
    parts = [(slice_, 1.0), (human, 1.0 - share), (synthetic, share)]
    mean = sum(w**2 * side.total / side.n for side, w in parts if side.n)
    pairs = [(w**2 / side.n) * np.sqrt(side.square) for side, w in parts if side.n]
    variance = 2.0 * float(sum(pairs)) ** 2
    statistic = float(rest @ rest)
    if mean <= 0 or variance <= 0:
        return float("nan"), float("nan")
    freedom = 2 * mean**2 / variance
    p = float(chi2.sf(statistic * freedom / mean, freedom))
    return (statistic - mean) / human.total, p
