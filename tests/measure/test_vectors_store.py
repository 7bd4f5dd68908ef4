"""Saved vector profiles come back whole, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.errors import ProfileError
from tailguard.measure.profile import profile_texts
from tailguard.measure.store import dump_profile, is_profile, load_profile
from tailguard.measure.vectors.store import (
    dump_vector_profile,
    is_vector_profile,
    load_vector_profile,
    parse_vector_profile,
    save_vector_profile,
)
from tailguard.measure.vectors.summary import profile_vectors

VALUES = np.random.default_rng(0).standard_normal((60, 3))
VALUES[3, 1] = np.nan
SAVED = dump_vector_profile(profile_vectors(VALUES, ["a", "b", "c"]))


def resealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def test_a_saved_profile_comes_back_the_same(tmp_path: Path) -> None:
    profile = profile_vectors(VALUES)
    save_vector_profile(profile, tmp_path / "p")
    found = load_vector_profile(tmp_path / "p")
    assert dump_vector_profile(found) == dump_vector_profile(profile)
    assert found.fingerprint() == profile.fingerprint()
    assert dump_vector_profile(found.merge(profile)) == dump_vector_profile(profile.merge(profile))


def test_the_two_kinds_of_profile_are_told_apart(tmp_path: Path) -> None:
    save_vector_profile(profile_vectors(VALUES), tmp_path / "v")
    (tmp_path / "t").write_bytes(dump_profile(profile_texts(["a text"])))
    assert (is_vector_profile(tmp_path / "v"), is_profile(tmp_path / "v")) == (True, False)
    assert (is_vector_profile(tmp_path / "t"), is_profile(tmp_path / "t")) == (False, True)
    with pytest.raises(ProfileError, match="another kind of file"):
        load_profile(tmp_path / "v")
    with pytest.raises(ProfileError, match="another kind of file"):
        load_vector_profile(tmp_path / "t")


def test_every_flipped_bit_is_noticed() -> None:
    rng = np.random.default_rng(1)
    for at in rng.choice(len(SAVED), 300, replace=False):
        damaged = bytearray(SAVED)
        damaged[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ProfileError):
            parse_vector_profile(bytes(damaged))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_forged_profiles_are_refused_or_well_formed(data: st.DataObject) -> None:
    body = bytearray(SAVED[:-32])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(8, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parse_vector_profile(resealed(bytes(body)))
    except ProfileError as error:
        told = str(error)
    else:
        told = "a profile"
        assert found.merge(found).n_rows == 2 * found.n_rows
        found.sketch.quantile(0, 0.5)
    assert "\n" not in told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rows": 60', b'"rows": 61'),
        (b'["a", 1]', b'["a", 2]'),
        (b'["a", 1]', b'["z", 1]'),
        (b'"numeric"', b'"numerix"'),
        (b'"k": [8192', b'"k": [0000'),
    ],
)
def test_a_header_that_disagrees_with_its_arrays_is_refused(old: bytes, new: bytes) -> None:
    assert old in SAVED
    with pytest.raises(ProfileError, match="well-formed"):
        parse_vector_profile(resealed(SAVED[:-32].replace(old, new)))
