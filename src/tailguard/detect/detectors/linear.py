"""The linear detector: hashed word and character grams, a regularised logistic regression."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import (
    Labels,
    Prepared,
    Stored,
    TextDetector,
    logistic,
    unfitted,
)
from tailguard.detect.detectors.hashed import (
    BITS,
    counts_matrix,
    linear_evidence,
    linear_scores,
    weigh,
)
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand


@dataclass(slots=True)
class LinearDetector(TextDetector):
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

    kind: ClassVar[str] = "linear"

    window: Window = field(default_factory=Window)
    bits: int = BITS
    penalty: float = 10.0
    idf: Floats | None = None
    weights: Floats | None = None
    bias: float = 0.0

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        counts = counts_matrix(texts, self.bits)
        found = np.bincount(counts.indices, minlength=counts.shape[1])
        self.idf = np.log((1.0 + len(texts)) / (1.0 + found)) + 1.0
        self.weights, self.bias = logistic(weigh(counts, self.idf), synthetic, self.penalty)

    def _score(self, texts: Prepared) -> Floats:
        idf, weights = self._fitted()
        return linear_scores(texts, self.bits, idf, weights, self.bias)

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """The words and word pairs that moved a text's score most, with their share of it, in nats.

        Positive speaks for synthetic. Only word grams can be named; the character grams' sum
        comes last, as ``(characters)``.
        """
        return self.evidence_prepared(
            Prepared.of([text], self.window), np.zeros(1, np.int64), most
        )[0]

    def evidence_prepared(
        self, texts: Prepared, rows: Ints, most: int = 5
    ) -> list[list[tuple[str, float]]]:
        idf, weights = self._fitted()
        return linear_evidence(texts, self.bits, idf, weights, rows, most)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        idf, weights = self._fitted()
        used = np.flatnonzero(weights)
        arrays: Arrays = {"used": used, "weights": weights[used], "idf": idf}
        return {"bits": self.bits, "penalty": self.penalty, "bias": self.bias}, arrays

    @classmethod
    def restore(cls, window: Window, settings: dict[str, Any], stored: Stored) -> LinearDetector:
        bits = settings["bits"]
        demand(type(bits) is int and 4 <= bits <= 24, "a bad number of buckets")
        used = stored.take("used", "<i8", (None,))
        weights = np.zeros(2 << bits)
        demand(bool((used[1:] > used[:-1]).all()), "buckets out of order")
        demand(not len(used) or bool(used[0] >= 0 and used[-1] < len(weights)), "a bad bucket")
        weights[used] = stored.take("weights", "<f8", (len(used),))
        idf = stored.take("idf", "<f8", (len(weights),))
        bias, penalty = float(settings["bias"]), float(settings["penalty"])
        demand(math.isfinite(bias) and math.isfinite(penalty) and penalty > 0, "a bad setting")
        return cls(window, bits, penalty, idf, weights, bias)

    def _fitted(self) -> tuple[Floats, Floats]:
        if self.idf is None or self.weights is None:
            raise unfitted()
        return self.idf, self.weights
