"""The compression detector: beside which texts a text compresses better."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import zstandard
from numpy.typing import NDArray

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import (
    Labels,
    Prepared,
    Stored,
    TextDetector,
    logistic,
    unfitted,
)
from tailguard.detect.detectors.language_model import halves
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand

LEVEL = 9
"""Zstandard's effort; from here to 19 nothing is gained but time."""
SIZE = 1 << 20
"""Bytes of each dictionary at most."""
LEAST_BYTES = 64
PIECE = 4096
"""Longer texts are compressed in pieces, so that dictionaries and not their own beginning tell."""
MOST_OF_ONE = 4096
"""Bytes that one training text gives a dictionary at most."""
ENOUGH = 20_000
"""Texts per half from which the weights are learnt at most: there are three of them."""
PROBES = 16
Bytes = NDArray[np.uint8]


class Sizes:
    """Compressed sizes of pieces of text after a dictionary; an empty one for none."""

    def __init__(self, dictionary: bytes) -> None:
        self.dictionary = dictionary
        self._prepared: zstandard.ZstdCompressionDict | None = None
        if dictionary:
            raw = zstandard.DICT_TYPE_RAWCONTENT
            self._prepared = zstandard.ZstdCompressionDict(dictionary, dict_type=raw)
            self._prepared.precompute_compress(level=LEVEL)

    def __reduce__(self) -> tuple[Any, ...]:
        # The library's objects can be neither copied nor sent to another process.
        return Sizes, (self.dictionary,)

    def of(self, data: Bytes, offsets: Ints) -> Floats:
        """Bytes that each text takes, shape (n,); 0 for an empty text."""
        # A compressor is made for each call, for it must not be shared by threads.
        compressor = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=self._prepared, write_content_size=False, write_dict_id=False
        )
        view, out = memoryview(np.ascontiguousarray(data).data), np.zeros(len(offsets) - 1)
        bounds = offsets.tolist()
        for d, (first, end) in enumerate(pairwise(bounds)):
            for begin in range(first, end, PIECE):
                out[d] += len(compressor.compress(view[begin : min(begin + PIECE, end)]))
        return out


@dataclass(slots=True)
class CompressionDetector(TextDetector):
    """How much shorter a text becomes beside synthetic than beside human texts, and in itself.

    With h, s and a the bits per byte of a text that Zstandard needs after a dictionary of human
    texts, of synthetic texts and of nothing, the score is

        weights . (h - s, max(h, s), a) + bias

    finite for every text; nan for one without a word. The larger of h and s says how ordinary a
    text is, even where one of the dictionaries happens to hold a copy of it.

    ``fit`` takes the texts of each class in the order of a hash of theirs, at most 4,096 bytes of
    each, until there are ``size`` bytes of both or the smaller class is used up, so that both
    dictionaries are equally long. The weights are a logistic regression's on each half of the
    training texts, with dictionaries of the other half
    (:func:`tailguard.detect.detectors.language_model.halves`); the score is then in nats, and
    cautious, for half the dictionary tells less. Without ``groups``, or where h - s would get no
    weight above 0, it is h - s alone, in bits per byte.

    **The file holds the dictionaries, which are training texts in the clear**, up to ``size`` bytes
    of each class: do not hand it to whoever may not read them. Sizes may change with the release of
    Zstandard; a file remembers some, and is refused where the library at hand gives others.

    Source: Jiang et al. 2023, "Low-resource text classification: a parameter-free classification
    method with compressors"; Teahan and Harper 2003 for a dictionary per class.

    >>> human = [f"we saw {i} boats near the old pier and ate" for i in range(20)]
    >>> synthetic = [f"in conclusion {i} aspects play a crucial role overall" for i in range(20)]
    >>> detector = CompressionDetector().fit(human, synthetic)
    >>> low, high = detector.score(["boats near the old pier", "a crucial role in conclusion"])
    >>> bool(low < 0 < high)
    True
    """

    kind: ClassVar[str] = "compression"

    window: Window = field(default_factory=Window)
    size: int = SIZE
    weights: Floats = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    bias: float = 0.0
    human: Sizes | None = None
    synthetic: Sizes | None = None

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        if not LEAST_BYTES <= self.size <= SIZE:
            expected = f"{LEAST_BYTES} to {SIZE} bytes"
            raise DetectorError("size", expected, str(self.size), f"use {SIZE}")
        order = _order(texts)
        self.weights, self.bias = self._learn(texts, synthetic, groups, order)
        self.human, self.synthetic = self._dictionaries(texts, synthetic, order)

    def _dictionaries(self, texts: Prepared, synthetic: Labels, order: Ints) -> tuple[Sizes, Sizes]:
        drawn = [_draw(texts, order[synthetic[order] == side], self.size) for side in (0, 1)]
        least = min(map(len, drawn))
        # The end of a dictionary is nearest to the text; both are cut at the far end.
        human, machine = (Sizes(data[len(data) - least :]) for data in drawn)
        return human, machine

    def _learn(
        self, texts: Prepared, synthetic: Labels, groups: Ints, order: Ints
    ) -> tuple[Floats, float]:
        alone = np.array([1.0, 0.0, 0.0])
        half = halves(synthetic, groups)
        if half is None:
            return alone, 0.0
        rows, found = [], []
        for side in (0, 1):
            human, machine = self._dictionaries(texts, synthetic, order[half[order] != side])
            rows.append(order[half[order] == side][:ENOUGH])
            found.append(_features(*_part(texts, rows[-1]), human, machine))
        features, labels = np.concatenate(found), synthetic[np.concatenate(rows)]
        spread = features.std(axis=0)
        if not spread.all() or len(np.unique(labels)) < 2:
            return alone, 0.0
        centre = features.mean(axis=0)
        weights, bias = logistic((features - centre) / spread, labels, 1.0)
        if weights[0] <= 0:
            return alone, 0.0
        return weights / spread, float(bias - (weights / spread) @ centre)

    def _score(self, texts: Prepared) -> Floats:
        human, synthetic = self._fitted()
        features = _features(texts.data, texts.offsets, human, synthetic)
        # Term by term: a product of matrices may round otherwise with other rows beside.
        score: Floats = (features * self.weights).sum(axis=1) + self.bias
        return score

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """The three parts of a text's score, largest first; with the bias they sum to it."""
        human, synthetic = self._fitted()
        found = Prepared.of([text], self.window)
        if not found.usable[0]:
            return []
        parts = _features(found.data, found.offsets, human, synthetic)[0] * self.weights
        names = ("(nearer to synthetic texts)", "(unlike either class)", "(unlike itself)")
        rows = [(name, float(v)) for name, v in zip(names, parts, strict=True) if v]
        return sorted(rows, key=lambda row: -abs(row[1]))[:most]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        human, synthetic = self._fitted()
        arrays: Arrays = {
            "weights": np.asarray(self.weights, np.float64),
            "human": np.frombuffer(human.dictionary, np.uint8),
            "synthetic": np.frombuffer(synthetic.dictionary, np.uint8),
            "probes": _probes(human, synthetic),
        }
        return {"size": self.size, "bias": self.bias}, arrays

    @classmethod
    def restore(
        cls, window: Window, settings: dict[str, Any], stored: Stored
    ) -> CompressionDetector:
        size, bias = settings["size"], settings["bias"]
        demand(type(size) is int and LEAST_BYTES <= size <= SIZE, "a bad size of dictionaries")
        demand(type(bias) is float and abs(bias) < 1e9, "a bad bias")
        weights = stored.take("weights", "<f8", (3,))
        demand(bool((np.abs(weights) < 1e9).all() and weights[0] > 0), "a bad weight")
        human = stored.take("human", "|u1", (None,))
        synthetic = stored.take("synthetic", "|u1", (len(human),))
        demand(0 < len(human) <= size, "a dictionary of another size")
        sizes = Sizes(human.tobytes()), Sizes(synthetic.tobytes())
        probes = stored.take("probes", "<u4", (3, PROBES))
        alike = bool((_probes(*sizes) == probes).all())
        demand(alike, "compressed sizes that this release of Zstandard does not give; fit again")
        return cls(window, size, weights, bias, *sizes)

    def _fitted(self) -> tuple[Sizes, Sizes]:
        if self.human is None or self.synthetic is None:
            raise unfitted()
        return self.human, self.synthetic


