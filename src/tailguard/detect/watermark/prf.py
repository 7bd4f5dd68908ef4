"""The keyed function behind every watermark: SipHash-1-3 over 64-bit words, compiled.

A message is a sequence of 64-bit words (token ids), little-endian, so the result equals SipHash
of the same bytes. SipHash is built as a keyed pseudo-random function for short inputs; with one
compression and three finalisation rounds it is what Rust and CPython use. Without the key its
values cannot be told from random ones by any method known, which is what makes a watermark's null
exact: over the random key, the values of different messages are independent and uniform.
Source: Aumasson & Bernstein 2012, "SipHash: a fast short-input PRF".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]


@njit(inline="always")
def _round(a: Any, b: Any, c: Any, d: Any) -> Any:
    a = a + b
    b = ((b << uint64(13)) | (b >> uint64(51))) ^ a
    a = (a << uint64(32)) | (a >> uint64(32))
    c = c + d
    d = ((d << uint64(16)) | (d >> uint64(48))) ^ c
    a = a + d
    d = ((d << uint64(21)) | (d >> uint64(43))) ^ a
    c = c + b
    b = ((b << uint64(17)) | (b >> uint64(47))) ^ c
    c = (c << uint64(32)) | (c >> uint64(32))
    return a, b, c, d


@njit(inline="always")
def start(key: Any) -> Any:
    """The state before any word, from a key of two words."""
    return (
        key[0] ^ uint64(0x736F6D6570736575),
        key[1] ^ uint64(0x646F72616E646F6D),
        key[0] ^ uint64(0x6C7967656E657261),
        key[1] ^ uint64(0x7465646279746573),
    )


@njit(inline="always")
def absorb(state: Any, word: Any) -> Any:
    """The state after one more word; a shared beginning is absorbed once for all its ends."""
    a, b, c, d = state
    a, b, c, d = _round(a, b, c, d ^ word)
    return a ^ word, b, c, d


@njit(inline="always")
def finish(state: Any, words: Any) -> Any:
    """The 64-bit value of a message of ``words`` words that were all absorbed."""
    a, b, c, d = absorb(state, uint64(words * 8) << uint64(56))
    c = c ^ uint64(0xFF)
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


@njit(cache=True, nogil=True)
def siphash(key: Words, words: Words) -> Any:
    """SipHash-1-3 of 64-bit words under a key of two words: a 64-bit value.

    >>> import numpy as np
    >>> hex(siphash(np.array([0x0706050403020100, 0x0F0E0D0C0B0A0908], np.uint64),
    ...             np.zeros(0, np.uint64)))
    '0xabac0158050fc4dc'
    """
    state = start(key)
    for word in words:
        state = absorb(state, word)
    return finish(state, len(words))
