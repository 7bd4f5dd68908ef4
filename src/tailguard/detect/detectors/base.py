"""What all detectors of text share: the texts prepared once, the fit's checks, and their files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tailguard.detect.base import DetectorError, Texts, as_array
from tailguard.detect.canonical import Window, canonical
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, Container
from tailguard.measure.tokens import Tokens, buffers, tokenize

LARGEST = 1e12
"""No weight, score or scale of a stored detector is larger."""
LEAST = 20
"""Documents of each class below which nothing is fitted."""
Labels = NDArray[np.bool_]
"""True for synthetic."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Canonical texts with their words, made once for all detectors that look at them.

    ``data`` are the UTF-8 bytes and ``offsets`` (n + 1,) where each text begins in them.
    """

    texts: pa.LargeStringArray
    tokens: Tokens
    data: NDArray[np.uint8]
    offsets: Ints

    @classmethod
    def of(cls, texts: Texts, window: Window = Window(0)) -> Prepared:  # noqa: B008
        """Canonicalise, cut to the window, and split into words.

        >>> Prepared.of(["One  two three", ""], Window(2)).tokens.lengths.tolist()
        [2, 0]
        """
        found = canonical(texts, window)
        return cls(found, tokenize(found), *buffers(found))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def usable(self) -> Labels:
        """Which texts hold a word, shape (n,)."""
        return np.diff(self.tokens.offsets) > 0

    def rows(self, chosen: Labels | Ints) -> Prepared:
        """Some of the texts, by mask or by number."""
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return Prepared.of(self.texts.take(pa.array(rows)))


@dataclass(frozen=True, slots=True)
class Stored:
    """The arrays of one detector in a file; names begin with ``at``.

    ``take`` checks type and shape and raises ValueError, of which the file's reader makes one line.
    """

    file: Container
    at: str = ""

    def take(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """An array of this type and shape (None: any length), floats below ``LARGEST``."""
        found = self.file.take(self.at + name, dtype, shape)
        if found.dtype.kind == "f" and not (np.abs(found) < LARGEST).all():
            raise ValueError(f"nan, infinity, or a number beyond reason in {name}")
        return found

    def within(self, name: str) -> Stored:
        """The arrays of a part called ``name``."""
        return Stored(self.file, f"{self.at}{name}.")


class TextDetector(ABC):
    """A detector of text: ``fit`` and ``score`` of :class:`tailguard.detect.base.Detector`.

    A subclass is a dataclass with a field ``window`` and a unique ``kind``. It learns in ``_fit``
    and gives a finite number for every text with a word in ``_score`` (nan where a model finds too
    little in it); higher is more likely synthetic, and no text's number depends on the others.
    ``state`` and ``restore`` are its file.
    """

    kind: ClassVar[str]
    window: Window

    def fit(
        self, human: Texts, synthetic: Texts, *, groups: tuple[Ints, Ints] | None = None
    ) -> Self:
        """Fit on both classes; texts without a word are left out.

        ``groups`` numbers what belongs together among the human and the synthetic texts (a prompt,
        a source), for detectors that split their texts; without it each text is its own group.
        Raises :class:`DetectorError` with fewer than ``LEAST`` usable texts of a class, or when
        both classes hold the same texts.
        """
        sides = [Prepared.of(as_array(side), self.window) for side in (human, synthetic)]
        for name, side in zip(("human", "synthetic"), sides, strict=True):
            if side.usable.sum() < LEAST:
                expected = f"at least {LEAST} {name} texts with words to fit on"
                got = str(int(side.usable.sum()))
                raise DetectorError("detector", expected, got, f"add {name} texts")
        if pc.all(pc.is_in(sides[1].texts, value_set=sides[0].texts)).as_py():
            got = "classes of the same texts"
            raise DetectorError("detector", "two different classes", got, "check the files")
        kept = np.concatenate([side.usable for side in sides])
        both = Prepared.of(pa.concat_arrays([side.texts for side in sides]))
        labels = np.repeat([False, True], [len(side) for side in sides])
        numbers = np.arange(len(both)) if groups is None else np.concatenate(groups)
        if len(numbers) != len(both):
            got = f"{len(numbers)} for {len(both)} texts"
            raise DetectorError("groups", "one for each text", got, "align them")
        self._fit(both if kept.all() else both.rows(kept), labels[kept], numbers[kept])
        return self

    def score(self, texts: Texts) -> Floats:
        """One number per text, shape (n,); nan for a text without a word."""
        return self.score_prepared(Prepared.of(texts, self.window))

    def score_prepared(self, texts: Prepared) -> Floats:
        """The same for texts that were cut to this detector's window already."""
        if not len(texts):
            return np.zeros(0)
        return np.where(texts.usable, self._score(texts), np.nan)

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """What moved a text's score most, and how far; positive speaks for synthetic."""
        return []

    def evidence_prepared(
        self, texts: Prepared, rows: Ints, most: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The evidence of some rows of texts that were cut to this detector's window already."""
        chosen = texts.texts.take(pa.array(rows)).to_pylist()
        return [self.evidence(text, most) for text in chosen]

    @abstractmethod
    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        """Learn from usable texts of both classes."""

    @abstractmethod
    def _score(self, texts: Prepared) -> Floats:
        """Shape (n,); what stands at texts without a word does not matter."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], Arrays]:
        """JSON settings (never ``kind`` or ``window``) and arrays, which are all that was learnt.

        Raises :class:`DetectorError` before ``fit``.
        """

    @classmethod
    @abstractmethod
    def restore(cls, window: Window, settings: dict[str, Any], stored: Stored) -> Self:
        """The detector of a file; ValueError, KeyError or TypeError for what cannot be one.

        The file is hostile: every setting is checked before it is used.
        """


def unfitted() -> DetectorError:
    """The refusal of a detector that has not learnt anything."""
    return DetectorError("detector", "a fitted detector", "an unfitted one", "call fit")


def logistic(features: Any, labels: Labels, penalty: float) -> tuple[Floats, float]:
    """Weights and bias of a logistic regression at equal class weight; ``penalty`` is C.

    ``features`` is sparse or dense, (n, k). Deterministic.
    """
    from sklearn.linear_model import LogisticRegression

    # Where one class is rare, equal weights would move the bias only; balanced moves the fit too.
    wide = features.shape[1] > features.shape[0]
    model = LogisticRegression(
        C=penalty, class_weight="balanced", solver="liblinear", dual=wide, random_state=0,
        max_iter=1000, tol=1e-3,
    )  # fmt: skip
    model.fit(features, labels)
    return np.ascontiguousarray(model.coef_[0], np.float64), float(model.intercept_[0])