def _features(data: Bytes, offsets: Ints, human: Sizes, synthetic: Sizes) -> Floats:
    """h - s, max(h, s) and a, in bits per byte, shape (n, 3); zeros for an empty text."""
    lengths = np.maximum(np.diff(offsets), 1)
    h, s, a = (8.0 * sizes.of(data, offsets) / lengths for sizes in (human, synthetic, Sizes(b"")))
    return np.column_stack([h - s, np.maximum(h, s), a])


def _order(texts: Prepared) -> Ints:
    """Numbers of the texts in the order of a hash of them, each distinct text once."""
    view, bounds = memoryview(np.ascontiguousarray(texts.data).data), texts.offsets.tolist()
    hashes = np.array(
        [
            int.from_bytes(hashlib.blake2b(view[a:b], digest_size=8).digest(), "little")
            for a, b in pairwise(bounds)
        ],
        np.uint64,
    )
    return np.unique(hashes, return_index=True)[1].astype(np.int64)


def _draw(texts: Prepared, rows: Ints, size: int) -> bytes:
    """At most ``size`` bytes of the texts ``rows``, in this order, a space between them."""
    parts: list[bytes] = []
    total = 0
    for row in rows.tolist():
        begin, end = int(texts.offsets[row]), int(texts.offsets[row + 1])
        parts.append(texts.data[begin : min(end, begin + MOST_OF_ONE)].tobytes())
        total += len(parts[-1]) + 1
        if total > size:
            break
    return b" ".join(parts)[:size]


def _part(texts: Prepared, rows: Ints) -> tuple[Bytes, Ints]:
    """Bytes and offsets of the texts ``rows``."""
    pieces = [texts.data[texts.offsets[r] : texts.offsets[r + 1]] for r in rows.tolist()]
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    return np.concatenate([*pieces, np.zeros(1, np.uint8)]), offsets


def _probes(human: Sizes, synthetic: Sizes) -> NDArray[np.uint32]:
    """Sizes of pieces of each dictionary after the other, and after nothing, (3, PROBES).

    What a library must give again, if its scores are to mean the same.
    """
    out = np.zeros((3, PROBES), np.uint32)
    pairs = ((human, synthetic), (synthetic, human), (human, Sizes(b"")))
    for row, (one, other) in enumerate(pairs):
        data = np.frombuffer(one.dictionary, np.uint8)
        offsets = np.linspace(0, len(data), PROBES + 1).astype(np.int64)
        out[row] = other.of(data, offsets)
    return out
