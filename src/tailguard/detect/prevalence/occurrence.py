"""Word occurrence: the corpus estimate of Liang et al. 2024, and its score per document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailguard.detect.base import DetectorError, Texts, as_array
from tailguard.measure.base import Floats, Hashes
from tailguard.measure.tokens import Tokens, tokenize

LEAST_DOCUMENTS = 5
"""A word counts when this many documents of both kinds together hold it."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Log-odds that a word occurs in a document, human against synthetic.

    ``words`` sorted hashes (V,), ``gain`` (V,) what the presence of each adds to the log-likelihood
    ratio, ``base`` the ratio of a document with none of them, in nats. Words are taken as
    independent, which they are not: the ratio is too extreme, and the plain estimate
    :meth:`plain_share` biased by it. Used as a score with held-out documents
    (:func:`~tailguard.detect.prevalence.score_prevalence`), that does no harm.

    Source: Liang et al. 2024, "Monitoring AI-Modified Content at Scale".
    """

    words: Hashes
    gain: Floats
    base: float

    @classmethod
    def fit(cls, human: Texts, synthetic: Texts) -> Occurrence:
        """Count in how many documents of each kind every word occurs (+ 1/2, of n + 1).

        >>> found = Occurrence.fit(["a b"] * 9, ["a c"] * 9)
        >>> low, high = found.score(["a b", "a c"])
        >>> bool(low < 0 < high)
        True
        """
        sides = [_pairs(tokenize(as_array(texts))) for texts in (human, synthetic)]
        n = [len(human), len(synthetic)]
        if min(n) < LEAST_DOCUMENTS:
            got = str(min(n))
            raise DetectorError("occurrence", f"{LEAST_DOCUMENTS} texts of each kind", got, "add")
        words, total = np.unique(np.concatenate([w for w, _ in sides]), return_counts=True)
        words = words[total >= LEAST_DOCUMENTS]
        logs = []
        for (own, _), size in zip(sides, n, strict=True):
            ordered = np.sort(own)
            upto = np.searchsorted(ordered, words, "right")
            held = upto - np.searchsorted(ordered, words, "left")
            share = (held + 0.5) / (size + 1.0)
            logs.append((np.log(share), np.log1p(-share)))
        absent = logs[1][1] - logs[0][1]
        return cls(words, logs[1][0] - logs[0][0] - absent, float(absent.sum()))

    def score(self, texts: Texts) -> Floats:
        """Log-likelihood ratio of every text, shape (n,); nan for a text without a word."""
        tokens = tokenize(as_array(texts))
        words, document = _pairs(tokens)
        out = np.full(len(tokens), self.base)
        if len(self.words):
            at = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
            gain = np.where(self.words[at] == words, self.gain[at], 0.0)
            out += np.bincount(document, gain, minlength=len(tokens))
        out[tokens.lengths == 0] = np.nan
        return out


def plain_share(ratios: Floats) -> float:
    """The likeliest a of prod (1 - a + a exp(ratio)): the estimate as published, uncorrected.

    >>> plain_share(np.array([-2.0, -2.0, 2.0, 2.0]))
    0.5
    """
    known = ratios[np.isfinite(ratios)]
    if not len(known):
        return float("nan")
    odds = np.expm1(np.clip(known, -50.0, 50.0))
    lo, hi = 0.0, 1.0
    for _ in range(60):
        a = (lo + hi) / 2
        lo, hi = (a, hi) if float((odds / (1 + a * odds)).sum()) > 0 else (lo, a)
    return round((lo + hi) / 2, 12)


def _pairs(tokens: Tokens) -> tuple[Hashes, np.typing.NDArray[np.int64]]:
    """Each distinct word of each document once: its hash and the document's number."""
    document = np.repeat(np.arange(len(tokens)), tokens.lengths)
    order = np.lexsort((tokens.hashes, document))
    words, document = tokens.hashes[order], document[order]
    first = np.ones(len(words), bool)
    first[1:] = (words[1:] != words[:-1]) | (document[1:] != document[:-1])
    return words[first], document[first]
