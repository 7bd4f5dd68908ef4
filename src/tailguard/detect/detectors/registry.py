"""The detectors by kind; a new one is a class and a line here."""

from __future__ import annotations

from typing import Any

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Stored, TextDetector
from tailguard.detect.detectors.combination import CombinationDetector
from tailguard.detect.detectors.compression import CompressionDetector
from tailguard.detect.detectors.language_model import LanguageModelDetector
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.detectors.stylometry import StylometryDetector
from tailguard.detect.detectors.token_statistics import TokenStatisticsDetector
from tailguard.detect.neural.kinds import NEURAL
from tailguard.measure.store import Arrays, demand

DETECTORS: dict[str, type[TextDetector]] = {
    kind.kind: kind
    for kind in (
        LinearDetector, LanguageModelDetector, StylometryDetector, TokenStatisticsDetector,
        CompressionDetector, CombinationDetector, *NEURAL,
    )
}  # fmt: skip
USUAL_PARTS = ("linear", "language-model", "stylometry", "token-statistics", "compression")
"""What a combination is made of where nothing else is asked for."""
LEARNING = (*USUAL_PARTS, "combination")
"""Kinds that learn from the texts alone."""


def make_detector(kind: str, window: Window) -> TextDetector:
    """An unfitted detector with its usual settings; :class:`DetectorError` for no such kind.

    >>> make_detector("linear", Window(50)).window.words
    50
    """
    if kind not in DETECTORS:
        raise DetectorError("kind", f"one of {', '.join(DETECTORS)}", repr(kind), "name another")
    return DETECTORS[kind](window=window)  # type: ignore[call-arg]


def detector_state(detector: TextDetector) -> tuple[dict[str, Any], Arrays]:
    """JSON and arrays from which :func:`restored` makes an equal detector."""
    settings, arrays = detector.state()
    window = [detector.window.words, detector.window.side]
    return {"kind": detector.kind, "window": window} | settings, arrays


def restored(settings: Any, stored: Stored) -> TextDetector:
    """The detector of a file; ValueError, KeyError or TypeError for a file that holds none."""
    kind, (words, side) = settings["kind"], settings["window"]
    demand(isinstance(kind, str) and kind in DETECTORS, "an unknown kind of detector")
    demand(type(words) is int, "a bad window")
    return DETECTORS[kind].restore(Window(words, side), settings, stored)
