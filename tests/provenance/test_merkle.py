"""Merkle trees against the vectors of RFC 6962's reference tests, and against the definition."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.provenance import merkle
from tailguard.provenance.base import ProofError

# Leaves, roots and proofs of the Certificate Transparency reference tests (RFC 6962).
LEAVES = [bytes.fromhex(x) for x in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): INCLUSION[0, 8],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
MANY = [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(70)]


def defined_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word by word (on leaf hashes)."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def test_leaf_hashes_and_roots_are_those_of_the_reference_tests() -> None:
    for n, expected in enumerate(ROOTS, 1):
        assert merkle.root(HASHES[:n]).hex() == expected
    assert merkle.root([]).hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize("place", INCLUSION)
def test_inclusion_proofs_are_those_of_the_reference_tests(place: tuple[int, int]) -> None:
    index, size = place
    found = merkle.inclusion_proof(HASHES[:size], index)
    assert tuple(node.hex() for node in found) == INCLUSION[place]
    root = bytes.fromhex(ROOTS[size - 1])
    assert merkle.verify_inclusion(HASHES[index], index, size, found, root)


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference_tests(sizes: tuple[int, int]) -> None:
    old, new = sizes
    found = merkle.consistency_proof(HASHES[:new], old)
    assert tuple(node.hex() for node in found) == CONSISTENCY[sizes]
    roots = [bytes.fromhex(ROOTS[n - 1]) for n in sizes]
    assert merkle.verify_consistency(old, new, found, *roots)


def test_roots_of_all_sizes_follow_the_definition() -> None:
    for n in range(len(MANY)):
        assert merkle.root(MANY[:n]) == defined_root(MANY[:n])
        array = np.frombuffer(b"".join(MANY[:n]), np.uint8).reshape(-1, 32)
        assert merkle.root(array) == defined_root(MANY[:n])


def test_every_leaf_of_every_tree_has_a_proof_and_no_other_place_takes_it() -> None:
    for n in range(1, 20):
        root = merkle.root(MANY[:n])
        for i in range(n):
            proof = merkle.inclusion_proof(MANY[:n], i)
            assert merkle.verify_inclusion(MANY[i], i, n, proof, root)
            taken = [
                (j, m)
                for m in range(1, 24)
                for j in range(m)
                if merkle.verify_inclusion(MANY[i], j, m, proof, root)
            ]
            # Sizes and indices that walk the same way up are the same claim about the hashes.
            assert (i, n) in taken
            for j, m in taken:
                assert sides(j, m) == sides(i, n)


def sides(index: int, size: int) -> list[bool]:
    """On which side the path turns, from the definition of PATH."""
    if size == 1:
        return []
    k = 1
    while k * 2 < size:
        k *= 2
    return [*sides(index, k), True] if index < k else [*sides(index - k, size - k), False]


def test_every_older_tree_has_a_proof_and_a_wrong_root_has_none() -> None:
    for n in range(1, 24):
        new = merkle.root(MANY[:n])
        for m in range(n + 1):
            old = merkle.root(MANY[:m])
            proof = merkle.consistency_proof(MANY[:n], m)
            assert merkle.verify_consistency(m, n, proof, old, new)
            other = merkle.root([MANY[-1], *MANY[1:m]])
            if m:
                assert not merkle.verify_consistency(m, n, proof, other, new)
                assert not merkle.verify_consistency(m, n, [*proof, MANY[0]], old, new)
                assert not merkle.verify_consistency(m, n, proof, old, merkle.leaf_hash(b"?"))
            for k in range(len(proof)):
                broken = [*proof[:k], bytes(32), *proof[k + 1 :]]
                assert not merkle.verify_consistency(m, n, broken, old, new)
                assert not merkle.verify_consistency(m, n, proof[:k], old, new)


def test_a_proof_of_a_smaller_tree_does_not_pass_for_a_larger_one() -> None:
    roots = [merkle.root(MANY[:n]) for n in range(9)]
    proof = merkle.consistency_proof(MANY[:4], 3)
    for size in range(5, 40):
        assert not merkle.verify_consistency(3, size, proof, roots[3], roots[4])


def test_a_rewritten_history_cannot_be_proved_consistent() -> None:
    old = merkle.root(MANY[:5])
    forged = [*MANY[:3], MANY[-1], *MANY[4:9]]
    proof = merkle.consistency_proof(forged, 5)
    assert not merkle.verify_consistency(5, 9, proof, old, merkle.root(forged))


@given(
    sizes=st.lists(st.integers(0, 40), max_size=8),
    resume_at=st.integers(0, 7),
)
@settings(max_examples=60, deadline=None)
def test_the_accumulator_forgets_how_leaves_came_in(sizes: list[int], resume_at: int) -> None:
    tree, given_leaves = merkle.Accumulator(), 0
    for number, size in enumerate(sizes):
        first = given_leaves % 30
        batch = (MANY * 2)[first : first + size]
        if number == resume_at:
            tree = merkle.Accumulator.resume(tree.size, tree.peaks)
        tree.extend(batch)
        given_leaves += size
    again = merkle.Accumulator()
    at = 0
    for size in sizes:
        for leaf in (MANY * 2)[at % 30 : at % 30 + size]:
            again.append(leaf)
        at += size
    assert tree.root() == again.root()
    assert tree.size == again.size == sum(sizes)
    assert len(tree.peaks) == tree.size.bit_count()


def test_ranges_name_the_subtrees_whose_roots_are_the_proof() -> None:
    for n in range(1, 18):
        for m in range(n + 1):
            named = [merkle.root(MANY[a:b]) for a, b in merkle.consistency_ranges(m, n)]
            assert named == merkle.consistency_proof(MANY[:n], m)
            for a, b in merkle.consistency_ranges(m, n):
                # Each is a node of the tree: complete and aligned, or the right edge.
                size = b - a
                assert b == n or (size & (size - 1) == 0 and a % size == 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: merkle.inclusion_proof(MANY[:3], 3),
        lambda: merkle.inclusion_proof(MANY[:3], -1),
        lambda: merkle.consistency_proof(MANY[:3], 4),
        lambda: merkle.root([b"short"]),
        lambda: merkle.root(np.zeros((2, 31), np.uint8)),
        lambda: merkle.Accumulator.resume(3, [bytes(32)]),
        lambda: merkle.Accumulator.resume(1, [bytes(31)]),
    ],
)
def test_trees_that_cannot_be_are_refused_in_one_line(call: object) -> None:
    with pytest.raises(ProofError) as refused:
        call()  # type: ignore[operator]
    assert "\n" not in str(refused.value)


def test_verification_of_hostile_proofs_is_false_and_never_raises() -> None:
    root = merkle.root(MANY[:3])
    good = merkle.inclusion_proof(MANY[:3], 0)
    assert not merkle.verify_inclusion(MANY[0], 0, 0, good, root)
    assert not merkle.verify_inclusion(MANY[0], -1, 3, good, root)
    assert not merkle.verify_inclusion(b"short", 0, 3, good, root)
    assert not merkle.verify_inclusion(MANY[0], 0, 3, ["text"], root)  # type: ignore[list-item]
    assert not merkle.verify_inclusion(MANY[0], 0, 3, [b"x" * 33, good[1]], root)
    assert not merkle.verify_inclusion(MANY[0], 0, 1 << 4000, good * 90, root)
    assert not merkle.verify_consistency(1, 1 << 4000, good * 90, MANY[0], root)
    assert not merkle.verify_consistency(3, 3, good, root, root)
    assert not merkle.verify_consistency(0, 3, [], MANY[0], root)
    assert not merkle.verify_consistency(0, 0, [], root, root)
