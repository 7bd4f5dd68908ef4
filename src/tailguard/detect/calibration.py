"""Operating points with a guaranteed false-positive rate, conformal p-values, and decisions.

A threshold is an order statistic of the scores of n human documents that the detector never saw.
Its false-positive rate is random through those documents; the rank is chosen so that the rate
exceeds ``max_fpr`` with probability at most 1 - ``confidence`` over calibrations. The guarantee
holds for documents exchangeable with the calibration documents and for no others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.base import Decision, DetectorError
from tailguard.measure.base import Floats, Ints

LENGTHS = (0, 25, 50, 100)
"""Least words of each length bin, counted inside the detector's window."""
LENGTH_NAMES = ("0-24 words", "25-49 words", "50-99 words", "100 words or more")
NEAR = 1e-6
"""Nearer to 0 and 1 than this no rate and no confidence is promised."""
HUMAN_LIKE_P = 0.1
"""A document whose conformal p-value exceeds this scores like an ordinary human document."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised: P(false-positive rate > ``max_fpr``) <= 1 - ``confidence``.

    >>> [Target(alpha).needed for alpha in (0.05, 0.01, 0.001)]
    [59, 299, 2995]
    """

    max_fpr: float = 0.01
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name, value in (("max-fpr", self.max_fpr), ("confidence", self.confidence)):
            if not NEAR <= value <= 1 - NEAR:
                expected = f"a number between {NEAR:g} and 1 - {NEAR:g}"
                raise DetectorError(name, expected, str(value), "as in 0.05")

    @property
    def needed(self) -> int:
        """Fewest human documents that can carry it: least n with (1 - max_fpr)^n <= 1 - confidence.

        With fewer, even the largest human score is no threshold with this guarantee.
        """
        return math.ceil(math.log(1 - self.confidence) / math.log1p(-self.max_fpr) - 1e-9)

    def rank(self, n: int) -> int:
        """Which largest of n human scores is the threshold: 1 for the largest; 0 for none.

        The rate above the r-th largest of n is Beta(r, n + 1 - r) for continuous scores (smaller
        with ties), and P(Beta(r, n + 1 - r) > a) = P(Binomial(n, a) <= r - 1): the largest r with
        that at most 1 - confidence. Source: Vovk 2012 (training-conditional validity); Wilks 1941.

        >>> Target(0.05).rank(58), Target(0.05).rank(59), Target(0.01).rank(1000)
        (0, 1, 5)
        """
        from scipy.stats import binom

        r = int(binom.ppf(1 - self.confidence, n, self.max_fpr)) + 2 if n else 0
        while r > 0 and binom.cdf(r - 1, n, self.max_fpr) > 1 - self.confidence:
            r -= 1
        return max(r, 0)


def threshold(human: Floats, target: Target) -> float:
    """The score above which (strictly) a document is called synthetic.

    ``human`` are scores of human documents kept out of fitting, shape (n,), without nan. Raises
    :class:`DetectorError` saying how many documents are missing.

    >>> threshold(np.arange(59.0), Target(0.05))
    58.0
    >>> threshold(np.arange(40.0), Target(0.05))
    Traceback (most recent call last):
    tailguard.detect.base.DetectorError: calibration: expected at least 59 human documents ...
    """
    _finite(human)
    r = target.rank(len(human))
    if r == 0:
        raise missing(len(human), target)
    return float(np.partition(human, len(human) - r)[len(human) - r])


def missing(n: int, target: Target) -> DetectorError:
    """The refusal of a calibration of n human documents: how many are missing."""
    expected = f"at least {target.needed:,} human documents for a false-positive rate of at most "
    expected += f"{target.max_fpr:g} with confidence {target.confidence:g}"
    short = target.needed - n
    return DetectorError("calibration", expected, f"{n:,}", f"add {short:,} human documents")


def conformal_p(scores: Floats, human: Floats) -> Floats:
    """(1 + how many human scores are >= s) / (n + 1): a p-value of "this document is human".

    Super-uniform for documents exchangeable with the n calibration documents; at least 1 / (n + 1);
    nan where the score is. Source: Vovk et al. 2005; Bates et al. 2023.

    >>> conformal_p(np.array([5.0, 0.0]), np.arange(4.0)).tolist()
    [0.2, 1.0]
    """
    _finite(human)
    ordered = np.sort(human)
    above = len(ordered) - np.searchsorted(ordered, scores, "left")
    return np.where(np.isnan(scores), np.nan, (1.0 + above) / (len(ordered) + 1.0))


def benjamini_hochberg(p: Floats, q: float) -> NDArray[np.bool_]:
    """Which hypotheses fall with a false-discovery rate of at most q; nan never falls.

    Valid for conformal p-values of one calibration set, whose dependence is positive.
    Source: Benjamini and Hochberg 1995; Bates et al. 2023.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.9]), 0.05).tolist()
    [True, False, False, False]
    """
    if not 0 < q < 1:
        raise DetectorError("fdr", "a number between 0 and 1", str(q), "as in 0.05")
    known = np.flatnonzero(~np.isnan(p))
    out = np.zeros(len(p), bool)
    order = known[np.argsort(p[known], kind="stable")]
    good = np.flatnonzero(p[order] <= q * np.arange(1, len(order) + 1) / max(len(order), 1))
    if len(good):
        out[order[: good[-1] + 1]] = True
    return out


