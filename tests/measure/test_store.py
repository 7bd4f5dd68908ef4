"""Saved profiles: the same bytes again, and one clear line for anything else."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.errors import ProfileError
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.readings import METRICS, evaluate
from tailguard.measure.store import (
    LARGEST_HEADER,
    MAGIC,
    dump_profile,
    is_profile,
    load_profile,
    parse_profile,
    save_profile,
)
from tailguard.measure.view import View

EXAMPLES = int(os.environ.get("TAILGUARD_FUZZ", "150"))


def rows(n: int, seed: int = 0) -> list[str]:
    words = np.random.default_rng(seed).zipf(1.4, (n, 12)) % 500
    return [" ".join(f"w{x}" for x in row) for row in words]


def sliced() -> Profile:
    parts = {("source", name): profile_texts(rows(4, 7)) for name in ("b", "ü", "\n'\"")}
    return replace(profile_texts(rows(9)), slices=parts, quarantined=3)


SMALL = profile_texts(rows(6), keep_types=20, keep_documents=4)
SAVED = dump_profile(SMALL)


def sealed(body: bytes) -> bytes:
    """With the checksum that belongs to it, as a forger would write."""
    return body + hashlib.sha256(body).digest()


def forged(header: object, raw: bytes, *, packed: bytes | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    frame = zstandard.compress(raw, 1) if packed is None else packed
    return sealed(MAGIC + len(text).to_bytes(8, "little") + text + frame)


def opened(saved: bytes) -> tuple[dict[str, object], bytes]:
    size = int.from_bytes(saved[8:16], "little")
    return json.loads(saved[16 : 16 + size]), zstandard.decompress(saved[16 + size : -32])


def refused(data: bytes) -> str:
    """The one line a refusal prints."""
    with pytest.raises(ProfileError) as caught:
        parse_profile(data, "p")
    line = str(caught.value)
    assert line.startswith("p: expected ") and "\n" not in line and len(line) < 400
    return line


@pytest.mark.parametrize(
    "profile",
    [
        SMALL,
        sliced(),
        Profile.empty(),
        profile_texts(["", ""]),
        profile_texts(["Ünïcödé 数据 don’t \x00 \U0010ffff"]),
        profile_texts(rows(1500), keep_types=100, keep_documents=10),
    ],
    ids=["small", "sliced", "empty", "empty documents", "strange", "coarse blocks"],
)
def test_a_saved_profile_comes_back_to_the_byte(profile: Profile, tmp_path: Path) -> None:
    save_profile(profile, tmp_path / "p.profile")
    loaded = load_profile(tmp_path / "p.profile")
    assert dump_profile(loaded) == dump_profile(profile) == (tmp_path / "p.profile").read_bytes()
    assert loaded.fingerprint() == profile.fingerprint()
    assert is_profile(tmp_path / "p.profile")
    assert [*loaded.slices] == [*profile.slices]
    assert os.listdir(tmp_path) == ["p.profile"]


def test_a_loaded_profile_merges_as_the_one_that_was_saved() -> None:
    other = profile_texts(rows(6, 5), keep_types=20, keep_documents=4)
    loaded = parse_profile(SAVED)
    assert dump_profile(loaded.merge(other)) == dump_profile(SMALL.merge(other))


def test_no_flipped_bit_goes_unnoticed() -> None:
    rng = np.random.default_rng(0)
    places = [*range(64), *rng.choice(len(SAVED), min(len(SAVED), 400), replace=False)]
    for place in places:
        data = bytearray(SAVED)
        data[place] ^= 1 << int(rng.integers(8))
        refused(bytes(data))


def test_no_cut_and_no_addition_goes_unnoticed() -> None:
    for stop in {*range(60), *range(60, len(SAVED), 97), len(SAVED) - 1}:
        refused(SAVED[:stop])
    for more in (b"\0", b"\n", SAVED):
        refused(SAVED + more)


def test_a_damaged_file_says_what_to_do() -> None:
    line = refused(SAVED[:-1])
    assert "checksum" in line and "make it again with: tailguard profile" in line


def test_another_version_is_named() -> None:
    assert "version 2" in refused(sealed(MAGIC[:6] + b"\x00\x02" + SAVED[8:-32]))


@pytest.mark.parametrize("data", [b"", b"{}", b"TGPRO", b"PAR1" * 20, b"\x00" * 100])
def test_other_files_are_not_taken_for_profiles(data: bytes, tmp_path: Path) -> None:
    assert "another kind of file" in refused(data)
    (tmp_path / "x").write_bytes(data)
    assert not is_profile(tmp_path / "x")


def test_what_is_no_file_is_refused_and_pipes_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in [
        ("missing", "no such file"),
        (".", "a directory"),
        ("pipe", "no regular file"),
        ("a\0b", "null"),
        ("x" * 5000, "too long"),
    ]:
        assert not is_profile(tmp_path / path)
        with pytest.raises(ProfileError, match=said) as caught:
            load_profile(tmp_path / path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ProfileError, match="no regular file"):
        load_profile("/dev/zero")


def test_a_file_over_a_gibibyte_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.write(MAGIC)
        file.truncate((1 << 30) + 1)
    with pytest.raises(ProfileError, match="over 1 GiB"):
        load_profile(tmp_path / "huge")


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.update(arrays=[[n, "<f4", s] for n, _, s in h["arrays"]]),
        lambda h: h.update(arrays=[[n, "|O", s] for n, _, s in h["arrays"]]),
        lambda h: h.update(arrays=h["arrays"][:-1]),
        lambda h: h.update(arrays=[[n, d, [2**62, 2**62]] for n, d, _ in h["arrays"]]),
        lambda h: h.update(arrays=[[n, d, [-1]] for n, d, _ in h["arrays"]]),
        lambda h: h.update(arrays=[[["a"], d, s] for _, d, s in h["arrays"]]),
        lambda h: h.update(slices=[["source", "x"]]),
        lambda h: h.update(slices=[["source", "x"]] * 5000),
        lambda h: h.update(slices=[7]),
        lambda h: h.pop("meta"),
        lambda h: h["meta"].update(bits=[12]),
        lambda h: h["meta"].update(bits=10),
        lambda h: h["meta"].update(k=[1, 1, 1, 1]),
        lambda h: h["meta"].update(k=[20, 20, 20]),
        lambda h: h["meta"].update(tau=[-1] * 4),
        lambda h: h["meta"].update(tau=[1e400] * 4),
        lambda h: h["meta"].update(tau=["9" * 5000] * 4),
        lambda h: h["meta"].update(documents=0),
        lambda h: h["meta"].update(quarantined=-1),
        lambda h: h["meta"].update(quarantined="many\nlines"),
        lambda h: h["meta"].update(categories={"source": {"a": -1}}),
        lambda h: h["meta"].update(categories={"source": {"a": 10**30}}),
        lambda h: h["meta"].update(categories=[1]),
    ],
)
def test_a_forged_header_is_refused(change: object) -> None:
    header, raw = opened(SAVED)
    assert parse_profile(forged(header, raw)).n_documents == 6
    change(header)  # type: ignore[operator]
    refused(forged(header, raw))


@pytest.mark.parametrize("name", ["1.types", "used", "doc.keys", "name.hashes"])
def test_arrays_out_of_order_are_refused(name: str) -> None:
    header, raw = opened(SAVED)
    at = 0
    for found, dtype, shape in header["arrays"]:  # type: ignore[attr-defined]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if found == name:
            turned = np.frombuffer(raw[at : at + size], dtype)[::-1].tobytes()
            refused(forged(header, raw[:at] + turned + raw[at + size :]))
            return
        at += size
    raise AssertionError(name)


def test_a_forged_checksum_cannot_make_a_bomb() -> None:
    """A frame that declares or holds gigabytes, and headers of nothing but brackets."""
    header, raw = opened(SAVED)
    zeros = zstandard.ZstdCompressor(level=1).compress(bytes(300 << 20))
    endless = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(raw)
    declared = bytearray(zstandard.compress(bytes(1 << 33 >> 12), 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for packed in (zeros, endless, bytes(declared), b"", b"\x28\xb5\x2f\xfd" + b"\xff" * 30):
        refused(forged(header, raw, packed=packed))
    refused(forged(header, raw, packed=zstandard.compress(raw) + b"more"))
    refused(forged(b"[" * 1_000_000, raw))
    refused(forged(b"[" + b"[]," * (LARGEST_HEADER // 3) + b"[]]", raw))
    refused(sealed(MAGIC + b"\xff" * 8 + SAVED[16:-32]))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200  # MiB, beside the forgeries themselves


def survives(data: bytes) -> None:
    """Refused in one line, or a profile that can be measured and saved."""
    try:
        profile = parse_profile(data, "p")
    except ProfileError as error:
        message = str(error)
    else:
        measured(profile)
        return
    assert "\n" not in message


def measured(profile: Profile) -> None:
    assert isinstance(dump_profile(profile), bytes)
    view = View.whole(profile)
    for name in ("hill_0", "rare_mass", "distinct_3_pooled", "repeated_4grams_128", "self_bleu"):
        assert isinstance(evaluate(METRICS[name], view, view), float)


def mangled(content: bytes, data: st.DataObject) -> bytes:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        span = data.draw(st.integers(0, 16))
        more = data.draw(st.binary(max_size=8) | st.sampled_from([b"\xff" * 8, b"\0" * 8]))
        content = content[:at] + more + content[at + span :]
    return content


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_mangled_file_with_a_right_checksum_is_refused_in_one_line(data: st.DataObject) -> None:
    survives(sealed(mangled(SAVED[:-32], data)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_mangled_arrays_are_refused_or_can_be_measured(data: st.DataObject) -> None:
    """Same length, so that the values get past the outer checks."""
    header, raw = opened(SAVED)
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 8))
        more = data.draw(st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 7 + b"\x7f"))
        changed[at : at + len(more)] = more
    survives(forged(header, bytes(changed)))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data(), value=values)
def test_mangled_headers_are_refused_or_can_be_measured(data: st.DataObject, value: object) -> None:
    header, raw = opened(SAVED)
    meta = header["meta"]
    arrays = header["arrays"]
    assert isinstance(meta, dict) and isinstance(arrays, list)
    kind = data.draw(st.sampled_from(["top", "meta", "array", "shape", "gone"]))
    row = arrays[data.draw(st.integers(0, len(arrays) - 1))]
    if kind == "top":
        header[data.draw(st.sampled_from(sorted(header)))] = value
    elif kind == "meta":
        meta[data.draw(st.sampled_from(sorted(meta)))] = value
    elif kind == "array":
        row[data.draw(st.integers(0, 2))] = value
    elif kind == "shape":
        row[2] = data.draw(st.lists(st.integers(-2, 2**40), max_size=3))
    else:
        arrays.remove(row)
    survives(forged(header, raw))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_no_profile(content: bytes) -> None:
    survives(content)
    survives(MAGIC + content)
    survives(sealed(MAGIC + content))
