"""A Merkle map from 32-byte keys to numbers, which can prove that a key is *not* in it.

The place of a key is fixed by its own bits, so the proof holds whether or not who made the map was
honest: under one root, no key has both a proof that it is there and one that it is not. A subtree
of no keys is 32 zero bytes; of one key, ``SHA-256(0x02 || key || value)`` (value: 8 bytes,
big-endian); of more, ``SHA-256(0x03 || left || right)``, where keys go left or right by their next
bit, highest first. A map of n random keys has about n / ln 2 inner nodes and a depth of about
log2 n. Sources: Laurie & Kasper, *Revocation transparency* (2012); Dahlberg, Pulls & Peeters,
*Efficient sparse Merkle trees* (2016), with subtrees of one key cut short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from tailguard.provenance.ledger.base import NO_HASH, LedgerError
from tailguard.provenance.merkle import HASH_BYTES

KEY_BITS = 8 * HASH_BYTES
"""No proof can be longer: each step uses up one bit of the key."""

ITEM = np.dtype([("key", "V32"), ("value", ">u8")])
"""One key and its value, as they lie in memory and in files: 40 bytes."""

Items = NDArray[np.void]
"""Keys and values, sorted by key, no key twice: shape (n,) of :data:`ITEM`."""

_LEAF, _NODE = b"\x02", b"\x03"
_LONE = 1 + 2 * HASH_BYTES


@dataclass(frozen=True, slots=True)
class MapProof:
    """What shows whether a key is in a map.

    ``siblings`` are the hashes beside the way from the root to where the key would be, highest
    first. There lies ``found``: the key and value of the one item of that subtree, which may be
    another key; None where the subtree is empty.
    """

    siblings: tuple[bytes, ...]
    found: tuple[bytes, int] | None

    def root(self, key: bytes) -> bytes | None:
        """The root of the map that this proof is about, if it is about ``key`` at all.

        None where it is not well-formed, so that it fits no map.
        """
        depth = len(self.siblings)
        if len(key) != HASH_BYTES or depth > KEY_BITS:
            return None
        found = NO_HASH
        if self.found is not None:
            other, value = self.found
            shared = depth and _bits(other) >> KEY_BITS - depth != _bits(key) >> KEY_BITS - depth
            if len(other) != HASH_BYTES or shared or not 0 <= value < 1 << 64:
                return None
            found = item_hash(other, value)
        bits = _bits(key)
        for level, sibling in zip(range(depth - 1, -1, -1), reversed(self.siblings), strict=True):
            if len(sibling) != HASH_BYTES:
                return None
            right = bits >> KEY_BITS - 1 - level & 1
            found = inner_hash(sibling, found) if right else inner_hash(found, sibling)
        return found

    def value(self, key: bytes) -> int | None:
        """The value of the key, None where the proof says that the key is not there."""
        return self.found[1] if self.found is not None and self.found[0] == key else None


def item_hash(key: bytes, value: int) -> bytes:
    """Hash of a subtree of one key.

    >>> item_hash(bytes(32), 1).hex()[:8]
    '067a1939'
    """
    return sha256(_LEAF + key + value.to_bytes(8, "big")).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a subtree of two keys or more.

    >>> inner_hash(bytes(32), bytes(32)).hex()[:8]
    'dc48a742'
    """
    return sha256(_NODE + left + right).digest()


def key_of(name: str) -> bytes:
    """The key of something with a name.

    >>> key_of("name:web").hex()[:8]
    '73f324c0'
    """
    return sha256(name.encode()).digest()


def items_of(keys: Sequence[bytes], values: Sequence[int]) -> Items:
    """Sorted items out of keys and values in any order. Raises :class:`LedgerError` for a key
    given twice.

    >>> items_of([bytes([2]) * 32, bytes([1]) * 32], [5, 6])["value"].tolist()
    [6, 5]
    """
    items = np.empty(len(keys), ITEM)
    items["key"] = np.frombuffer(b"".join(keys), "V32") if len(keys) else np.empty(0, "V32")
    items["value"] = values
    items = items[order_of(items)]
    if len(items) > 1 and (items["key"][1:] == items["key"][:-1]).any():
        raise LedgerError("map", "every key once", "one twice", "merge them first")
    return items


def order_of(items: Items) -> NDArray[np.intp]:
    """The order that sorts items by key (stable)."""
    words = np.ascontiguousarray(items["key"]).view(">u8").reshape(-1, 4)
    return np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))


