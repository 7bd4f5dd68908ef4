"""Vector profiles as files, in the container of ``tailguard.measure.store`` under a kind of their
own. No pickle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tailguard.corpus.atomic import replacing
from tailguard.measure.store import (
    MOST,
    Arrays,
    Container,
    countable,
    demand,
    pack,
    read_container,
    unpack,
)
from tailguard.measure.vectors.sketch import HALF, BottomK, Moments, Sketch
from tailguard.measure.vectors.summary import MOST_COLUMNS, VectorProfile, width_of

MAGIC = b"TGVECS\x00\x01"
MODALITIES = ("numeric", "image")
WHOLE = ("n", "missing", "infinite")
SUMS = ("mean", "m2", "m3", "m4", "low", "high")
MOST_KEPT = 1 << 13


def is_vector_profile(path: str | Path) -> bool:
    """True for a regular file that begins as a saved vector profile does."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(6) == MAGIC[:6]
    except OSError:
        return False


def save_vector_profile(profile: VectorProfile, path: str | Path) -> None:
    """Write a vector profile; the file appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(dump_vector_profile(profile))


def dump_vector_profile(profile: VectorProfile) -> bytes:
    """The bytes of a saved vector profile: equal profiles give equal bytes."""
    arrays: Arrays = dict(profile.moments.arrays())
    arrays |= {"sketch.keys": profile.sketch.keys, "sketch.counts": profile.sketch.counts}
    for name in ("rows", "contents"):
        sample: BottomK = getattr(profile, name)
        arrays |= {f"{name}.keys": sample.keys, f"{name}.counts": sample.counts}
    arrays["rows.values"] = profile.rows.values
    header = {
        "modality": profile.modality,
        "shape": [list(column) for column in profile.shape],
        "rows": profile.n_rows,
        "bytes": profile.n_bytes,
        "quarantined": profile.quarantined,
        "k": [profile.rows.k, profile.contents.k],
    }
    return pack(MAGIC, header, arrays)


def load_vector_profile(path: str | Path) -> VectorProfile:
    """Read a saved vector profile.

    Raises :class:`ProfileError` when it is missing, another kind of file, or damaged.
    """
    return parse_vector_profile(read_container(path), str(path))


def parse_vector_profile(data: bytes, who: str = "profile") -> VectorProfile:
    """The profile in the bytes of a saved one; :class:`ProfileError` for anything else."""
    return unpack(data, MAGIC, who, _profile)


def _profile(header: dict[str, Any], body: bytes) -> VectorProfile:
    held = Container(header, body)
    modality = header["modality"]
    demand(modality in MODALITIES, "an unknown modality")
    shape = tuple((name, width) for name, width in header["shape"])
    for name, width in shape:
        demand(isinstance(name, str) and isinstance(width, int) and width > 0, "a bad column")
    d = width_of(shape)
    demand(0 < d <= MOST_COLUMNS, "too many columns")
    demand(shape == tuple(sorted(shape)), "columns out of order")
    counts = [header[name] for name in ("rows", "bytes", "quarantined")]
    demand(all(isinstance(n, int) and 0 <= n < MOST for n in counts), "a bad count")
    moments = Moments(
        **{name: held.take(name, "<i8", (d,)) for name in WHOLE},
        **{name: held.take(name, "<f8", (d,)) for name in SUMS},
    )
    total = moments.n + moments.missing + moments.infinite
    demand(all(countable(getattr(moments, name)) for name in WHOLE), "a bad count")
    demand(bool((total == header["rows"]).all()), "counts of another number of rows")
    sums = np.stack([moments.mean, moments.m2, moments.m3, moments.m4])
    demand(bool(np.isfinite(sums).all() and (moments.m2 >= 0).all()), "bad moments")
    return VectorProfile(
        modality, shape, counts[0], counts[1], moments, _sketch(held, moments),
        _sample(held, "rows", header["k"][0], held.take("rows.values", "<f8", (None, d))),
        _sample(held, "contents", header["k"][1], None), counts[2],
    )  # fmt: skip


def _sketch(held: Container, moments: Moments) -> Sketch:
    keys = held.take("sketch.keys", "<i8", (None,))
    counts = held.take("sketch.counts", "<i8", (len(keys),))
    demand(bool((keys[1:] > keys[:-1]).all()) and countable(counts), "a bad sketch")
    d = len(moments.n)
    demand(not len(keys) or bool(keys[0] >= 0 and keys[-1] < d * 2 * HALF), "a bad bucket")
    column = keys // (2 * HALF)
    seen = np.zeros(d, np.int64)
    np.add.at(seen, column, counts)
    demand(bool((seen == moments.n).all()), "a sketch of other values")
    return Sketch(keys, counts)


def _sample(held: Container, name: str, k: Any, values: Any) -> BottomK:
    keys = held.take(f"{name}.keys", "<u8", (None,))
    counts = held.take(f"{name}.counts", "<i8", (len(keys),))
    rows = np.zeros((len(keys), 0)) if values is None else values
    demand(isinstance(k, int) and 0 < k <= MOST_KEPT and len(keys) <= k, "a bad sample")
    demand(len(rows) == len(keys) and bool((keys[1:] > keys[:-1]).all()), "a bad sample")
    demand(countable(counts) and bool((counts > 0).all()), "a bad count")
    demand(not np.isinf(rows).any(), "an infinite value")
    return BottomK(k, keys, counts, rows)
