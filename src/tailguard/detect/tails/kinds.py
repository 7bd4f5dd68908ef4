"""Which human tails a filter may harm: groups named by a column, and tails that the texts show.

A tail is defined by texts or columns alone, never by what a filter does with them, so that its
deletion rate can be tested. The definitions that need no column describe texts and not people: low
lexical diversity is low lexical diversity, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.detect.base import DetectorError, Texts
from tailguard.detect.calibration import LENGTH_NAMES, length_bins
from tailguard.detect.detectors.base import Prepared
from tailguard.measure.base import Floats, Ints

SHARE = 0.1
"""The share of documents that a tail without a natural border takes: the outermost tenth."""
RARE = 0.01
"""A rare word is held by at most this share of the documents (two of them at least)."""
OTHER_SCRIPT, SOME = 0.5, 0.02
"""Shares of letters outside ASCII from which a text is in another script, or has some of them."""
DRAWN = 42
"""Words drawn from a text to measure its lexical diversity; McCarthy and Jarvis 2010."""
MOST_GROUPS = 1_000

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kind:
    """A tail before anything was deleted: ``inside`` (n,) is in it, ``known`` (n,) can be told.

    ``by`` is the column it comes from, or ``text``; ``inside`` implies ``known``. What is known and
    not inside is the rest that it is compared with.
    """

    by: str
    name: str
    definition: str
    inside: Mask
    known: Mask


@dataclass(frozen=True, slots=True)
class Words:
    """Which word types each document holds, and how often, as flat pairs in document order.

    Document d holds ``types[offsets[d]:offsets[d + 1]]``, each ``times`` over; ``held`` (V,) is in
    how many documents a type stands, ``total`` (V,) how often altogether. Types are numbers.
    """

    types: Ints
    times: Ints
    offsets: Ints
    held: Ints
    total: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def document(self) -> Ints:
        """The document of every pair."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def mean(self, values: Any) -> Floats:
        """The mean over a document's words of a value per type, shape (n,); nan without words."""
        n, document = len(self), self.document
        words = np.bincount(document, self.times, n)
        sums = np.bincount(document, self.times * np.asarray(values)[self.types], n)
        return np.divide(sums, words, out=np.full(n, np.nan), where=words > 0)


def words_of(texts: Prepared) -> Words:
    """Count word types by document; punctuation is no word, a character of Han or kana is one.

    >>> found = words_of(Prepared.of(["a b, a", "b"]))
    >>> found.held.tolist(), sorted(found.total.tolist()), found.offsets.tolist()
    ([1, 2], [2, 2], [0, 2, 3])
    """
    tokens = texts.tokens
    first = tokens.data[tokens.spans[:, 0]]
    letter = (first | 32) - np.uint8(97) < 26
    digit = first - np.uint8(48) < 10
    word = letter | digit | (first >= 128) | (first == 95)
    document = np.repeat(np.arange(len(tokens)), tokens.lengths)[word]
    _, types = np.unique(tokens.hashes[word], return_inverse=True)
    size = int(types.max()) + 1 if len(types) else 0
    pairs, times = np.unique(document * max(size, 1) + types, return_counts=True)
    document, types = pairs // max(size, 1), pairs % max(size, 1)
    offsets = np.searchsorted(document, np.arange(len(tokens) + 1)).astype(np.int64)
    held = np.bincount(types, minlength=size).astype(np.int64)
    total = np.bincount(types, times, size).astype(np.int64)
    return Words(types, times.astype(np.int64), offsets, held, total)


def text_kinds(texts: Texts) -> tuple[list[Kind], Words]:
    """The tails that texts show by themselves, and their words.

    Shape of every mask: (n,). All of them follow from the texts; a tail can be empty.

    >>> kinds, _ = text_kinds(["one two"] * 19 + ["пять шесть семь"])
    >>> [(kind.name, int(kind.inside.sum())) for kind in kinds if 0 < kind.inside.sum() < 20]
    [('rare words', 1), ('words seen nowhere else', 1), ('mostly other letters', 1)]
    """
    found = Prepared.of(texts)
    words = words_of(found)
    gaps, letters, others = _characters(found)
    n = len(found)
    number = np.where(np.diff(found.offsets) > 0, gaps + 1, 0)
    other = np.divide(others, letters, out=np.full(n, np.nan), where=letters > 0)
    length = np.divide(letters, number, out=np.full(n, np.nan), where=number > 0)
    border = max(2, int(RARE * n))
    tenth = f"the {SHARE:.0%} of texts with the"
    kinds = [
        _outer("rare words", f"{tenth} largest share of words held by at most {border:,} texts",
               words.mean(words.held <= border)),
        _outer("words seen nowhere else", f"{tenth} largest share of words that no other text has",
               words.mean(words.held == 1)),
        _outer("lower lexical diversity",
               f"{tenth} fewest types expected in {DRAWN} of their words", -_diversity(words)),
        _outer("shorter words", f"{tenth} fewest letters per word", -length),
    ]  # fmt: skip
    bins, some = length_bins(number), number > 0
    for at, name in enumerate(LENGTH_NAMES[:-1]):
        kinds.append(Kind("text", name, f"texts of {name}", some & (bins == at), some))
    told = ~np.isnan(other)
    many = np.nan_to_num(other) >= OTHER_SCRIPT
    few = told & ~many & (np.nan_to_num(other) >= SOME)
    kinds.append(
        Kind(
            "text",
            "mostly other letters",
            f"{OTHER_SCRIPT:.0%} or more of the letters are outside ASCII",
            many,
            told,
        )
    )
    kinds.append(Kind("text", "some other letters",
                      f"{SOME:.0%} to {OTHER_SCRIPT:.0%} of the letters are outside ASCII",
                      few, told & ~many))  # fmt: skip
    return kinds, words