def map_root(items: Items, depth: int = 0) -> bytes:
    """Hash of the subtree that holds sorted ``items``, all alike in their first ``depth`` bits.

    About 2.4 hashes an item. ``NO_HASH`` of none.

    >>> map_root(items_of([], [])) == NO_HASH
    True
    """
    if not len(items):
        return NO_HASH
    hashes = _item_hashes(items)
    if len(items) == 1:
        return hashes[0].tobytes()
    keys = np.ascontiguousarray(items["key"]).view(np.uint8).reshape(-1, HASH_BYTES)
    # Bits that neighbours share; a key's own leaf hangs one below the last bit it shares.
    shared = _shared_bits(keys)
    own = np.maximum(np.append(shared, -1), np.append(-1, shared)) + 1
    level = int(own.max())
    at = own == level
    nodes, heads = hashes[at], np.flatnonzero(at)
    while level > depth:
        level -= 1
        nodes, heads = _up(nodes, heads, keys, shared, level)
        if level > depth and (joining := np.flatnonzero(own == level)).size:
            heads = np.concatenate([heads, joining])
            order = np.argsort(heads, kind="stable")
            nodes, heads = np.concatenate([nodes, hashes[joining]])[order], heads[order]
    return nodes[0].tobytes()


def prove(items: Items, key: bytes, depth: int = 0) -> MapProof:
    """The proof for ``key`` out of all items of a subtree (sorted); its siblings from ``depth`` on.

    >>> items = items_of([bytes([1]) * 32, bytes([2]) * 32], [5, 6])
    >>> absent = prove(items, bytes(32))
    >>> absent.root(bytes(32)) == map_root(items), absent.value(bytes(32))
    (True, None)
    """
    siblings = []
    bits = _bits(key)
    while len(items) > 1:
        at = int(np.searchsorted(_bit(items, depth), 1))
        right = bits >> KEY_BITS - 1 - depth & 1
        inside, beside = (items[at:], items[:at]) if right else (items[:at], items[at:])
        depth += 1
        siblings.append(map_root(beside, depth))
        items = inside
    found = (items[0]["key"].tobytes(), int(items[0]["value"])) if len(items) else None
    return MapProof(tuple(siblings), found)


def _up(
    nodes: NDArray[np.uint8],
    heads: NDArray[np.intp],
    keys: NDArray[np.uint8],
    shared: NDArray[np.int64],
    level: int,
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """From the nodes at ``level`` + 1, each known by its first key, to those at ``level``.

    A node and the next are siblings where all keys between their first ones share ``level`` bits;
    a node without sibling gets an empty one.
    """
    # Between first keys i < j the bits they share are the fewest that any neighbours share.
    paired = np.minimum.reduceat(np.append(shared, -1), heads) >= level
    paired[-1] = False
    second = np.append(False, paired[:-1])
    first = ~second
    laid = np.zeros((int(first.sum()), _LONE), np.uint8)
    laid[:, 0] = _NODE[0]
    row = np.cumsum(first) - 1
    right = (keys[heads, level // 8] >> 7 - level % 8 & 1).astype(bool)
    laid[row[~right], 1 : 1 + HASH_BYTES] = nodes[~right]
    laid[row[right], 1 + HASH_BYTES :] = nodes[right]
    return _hash_rows(laid), heads[first]


def _item_hashes(items: Items) -> NDArray[np.uint8]:
    laid = np.empty((len(items), 1 + ITEM.itemsize), np.uint8)
    laid[:, 0] = _LEAF[0]
    laid[:, 1:] = np.ascontiguousarray(items).view(np.uint8).reshape(-1, ITEM.itemsize)
    return _hash_rows(laid)


def _hash_rows(laid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    held, width = laid.reshape(-1).data, laid.shape[1]
    digests = [sha256(held[at : at + width]).digest() for at in range(0, laid.size, width)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, HASH_BYTES)


def _shared_bits(keys: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many leading bits each key shares with the next: shape (n - 1,)."""
    differing = keys[1:] ^ keys[:-1]
    byte = (differing != 0).argmax(axis=1)
    first = np.take_along_axis(differing, byte[:, None], axis=1)[:, 0]
    return 8 * byte + 8 - np.frexp(first.astype(np.float64))[1].astype(np.int64)


def _bit(items: Items, depth: int) -> NDArray[np.uint8]:
    column = np.ascontiguousarray(items["key"]).view(np.uint8).reshape(-1, HASH_BYTES)
    found = column[:, depth // 8] >> 7 - depth % 8 & 1
    return found.astype(np.uint8)


def _bits(key: bytes) -> int:
    return int.from_bytes(key, "big")
