"""Which human tails a filter deletes: rates with intervals, a null, and what words are lost.

The documents are known to be human, so everything deleted is a false positive. The null is a filter
that deletes as many documents without looking at the tail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tailguard.detect.base import DetectorError, Texts, as_array
from tailguard.detect.prevalence.strata import binomial_interval
from tailguard.detect.tails.kinds import Kind, Mask, Words, group_kinds, text_kinds
from tailguard.detect.watermark.nulls import holm
from tailguard.measure.base import Floats
from tailguard.measure.rarefaction import mao_tau

LEAST = 20
"""Human documents below which no report is made."""
ALPHA = 0.05
"""The chance that a filter which looks at no tail is flagged anywhere in a report."""
EFFECT = 1.5
"""A tail is flagged only where it is deleted at least this many times as often as the rest."""
POWER = 0.8
BANDS = ((1, 1), (2, 5), (6, 20))
"""Bands of word types by how often they occur in the gold."""
_TABLES = 2
_ROUNDS, _WORK = 999, 200_000_000


@dataclass(frozen=True, slots=True)
class Tail:
    """What a filter does to one tail of ``n`` documents, ``deleted`` of which it deletes.

    ``rate`` = deleted / n, the false-positive rate there, with the exact 95% interval ``lo``,
    ``hi`` (Clopper and Pearson 1934). ``ratio`` = rate over ``rest``, the rate of the other
    documents, with the 95% interval ``ratio_lo``, ``ratio_hi`` that is exact for rare deletions
    and too wide for others; inf where only the tail loses, nan where nobody does. ``p`` is
    Fisher's one-sided p-value, corrected over the report; nan without a tail or a rest.
    ``flagged``: p < ``ALPHA`` and ratio >= ``EFFECT``. ``detectable`` is the smallest rate that
    would have been flagged with chance ``POWER``; nan where even a deleted tail would not have
    been. ``mass_deletion`` and ``mass_weighting`` are the tail's share of the humans that are
    left, over its share before: 1 is harmless, 0 is gone; nan without weights.
    """

    by: str
    name: str
    definition: str
    n: int
    deleted: int
    rate: float
    lo: float
    hi: float
    rest: float
    ratio: float
    ratio_lo: float
    ratio_hi: float
    p: float
    detectable: float
    flagged: bool
    mass_deletion: float
    mass_weighting: float


@dataclass(frozen=True, slots=True)
class WordLoss:
    """Word types seen ``least`` to ``most`` times in the gold, and the share that survives.

    ``surviving`` of the ``types`` still stand in a document that is kept. ``expected`` is the mean
    of that share when as many documents are deleted at random, ``lo`` and ``hi`` its central 95%,
    ``p`` the corrected chance of a loss as large by such a deletion. ``flagged``: p < ``ALPHA`` and
    a loss of at least ``EFFECT`` times the expected one. All nan without such types.
    """

    least: int
    most: int
    types: int
    surviving: float
    expected: float
    lo: float
    hi: float
    p: float
    flagged: bool


@dataclass(frozen=True, slots=True)
class TailReport:
    """What a filter deletes of ``n`` human documents: ``deleted`` of them, by tail and by words."""

    n: int
    deleted: int
    tails: tuple[Tail, ...]
    words: tuple[WordLoss, ...]

    @property
    def flagged(self) -> tuple[Tail, ...]:
        """The tails that lose more than the rest, beyond chance and beyond the margin."""
        return tuple(tail for tail in self.tails if tail.flagged)

    @property
    def lines(self) -> list[str]:
        """The report as text: the whole, one line per tail with documents, one per band of words.

        Names are those of the data, with what cannot be printed replaced.
        """
        share = self.deleted / self.n
        out = [f"deletes {self.deleted:,} of {self.n:,} human documents ({share:.2%})"]
        out += [_line(tail) for tail in self.tails if tail.n]
        for loss in self.words:
            if loss.types:
                span = f"{loss.least}" if loss.least == loss.most else f"{loss.least}-{loss.most}"
                out.append(
                    f"{'  LOST ' if loss.flagged else '       '}words seen {span} times: "
                    f"{loss.surviving:.2%} of {loss.types:,} survive; at random {loss.expected:.2%}"
                    f" [{loss.lo:.2%}, {loss.hi:.2%}], p {loss.p:.2g}"
                )
        return out

    def as_dict(self) -> dict[str, Any]:
        """All numbers under their names, for JSON once nan and infinity are replaced."""
        return {
            "n": self.n,
            "deleted": self.deleted,
            "tails": [asdict(tail) for tail in self.tails],
            "words": [asdict(loss) for loss in self.words],
        }


def deleted_tails(
    texts: Texts,
    deleted: Mask,
    groups: Mapping[str, Sequence[str | None]] | None = None,
    *,
    rng: np.random.Generator,
    weights: Floats | None = None,
) -> TailReport:
    """Which tails of known human ``texts`` a filter deletes; ``deleted`` (n,) is its decision.

    ``groups`` holds columns of group names, ``weights`` (n,) the importance weights of the same
    documents, nan where there is none. ``rng`` draws the random deletions that word loss is
    compared with. Documents are taken as independent: many of one author make the p-values too
    small. Raises :class:`DetectorError` below ``LEAST`` documents and for what does not align.

    >>> human = [f"w{i} is a text of its own, number {i}" for i in range(200)]
    >>> gone = np.arange(200) < 20
    >>> report = deleted_tails(human, gone, {"writer": ["learner"] * 20 + ["native"] * 180},
    ...                        rng=np.random.default_rng(0))
    >>> [(tail.name, tail.rate, tail.ratio) for tail in report.flagged]
    [('learner', 1.0, inf)]
    """
    array, gone = as_array(texts), _checked(deleted, len(texts))
    kinds, words = text_kinds(array)
    kinds = group_kinds(groups or {}, len(array)) + kinds
    return report_tails(kinds, words, gone, rng=rng, weights=weights)


def report_tails(
    kinds: Sequence[Kind],
    words: Words,
    deleted: Mask,
    *,
    rng: np.random.Generator,
    weights: Floats | None = None,
) -> TailReport:
    """:func:`deleted_tails` where the kinds are known already, as for several filters."""
    gone = _checked(deleted, len(words))
    if weights is not None and np.shape(weights) != (len(words),):
        got = f"shape {np.shape(weights)} for {len(words)} texts"
        raise DetectorError("weights", "one for each text", got, "align them")
    tails = compare_tails(kinds, gone, weights=weights)
    return TailReport(len(words), int(gone.sum()), tuple(tails), word_loss(words, gone, rng=rng))


def compare_tails(
    kinds: Sequence[Kind], deleted: Mask, *, weights: Floats | None = None
) -> list[Tail]:
    """Every kind's deletion rate beside its rest's, tested and corrected.

    P-values are Fisher's, one-sided: the chance of at least as many deleted in the tail when the
    deleted are drawn from tail and rest alike (hypergeometric). Holm's steps correct over the
    kinds, and a factor of 2 for the table of words beside them. Source: Fisher 1935; Holm 1979.
    """
    from scipy.stats import hypergeom

    table = np.array([_counts(kind, deleted) for kind in kinds], np.int64).reshape(-1, 4)
    k, n, others, rest = table.T
    p = np.where((n > 0) & (rest > 0), hypergeom.sf(k - 1, n + rest, k + others, n), np.nan)
    known = p[~np.isnan(p)]
    corrected = np.minimum(_TABLES * holm(p), 1.0) if len(p) else p
    level = ALPHA / (_TABLES * max(len(known), 1))
    return [
        _tail(kind, tuple(row), float(each), level, deleted, weights)
        for kind, row, each in zip(kinds, table.tolist(), corrected, strict=True)
    ]


def word_loss(words: Words, deleted: Mask, *, rng: np.random.Generator) -> tuple[WordLoss, ...]:
    """The share of rare word types that deletion leaves, beside deletion at random.

    A type held by d of N documents survives the random deletion of N - k of them with chance
    1 - C(N-d, k) / C(N, k), exactly; the spread, which depends on what words stand together, is
    drawn. Holm corrects over the bands, and a factor of 2 for the table of tails.

    >>> from tailguard.detect.detectors.base import Prepared
    >>> from tailguard.detect.tails.kinds import words_of
    >>> words = words_of(Prepared.of(["a b", "a", "c a", "d a"]))
    >>> gone = np.array([True, False, False, False])
    >>> once = word_loss(words, gone, rng=np.random.default_rng(0))[0]
    >>> once.types, round(once.surviving, 3), once.expected
    (3, 0.667, 0.75)

    Source: Colwell, Mao and Chang 2004 for the mean.
    """
    total, gone = len(words), np.flatnonzero(deleted)
    bands = [(words.total >= a) & (words.total <= b) for a, b in BANDS]
    which = np.full(len(words.total), -1)
    for at, band in enumerate(bands):
        which[band] = at
    sizes = np.array([band.sum() for band in bands])
    entries = max(1, len(words.types) * len(gone) // max(total, 1))
    rounds = int(np.clip(_WORK // (entries + len(which)), 199, _ROUNDS))
    seen = _lost(words, gone, which)
    null = np.array([
        _lost(words, rng.choice(total, len(gone), replace=False), which) for _ in range(rounds)
    ])  # fmt: skip
    p = (1.0 + (null >= seen).sum(axis=0)) / (rounds + 1.0)
    p = np.minimum(_TABLES * holm(np.where(sizes > 0, p, np.nan)), 1.0)
    out = []
    for at, ((least, most), band) in enumerate(zip(BANDS, bands, strict=True)):
        if not sizes[at]:
            nan = float("nan")
            out.append(WordLoss(least, most, 0, nan, nan, nan, nan, nan, False))
            continue
        mean = mao_tau(words.held[band], total, total - len(gone)) / sizes[at]
        left = 1.0 - seen[at] / sizes[at]
        lo, hi = 1.0 - np.quantile(null[:, at], [0.975, 0.025]) / sizes[at]
        big = bool(1.0 - left >= EFFECT * (1.0 - mean))
        flagged = big and bool(p[at] < ALPHA)
        out.append(WordLoss(least, most, int(sizes[at]), float(left), float(mean), float(lo),
                            float(hi), float(p[at]), flagged))  # fmt: skip
    return tuple(out)


def ratio_interval(
    k: int, n: int, others: int, rest: int, level: float = 0.95
) -> tuple[float, float]:
    """The interval of (k / n) / (others / rest), each a rate of rare events.

    Given k + others, k is binomial with chance s = r n / (r n + rest) when both counts are
    Poisson: the exact interval of s is turned into one of r. Counts out of n vary less than
    Poisson counts, so that it covers with ``level`` or more. (0, inf) where nothing was counted.
    Source: Przyborowski and Wilenski 1940.

    >>> [round(x, 2) for x in ratio_interval(10, 100, 10, 500)]
    [1.87, 13.39]
    """
    if not k + others or not n or not rest:
        return 0.0, float("inf")
    lo, hi = binomial_interval(k, k + others, level)
    scale = rest / n
    return lo / (1 - lo) * scale if lo < 1 else float("inf"), (
        hi / (1 - hi) * scale if hi < 1 else float("inf")
    )


def _counts(kind: Kind, deleted: Mask) -> tuple[int, int, int, int]:
    """Deleted and all in the tail, deleted and all in the rest."""
    if len(kind.inside) != len(deleted):
        got = f"{len(kind.inside)} for {len(deleted)} documents"
        raise DetectorError(kind.by, "a tail of the same documents", got, "align them")
    rest = kind.known & ~kind.inside
    return (int((kind.inside & deleted).sum()), int(kind.inside.sum()),
            int((rest & deleted).sum()), int(rest.sum()))  # fmt: skip


def _tail(
    kind: Kind, row: tuple[int, ...], p: float, level: float, deleted: Mask, weights: Floats | None
) -> Tail:
    k, n, others, rest = row
    nan = float("nan")
    rate, base = k / n if n else nan, others / rest if rest else nan
    ratio = nan if not n or not rest or not k + others else rate / base if others else float("inf")
    kept = 1.0 - (k + others) / (n + rest) if n + rest else 0.0
    weight = nan
    if weights is not None:
        # Among the documents that this tail can be told of, as for deletion.
        mine, all_ = weights[kind.inside], weights[kind.known]
        mine, all_ = mine[~np.isnan(mine)], all_[~np.isnan(all_)]
        if len(mine) and all_.sum() > 0:
            weight = float(mine.mean() / all_.mean())
    flagged = bool(p < ALPHA and ratio >= EFFECT)
    seen = _detectable(n, others, rest, level)
    return Tail(kind.by, kind.name, kind.definition, n, k, rate, *binomial_interval(k, n, 0.95),
                base, ratio, *ratio_interval(k, n, others, rest), p, seen, flagged,
                (1.0 - rate) / kept if kept > 0 else nan, weight)  # fmt: skip


def _detectable(n: int, others: int, rest: int, level: float) -> float:
    """The rate in a tail of n at which the least count that is flagged is reached with ``POWER``.

    At the level of Bonferroni, which Holm's is never below, and given the rest's count.
    """
    from scipy.stats import beta, hypergeom

    if not n or not rest:
        return float("nan")

    def enough(k: int) -> bool:
        chance = float(hypergeom.sf(k - 1, n + rest, k + others, n))
        return chance < level and k / n >= EFFECT * others / rest

    # More in the tail is only ever less likely by chance, so the least count is bisected.
    low, least = 0, n
    if not enough(n):
        return float("nan")
    while least - low > 1:
        middle = (low + least) // 2
        low, least = (low, middle) if enough(middle) else (middle, least)
    # P(Binomial(n, r) >= k) = P(Beta(k, n - k + 1) <= r)
    return float(beta.ppf(POWER, least, n - least + 1))


def _lost(words: Words, gone: Any, which: Any) -> Any:
    """How many types of each band stand in documents that are ``gone`` and in no other."""
    starts, ends = words.offsets[gone], words.offsets[gone + 1]
    size = ends - starts
    # The pairs of the chosen documents, one run after another.
    at = np.repeat(starts - np.cumsum(size) + size, size) + np.arange(size.sum())
    held = np.bincount(words.types[at], minlength=len(words.held))
    dead = (held == words.held) & (which >= 0)
    return np.bincount(which[dead], minlength=len(BANDS))


def _checked(deleted: Any, n: int) -> Mask:
    gone = np.asarray(deleted)
    if gone.dtype != np.bool_ or gone.shape != (n,):
        got = f"{gone.dtype} of shape {gone.shape} for {n} texts"
        raise DetectorError("deleted", "true or false for each text", got, "align them")
    if n < LEAST:
        expected = f"at least {LEAST} human documents to report on"
        raise DetectorError("tails", expected, str(n), "add human documents")
    return gone


def _line(tail: Tail) -> str:
    name = "".join(c if c.isprintable() else "?" for c in f"{tail.by}: {tail.name}")[:60]
    line = f"{'  LOST ' if tail.flagged else '       '}{name}: {tail.deleted:,} of {tail.n:,} "
    line += f"deleted, {tail.rate:.2%} [{tail.lo:.2%}, {tail.hi:.2%}], "
    if np.isnan(tail.p):
        line += "no other documents to compare with"
    elif np.isnan(tail.ratio):
        line += "as of the rest"
    else:
        line += f"{tail.ratio:.3g} times the rest's [{tail.ratio_lo:.2g}, {tail.ratio_hi:.2g}]"
        line += f", p {tail.p:.2g}"
    if not tail.flagged and not np.isnan(tail.p):
        seen = tail.detectable
        line += "; no loss could show" if np.isnan(seen) else f"; {seen:.1%} would have shown"
    if not np.isnan(tail.mass_weighting):
        line += f"; mass left {tail.mass_deletion:.2f} deleting, {tail.mass_weighting:.2f} weighing"
    return line
