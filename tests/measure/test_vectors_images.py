"""Images become features; hostile files become a count in the quarantine."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailguard.errors import InputError
from tailguard.measure.vectors.images import SHAPE, SIDE, features
from tailguard.measure.vectors.summary import width_of
from tailguard.measure.vectors.survey import survey_vectors

DATA = Path(__file__).parents[3] / "shared" / "data" / "mnist10k"
CHANNELS, EDGES = slice(0, 3), 6
PICTURE = slice(7, 7 + SIDE * SIDE)


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, form)
    return file.getvalue()


def noise(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3))


def test_features_are_the_means_of_the_pixels() -> None:
    pixels = noise(48, 96)
    found = features(encoded(pixels))
    assert len(found) == width_of(SHAPE)
    np.testing.assert_allclose(found[CHANNELS], pixels.mean(axis=(0, 1)) / 255, atol=1e-6)
    grey = np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("L"), float) / 255
    blocks = grey.reshape(SIDE, 3, SIDE, 6).mean(axis=(1, 3))
    np.testing.assert_allclose(found[PICTURE].reshape(SIDE, SIDE), blocks, atol=1 / 255)
    assert found[-2:].tolist() == [math.log(48 * 96), math.log(2)]


def test_blurring_an_image_lowers_its_edges() -> None:
    pixels = noise()
    smooth = (pixels + np.roll(pixels, 1, 0) + np.roll(pixels, 1, 1)) // 3
    assert features(encoded(smooth))[EDGES] < features(encoded(pixels))[EDGES] - 0.5


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_gives_nearly_the_same_features(form: str) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(60))[..., None] * np.ones(3) * 2
    ours, theirs = features(encoded(smooth, form)), features(encoded(smooth))
    np.testing.assert_allclose(ours[PICTURE], theirs[PICTURE], atol=0.03)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_pixels_has_features(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (9, 5)).save(file, "TIFF" if mode == "CMYK" else "PNG")
    assert np.isfinite(features(file.getvalue())).all()


def bomb(width: int, height: int) -> bytes:
    """A PNG that promises many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999))


@pytest.mark.parametrize("size", [(8_001, 8_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_images_of_too_many_pixels_are_refused_unread(size: tuple[int, int]) -> None:
    with pytest.raises(InputError):
        features(bomb(*size))


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(noise())[:300], b"%PDF-1.4\n"])
def test_what_is_no_whole_image_is_refused(data: bytes) -> None:
    with pytest.raises(InputError) as error:
        features(data)
    assert "\n" not in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]), st.data())
def test_damaged_files_give_features_or_one_line(form: str, data: st.DataObject) -> None:
    held = bytearray(encoded(noise(12, 12), form))
    for _ in range(data.draw(st.integers(1, 6))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(held)))
    try:
        found = features(bytes(held[:cut]))
    except InputError as error:
        told = str(error)
    else:
        told = "features"
        assert np.isfinite(found).all()
    assert "\n" not in told


def test_a_folder_with_bad_files_is_profiled_without_them(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(encoded(noise(seed=number)))
    (tmp_path / "cut.png").write_bytes(encoded(noise())[:500])
    (tmp_path / "text.jpg").write_bytes(b"hello")
    found = survey_vectors(tmp_path, engine="serial")
    assert (found.profile.n_rows, found.profile.quarantined) == (5, 2)
    assert "image: no image" in found.quarantine.counts
    assert found.profile.modality == "image"


def digits(chosen: slice) -> pa.Table:
    raw = gzip.decompress((DATA / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    pixels = np.frombuffer(raw, np.uint8).reshape(-1, 28, 28)[chosen]
    return pa.table({"image": pa.array([encoded(p) for p in pixels], pa.binary())})


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets beside the project are missing")
def test_digits_as_images_are_read_into_distinct_features() -> None:
    found = survey_vectors(digits(slice(0, 200)), engine="serial").profile
    assert found.n_rows == 200 and (found.contents.counts == 1).all()
