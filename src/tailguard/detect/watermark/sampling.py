"""The marking step: from a next-token distribution to a token, for all schemes, compiled."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from tailguard.detect.watermark.base import SCHEMES, Scheme, WatermarkError
from tailguard.detect.watermark.keys import WatermarkKey
from tailguard.detect.watermark.prf import Words, absorb, finish, start
from tailguard.detect.watermark.units import green_limit, self_value

Floats = NDArray[np.float64]
_EXP, _SYNTHID = SCHEMES.index("exp"), SCHEMES.index("synthid")
_SELF = SCHEMES.index("kgw-self")


class Marker(NamedTuple):
    """A scheme and a key as the compiled step takes them. Holds the key: never print or store it.

    ``kind`` is the scheme's place in SCHEMES, ``limit`` the value below which a token is green,
    ``boost`` is e^δ.
    """

    kind: int
    width: int
    limit: np.uint64
    boost: float
    layers: int
    words: Words

    def __repr__(self) -> str:
        return f"Marker(kind={SCHEMES[self.kind]!r}, width={self.width})"


def marker(scheme: Scheme, key: WatermarkKey) -> Marker:
    """What `mark` and samplers need.

    >>> marker(Scheme("exp"), WatermarkKey(bytes(range(32))))
    Marker(kind='exp', width=4)
    """
    return Marker(
        SCHEMES.index(scheme.name),
        scheme.context,
        np.uint64(green_limit(scheme.gamma)),
        math.exp(scheme.delta),
        scheme.layers,
        key.words(scheme),
    )


@njit(cache=True, nogil=True)
def values(mark: Any, context: Any, ids: Any, out: Any) -> None:
    """The keyed value of each candidate after ``context`` (its last ``width`` ids) into ``out``."""
    key = mark.words[:2]
    state = start(key)
    if mark.kind == _SELF:
        states = np.empty((max(mark.width, 1), 4), np.uint64)
        for j in range(mark.width):
            s = absorb(start(key), context[len(context) - 1 - j])
            states[j, 0], states[j, 1], states[j, 2], states[j, 3] = s
        for v in range(len(ids)):
            out[v] = self_value(states, mark.width, mark.words[2:], key, ids[v])
        return
    for j in range(len(context) - mark.width, len(context)):
        state = absorb(state, context[j])
    for v in range(len(ids)):
        out[v] = finish(absorb(state, ids[v]), mark.width + 1)


@njit(cache=True, nogil=True)
def tilt(mark: Any, value: Any, probs: Any) -> None:
    """Turn ``probs`` into the marked law, given each candidate's value; sums to 1.

    Green schemes: p·e^δ for green tokens, normalised. synthid: layer by layer
    p ← p·(1 + g - Σ g·p) with g the layer's bit, which is a tournament of two draws with the
    larger bit winning and ties at random. exp: all on the token with the least -ln(r)/p.
    """
    if mark.kind == _EXP:
        best, least = -1, np.inf
        for v in range(len(probs)):
            if probs[v] > 0.0:
                r = (float(value[v] >> uint64(12)) + 0.5) * 2.0**-52
                time = -math.log(r) / probs[v]
                if best < 0 or time < least:
                    best, least = v, time
        for v in range(len(probs)):
            probs[v] = 1.0 if v == best else 0.0
        return
    if mark.kind == _SYNTHID:
        for layer in range(mark.layers):
            shift = uint64(layer)
            won = 0.0
            for v in range(len(probs)):
                won += probs[v] * float((value[v] >> shift) & uint64(1))
            for v in range(len(probs)):
                # Rounding may leave ``won`` a little above 1; no law has a share below 0.
                probs[v] *= max(1.0 + float((value[v] >> shift) & uint64(1)) - won, 0.0)
    else:
        for v in range(len(probs)):
            if value[v] < mark.limit:
                probs[v] *= mark.boost
    total = 0.0
    for v in range(len(probs)):
        total += probs[v]
    for v in range(len(probs)):
        probs[v] /= total


@njit(cache=True, nogil=True)
def draw(probs: Any, u: Any) -> Any:
    """The first candidate whose running share of ``probs`` exceeds ``u``, in [0, 1)."""
    total = 0.0
    for v in range(len(probs)):
        total += probs[v]
    limit, running, last = u * total, 0.0, 0
    for v in range(len(probs)):
        if probs[v] > 0.0:
            running += probs[v]
            last = v
            if running > limit:
                return v
    return last


def choose(
    marked: Marker,
    probs: Floats,
    context: Words,
    ids: Words,
    *,
    rng: np.random.Generator,
    fresh: bool = True,
) -> int:
    """Draw the next token from ``probs`` (V,) with a mark; the index of the token.

    ``context`` are the ids so far, ``ids`` (V,) those of the candidates. With fewer than ``width``
    tokens before it a token is drawn without a mark, as it is where ``fresh`` is False: exp and
    synthid keep the law of the text only if no context decides twice, so callers pass False when
    a context comes again. Raises :class:`WatermarkError` for probabilities that are no law.

    >>> rng = np.random.default_rng(0)
    >>> it = marker(Scheme("unigram", delta=50.0, gamma=0.5), WatermarkKey(bytes(range(32))))
    >>> none, ids = np.zeros(0, np.uint64), np.arange(4, dtype=np.uint64)
    >>> green = {choose(it, np.full(4, 0.25), none, ids, rng=rng) for _ in range(50)}
    >>> 0 < len(green) < 4
    True
    """
    law = np.array(probs, np.float64)
    fits = law.ndim == 1 and law.shape == ids.shape and len(law) > 0
    if not fits or not np.isfinite(law).all() or law.min() < 0.0 or not law.sum() > 0.0:
        raise WatermarkError(
            "watermark", "a probability for each candidate", "no such law", "check the logits"
        )
    law /= law.sum()
    if len(context) >= marked.width and fresh:
        out = np.empty(len(ids), np.uint64)
        values(marked, context, ids, out)
        tilt(marked, out, law)
    return int(draw(law, rng.random()))
