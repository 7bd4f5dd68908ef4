"""Counts of the categories documents fall in: script, language, source, month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
from numba import njit

from tailguard.measure.base import Ints
from tailguard.measure.tokens import Tokens, buffers, tokenize

SCRIPTS = (
    "Latin",
    "Greek",
    "Cyrillic",
    "Hebrew",
    "Arabic",
    "Indic",
    "Thai",
    "Kana",
    "Han",
    "Hangul",
)
KEEP_VALUES = 4096
LONGEST_VALUE = 128

# The commonest short words of each language that the others lack or rarely use.
FUNCTION_WORDS = {
    "en": "the of and to in is that for it was with as on be by this are from have not",
    "de": "der die und das ist nicht ein eine den mit von auf für dem zu sich auch werden",
    "fr": "le les des et est une dans que pour du qui sur pas au avec ce il sont",
    "es": "el los las y en que por con una para del se como más su al es pero",
    "it": "il di che e la per un non sono con del della una gli più anche dei nel",
    "pt": "o os e um uma não com para do da que em se dos das por mais ao",
    "nl": "de het een van en dat niet op te zijn voor met aan er ook naar bij",
    "pl": "w z i na nie się do jest to że jak po od przez dla są oraz",
    "sv": "och att det som en på är av för med den till inte om ett har",
    "tr": "bir ve bu için ile da de çok olarak daha gibi olan kadar sonra ne",
    "id": "yang dan di untuk dengan ini itu dari pada tidak dalam adalah akan ke",
    "ru": "и в не на что с по как это но для из к от за так же его",
}


def _lead_scripts() -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Script of the character that starts with each byte value, -1 for none."""
    table = np.full(256, -1, np.int8)
    for low, high, script in (
        (0x41, 0x5A, 0), (0x61, 0x7A, 0), (0xC3, 0xC9, 0), (0xCD, 0xCF, 1), (0xD0, 0xD4, 2),
        (0xD6, 0xD7, 3), (0xD8, 0xDB, 4), (0xE0, 0xE0, 5), (0xE4, 0xE9, 8), (0xEA, 0xED, 9),
    ):  # fmt: skip
        table[low : high + 1] = script
    return table


_LEADS = _lead_scripts()


@njit(cache=True, nogil=True)
def _dominant_script(data, offsets, leads, out):  # type: ignore[no-untyped-def]
    seen = np.zeros(10, np.int64)
    for document in range(len(offsets) - 1):
        seen[:] = 0
        latin = 0
        for i in range(offsets[document], offsets[document + 1]):
            script = leads[data[i]]
            if data[i] < 0x80:  # nearly all text: count without a look at memory
                latin += script == 0
            elif script < 0:
                if data[i] == 0xE3:  # kana, but for the ideographic marks
                    seen[7] += 1
            elif script == 5 and i + 1 < offsets[document + 1] and data[i + 1] >= 0xB8:
                seen[6] += 1
            else:
                seen[script] += 1
        seen[0] += latin
        out[document] = np.argmax(seen) if seen.sum() > 0 else -1


@njit(cache=True, nogil=True)
def _language_hits(hashes, offsets, words, language, out):  # type: ignore[no-untyped-def]
    # Most words are none of these, which a look at some of their bits tells.
    marked = np.zeros(1 << 14, np.bool_)
    for i in range(len(words)):
        marked[words[i] & np.uint64(0x3FFF)] = True
    for document in range(len(offsets) - 1):
        # A language shows within a few hundred words.
        for i in range(offsets[document], min(offsets[document + 1], offsets[document] + 512)):
            if not marked[hashes[i] & np.uint64(0x3FFF)]:
                continue
            at = np.searchsorted(words, hashes[i])
            while at < len(words) and words[at] == hashes[i]:
                out[document, language[at]] += 1
                at += 1


@dataclass(frozen=True, slots=True)
class Categories:
    """Documents per value of every category: ``counts[category][value]``.

    Values are cut to 128 characters. At most 4,096 values of a category are kept, the smallest in
    text order of those seen; the documents of all others are counted together under ``other``.
    """

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Categories:
        """Nothing counted."""
        return cls()

    def merge(self, other: Categories) -> Categories:
        """Both together."""
        merged: dict[str, dict[str, int]] = {
            name: dict(values) for name, values in self.counts.items()
        }
        for name, values in other.counts.items():
            mine = merged.setdefault(name, {})
            for value, count in values.items():
                mine[value] = mine.get(value, 0) + count
        return Categories({name: _bounded(merged[name]) for name in sorted(merged)})


OTHER = "\U0010ffff other"
"""Sorts after every other value, so that what was cut stays cut when profiles merge."""


def _bounded(values: dict[str, int]) -> dict[str, int]:
    kept = sorted(value for value in values if value != OTHER)
    out = {value: values[value] for value in kept[:KEEP_VALUES]}
    rest = sum(values[value] for value in kept[KEEP_VALUES:]) + values.get(OTHER, 0)
    return out | ({OTHER: rest} if rest else {})


@cache
def _language_table() -> tuple[np.ndarray[tuple[int], np.dtype[np.uint64]], Ints]:
    hashes, languages = [], []
    for number, words in enumerate(FUNCTION_WORDS.values()):
        found = tokenize([words]).hashes
        hashes.append(found)
        languages.append(np.full(len(found), number))
    joined = np.concatenate(hashes)
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate(languages)[order]


def script_and_language(texts: pa.Array, tokens: Tokens) -> tuple[list[str], list[str]]:
    """Dominant script of each document, and its language by function words ("unknown" if unclear).

    >>> from tailguard.measure.tokens import tokenize
    >>> texts = pa.array(["the cat is on the mat", "der Hund ist nicht auf dem Sofa", "Привет"])
    >>> script_and_language(texts, tokenize(texts))
    (['Latin', 'Latin', 'Cyrillic'], ['en', 'de', 'unknown'])
    """
    data, offsets = buffers(texts)
    script = np.empty(len(texts), np.int64)
    _dominant_script(data, offsets, _LEADS, script)
    words, language = _language_table()
    hits = np.zeros((len(texts), len(FUNCTION_WORDS)), np.int64)
    _language_hits(tokens.hashes, tokens.offsets, words, language, hits)
    names = [*FUNCTION_WORDS, "unknown"]
    ranked = np.sort(hits, axis=1)
    looked_at = np.minimum(tokens.lengths, 512)
    clear = (
        (ranked[:, -1] > ranked[:, -2]) & (ranked[:, -1] * 20 >= looked_at) & (ranked[:, -1] >= 2)
    )
    best = np.where(clear, hits.argmax(axis=1), len(FUNCTION_WORDS))
    scripts = [*SCRIPTS, "none"]
    return [scripts[i] for i in script], [names[i] for i in best]


def as_values(column: pa.Array) -> pa.Array:
    """A column of text as values of a category: nulls are "unknown", long ones are cut."""
    import pyarrow.compute as pc

    return pc.utf8_slice_codeunits(column.fill_null("unknown"), 0, LONGEST_VALUE)


def categories_of(texts: pa.Array, tokens: Tokens, columns: Mapping[str, pa.Array]) -> Categories:
    """Count scripts, languages and the values of further columns (nulls count as "unknown")."""
    scripts, languages = script_and_language(texts, tokens)
    values = {"script": pa.array(scripts), "language": pa.array(languages), **columns}
    counts = {}
    for name, column in values.items():
        table = as_values(column.cast(pa.string())).value_counts()
        found = (table.field(part).to_pylist() for part in ("values", "counts"))
        counts[name] = dict(zip(*found, strict=True))
    return Categories().merge(Categories(counts))
