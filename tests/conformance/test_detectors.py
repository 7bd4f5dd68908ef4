"""Every registered detector keeps the public laws, and detectors that break one are caught."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tailguard.checks import check_detector
from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Labels, Prepared
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.detectors.registry import DETECTORS, LEARNING, make_detector
from tailguard.measure.base import Floats, Ints


@pytest.mark.parametrize("kind", LEARNING)
def test_a_registered_detector_keeps_the_laws(kind: str) -> None:
    check_detector(make_detector(kind, Window()))


def test_every_registered_detector_learns_or_needs_a_model() -> None:
    for kind in set(DETECTORS) - set(LEARNING):
        with pytest.raises(Exception, match="folder"):
            make_detector(kind, Window())


class Turned(LinearDetector):
    """Higher is more likely human."""

    def _score(self, texts: Prepared) -> Floats:
        return -LinearDetector._score(self, texts)


class Batched(LinearDetector):
    """Scores are standardised within a batch."""

    def _score(self, texts: Prepared) -> Floats:
        found = LinearDetector._score(self, texts)
        return found - np.nanmean(found)


class Chancy(LinearDetector):
    """Fits on a random half, from a global generator."""

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        kept = np.array([random.random() < 0.9 for _ in range(len(texts))])
        LinearDetector._fit(self, texts.rows(kept), synthetic[kept], groups[kept])


class Formatted(LinearDetector):
    """Reads the white space that canonical texts have lost."""

    def score(self, texts: Any) -> Floats:
        extra = np.array([text.count("\n") for text in texts], float)
        return LinearDetector.score(self, texts) + extra


class Silent(LinearDetector):
    """Gives a number to nothing at all."""

    def score(self, texts: Any) -> Floats:
        return np.nan_to_num(LinearDetector.score(self, texts))


class Forgetful(LinearDetector):
    """Loses its bias in the file."""

    def state(self) -> Any:
        settings, arrays = LinearDetector.state(self)
        return settings | {"bias": 0.0}, arrays


class Lenient(LinearDetector):
    """Fits on anything."""

    def fit(self, human: Any, synthetic: Any, *, groups: Any = None) -> Any:
        try:
            return LinearDetector.fit(self, human, synthetic, groups=groups)
        except DetectorError:
            return self


class Slipping(LinearDetector):
    """Loses itself on the way."""

    def fit(self, human: Any, synthetic: Any, *, groups: Any = None) -> Any:
        return LinearDetector.fit(LinearDetector(bits=10), human, synthetic, groups=groups)


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (Turned, "must score higher"),
        (Batched, "alone than among others|order"),
        (Chancy, "global generator"),
        (Formatted, "white space"),
        (Silent, "scores 0.0"),
        (Forgetful, "file scores otherwise"),
        (Lenient, "must be refused"),
        (Slipping, "must return the detector"),
    ],
)
def test_a_detector_that_breaks_a_law_is_caught(broken: type[LinearDetector], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_detector(broken(bits=10))