def group_kinds(groups: Mapping[str, Sequence[str | None]], n: int) -> list[Kind]:
    """A kind for every value of every column; documents without a value are in none, nor in a rest.

    Raises :class:`DetectorError` for a column of another length or with over ``MOST_GROUPS``
    values.

    >>> [kind.name for kind in group_kinds({"writer": ["native", "learner", None]}, 3)]
    ['learner', 'native']
    """
    kinds = []
    for by, values in groups.items():
        if len(values) != n:
            raise DetectorError(by, "a group for each text", f"{len(values)} for {n}", "align them")
        names = sorted({value for value in values if value is not None})
        if len(names) > MOST_GROUPS:
            raise DetectorError(by, f"a column of at most {MOST_GROUPS:,} groups",
                                f"{len(names):,}", "name a coarser column")  # fmt: skip
        number = {name: at for at, name in enumerate(names)}
        which = np.array([-1 if v is None else number[v] for v in values], np.int64)
        kinds += [
            Kind(by, name, f"{by} is {name}", which == at, which >= 0)
            for at, name in enumerate(names)
        ]
    return kinds


def _outer(name: str, definition: str, values: Floats) -> Kind:
    """The outermost ``SHARE`` of the known values, ties at the border left out."""
    known = ~np.isnan(values)
    inside = np.zeros(len(values), bool)
    if known.any():
        # Its largest values, so the border itself stays outside: a tail of ties is no tail.
        border = np.quantile(values[known], 1 - SHARE, method="lower")
        inside[known] = values[known] > border
    return Kind("text", name, definition, inside, known)


def _diversity(words: Words) -> Floats:
    """Types expected in ``DRAWN`` words drawn without replacement, over ``DRAWN``; nan if fewer.

    Σ over types 1 - C(n-c, m) / C(n, m): unlike types over words, it does not fall with length.
    Source: McCarthy and Jarvis 2010 (HD-D).
    """
    from scipy.special import gammaln

    document, m = words.document, DRAWN
    n = np.bincount(document, words.times, len(words))
    size, c = n[document], words.times.astype(np.float64)
    enough = size >= m
    size, c, document = size[enough], c[enough], document[enough]
    left = size - c
    absent = np.zeros(len(c))
    some = left >= m
    absent[some] = np.exp(
        gammaln(left[some] + 1) - gammaln(left[some] - m + 1)
        - gammaln(size[some] + 1) + gammaln(size[some] - m + 1)
    )  # fmt: skip
    types = np.bincount(document, 1.0 - absent, len(words)) / m
    return np.where(n >= m, types, np.nan)


@cache
def _letters() -> NDArray[np.bool_]:
    """Which code points are letters."""
    return np.array([chr(point).isalpha() for point in range(0x110000)])


def _characters(texts: Prepared) -> tuple[Ints, Ints, Ints]:
    """Per text: spaces, letters, and letters outside ASCII; each of shape (n,)."""
    out = np.zeros((3, len(texts)), np.int64)
    if len(texts):
        _count(texts.data, texts.offsets, _letters(), out)
    return out[0], out[1], out[2]


@njit(cache=True, nogil=True)
def _count(data: Any, offsets: Any, letters: Any, out: Any) -> None:
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            byte = data[i]
            width = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if byte < 128:
                out[0, d] += byte == 32
                out[1, d] += letters[byte]
            elif width > 1 and i + width <= end:
                point = int(byte) & (0x7F >> width)
                for k in range(i + 1, i + width):
                    point = (point << 6) | (int(data[k]) & 0x3F)
                if point < 0x110000 and letters[point]:
                    out[1, d] += 1
                    out[2, d] += 1
            i += width
