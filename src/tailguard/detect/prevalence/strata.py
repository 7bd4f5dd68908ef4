"""Shares of a population out of samples and tests: exact where they can be, large-sample where not.

What an audited sample says of the records it was drawn from, with or without a detector's scores
and the auditors' own errors; and how many records a watermark test marks falsely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailguard.corpus.base import EVIDENCE, KINDS, Evidence, Kind
from tailguard.detect.base import DetectorError
from tailguard.detect.prevalence.mixture import Prevalence
from tailguard.measure.base import Floats

LEAST_ASSISTED = 30
"""Audited records below which detector scores are not used beside them."""
SKEW = 25.0
"""A normal interval of a mean wants more than this times the squared skewness (Cochran 1977)."""
MARK_LEVEL = 1e-4
"""False-positive rate per document at which watermarks are searched for by default."""
_SLACK = 1e-9


class Estimate(NamedTuple):
    """A share (nan where none is estimated) within [lo, hi], and how it was found."""

    share: float
    lo: float
    hi: float
    how: str


UNKNOWN = Estimate(math.nan, 0.0, 1.0, "nothing known")


@dataclass(frozen=True, slots=True)
class Auditor:
    """How often the people who audit were right, on records of known kind shown blindly."""

    human_right: int
    human_seen: int
    synthetic_right: int
    synthetic_seen: int

    def __post_init__(self) -> None:
        for right, seen in self.pairs:
            if not 0 <= right <= seen or seen < 1:
                raise DetectorError("auditor", "0 <= right <= seen, at least 1 seen",
                                    f"{right} of {seen}", "correct the counts")  # fmt: skip

    @property
    def pairs(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Right and seen, of the human and of the synthetic records."""
        return (self.human_right, self.human_seen), (self.synthetic_right, self.synthetic_seen)


@dataclass(frozen=True, slots=True)
class Audit:
    """A simple random sample of a stratum, ``checked`` by people: ``human`` of them were found so.

    ``undecided`` of the checked could not be told: they count against both ends of the interval.
    """

    human: int
    checked: int
    undecided: int = 0
    auditor: Auditor | None = None

    def __post_init__(self) -> None:
        least = min(self.human, self.undecided, self.checked - 1)
        if least < 0 or self.human + self.undecided > self.checked:
            got = f"{self.human} human and {self.undecided} undecided of {self.checked}"
            raise DetectorError("audit", "counts within the checked records, 1 at least", got,
                                "correct the counts")  # fmt: skip

    def estimate(self, n: int, level: float) -> Estimate:
        """The human share of the ``n`` records the sample was drawn from, at ``level``.

        Without ``auditor`` its people are taken to be right and the interval is exact for a finite
        population (:func:`finite_interval`). With it, three exact intervals (what was called human,
        and both rates of being right) are each taken at a third of the error, and the share is
        (called + specificity - 1) / (sensitivity + specificity - 1) (Rogan and Gladen 1978) at the
        corners of their box: wider than Lang and Reiczigel 2014, and never below its level.

        >>> found = Audit(45, 50).estimate(50, 0.95)
        >>> found.lo, found.hi
        (0.9, 0.9)
        """
        if self.checked > n:
            raise DetectorError("audit", f"at most the {n:,} records it was drawn from",
                                f"{self.checked:,}", "count the stratum again")  # fmt: skip
        known = self.checked - self.undecided
        share = self.human / known if known else math.nan
        most = self.human + self.undecided
        if self.auditor is None:
            lo = finite_interval(self.human, self.checked, n, level)[0]
            hi = finite_interval(most, self.checked, n, level)[1]
            return Estimate(share, lo, hi, f"audit of {self.checked:,}")
        third = 1 - (1 - level) / 3
        called = (binomial_interval(self.human, self.checked, third)[0],
                  binomial_interval(most, self.checked, third)[1])  # fmt: skip
        right = [binomial_interval(*pair, third) for pair in self.auditor.pairs]
        how = f"audit of {self.checked:,}, corrected for its errors"
        if right[0][0] + right[1][0] <= 1:
            return Estimate(math.nan, 0.0, 1.0, how + " (people may do no better than chance)")
        # In each of the three the share is monotone, so its extremes are at corners.
        corners = [_rogan_gladen(c, a, b) for c in called for a in right[0] for b in right[1]]
        lo, hi = max(0.0, min(corners)), min(1.0, max(corners))
        rates = [good / seen for good, seen in self.auditor.pairs]
        share = _rogan_gladen(share, *rates) if sum(rates) > 1 else math.nan
        return Estimate(min(max(share, lo), hi), min(lo, 1.0), max(hi, 0.0), how)


