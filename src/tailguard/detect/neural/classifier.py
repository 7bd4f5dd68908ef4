"""A sequence classifier in a local folder, trained elsewhere to tell synthetic text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.neural.base import NeuralDetector, Opened
from tailguard.detect.neural.encoding import Encoded, padded
from tailguard.detect.neural.folder import library, open_model, open_tokenizer
from tailguard.detect.neural.running import embedded, forward, not_finite, padding, positions
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand

SYNTHETIC_NAMES = frozenset({
    "ai", "ai generated", "artificial", "bot", "chatgpt", "fake", "generated", "gpt", "llm",
    "machine", "machine generated", "synthetic",
})  # fmt: skip
"""Names of labels that mean synthetic, in lower case and with spaces for other marks."""
_MARKS = str.maketrans("_-/", "   ")
_UNNAMED = {0: "label 0", 1: "label 1"}


def label_index(names: dict[int, str], label: str | int | None, who: str) -> int:
    """The index of the label that means synthetic; :class:`DetectorError` naming all labels.

    ``label`` is a name or an index. Without it, the one label with a name of ``SYNTHETIC_NAMES``;
    of two labels that have no names (``LABEL_0``, ``LABEL_1``), the second, which is a custom and
    no promise: look at ``area`` after the fit.

    >>> label_index({0: "Human", 1: "ChatGPT"}, None, "folder"), label_index({0: "a"}, "A", "")
    (1, 0)
    """
    plain = {index: _plain(name) for index, name in names.items()}
    if label is None:
        found = [index for index, name in plain.items() if name in SYNTHETIC_NAMES]
        found = [1] if plain == _UNNAMED else found
    else:
        found = [index for index, name in plain.items() if name == _plain(str(label))]
        if not found and str(label).isdecimal():
            found = [index for index in names if index == int(label)]
    if len(found) != 1:
        known = ", ".join(f"{index} {name!r}" for index, name in list(names.items())[:8])
        expected = "one label that means synthetic" if label is None else f"a label {label!r}"
        raise DetectorError(who, expected, f"labels {known}", "pass label")
    return found[0]


def _plain(name: str) -> str:
    return " ".join(name.translate(_MARKS).casefold().split())


@dataclass
class ClassifierDetector(NeuralDetector):
    """Log-odds of the label that means synthetic, by a sequence classifier.

    With logits z the score is z_label - ln sum over the other labels of exp z, in nats; for a model
    of independent labels (``multi_label_classification``) it is z_label. ``label`` is that label's
    name or index; see :func:`label_index` without it. Published classifiers are badly calibrated
    on texts of other domains than those they were trained on.

    Source: Solaiman et al. 2019 (arXiv 1908.09203) for detectors of this kind.

    >>> ClassifierDetector(folder="no/folder").opened()
    Traceback (most recent call last):
    tailguard.detect.base.DetectorError: no/folder: expected a folder with a model, got no such ...
    """

    kind: ClassVar[str] = "classifier"

    label: str | int | None = None

    def _open(self) -> Opened:
        tokenizer = open_tokenizer(self.folder)
        model = open_model(self.folder, "sequence classifier", self.device)
        rows = embedded(model, self.folder, tokenizer)
        names = _names(model)
        if sorted(names) != list(range(len(names))):
            raise DetectorError(self.folder, "labels 0, 1 and so on", f"{sorted(names)[:8]}",
                                "mend id2label in config.json")  # fmt: skip
        if len(names) < 2 and not _independent(model):
            raise DetectorError(self.folder, "a classifier of two labels or more", "one label",
                                "use another model")  # fmt: skip
        label_index(names, self.label, self.folder)
        limit = positions(model, self.max_tokens)
        # A classifier's output is small; what fills memory is the width of its layers.
        width = max(int(getattr(model.config.get_text_config(), "hidden_size", 1024)), 1) * 8
        return Opened(tokenizer, (model,), limit, width, padding(model, rows))

    def _batch(self, opened: Opened, encoded: Encoded, rows: Ints) -> Floats:
        torch = library("torch")
        (model,) = opened.models
        ids, mask = padded(encoded, rows, opened.pad or 0)
        logits = forward(model, ids, mask, self.folder).float()
        at = label_index(_names(model), self.label, self.folder)
        found = logits[:, at]
        if not _independent(model):
            others = [index for index in range(logits.shape[1]) if index != at]
            found = found - torch.logsumexp(logits[:, others], dim=1)
        out: Floats = found.double().cpu().numpy()
        if not np.isfinite(out).all():
            raise not_finite(self.folder)
        return out

    def state(self) -> tuple[dict[str, Any], Arrays]:
        settings, arrays = super().state()
        return settings | {"label": self.label}, arrays

    @classmethod
    def _arguments(cls, window: Window, settings: dict[str, Any]) -> dict[str, Any]:
        label = settings["label"]
        demand(label is None or type(label) in (str, int), "a bad label")
        return super()._arguments(window, settings) | {"label": label}


def _names(model: Any) -> dict[int, str]:
    return {int(index): str(name) for index, name in model.config.id2label.items()}


def _independent(model: Any) -> bool:
    return bool(getattr(model.config, "problem_type", None) == "multi_label_classification")
