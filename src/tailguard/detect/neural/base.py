"""What all neural detectors share: the folder, its check at first use, the fit, and the file."""

from __future__ import annotations

import copy
import math
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import (
    LEAST,
    Labels,
    Prepared,
    Stored,
    TextDetector,
    unfitted,
)
from tailguard.detect.leaks import auroc
from tailguard.detect.neural.encoding import Encoded, batches, encode
from tailguard.detect.neural.folder import verify_folder
from tailguard.engine.progress import progress
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand

MAX_TOKENS = 512
MOST_TOKENS = 1 << 20
SLICE = 8192
"""Texts whose tokens are in memory at once."""
BUDGET = 1 << 26
"""Numbers that the output of one batch may hold: 256 MiB of 32-bit floats, or one text's."""
_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder in memory: the tokenizer, the models, and what they can take.

    ``limit`` is the most tokens of a text, ``width`` the numbers per token that the model puts out.
    ``pad`` fills short rows; None where the model cannot take padding.
    """

    tokenizer: Any
    models: tuple[Any, ...]
    limit: int
    width: int
    pad: int | None


@dataclass
class NeuralDetector(TextDetector):
    """A detector that asks a ``transformers`` model in a local folder.

    ``folder`` is its path, ``device`` ``cpu``, ``cuda`` or ``cuda:0`` and so on, ``max_tokens`` the
    most tokens of a text's window that are read, special ones included; fewer where the model has
    fewer positions. Of a longer window the tokens at its side stay: the end for ``last``.

    ``fit`` teaches the model nothing, and is demanded all the same. It records the ``digest`` of
    the files, and the ``area`` (AUROC) of the score on the texts it was given; the direction stays
    the published one, and ``inverted`` says that it was wrong there. The folder is opened at the
    first score, and again after loading, when its digest must be the recorded one.

    ``truncated`` counts the texts that were cut to ``max_tokens`` since. A text's score is the same
    in any company up to rounding of 32-bit floats. It is nan for a text without a word, for one
    whose window has too few tokens for the criterion, and where the criterion is undefined.
    """

    learns: ClassVar[bool] = False

    window: Window = field(default_factory=Window)
    folder: str = ""
    max_tokens: int = MAX_TOKENS
    device: str = "cpu"
    digest: str | None = None
    area: float = math.nan
    truncated: int = field(default=0, compare=False)
    _opened: Opened | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.folder:
            got = "none named"
            raise DetectorError(self.kind, "a folder with a model", got, "name the folder")
        count = self.max_tokens
        if type(count) is not int or not 8 <= count <= MOST_TOKENS:
            raise DetectorError("max_tokens", f"8 to {MOST_TOKENS:,}", repr(count), "pass 512")
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise DetectorError("device", "cpu, cuda or cuda:N", repr(self.device), "pass cpu")

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy that shares the opened model, which nothing changes: a combination makes many."""
        return copy.copy(self)

    @property
    def inverted(self) -> bool:
        """Whether human texts scored higher than synthetic ones where it was fitted."""
        return self.area < 0.5

    def opened(self) -> Opened:
        """The folder's models, opened and checked once; :class:`DetectorError` if they cannot be.

        It refuses files other than those recorded before any of them is opened.
        """
        if self._opened is None:
            self._verify()
            self._opened = self._open()
        return self._opened

    def _verify(self) -> None:
        self.digest = verify_folder(self._path(self.folder), self.digest)

    def _path(self, folder: str) -> str:
        """A path that :meth:`restore` will take back."""
        try:
            return path_of(folder)
        except ValueError:
            expected = f"a printable path of at most {_LONGEST_PATH} characters"
            got = ascii(folder)[:120]
            raise DetectorError(self.kind, expected, got, "rename the folder") from None

    @abstractmethod
    def _open(self) -> Opened:
        """Open the verified folder."""

    @abstractmethod
    def _batch(self, opened: Opened, encoded: Encoded, rows: Ints) -> Floats:
        """Scores of some texts, shape (rows,), in one pass through the models."""

    def _scorable(self, encoded: Encoded) -> Labels:
        """Which texts have tokens enough, shape (n,)."""
        return np.array([bool(own.any()) for own in encoded.own], bool)

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        scores = self._asked(texts)
        known = np.isfinite(scores)
        for name, side in (("human", ~synthetic), ("synthetic", synthetic)):
            n = int((known & side).sum())
            if n < LEAST:
                expected = f"at least {LEAST} {name} texts that the model can score"
                raise DetectorError("detector", expected, str(n), "add longer texts")
        self.area = auroc(scores[known & ~synthetic], scores[known & synthetic])

    def _score(self, texts: Prepared) -> Floats:
        if math.isnan(self.area):
            raise unfitted()
        return self._asked(texts)

    def _asked(self, texts: Prepared) -> Floats:
        """The model's scores, fitted or not."""
        opened = self.opened()
        usable = texts.usable
        out = np.full(len(texts), np.nan)
        with progress(self.kind, len(texts), in_bytes=False) as advance:
            # In slices, so that no more than one slice's tokens are in memory.
            for begin in range(0, len(texts), SLICE):
                part = slice(begin, begin + SLICE)
                offsets = texts.offsets[begin : begin + SLICE + 1]
                encoded = encode(opened.tokenizer, texts.data, offsets, self.window, opened.limit)
                self.truncated += int((encoded.truncated & usable[part]).sum())
                wanted = np.flatnonzero(self._scorable(encoded) & usable[part])
                for found in self._batches(opened, encoded.lengths[wanted]):
                    rows = wanted[found]
                    out[begin + rows] = self._batch(opened, encoded, rows)
                    advance(len(rows))
                advance(len(encoded.ids) - len(wanted))
        return out

    def _batches(self, opened: Opened, lengths: Ints) -> Iterator[Ints]:
        return batches(lengths, max(BUDGET // opened.width, 1), 1 if opened.pad is None else None)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        if self.digest is None or math.isnan(self.area):
            raise unfitted()
        settings = {
            "folder": self.folder, "max_tokens": self.max_tokens, "device": self.device,
            "digest": self.digest, "area": self.area,
        }  # fmt: skip
        return settings, {}

    @classmethod
    def restore(cls, window: Window, settings: dict[str, Any], stored: Stored) -> Self:
        return cls(**cls._arguments(window, settings))

    @classmethod
    def _arguments(cls, window: Window, settings: dict[str, Any]) -> dict[str, Any]:
        """The constructor's arguments from a file, checked. Nothing is opened here."""
        area = settings["area"]
        demand(isinstance(area, float | int) and 0 <= area <= 1, "a bad area")
        return {
            "window": window, "folder": path_of(settings["folder"]),
            "max_tokens": settings["max_tokens"], "device": settings["device"],
            "digest": digest_of(settings["digest"]), "area": float(area),
        }  # fmt: skip


def path_of(value: Any) -> str:
    """A path of a detector file; ValueError for what cannot be one."""
    demand(isinstance(value, str) and 0 < len(value) <= _LONGEST_PATH, "a bad path")
    demand(value.isprintable(), "a bad path")
    return str(value)


def digest_of(value: Any) -> str:
    """A digest of a detector file; ValueError for what cannot be one."""
    demand(isinstance(value, str) and bool(_DIGEST.fullmatch(value)), "a bad digest")
    return str(value)