@dataclass(frozen=True, eq=False, slots=True)
class ScoredAudit:
    """An audited sample with a detector's scores: labels correct the detector, it narrows them.

    ``human`` (m,) what people found, ``scores`` (m,) of the same records, on any scale;
    ``mean_score`` the mean over all records of the stratum, the sample among them.
    """

    human: NDArray[np.bool_]
    scores: Floats
    mean_score: float

    def __post_init__(self) -> None:
        m = len(self.human)
        finite = np.isfinite(self.scores).all() and math.isfinite(self.mean_score)
        if not m or len(self.scores) != m or not finite:
            got = f"{len(self.scores)} for {m}" if finite else "nan or infinity"
            raise DetectorError("scored audit", "one finite score for each label", got, "align")

    def estimate(self, n: int, level: float) -> Estimate:
        """mean(y) + b (F - mean(f)), b = cov(y, f) / var(f), its variance that of the residuals.

        F is the mean score of all ``n``, f and y those of the m audited; the variance is
        s^2 ((1 - m / n) / m + (F - mean(f))^2 / sum (f - mean(f))^2), the latter for b, s^2 with
        m - 2 degrees of freedom, and the interval that of Student.
        This is prediction-powered inference with power tuning (Angelopoulos et al. 2023, "PPI++")
        for a finite population, the regression estimator of surveys (Cochran 1977, chapter 7): it
        holds however biased the scores are. It is a large-sample interval. With fewer than
        ``LEAST_ASSISTED`` labels, or m <= 25 G^2 for the skewness G of the residuals (Cochran's
        rule), the scores are left aside and the interval is the audit's exact one.
        """
        plain = Audit(int(self.human.sum()), len(self.human)).estimate(n, level)
        m = len(self.human)
        y, f = self.human.astype(float), np.asarray(self.scores, float)
        spread = float(((f - f.mean()) ** 2).sum())
        if m < LEAST_ASSISTED or float(np.ptp(f)) <= _SLACK * float(np.abs(f).max()):
            return plain
        slope = float(((y - y.mean()) * (f - f.mean())).sum()) / spread
        rest = (y - y.mean()) - slope * (f - f.mean())
        square = float((rest**2).mean())
        if square <= _SLACK:
            return plain  # no error among these says nothing of rare ones
        skew = float((rest**3).mean()) / square**1.5
        if m <= SKEW * skew**2:
            return plain
        from scipy.stats import t

        gap = self.mean_score - float(f.mean())
        share = float(y.mean()) + slope * gap
        error = math.sqrt(square * m / (m - 2) * ((1 - m / n) / m + gap**2 / spread))
        half = float(t.ppf(0.5 + level / 2, m - 2)) * error
        # What was seen is certain.
        least, most = float(y.sum()) / n, 1 - (m - float(y.sum())) / n
        lo, hi = (min(max(end, least), most) for end in (share - half, share + half))
        how = f"audit of {m:,} with detector scores"
        return Estimate(min(max(share, lo), hi), lo, hi, how)


@dataclass(frozen=True, slots=True)
class Detected:
    """A detector's interval of the human share of a stratum, and the level it was found at."""

    share: float
    lo: float
    hi: float
    level: float

    def __post_init__(self) -> None:
        if not (0 <= self.lo <= self.hi <= 1 and 0 < self.level < 1):
            got = f"[{self.lo}, {self.hi}] at {self.level}"
            raise DetectorError("detected share", "0 <= lo <= hi <= 1, 0 < level < 1", got,
                                "correct it")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stratum:
    """The ``n`` records whose strongest evidence is of ``grade`` and says ``kind``.

    ``error`` bounds the share of its claims that are false: none for attested and audited records
    where it is not given; a declaration without it is not believed. For watermarks, ``tested`` is
    how many records were searched (the ``n`` marked among them), each at ``mark_level``.
    ``audit`` and ``detected`` estimate the same records. ``disagree`` of them make claims that
    contradict each other.
    """

    grade: Evidence
    n: int
    kind: Kind = "unknown"
    error: float | None = None
    tested: int | None = None
    mark_level: float = MARK_LEVEL
    audit: Audit | ScoredAudit | None = None
    detected: Detected | None = None
    disagree: int = 0

    def __post_init__(self) -> None:
        who = f"stratum {self.grade} {self.kind}"
        if self.grade not in EVIDENCE or self.kind not in KINDS or self.n < 0:
            raise DetectorError(who, "a grade, a kind, and 0 records or more",
                                f"{self.n} records", "correct it")  # fmt: skip
        if self.error is not None and not 0 <= self.error <= 1:
            raise DetectorError(who, "an error in [0, 1]", str(self.error), "as in 0.01")
        if self.grade == "watermark" and (self.tested is None or self.tested < self.n):
            raise DetectorError(who, "how many records were tested, the marked ones among them",
                                str(self.tested), "pass tested")  # fmt: skip
        if not 0 <= self.mark_level < 1:
            raise DetectorError(who, "a level from 0 to below 1", str(self.mark_level), "as 1e-4")

    @property
    def name(self) -> str:
        """As in a report."""
        if self.grade == "watermark":
            return "watermarked"
        return "not verified" if self.kind == "unknown" else f"{self.grade} {self.kind}"

    @property
    def marks_err(self) -> bool:
        """Whether false marks have to be estimated."""
        return self.grade == "watermark" and self.mark_level > 0


