"""The linear detector: hashed word and character grams, a regularised logistic regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailguard.detect.base import DetectorError, Texts, as_array
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.features import BITS, counts_matrix, linear_scores, weigh
from tailguard.measure.base import Floats, Hashes
from tailguard.measure.tokens import tokenize

LEAST = 20
"""Documents of each class below which nothing is fitted."""


@dataclass(slots=True)
class LinearDetector:
    """Log-odds of "synthetic" by a linear model of hashed grams, at equal class weight.

    ``window`` says which words of a text are looked at, ``bits`` the buckets per block (2**bits),
    ``penalty`` scikit-learn's C. After ``fit``: ``idf`` and ``weights``, shape (2 * 2**bits,), and
    ``bias``. The score is the model's log-odds in nats; it is calibrated nowhere but in
    :mod:`tailguard.detect.calibration`, and means little on texts of another domain.

    Source: Joulin et al. 2017 and Solaiman et al. 2019 for linear baselines of this kind.

    >>> human = [f"we saw {i} boats near the old pier and ate" for i in range(20)]
    >>> synthetic = [f"in conclusion {i} aspects play a crucial role overall" for i in range(20)]
    >>> detector = LinearDetector(bits=10).fit(human, synthetic)
    >>> low, high = detector.score(["boats near the pier", "a crucial role in conclusion"])
    >>> bool(low < 0 < high)
    True
    """

    window: Window = field(default_factory=Window)
    bits: int = BITS
    penalty: float = 10.0
    idf: Floats | None = None
    weights: Floats | None = None
    bias: float = 0.0

    def fit(self, human: Texts, synthetic: Texts) -> LinearDetector:
        """Fit on both classes; texts without a word are left out.

        Raises :class:`DetectorError` with fewer than ``LEAST`` usable texts of a class, or when
        both classes hold the same texts.
        """
        sides = [_usable(side, self.window) for side in (human, synthetic)]
        for name, side in zip(("human", "synthetic"), sides, strict=True):
            if len(side) < LEAST:
                expected = f"at least {LEAST} {name} texts with words to fit on"
                raise DetectorError("detector", expected, str(len(side)), f"add {name} texts")
        both = pa.concat_arrays(sides)
        labels = np.repeat([0, 1], [len(side) for side in sides])
        if pc.all(pc.is_in(sides[1], value_set=sides[0])).as_py():
            got = "classes of the same texts"
            raise DetectorError("detector", "two different classes", got, "check the files")
        counts = counts_matrix(both, self.bits)
        found = np.bincount(counts.indices, minlength=counts.shape[1])
        self.idf = np.log((1.0 + len(both)) / (1.0 + found)) + 1.0
        self.weights, self.bias = _logistic(weigh(counts, self.idf), labels, self.penalty)
        return self

    def score(self, texts: Texts) -> Floats:
        """Log-odds of "synthetic" of every text, shape (n,); nan for a text without a word."""
        idf, weights = self._fitted()
        found = canonical(texts, self.window)
        return linear_scores(found, self.bits, idf, weights, self.bias)

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """The words and word pairs that moved a text's score most, with their share of it, in nats.

        Positive speaks for synthetic. Only word grams can be named; the character grams' sum
        comes last, as ``(characters)``.
        """
        idf, weights = self._fitted()
        found = canonical([text], self.window)
        tokens = tokenize(found)
        if not len(tokens.hashes):
            return []
        row = weigh(counts_matrix(found, self.bits), idf)
        parts = dict(
            zip(row.indices.tolist(), (row.data * weights[row.indices]).tolist(), strict=True)
        )
        shift = np.uint64(64 - self.bits)
        named: dict[int, str] = {}
        with np.errstate(over="ignore"):
            one = (_mix(tokens.hashes) >> shift).astype(np.int64)
            pair = tokens.hashes[:-1] * np.uint64(0x9E3779B97F4A7C15) + tokens.hashes[1:]
            two = (_mix(pair) >> shift).astype(np.int64)
        for width, buckets in ((1, one), (2, two)):
            for at, bucket in enumerate(buckets.tolist()):
                named.setdefault(bucket, tokens.text(at, at + width))
        best = sorted(named, key=lambda bucket: (-abs(parts[bucket]), bucket))[:most]
        letters = sum(value for bucket, value in parts.items() if bucket >= 1 << self.bits)
        return [(named[bucket], parts[bucket]) for bucket in best] + [("(characters)", letters)]

    def _fitted(self) -> tuple[Floats, Floats]:
        if self.idf is None or self.weights is None:
            raise DetectorError("detector", "a fitted detector", "an unfitted one", "call fit")
        return self.idf, self.weights


def _mix(x: Hashes) -> Hashes:
    """``tokens.mix64`` over an array: few tokens are explained, so it need not be compiled."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _usable(texts: Texts, window: Window) -> pa.Array:
    found = canonical(as_array(texts), window)
    kept = np.diff(tokenize(found).offsets) > 0
    return found.filter(pa.array(kept))


def _logistic(features: Any, labels: Any, penalty: float) -> tuple[Floats, float]:
    from sklearn.linear_model import LogisticRegression

    # Where one class is rare, equal weights would move the bias only; balanced moves the fit too.
    model = LogisticRegression(
        C=penalty, class_weight="balanced", solver="liblinear", dual=True, random_state=0,
        max_iter=1000, tol=1e-3,
    )  # fmt: skip
    model.fit(features, labels)
    return np.ascontiguousarray(model.coef_[0], np.float64), float(model.intercept_[0])