@dataclass(frozen=True, slots=True)
class Cell:
    """The humans one document is compared with: their sorted scores, and what they share.

    ``level`` is ``source x length``, ``source``, ``length`` or ``pooled``.
    """

    level: str
    name: str
    scores: Floats


@dataclass(frozen=True)
class Calibration:
    """Scores of human documents by source and length.

    ``scores`` (n,), ``words`` (n,) in the window, ``source`` (n,) numbers into ``sources``. Each
    cell's guarantee is its own; a pooled one holds for the mixture of sources that was pooled, not
    for each of them. ``target`` is what the calibration was made for.
    """

    scores: Floats
    words: Ints
    source: Ints
    sources: tuple[str, ...]
    target: Target = field(default_factory=Target)

    def __post_init__(self) -> None:
        _finite(self.scores)
        if not len(self.scores) == len(self.words) == len(self.source):
            raise DetectorError("calibration", "arrays of one length", "several", "align them")

    @cached_property
    def bins(self) -> Ints:
        """Length bin of every calibration document, shape (n,)."""
        return length_bins(self.words)

    def cell(self, source: str | None, length: int, target: Target) -> Cell | None:
        """The finest cell with enough humans; None where even the pool has too few.

        A document of a source that was not calibrated is compared with its length bin or the pool,
        and so is one without a source where only one source, or none, was named.
        """
        number = self.sources.index(source) if source in self.sources else -1
        own, alike = self.source == number, self.bins == length
        name, size = str(source), LENGTH_NAMES[length]
        choices = [("length", size, alike), ("pooled", "all", np.ones(len(own), bool))]
        if number >= 0:
            choices = [
                ("source x length", f"{name}, {size}", own & alike),
                ("source", name, own),
                *choices,
            ]
        for level, title, chosen in choices:
            if int(chosen.sum()) >= target.needed:
                return Cell(level, title, np.sort(self.scores[chosen]))
        return None

    def decide(
        self, scores: Floats, words: Ints, sources: list[str | None], target: Target
    ) -> Decisions:
        """A decision for every document, from its own cell.

        ``synthetic`` above the cell's threshold; ``human-like`` where the conformal p-value exceeds
        ``HUMAN_LIKE_P``, which says that the score is ordinary among humans and no more than that;
        ``abstain`` between, and without a score. Raises :class:`DetectorError` where the whole
        calibration is too small.
        """
        if len(self.scores) < target.needed:
            raise missing(len(self.scores), target)
        p, limit = np.full(len(scores), np.nan), np.full(len(scores), np.nan)
        levels = np.full(len(scores), "none", object)
        bins = length_bins(words)
        groups: dict[tuple[str | None, int], list[int]] = {}
        for at, key in enumerate(zip(sources, bins.tolist(), strict=True)):
            groups.setdefault(key, []).append(at)
        points: dict[tuple[str | None, int], tuple[Cell, float] | None] = {}
        for (source, length), chosen in groups.items():
            # Sources that were not calibrated share the cells of their lengths.
            key = (source if source in self.sources else None, length)
            if key not in points:
                cell = self.cell(*key, target)
                points[key] = None
                if cell is not None:
                    points[key] = cell, threshold(cell.scores, target)
            found = points[key]
            if found is not None:
                p[chosen] = conformal_p(scores[chosen], found[0].scores)
                limit[chosen] = found[1]
                levels[chosen] = found[0].level
        decision = np.full(len(scores), "abstain", object)
        decision[p > HUMAN_LIKE_P] = "human-like"
        decision[scores > limit] = "synthetic"
        return Decisions(scores, p, limit, levels.tolist(), decision.tolist())

    def table(self, target: Target) -> list[tuple[str, str, int, float, int]]:
        """Per cell: level, name, humans, threshold (nan without one) and humans missing."""
        rows = []
        groups = [("pooled", "all", np.ones(len(self.scores), bool))]
        for number, name in enumerate(self.sources):
            own = self.source == number
            groups.append(("source", name, own))
            groups += [
                ("source x length", f"{name}, {size}", own & (self.bins == length))
                for length, size in enumerate(LENGTH_NAMES)
            ]
        for level, name, chosen in groups:
            n = int(chosen.sum())
            enough = n >= target.needed
            limit = threshold(self.scores[chosen], target) if enough else float("nan")
            if n:
                rows.append((level, name, n, limit, max(0, target.needed - n)))
        return rows


@dataclass(frozen=True, slots=True)
class Decisions:
    """Per document: score, conformal p, threshold, the cell's level, and the decision."""

    scores: Floats
    p: Floats
    thresholds: Floats
    levels: list[str]
    decisions: list[Decision]

    def withheld(self) -> Decisions:
        """The same with every decision abstained: the humans calibrated on do not stand for them.

        The p-values become nan, because they are none without exchangeability.
        """
        nothing = np.full(len(self.scores), np.nan)
        held: list[Decision] = ["abstain"] * len(self.scores)
        return Decisions(self.scores, nothing, nothing, ["none"] * len(held), held)


def length_bins(words: Ints) -> Ints:
    """The length bin of each count of words.

    >>> length_bins(np.array([0, 25, 99, 100])).tolist()
    [0, 1, 2, 3]
    """
    return (np.searchsorted(LENGTHS, words, "right") - 1).astype(np.int64)


def _finite(human: Floats) -> None:
    if not bool(np.isfinite(human).all()):
        raise DetectorError("calibration", "finite scores", "nan or infinity", "leave them out")