def finite_interval(human: int, checked: int, n: int, level: float) -> tuple[float, float]:
    """Exact interval of the human share of ``n`` records, ``human`` of ``checked`` drawn at random.

    Every number K of human records stays that does not make the draw too rare on either side,
    P(X >= human | K) > e / 2 and P(X <= human | K) > e / 2, X hypergeometric, e = 1 - ``level``.
    Covers at least at ``level`` for every n. Source: Cochran 1977, section 3.6; Wright 1991.

    >>> finite_interval(5, 10, 10, 0.95)
    (0.5, 0.5)
    >>> [round(end, 3) for end in finite_interval(0, 59, 1_000_000, 0.95)]
    [0.0, 0.061]
    """
    from scipy.stats import hypergeom

    half = (1 - level) / 2
    ends = human, n - (checked - human)  # what was seen is certain
    low, high = ends
    while low < high:  # the least K that makes as many as these not too rare
        k = (low + high) // 2
        low, high = (low, k) if hypergeom.sf(human - 1, n, k, checked) > half else (k + 1, high)
    least = low
    low, high = ends
    while low < high:
        k = (low + high + 1) // 2
        low, high = (k, high) if hypergeom.cdf(human, n, k, checked) > half else (low, k - 1)
    return least / n, low / n


def binomial_interval(k: int, n: int, level: float) -> tuple[float, float]:
    """The exact interval of a probability, k of n (Clopper and Pearson 1934).

    >>> [round(end, 4) for end in binomial_interval(0, 10, 0.95)]
    [0.0, 0.3085]
    """
    from scipy.stats import beta

    half = (1 - level) / 2
    lo = float(beta.ppf(half, k, n - k + 1)) if k else 0.0
    return lo, float(beta.ppf(1 - half, k + 1, n - k)) if k < n else 1.0


def false_marks(marked: int, tested: int, mark_level: float, level: float) -> int:
    """The most of the ``marked`` records that bear no mark, at ``level``.

    False marks are binomial among the tested records without a true mark, of which there are
    tested - marked + f when f marks are false: the largest f with f <= quantile(f) remains. What is
    not marked may be synthetic; nothing is said of it.

    >>> false_marks(50, 100_000, 1e-4, 0.95)
    15
    """
    from scipy.stats import binom

    found = marked
    while True:
        bound = int(binom.ppf(level, tested - marked + found, mark_level))
        if bound >= found:
            return found
        found = max(bound, 0)


def together(slices: Sequence[Prevalence | None]) -> Prevalence | None:
    """Slices as one, weighted by size: shares and ends of intervals are averaged.

    None for one slice, and where one is refused. The standard error of a sum is at most the sum of
    the standard errors, whatever the dependence (Minkowski), and slices share their held-out texts:
    the averaged ends cover at the slices' level wherever their errors are about normal.
    """
    found = [one for one in slices if one is not None]
    if len(found) < 2 or len(found) < len(slices):
        return None
    n = sum(one.n for one in found)
    share, lo, hi = (
        min(math.fsum(one.n * value for one, value in zip(found, values, strict=True)) / n, 1.0)
        for values in zip(*((one.share, one.lo, one.hi) for one in found), strict=True)
    )
    widened = any(one.status == "widened" for one in found)
    note = "slices weighted by size" + (", some of them widened" if widened else "")
    fit_p = min(one.fit_p for one in found)
    return Prevalence(share, lo, hi, n, fit_p, "widened" if widened else "ok", note)


def _rogan_gladen(called: float, sensitivity: float, specificity: float) -> float:
    return (called + specificity - 1) / (sensitivity + specificity - 1)
