"""The language-model detector: how much likelier a text is among synthetic than human texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tailguard.detect.base import DetectorError, Texts
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import (
    Labels,
    Prepared,
    Stored,
    TextDetector,
    logistic,
    unfitted,
)
from tailguard.detect.detectors.combination import whole_folds
from tailguard.detect.detectors.ngram_tables import MOST, Grams, NgramTables
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand

ORDER = 3
MOST_ORDER = 5
LEAST_DISCOUNT = 0.01
"""Beside large counts, a smaller one is rounded away, and the unseen becomes impossible."""
MOST_TILT = 1.0
"""At 2 one model would speak alone, and its perplexity is no evidence; half of that is allowed."""
ENOUGH = 1 << 21
"""Words from which the tilt is learnt at most: it is one number."""


@dataclass(slots=True)
class LanguageModelDetector(TextDetector):
    """Log-ratio of two word n-gram language models, one of human and one of synthetic texts.

    With H and S a text's cross-entropies against both models (``cross_entropies``), the score is

        (H - S) - tilt * ((H + S) / 2 - centre),    H - S = (log p_synthetic - log p_human) / words

    in nats per word, of either sign; nan for a text without a word. The models have ``order`` words
    and absolute discounting with ``discount`` D in [0.01, 1] (see
    :mod:`tailguard.detect.detectors.ngram_tables`); ``most`` bounds the n-grams kept per order.

    The ratio alone is the likelihood ratio of Neyman and Pearson with estimates for both laws, and
    both are worst about what is rare. A class of which some texts stand several times over, or
    whose texts are fewer, gets a model that expects too few or too many new words, and the ratio
    then drifts with how surprising a text is to either model. ``tilt``, in [-1, 1], takes that out.
    It is learnt with ``centre``, the mean of (H + S) / 2, from each half of the training texts by
    models of the other half (:func:`halves`); a bound keeps the ratio in charge. Without
    ``groups``, or with ``tilted=False``, it is 0. Texts that were fitted on score too clearly. The
    file holds counts of n-grams under hashes, not the texts.

    Source: Ney, Essen and Kneser 1994 for the models; the tilt is ours.

    >>> human = [f"we saw {i} boats near the old pier and ate" for i in range(20)]
    >>> synthetic = [f"in conclusion {i} aspects play a crucial role overall" for i in range(20)]
    >>> detector = LanguageModelDetector().fit(human, synthetic)
    >>> low, high = detector.score(["boats near the pier", "a crucial role in conclusion"])
    >>> bool(low < 0 < high)
    True
    """

    kind: ClassVar[str] = "language-model"

    window: Window = field(default_factory=Window)
    order: int = ORDER
    discount: float = 0.9
    most: int = MOST
    tilted: bool = True
    tilt: float = 0.0
    centre: float = 0.0
    tables: NgramTables | None = None

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        self._check()
        everything = np.ones(len(texts), np.bool_)
        self.tables = self._models(texts, synthetic, everything)
        self.tilt, self.centre = 0.0, 0.0
        if self.tilted:
            self._learn_tilt(texts, synthetic, groups)

    def _models(self, texts: Prepared, synthetic: Labels, chosen: Labels) -> NgramTables:
        return NgramTables.count(
            *_part(texts, chosen), synthetic[chosen],
            order=self.order, discount=self.discount, most=self.most,
        )  # fmt: skip

    def _learn_tilt(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        half = halves(synthetic, groups)
        if half is None:
            return
        some = _some(texts, groups)
        rows, found = [], []
        for side in (0, 1):
            known, held = some & (half != side), some & (half == side)
            if not held.any() or len(set(synthetic[known].tolist())) < 2:
                return
            rows.append(np.flatnonzero(held))
            found.append(_cross_entropies(self._models(texts, synthetic, known), texts, held))
        each = np.concatenate(found)
        ratio, mean = each[:, 0] - each[:, 1], each.mean(axis=1)
        spread = np.array([ratio.std(), mean.std()])
        labels = synthetic[np.concatenate(rows)]
        if not spread.all() or len(set(labels.tolist())) < 2:
            return
        features = np.column_stack([ratio - ratio.mean(), mean - mean.mean()]) / spread
        weights = logistic(features, labels, 1.0)[0] / spread
        if weights[0] > 0:
            self.tilt = float(np.clip(-weights[1] / weights[0], -MOST_TILT, MOST_TILT))
            self.centre = float(mean.mean())

    def _score(self, texts: Prepared) -> Floats:
        tables = self._fitted()
        return self._tilt(_cross_entropies(tables, texts, np.ones(len(texts), np.bool_)))

    def _tilt(self, each: Floats) -> Floats:
        """The score of rows of H and S, whether of texts or of words."""
        return (each[:, 0] - each[:, 1]) - self.tilt * (each.mean(axis=1) - self.centre)

    def cross_entropies(self, texts: Texts) -> Floats:
        """Nats per word against the human and the synthetic model alone, shape (n, 2).

        -log p / words, above 0; nan for a text without a word. exp of a column is a perplexity.

        Perplexity against gold, the first column alone, is weak evidence and can invert: whether
        synthetic texts look likelier or less likely to a model of human texts changes with their
        generator and topic. Never filter on it alone. A filter that keeps likely texts keeps the
        commonest words and deletes the tail of human writing, whoever wrote it.
        """
        found = Prepared.of(texts, self.window)
        each = _cross_entropies(self._fitted(), found, np.ones(len(found), np.bool_))
        return np.where(found.usable[:, None], each, np.nan)

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """The words that moved a text's score most, with their share of it, in nats per word.

        A word's share is its own score given the words before it, summed over where it stands,
        over the words of the text; all shares sum to the score. Positive speaks for synthetic.
        """
        tables = self._fitted()
        tokens = Prepared.of([text], self.window).tokens
        if not len(tokens.hashes):
            return []
        moved = self._tilt(-tables.logs(tokens.hashes, tokens.offsets))
        _, first, which = np.unique(tokens.hashes, return_index=True, return_inverse=True)
        shares = np.bincount(which, moved) / len(moved)
        best = np.lexsort((first, -np.abs(shares)))[:most]
        return [(tokens.text(int(first[k])), float(shares[k])) for k in best]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        tables = self._fitted()
        arrays: Arrays = {}
        for n, grams in enumerate(tables.grams, 1):
            arrays[f"{n}.keys"], arrays[f"{n}.counts"] = grams.keys, grams.counts
            if n > 1:
                arrays[f"{n}.context"], arrays[f"{n}.suffix"] = grams.context, grams.suffix
        return {
            "order": len(tables.grams), "discount": float(tables.discount), "most": self.most,
            "tilted": self.tilted, "tilt": self.tilt, "centre": self.centre,
        }, arrays  # fmt: skip

    @classmethod
    def restore(
        cls, window: Window, settings: dict[str, Any], stored: Stored
    ) -> LanguageModelDetector:
        order, most, discount = settings["order"], settings["most"], settings["discount"]
        tilted, tilt, centre = settings["tilted"], settings["tilt"], settings["centre"]
        demand(type(order) is int and 1 <= order <= MOST_ORDER, "a bad order")
        demand(type(most) is int and 1 <= most <= MOST, "a bad number of n-grams")
        demand(type(discount) is float and LEAST_DISCOUNT <= discount <= 1, "a bad discount")
        demand(type(tilted) is bool, "a bad setting")
        demand(type(tilt) is float and abs(tilt) <= MOST_TILT, "a bad tilt")
        demand(type(centre) is float and abs(centre) <= 1000, "a bad centre")
        grams: list[Grams] = []
        for n in range(1, order + 1):
            part = stored.within(str(n))
            keys = part.take("keys", "<u8", (None,))
            counts = part.take("counts", "<u4", (len(keys), 2))
            context = suffix = np.zeros(len(keys), np.uint32)
            if n > 1:
                context = part.take("context", "<u4", (len(keys),))
                suffix = part.take("suffix", "<u4", (len(keys),))
            grams.append(Grams(keys, counts, context, suffix))
        tables = NgramTables(tuple(grams), discount)
        tables.check()
        return cls(window, order, discount, most, tilted, tilt, centre, tables)

    def _check(self) -> None:
        if not 1 <= self.order <= MOST_ORDER:
            raise DetectorError("order", f"1 to {MOST_ORDER} words", str(self.order), "use 3")
        if not LEAST_DISCOUNT <= self.discount <= 1:
            got = str(self.discount)
            raise DetectorError("discount", f"{LEAST_DISCOUNT} to 1", got, "use 0.9")
        if not 1 <= self.most <= MOST:
            raise DetectorError("most", f"1 to {MOST} n-grams", str(self.most), f"use {MOST}")

    def _fitted(self) -> NgramTables:
        if self.tables is None:
            raise unfitted()
        return self.tables


def halves(synthetic: Labels, groups: Ints) -> Ints | None:
    """0 or 1 for every text, shape (n,): two halves that keep groups whole and hold both classes.

    None where there are none, and where no two texts share a group. Texts of two classes often come
    in pairs, of one prompt or subject; a half then knows its texts' counterparts in the other, and
    what it shows of them is upside down. So nothing is learnt from halves unless groups are known.

    >>> halves(np.array([False, True, True, False]), np.array([0, 0, 1, 1])).tolist()
    [0, 0, 1, 1]
    >>> halves(np.array([False, True, True, False]), np.arange(4)) is None
    True
    """
    if not 1 < len(np.unique(groups)) < len(groups):
        return None
    half = whole_folds(groups, 2)
    return half if len(np.unique(2 * half + synthetic)) == 4 else None


def _some(texts: Prepared, groups: Ints) -> Labels:
    """Whole groups, evenly, with about ``ENOUGH`` words."""
    every = -(-len(texts.tokens.hashes) // ENOUGH)
    chosen: Labels = np.unique(groups, return_inverse=True)[1] % max(every, 1) == 0
    return chosen


def _part(texts: Prepared, chosen: Labels) -> tuple[Any, Ints]:
    """Words and offsets of some texts."""
    lengths = texts.tokens.lengths
    offsets = np.concatenate([[0], np.cumsum(lengths[chosen])]).astype(np.int64)
    whole = bool(chosen.all())
    hashes = texts.tokens.hashes
    return hashes if whole else hashes[np.repeat(chosen, lengths)], offsets


def _cross_entropies(tables: NgramTables, texts: Prepared, chosen: Labels) -> Floats:
    """H and S of some texts, shape (chosen, 2); zeros for a text without a word."""
    hashes, offsets = _part(texts, chosen)
    found: Floats = -tables.sums(hashes, offsets) / np.maximum(np.diff(offsets), 1)[:, None]
    return found
