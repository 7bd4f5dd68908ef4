"""Merkle tree hashes, inclusion and consistency proofs as RFC 9162 defines them (SHA-256).

A leaf is ``SHA-256(0x00 || data)``, a node ``SHA-256(0x01 || left || right)``, and a tree of n
leaves splits at the largest power of two below n. So every aligned run of 2^k leaves is a node of
the tree, whatever comes after it: that is what makes proofs short and appending cheap.
Source: RFC 9162 (2021), sections 2.1.1 to 2.1.5; the same hashes as RFC 6962 (2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tailguard.provenance.base import ProofError

HASH_BYTES = 32
"""Size of a leaf, node or root hash."""

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""

LONGEST_PROOF = 128
"""No tree that can exist needs more hashes in a proof; longer ones are not even looked at."""

Hashes: TypeAlias = Sequence[bytes] | NDArray[np.uint8]
"""Leaf hashes: a sequence of 32-byte strings, or an array of shape (n, 32)."""

# Nodes hashed at a time, so that a level of a large tree is never copied as a whole.
_CHUNK = 1 << 16


def leaf_hash(data: bytes | bytearray | memoryview) -> bytes:
    """Hash of one leaf, ``SHA-256(0x00 || data)`` (32 bytes; RFC 9162, 2.1.1).

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    state = sha256(b"\x00")
    state.update(data)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, ``SHA-256(0x01 || left || right)`` (32 bytes; RFC 9162, 2.1.1).

    >>> node_hash(leaf_hash(b"a"), leaf_hash(b"b")) == root([leaf_hash(b"a"), leaf_hash(b"b")])
    True
    """
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Hashes) -> bytes:
    """Merkle tree hash of the leaves in order; ``EMPTY_ROOT`` of none (RFC 9162, 2.1.1).

    Takes n - 1 node hashes. Raises :class:`ProofError` where a hash has not 32 bytes.

    >>> root([]) == EMPTY_ROOT, root([leaf_hash(b"a")]) == leaf_hash(b"a")
    (True, True)
    """
    tree = Accumulator()
    tree.extend(leaf_hashes)
    return tree.root()


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees (first leaf, end) whose hashes prove leaf ``index`` of ``size``, lowest first.

    For a log that stores its nodes: look these up instead of hashing all leaves.
    Raises :class:`ProofError` unless 0 ≤ index < size.

    >>> inclusion_ranges(2, 7)
    [(3, 4), (0, 2), (4, 7)]
    """
    if not 0 <= index < size:
        raise ProofError("proof", f"a leaf below {size}", str(index), "give one of the tree")
    found: list[tuple[int, int]] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((first, middle))
            first = middle
    return found[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """The subtrees (first leaf, end) whose hashes prove that a tree grew by appending only.

    Empty when nothing was appended or the old tree was empty. Raises :class:`ProofError` unless
    0 ≤ old_size ≤ new_size.

    >>> consistency_ranges(3, 7)
    [(2, 3), (3, 4), (0, 2), (4, 7)]
    """
    if not 0 <= old_size <= new_size:
        got = f"{old_size} to {new_size}"
        raise ProofError("proof", "a tree that grew", got, "give the older tree first")
    if old_size in (0, new_size):
        return []
    found: list[tuple[int, int]] = []
    first, end, whole = 0, new_size, True
    while end != old_size:
        middle = first + _split(end - first)
        if old_size <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((first, middle))
            first, whole = middle, False
    if not whole:
        found.append((first, end))
    return found[::-1]


def inclusion_proof(leaf_hashes: Hashes, index: int) -> list[bytes]:
    """Hashes that lead from leaf ``index`` to the root, lowest first (RFC 9162, 2.1.3.1).

    At most ⌈log2 n⌉ of them. Raises :class:`ProofError` where there is no such leaf.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(7)]
    >>> verify_inclusion(leaves[2], 2, 7, inclusion_proof(leaves, 2), root(leaves))
    True
    """
    return [root(leaf_hashes[a:b]) for a, b in inclusion_ranges(index, len(leaf_hashes))]


def consistency_proof(leaf_hashes: Hashes, old_size: int) -> list[bytes]:
    """Hashes that prove the first ``old_size`` leaves were there before (RFC 9162, 2.1.4.1).

    At most ⌈log2 n⌉ + 1 of them. Raises :class:`ProofError` for an old size beyond the leaves.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(7)]
    >>> proof = consistency_proof(leaves, 3)
    >>> verify_consistency(3, 7, proof, root(leaves[:3]), root(leaves))
    True
    """
    return [root(leaf_hashes[a:b]) for a, b in consistency_ranges(old_size, len(leaf_hashes))]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether ``proof`` shows that ``leaf`` is number ``index`` of the ``size`` leaves under
    ``root`` (RFC 9162, 2.1.3.2).

    Never raises on what may come from outside: a proof of wrong length, order or hash is False.

    >>> verify_inclusion(leaf_hash(b"a"), 0, 1, [], leaf_hash(b"a"))
    True
    """
    if not 0 <= index < size or len(proof) > LONGEST_PROOF or not _sound([leaf, root, *proof]):
        return False
    place, last, found = index, size - 1, leaf
    for other in proof:
        if not last:
            return False
        if place & 1 or place == last:
            found = node_hash(other, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, other)
        place, last = place >> 1, last >> 1
    return not last and found == root


def verify_consistency(
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether ``proof`` shows that the tree under ``old_root`` is the beginning of the one under
    ``new_root`` (RFC 9162, 2.1.4.2).

    The empty tree is the beginning of any other, with an empty proof. Never raises on what may
    come from outside.

    >>> verify_consistency(0, 1, [], EMPTY_ROOT, leaf_hash(b"a"))
    True
    """
    if not 0 <= old_size <= new_size or len(proof) > LONGEST_PROOF:
        return False
    if not _sound([old_root, new_root, *proof]):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root and (new_size > 0 or new_root == EMPTY_ROOT)
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if not proof:
        return False
    # Where the old tree is a node of the new one, that node is left out of the proof.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if not last:
            return False
        if place & 1 or place == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, other)
        place, last = place >> 1, last >> 1
    return not last and old == old_root and new == new_root


