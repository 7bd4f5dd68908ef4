"""The kinds of neural detectors by name, and making one of a folder."""

from __future__ import annotations

import os

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.neural.base import MAX_TOKENS, NeuralDetector
from tailguard.detect.neural.causal import (
    BinocularsDetector,
    EntropyDetector,
    FastDetectGPTDetector,
    LikelihoodDetector,
    LogRankDetector,
    LogRankRatioDetector,
    TwoModelDetector,
)
from tailguard.detect.neural.classifier import ClassifierDetector

NEURAL: tuple[type[NeuralDetector], ...] = (
    ClassifierDetector, LikelihoodDetector, LogRankDetector, LogRankRatioDetector,
    EntropyDetector, FastDetectGPTDetector, BinocularsDetector,
)  # fmt: skip
"""Every class, for the registry. None imports torch before its folder is opened."""


def open_neural(
    kind: str,
    folder: str | os.PathLike[str],
    *,
    reference: str | os.PathLike[str] | None = None,
    window: Window | None = None,
    device: str = "cpu",
    max_tokens: int = MAX_TOKENS,
    label: str | int | None = None,
) -> NeuralDetector:
    """A neural detector of a local folder, opened and checked, not yet fitted.

    ``reference`` is the second model of fast-detectgpt and binoculars, ``label`` the label of a
    classifier that means synthetic; ``window`` is the last 100 words without it. Raises
    :class:`DetectorError` for a kind or setting that does not exist, and for a folder that cannot
    be used.

    >>> open_neural("likelihood", "folder", label=1)
    Traceback (most recent call last):
    tailguard.detect.base.DetectorError: likelihood: expected no label, got 1; a classifier has one
    """
    kinds = {found.kind: found for found in NEURAL}
    if kind not in kinds:
        raise DetectorError("kind", f"one of {', '.join(kinds)}", repr(kind), "name another")
    found = kinds[kind]
    if label is not None and not issubclass(found, ClassifierDetector):
        raise DetectorError(kind, "no label", repr(label), "a classifier has one")
    if reference is not None and not issubclass(found, TwoModelDetector):
        got = repr(os.fspath(reference))
        raise DetectorError(kind, "one folder", f"a reference {got}", "leave it out")
    detector = found(window or Window(), os.fspath(folder), max_tokens, device)
    if isinstance(detector, ClassifierDetector):
        detector.label = label
    if isinstance(detector, TwoModelDetector) and reference is not None:
        detector.reference = os.fspath(reference)
    detector.opened()
    return detector
