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
from tailguard.detect.neural.kinds import NEURAL, open_neural
from tailguard.measure.store import Arrays, demand

_KINDS: tuple[type[TextDetector], ...] = (
    LinearDetector, LanguageModelDetector, StylometryDetector, TokenStatisticsDetector,
    CompressionDetector, CombinationDetector, *NEURAL,
)  # fmt: skip
DETECTORS = {kind.kind: kind for kind in _KINDS}
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


def open_detector(
    kinds: str, window: Window, *, folder: str | None = None, reference: str | None = None,
    label: str | None = None, device: str = "cpu",
) -> TextDetector:  # fmt: skip
    """An unfitted detector of one kind, or the combination of several written ``a+b+c``.

    Those that ask a model open ``folder``, with ``reference``, ``label`` and ``device`` as in
    :func:`tailguard.detect.neural.kinds.open_neural`. Raises :class:`DetectorError`.

    >>> [part.kind for part in open_detector("linear+stylometry", Window()).parts]
    ['linear', 'stylometry']
    """
    names = [name.strip() for name in kinds.split("+")]
    if len(set(names)) < len(names) or (len(names) > 1 and CombinationDetector.kind in names):
        raise DetectorError("kind", "different kinds", repr(kinds), "name each once")
    neural = {kind.kind for kind in NEURAL}
    if folder is not None and not neural & set(names):
        raise DetectorError("--model", f"a kind that asks one ({', '.join(sorted(neural))})",
                            repr(kinds), "leave --model out, or name such a kind")  # fmt: skip
    if folder is None and (reference is not None or label is not None):
        raise DetectorError("--model", "a folder, for --reference and --label", "none", "pass it")
    parts = [
        make_detector(name, window)
        if name not in neural or folder is None
        else open_neural(name, folder, window=window, device=device, label=label,
                         reference=reference)
        for name in names
    ]  # fmt: skip
    return parts[0] if len(parts) == 1 else CombinationDetector(window, parts)


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
