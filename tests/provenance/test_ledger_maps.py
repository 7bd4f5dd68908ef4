"""Maps of keys: one definition, every way to build them, and no key both in and out."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailguard.provenance.ledger import mapfile
from tailguard.provenance.ledger.base import NO_HASH, LedgerBroken, LedgerError
from tailguard.provenance.ledger.keymap import MapProof, item_hash, items_of, map_root, prove
from tailguard.provenance.ledger.mapfile import KeyMap, MapBuilder


def defined(items: list[tuple[bytes, int]], depth: int = 0) -> bytes:
    """The root as the module's first lines define it."""
    if len(items) < 2:
        return item_hash(*items[0]) if items else NO_HASH
    halves: tuple[list[tuple[bytes, int]], list[tuple[bytes, int]]] = ([], [])
    for key, value in items:
        halves[int.from_bytes(key, "big") >> 255 - depth & 1].append((key, value))
    left, right = (defined(half, depth + 1) for half in halves)
    return sha256(b"\x03" + left + right).digest()


def array(keys: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)


# Keys that share many bits, as an opponent who chooses records could make them share some.
KEYS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 255).map(lambda i: bytes(31) + bytes([i])),
    st.integers(0, 255).map(lambda i: bytes([i]) + bytes(31)),
    st.integers(0, 63).map(lambda i: bytes(7) + bytes([i]) + b"\xff" * 24),
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(KEYS, st.integers(0, 2**64 - 1), max_size=16), st.lists(KEYS, max_size=5))
@example({}, [bytes(32)])
@example({bytes(32): 1}, [b"\xff" * 32])
@example({bytes(32): 1, bytes(31) + b"\1": 2}, [bytes(31) + b"\2", b"\x80" + bytes(31)])
def test_the_root_and_every_proof_are_those_of_the_definition(
    held: dict[bytes, int], others: list[bytes]
) -> None:
    root = defined(list(held.items()))
    items = items_of(list(held), list(held.values()))
    assert map_root(items) == root
    for key in [*held, *others]:
        proof = prove(items, key)
        assert proof.root(key) == root
        assert proof.value(key) == held.get(key)


@settings(max_examples=30, deadline=None)
@given(st.sets(KEYS, min_size=1, max_size=25), st.data())
def test_no_proof_of_one_key_passes_for_another_or_with_a_change(
    keys: set[bytes], data: st.DataObject
) -> None:
    items = items_of(list(keys), list(range(len(keys))))
    key = data.draw(st.sampled_from(sorted(keys)))
    proof, root = prove(items, key), map_root(items)
    assert proof.found is not None
    value = proof.found[1]
    # There is no way to tell of this key that it is absent: cut the way short, or long.
    forged = [
        MapProof(proof.siblings, None),
        MapProof(proof.siblings, (key, value + 1)),
        MapProof(proof.siblings, (bytes(31) + b"\7", value)),
        MapProof((*proof.siblings, NO_HASH), proof.found),
        MapProof((*proof.siblings, bytes([1]) * 32), None),
    ]
    forged += [MapProof(proof.siblings[:n], proof.found) for n in range(len(proof.siblings))]
    forged += [MapProof(proof.siblings[:n], None) for n in range(len(proof.siblings))]
    for one in forged:
        assert one == proof or one.root(key) != root
    flipped = bytes([key[0] ^ 0x80]) + key[1:]
    assert not proof.siblings or proof.root(flipped) != root


def test_malformed_proofs_have_no_root_at_all() -> None:
    key = bytes(32)
    for siblings, found, asked in (
        ((bytes(31),), None, key),
        ((NO_HASH,) * 257, None, key),
        ((), (bytes(31), 1), key),
        ((), (key, -1), key),
        ((), (key, 1 << 64), key),
        ((), None, b"short"),
        ((NO_HASH,), (b"\xff" * 32, 1), key),  # lies where the key cannot be
    ):
        assert MapProof(siblings, found).root(asked) is None


@pytest.mark.parametrize("n", [0, 1, 2, 700, 2_500])
@pytest.mark.parametrize("held", [100, 10**6])
def test_a_map_on_disk_is_the_same_whatever_fits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, held: int
) -> None:
    monkeypatch.setattr(mapfile, "HELD_ITEMS", held)
    monkeypatch.setattr(mapfile, "_BUCKET_BITS", 3)  # so that few keys make many levels
    keys = [sha256(b"%d" % i).digest() for i in range(n)]
    with MapBuilder(tmp_path) as builder:
        for first in range(0, n, 70):
            builder.add(array(keys[first : first + 70]), 1)
        builder.add(array(keys[::3]), 2)
        root, count = builder.write(tmp_path / "m")
    values = [3 if i % 3 == 0 else 1 for i in range(n)]
    items = items_of(keys, values)
    assert (root, count) == (map_root(items), n)
    with KeyMap(tmp_path / "m") as stored:
        stored.check()
        assert (stored.root, stored.n) == (root, n)
        for key in [*keys[:: n // 30 + 1], bytes(32), b"\xff" * 32, sha256(b"other").digest()]:
            assert stored.prove(key) == prove(items, key)
            assert stored.value(key) == prove(items, key).value(key)
    assert not [p for p in tmp_path.iterdir() if p.name != "m"]


@pytest.mark.parametrize("lone", [b"\xff" * 32, b"\x80" + bytes(31)])
def test_keys_that_all_share_their_first_bits_are_no_special_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lone: bytes
) -> None:
    monkeypatch.setattr(mapfile, "_BUCKET_BITS", 2)
    keys = [bytes(30) + i.to_bytes(2, "big") for i in range(500)] + [lone]
    with MapBuilder(tmp_path, keep="least") as builder:
        builder.add(array(keys), np.arange(501, dtype=np.uint64))
        builder.add(array(keys), np.arange(501, dtype=np.uint64) + np.uint64(7))
        root, _ = builder.write(tmp_path / "m")
    items = items_of(keys, list(range(501)))
    assert root == map_root(items)
    with KeyMap(tmp_path / "m") as stored:
        for key in (lone, keys[3], b"\xfe" + bytes(31), bytes(30) + b"\xff\xff", b"\x01" * 32):
            assert stored.prove(key) == prove(items, key)


def test_a_key_given_twice_is_refused_where_it_cannot_be_merged() -> None:
    with pytest.raises(LedgerError, match="every key once"):
        items_of([bytes(32), bytes(32)], [1, 2])


@pytest.mark.parametrize("data", [
    b"", b"TGKEYMAP", b"TGKEYMAQ" + bytes(80), b"TGKEYMAP" + b"\xff" * 80,
    b"TGKEYMAP" + bytes(7) + b"\1" + bytes(8) + bytes(64),
    b"TGKEYMAP" + bytes(15) + b"\x40" + bytes(64),
])  # fmt: skip
def test_a_file_that_is_no_map_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(LedgerBroken) as caught:
        KeyMap(tmp_path / "m")
    assert "\n" not in str(caught.value)
    with pytest.raises(LedgerError, match="no such file"):
        KeyMap(tmp_path / "gone")
