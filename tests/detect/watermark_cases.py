"""Keys, texts and a plain reference for the tests of watermarks."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tailguard.corpus import open_corpus
from tailguard.detect.watermark import WatermarkKey
from tailguard.lab.families.ngram import NGram, NGramModel

KEY = WatermarkKey(bytes(range(32)), "ours")
OTHER = WatermarkKey(bytes(range(1, 33)), "theirs")
KEYS = [WatermarkKey(i.to_bytes(16, "little"), str(i)) for i in range(400)]
_MASK = 2**64 - 1


def _turn(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) & _MASK


def reference_siphash(key: list[int], words: list[int], c: int, d: int) -> int:
    """SipHash-c-d of whole 64-bit words, as in the paper."""
    v = [key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D,
         key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573]  # fmt: skip

    def sip_round() -> None:
        v[0], v[2] = (v[0] + v[1]) & _MASK, (v[2] + v[3]) & _MASK
        v[1], v[3] = _turn(v[1], 13) ^ v[0], _turn(v[3], 16) ^ v[2]
        v[0] = _turn(v[0], 32)
        v[2], v[0] = (v[2] + v[1]) & _MASK, (v[0] + v[3]) & _MASK
        v[1], v[3] = _turn(v[1], 17) ^ v[2], _turn(v[3], 21) ^ v[0]
        v[2] = _turn(v[2], 32)

    for word in [*words, (8 * len(words) & 0xFF) << 56]:
        v[3] ^= word
        for _ in range(c):
            sip_round()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(d):
        sip_round()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def repetitive(n: int, rng: np.random.Generator) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """``n`` texts of 3 to 60 tokens out of few types, a third of each said again."""
    sizes = rng.integers(3, 61, n)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    tokens = rng.integers(0, 40, int(offsets[-1])).astype(np.uint64)
    for first, size in zip(offsets[:-1].tolist(), sizes.tolist(), strict=True):
        part = size // 3
        tokens[first + part : first + 2 * part] = tokens[first : first + part]
    return tokens, offsets


@cache
def small_model() -> NGramModel:
    """An n-gram model of some sections of Python's documentation."""
    batch = next(open_corpus("builtin:python-docs").batches())
    texts = [text[:3_000] for text in batch.column("text").to_pylist()[:40]]
    return NGram(order=3).fit(texts, rng=np.random.default_rng(0))