class Accumulator:
    """The root of leaves that arrive one after the other, in O(log n) memory.

    Holds the hash of each complete subtree that waits for its right neighbour (the peaks).
    Appending m leaves takes about m node hashes, whatever came before.

    >>> tree = Accumulator()
    >>> tree.extend([leaf_hash(b"a"), leaf_hash(b"b")])
    >>> tree.append(leaf_hash(b"c"))
    >>> tree.size, tree.root() == root([leaf_hash(x) for x in (b"a", b"b", b"c")])
    (3, True)
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes | None] = []

    @property
    def peaks(self) -> list[bytes]:
        """Hashes of the complete subtrees, largest first: the whole state besides ``size``."""
        return [peak for peak in reversed(self._peaks) if peak is not None]

    @classmethod
    def resume(cls, size: int, peaks: Sequence[bytes]) -> Accumulator:
        """The accumulator that had ``size`` leaves and these ``peaks``, largest first.

        Raises :class:`ProofError` where their number does not fit the size.
        """
        if size < 0 or len(peaks) != size.bit_count() or not _sound(peaks):
            got = f"{len(peaks)} peaks for {size} leaves"
            raise ProofError("tree", "one 32-byte peak per bit of its size", got, "build it again")
        tree = cls()
        tree.size = size
        rest = list(peaks)
        tree._peaks = [rest.pop() if size >> k & 1 else None for k in range(size.bit_length())]
        return tree

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.extend([leaf])

    def extend(self, leaf_hashes: Hashes) -> None:
        """Add leaf hashes in order: 32-byte strings, or an array of shape (n, 32).

        Raises :class:`ProofError`, and changes nothing, where a hash has another size.
        """
        level = as_array(leaf_hashes)
        self.size += len(level)
        height = 0
        while len(level):
            if height == len(self._peaks):
                self._peaks.append(None)
            waiting = self._peaks[height]
            if waiting is not None:
                first = np.frombuffer(waiting, np.uint8)[None]
                level = np.concatenate([first, level])
            odd = len(level) & 1
            self._peaks[height] = level[-1].tobytes() if odd else None
            level = _pairs(level[: len(level) - odd])
            height += 1

    def root(self) -> bytes:
        """Root of all leaves so far; more may follow."""
        found: bytes | None = None
        for peak in self._peaks:
            if peak is not None:
                found = peak if found is None else node_hash(peak, found)
        return EMPTY_ROOT if found is None else found


def as_array(hashes: Hashes) -> NDArray[np.uint8]:
    """Hashes as one array of shape (n, 32); :class:`ProofError` where one has not 32 bytes.

    >>> as_array([bytes(32)]).shape
    (1, 32)
    """
    if isinstance(hashes, np.ndarray):
        if hashes.ndim != 2 or hashes.shape[1] != HASH_BYTES or hashes.dtype != np.uint8:
            got = f"shape {hashes.shape} of {hashes.dtype}"
            raise ProofError("tree", "hashes of shape (n, 32) in bytes", got, "hash the leaves")
        return np.ascontiguousarray(hashes)
    if not _sound(hashes):
        raise ProofError("tree", "hashes of 32 bytes", "another size", "hash the leaves first")
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES)


def _split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _sound(hashes: Sequence[bytes]) -> bool:
    return all(isinstance(one, bytes) and len(one) == HASH_BYTES for one in hashes)


def _pairs(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hash neighbours (2n, 32) into their parents (n, 32)."""
    width = 1 + 2 * HASH_BYTES
    parts = []
    for start in range(0, len(level), 2 * _CHUNK):
        pairs = level[start : start + 2 * _CHUNK].reshape(-1, 2 * HASH_BYTES)
        laid = np.empty((len(pairs), width), np.uint8)
        laid[:, 0] = 1
        laid[:, 1:] = pairs
        held = laid.reshape(-1).data
        parts += [sha256(held[at : at + width]).digest() for at in range(0, laid.size, width)]
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, HASH_BYTES)
