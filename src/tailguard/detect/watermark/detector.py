"""The watermark test as a detector: a score for every text, like any other detector's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailguard.detect.base import Texts, as_array
from tailguard.detect.watermark.base import Scheme
from tailguard.detect.watermark.corpora import Tokenizer
from tailguard.detect.watermark.detection import Detection
from tailguard.detect.watermark.keys import WatermarkKey
from tailguard.measure.base import Floats


class WatermarkDetector:
    """Scores −ln p of each text's own watermark test, in nats from 0; nan without a unit to score.

    It learns nothing: over the random key, P(score > t) ≤ e^−t for any text that does not depend on
    it, without calibration. Calibrating it as other detectors are makes it comparable with them.
    Texts are taken as they are, because the mark is in their tokens. The keys are in no file: this
    detector is made where it is used. ``tokenizer`` gives the token ids that were marked. Raises
    :class:`WatermarkError` as :class:`Detection` does.

    >>> from tailguard.detect.watermark import word_ids
    >>> split = lambda texts: [word_ids(text.split()) for text in texts]
    >>> detector = WatermarkDetector(Scheme("kgw"), [WatermarkKey(bytes(range(32)))], split)
    >>> found = detector.score(["a b c d", ""])
    >>> bool(found[0] >= 0), bool(np.isnan(found[1]))
    (True, True)
    """

    learns = False

    def __init__(self, scheme: Scheme, keys: Sequence[WatermarkKey], tokenizer: Tokenizer) -> None:
        Detection(scheme, keys)  # refuses what cannot be tested
        self.scheme, self.keys, self.tokenizer = scheme, list(keys), tokenizer

    def fit(self, human: Texts, synthetic: Texts) -> WatermarkDetector:
        """Nothing is learnt from the texts."""
        return self

    def score(self, texts: Texts) -> Floats:
        """−ln p of every text by itself, corrected for the number of keys, shape (n,)."""
        ids = self.tokenizer(as_array(texts).to_pylist())
        found = Detection(self.scheme, self.keys).update(ids)
        return np.array([-np.log(finding.p) for finding in found], np.float64)
