"""Units of evidence: each distinct pair of context and token of a document, counted once.

Under the null a text does not depend on the key, and the keyed function gives independent uniform
values at different arguments. Equal arguments give equal values, though: a text that repeats a
phrase repeats its score. So every argument counts once per document; then, given the text, the
scores are independent over the random key, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from tailguard.detect.watermark.base import GREEN, Scheme
from tailguard.detect.watermark.keys import WatermarkKey
from tailguard.detect.watermark.prf import Words, absorb, finish, start
from tailguard.measure.base import Ints

Floats = NDArray[np.float64]


@njit(inline="always")
def self_value(states: Any, states_n: Any, other: Any, key: Any, token: Any) -> Any:
    """kgw-self: the second value of the least first value over context tokens and the token itself.

    ``states`` (n, 4) are the first function's states after each context token. The argument of the
    second function is the least value of F₁(context token, token) and F₁(token, token): it names
    the pair that won, so an edit elsewhere in the context changes nothing.
    """
    least = finish(absorb(absorb(start(key), token), token), 2)
    for j in range(states_n):
        state = (states[j, 0], states[j, 1], states[j, 2], states[j, 3])
        value = finish(absorb(state, token), 2)
        least = min(least, value)
    return finish(absorb(start(other), least), 1)


@njit(cache=True, nogil=True)
def _values(tokens: Any, begin: Any, i: Any, width: Any, own: Any, key: Any, states: Any) -> Any:
    """The value of the token at ``i`` in its context."""
    if own:
        for j in range(width):
            state = absorb(start(key[:2]), tokens[i - 1 - j])
            states[j, 0], states[j, 1], states[j, 2], states[j, 3] = state
        return self_value(states, width, key[2:], key[:2], tokens[i])
    state = start(key[:2])
    for j in range(i - width, i + 1):
        state = absorb(state, tokens[j])
    return finish(state, width + 1)


@njit(cache=True, nogil=True)
def _collect(
    tokens: Any, offsets: Any, width: Any, own: Any, key: Any, fresh: Any, out: Any, places: Any,
    bounds: Any,
) -> Any:  # fmt: skip
    """Fill ``out`` with each document's distinct values in order, ``places`` with their tokens."""
    longest = 1
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    size = 2
    while size < 2 * longest:
        size *= 2
    table = np.zeros(size, np.uint64)
    stamp = np.full(size, -1, np.int64)
    mask = uint64(size - 1)
    states = np.empty((max(width, 1), 4), np.uint64)
    count = 0
    bounds[0] = 0
    for d in range(len(offsets) - 1):
        words = key[d] if fresh else key[0]
        for i in range(offsets[d] + width, offsets[d + 1]):
            value = _values(tokens, offsets[d], i, width, own, words, states)
            # Low bits decide scores of synthid; any bits do for a place in the table.
            at = value & mask
            seen = False
            while stamp[at] == d:
                if table[at] == value:
                    seen = True
                    break
                at = (at + uint64(1)) & mask
            if not seen:
                stamp[at] = d
                table[at] = value
                out[count] = value
                places[count] = i - offsets[d]
                count += 1
        bounds[d + 1] = count
    return count


@dataclass(frozen=True, slots=True)
class Units:
    """Distinct values of documents; document d's are ``values[offsets[d]:offsets[d + 1]]``.

    ``places`` holds the index, in its document, of the token that first showed each value.
    """

    scheme: Scheme
    values: Words
    places: Ints
    offsets: Ints

    @property
    def counts(self) -> Ints:
        """Units per document, shape (D,)."""
        return np.diff(self.offsets)

    def scores(self) -> Floats:
        """The score of each unit, as in `unit_scores`."""
        return unit_scores(self.scheme, self.values)

    def sums(self) -> Floats:
        """The sum of each document's scores, shape (D,)."""
        scores = np.append(self.scores(), 0.0)
        starts = self.offsets[:-1]
        total = np.add.reduceat(scores, starts) if len(starts) else np.zeros(0)
        return np.where(self.counts > 0, total, 0.0)


def unit_scores(scheme: Scheme, values: Words) -> Floats:
    """What each value tells; under the null i.i.d., by scheme:

    kgw, kgw-self, unigram: 1 if the value is below γ·2⁶⁴ (green), Bernoulli(γ);
    exp: -ln(1 - r) with r the value as a number in (0, 1), exponential of mean 1;
    synthid: how many of the lowest ``layers`` bits are set, Binomial(layers, ½).

    >>> unit_scores(Scheme("kgw", gamma=0.5), np.array([0, 1 << 63], np.uint64)).tolist()
    [1.0, 0.0]
    """
    if scheme.name in GREEN:
        return (values < np.uint64(green_limit(scheme.gamma))).astype(np.float64)
    if scheme.name == "exp":
        # 52 bits and a half: with 53, the largest would round to 1.
        return -np.log1p(-((values >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)
    mask = np.uint64((1 << scheme.layers) - 1)
    return np.bitwise_count(values & mask).astype(np.float64)


def green_limit(gamma: float) -> int:
    """The 64-bit value below which a token is green; γ·2⁶⁴, exact for every float.

    >>> green_limit(0.25) == 1 << 62
    True
    """
    return int(gamma * 2.0**64)


def collect(tokens: Words, offsets: Ints, scheme: Scheme, key: WatermarkKey) -> Units:
    """The units of documents of token ids (as `tokens.flatten` lays them out) under a key.

    A token with fewer than ``scheme.context`` tokens before it has no value and is no unit.

    >>> from tailguard.detect.watermark.tokens import flatten
    >>> collect(*flatten([[1, 2, 1, 2], [3]]), Scheme("kgw"), WatermarkKey(bytes(range(16)))).counts
    array([2, 0])
    """
    return collect_with(tokens, offsets, scheme, key.words(scheme)[None])


def collect_with(tokens: Words, offsets: Ints, scheme: Scheme, words: Words) -> Units:
    """Units under given words of the keyed function: one row (1, 4), or a row per document (D, 4).

    For studies of the null, which is a law over random keys; else use `collect`.

    >>> words = np.arange(8, dtype=np.uint64).reshape(2, 4)
    >>> tokens, offsets = np.array([1, 2, 1, 2], np.uint64), np.array([0, 2, 4])
    >>> values = collect_with(tokens, offsets, Scheme("kgw"), words).values
    >>> len(values), bool(values[0] == values[1])
    (2, False)
    """
    out, places = np.empty(len(tokens), np.uint64), np.empty(len(tokens), np.int64)
    bounds = np.zeros(len(offsets), np.int64)
    own, fresh = scheme.name == "kgw-self", len(words) != 1
    n = _collect(tokens, offsets, scheme.context, own, words, fresh, out, places, bounds)
    return Units(scheme, out[:n], places[:n], bounds)
