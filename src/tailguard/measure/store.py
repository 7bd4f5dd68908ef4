"""Profiles as files: a small, versioned container of plain arrays. No pickle.

Layout: magic and version (8 bytes), length of the header (8, little endian), header (JSON: names,
types, shapes), arrays (one Zstandard frame), SHA-256 of all that went before (32 bytes). The
checksum is looked at first, so damage anywhere is one clear line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zstandard
from numpy.typing import NDArray

from tailguard.corpus.atomic import replacing
from tailguard.errors import ProfileError
from tailguard.measure.blocks import REPEAT_BINS, SCALARS, BlockTable
from tailguard.measure.categories import Categories
from tailguard.measure.documents import KEEP_TOKENS, DocumentSample
from tailguard.measure.names import Names
from tailguard.measure.profile import LENGTH_BINS, ORDERS, Profile
from tailguard.measure.sample import TypeSample

MAGIC = b"TGPROF\x00\x01"
LARGEST = 1 << 30
LARGEST_HEADER = 1 << 25
MOST_SLICES = 1 << 10
MOST = 1 << 48
"""No count can be larger: so sums of counts never overflow."""
DTYPES = ("<u8", "<i8", "<f8", "<u4", "<u2", "|u1")
Arrays = dict[str, NDArray[Any]]
Built = TypeVar("Built")


def is_profile(path: str | Path) -> bool:
    """True for a regular file that begins as a saved profile does; a pipe is left unread."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(6) == MAGIC[:6]
    except OSError:
        return False


def save_profile(profile: Profile, path: str | Path) -> None:
    """Write a profile; the file appears complete or not at all.

    Raises :class:`CorpusError` when the system refuses to write.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(dump_profile(profile))


def dump_profile(profile: Profile) -> bytes:
    """The bytes of a saved profile: equal profiles give equal bytes."""
    arrays: Arrays = {}
    header: dict[str, Any] = {"slices": [list(key) for key in profile.slices]}
    _put(profile, "", arrays, header)
    for number, part in enumerate(profile.slices.values()):
        _put(part, f"slice{number}.", arrays, header)
    return pack(MAGIC, header, arrays)


def pack(magic: bytes, header: dict[str, Any], arrays: Arrays) -> bytes:
    """A container of this kind (8 bytes: 6 of kind, 2 of version); see the module."""
    header["arrays"] = [[n, a.dtype.str, list(a.shape)] for n, a in arrays.items()]
    text = json.dumps(header, ensure_ascii=True, sort_keys=True).encode()
    raw = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays.values())
    body = magic + len(text).to_bytes(8, "little") + text + zstandard.compress(raw, 6)
    return body + hashlib.sha256(body).digest()


def _put(profile: Profile, at: str, arrays: Arrays, header: dict[str, Any]) -> None:
    for order, sample in zip(ORDERS, profile.grams, strict=True):
        arrays[f"{at}{order}.types"] = sample.types
        arrays[f"{at}{order}.degree"] = np.diff(sample.indptr).astype("<u4")
        arrays[f"{at}{order}.blocks"] = sample.blocks
        arrays[f"{at}{order}.counts"] = sample.counts
    used = np.flatnonzero(profile.table.column("documents"))
    arrays[f"{at}used"] = used
    arrays[f"{at}scalars"] = profile.table.scalars[used]
    arrays[f"{at}repeats"] = profile.table.repeats[used].astype("<u4")
    documents = profile.documents
    for name in ("keys", "content", "copies", "lengths", "offsets"):
        arrays[f"{at}doc.{name}"] = getattr(documents, name)
    vocabulary, tokens = np.unique(documents.tokens, return_inverse=True)
    arrays[f"{at}doc.vocabulary"], arrays[f"{at}doc.tokens"] = vocabulary, tokens.astype("<u4")
    arrays[f"{at}lengths"] = profile.lengths
    texts = [text.encode() for text in profile.names.texts]
    arrays[f"{at}name.hashes"] = profile.names.hashes
    arrays[f"{at}name.sizes"] = np.array([len(t) for t in texts], "<u2")
    arrays[f"{at}name.bytes"] = np.frombuffer(b"".join(texts), np.uint8)
    header[f"{at}meta"] = {
        "bits": profile.table.bits,
        "k": [sample.k for sample in profile.grams],
        "tau": [int(sample.tau) for sample in profile.grams],
        "documents": documents.k,
        "quarantined": profile.quarantined,
        "categories": {name: dict(values) for name, values in profile.categories.counts.items()},
    }


def load_profile(path: str | Path) -> Profile:
    """Read a saved profile.

    Raises :class:`ProfileError` when it is missing, no profile, of another version, or damaged.
    """
    return parse_profile(read_container(path), str(path))


def read_container(path: str | Path) -> bytes:
    """The bytes of a saved profile of any kind; :class:`ProfileError` when they cannot be read."""
    who, check = str(path), "check the path"
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            kind = "a directory" if os.path.isdir(path) else "no regular file"
            raise ProfileError(who, "a saved profile", kind, check)
        if os.path.getsize(path) > LARGEST:
            raise ProfileError(who, "a saved profile", "a file over 1 GiB", check)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ProfileError(who, "a saved profile", reason, check) from None


def parse_profile(data: bytes, who: str = "profile") -> Profile:
    """The profile in the bytes of a saved one; see :func:`load_profile` for errors."""
    return unpack(data, MAGIC, who, _whole)


def _whole(header: dict[str, Any], body: bytes) -> Profile:
    reader = _Reader(header, body)
    demand(len(header["slices"]) <= MOST_SLICES, "too many slices")
    whole = reader.profile("")
    parts = {
        (str(by), str(value)): reader.profile(f"slice{number}.")
        for number, (by, value) in enumerate(header["slices"])
    }
    return Profile(
        whole.grams, whole.table, whole.documents, whole.lengths, whole.names,
        whole.categories, whole.quarantined, parts,
    )  # fmt: skip


def unpack(
    data: bytes, magic: bytes, who: str, build: Callable[[dict[str, Any], bytes], Built]
) -> Built:
    """What ``build`` makes of the header and body of a container of this kind.

    Raises :class:`ProfileError` for another kind or version, and for any damage.
    """
    again = "make it again with: tailguard profile"
    if data[:6] != magic[:6]:
        raise ProfileError(who, "a saved profile", "another kind of file", again)
    if data[:8] != magic:
        version = int.from_bytes(data[6:8], "big")
        raise ProfileError(who, "a profile of version 1", f"version {version}", again)
    if len(data) < 48 or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise ProfileError(who, "an undamaged profile", "a wrong checksum", again)
    try:
        size = int.from_bytes(data[8:16], "little")
        demand(size <= LARGEST_HEADER, "a header over 32 MiB")
        header = json.loads(data[16 : 16 + size])
        return build(header, data[16 + size : -32])
    # A checksum is no signature: whoever forges one may put anything behind it.
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError,
            zstandard.ZstdError, RecursionError, MemoryError) as error:  # fmt: skip
        raise ProfileError(
            who, "a well-formed profile", str(error)[:80] or "nonsense", again
        ) from None


def demand(condition: bool, what: str) -> None:
    """ValueError unless the condition holds: ``unpack`` makes one line of it."""
    if not condition:
        raise ValueError(what)


def countable(counts: NDArray[Any]) -> bool:
    """Whether all are counts that can be summed."""
    return bool((counts >= 0).all() and (counts < MOST).all())


@dataclass
class Container:
    """The arrays of a container, checked against its header; ValueError where they disagree."""

    header: dict[str, Any]
    body: bytes

    def __post_init__(self) -> None:
        sizes, total = [], 0
        for _, dtype, shape in self.header["arrays"]:
            demand(dtype in DTYPES, "an unknown array type")
            demand(all(isinstance(n, int) and 0 <= n < LARGEST for n in shape), "a bad shape")
            sizes.append(int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize)
            total += sizes[-1]
        demand(total <= LARGEST, "arrays over 1 GiB")
        # The decompressor believes the size that the frame declares, so that is looked at first.
        declared = zstandard.get_frame_parameters(self.body).content_size
        demand(declared == total, "arrays of another length")
        raw = zstandard.ZstdDecompressor().decompress(self.body, allow_extra_data=False)
        self.arrays: Arrays = {}
        start = 0
        for (name, dtype, shape), size in zip(self.header["arrays"], sizes, strict=True):
            values = np.frombuffer(raw, dtype, count=size // np.dtype(dtype).itemsize, offset=start)
            self.arrays[name] = values.reshape(shape)
            start += size

    def take(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """An array of this type and shape; ``None`` for any length."""
        array = self.arrays[name]
        demand(array.dtype.str == dtype and array.ndim == len(shape), f"another type of {name}")
        for n, want in zip(array.shape, shape, strict=True):
            demand(want is None or n == want, f"another shape of {name}")
        return array


class _Reader(Container):
    def profile(self, at: str) -> Profile:
        meta = self.header[f"{at}meta"]
        bits = meta["bits"]
        demand(bits in (8, 10, 12), "a bad number of blocks")
        grams = tuple(
            self._sample(f"{at}{order}", int(k), int(tau), bits)
            for order, k, tau in zip(ORDERS, meta["k"], meta["tau"], strict=True)
        )
        table = self._table(at, bits)
        for order, sample in zip(ORDERS, grams, strict=True):
            sums = np.bincount(sample.blocks, sample.counts, minlength=1 << bits)
            demand(bool((sums <= table.n_grams(order)).all()), "more n-grams than there are")
        lengths = self.take(f"{at}lengths", "<i8", (LENGTH_BINS,)).copy()
        demand(countable(lengths) and lengths.sum() == table.documents, "bad lengths")
        categories = {
            str(name): {str(value): int(count) for value, count in values.items()}
            for name, values in meta["categories"].items()
        }
        counted = [count for values in categories.values() for count in values.values()]
        demand(all(0 <= n < MOST for n in [*counted, int(meta["quarantined"])]), "a bad count")
        return Profile(
            grams,
            table,
            self._documents(f"{at}doc.", int(meta["documents"])),
            lengths,
            self._names(f"{at}name."),
            Categories(categories),
            int(meta["quarantined"]),
        )

    def _table(self, at: str, bits: int) -> BlockTable:
        used = self.take(f"{at}used", "<i8", (None,))
        demand(bool((used[1:] > used[:-1]).all()), "blocks out of order")
        demand(len(used) == 0 or bool(used[0] >= 0 and used[-1] < 1 << bits), "a bad block")
        sums = self.take(f"{at}scalars", "<i8", (len(used), len(SCALARS)))
        binned = self.take(f"{at}repeats", "<u4", (len(used), REPEAT_BINS))
        demand(countable(sums) and bool((sums[:, 0] > 0).all()), "a bad count")
        demand(bool((binned.sum(axis=1) == sums[:, 0]).all()), "bad sums")
        scalars = np.zeros((1 << bits, len(SCALARS)), np.int64)
        repeats = np.zeros((1 << bits, REPEAT_BINS), np.int64)
        scalars[used], repeats[used] = sums, binned
        return BlockTable(bits, scalars, repeats)

    def _sample(self, at: str, k: int, tau: int, bits: int) -> TypeSample:
        types = self.take(f"{at}.types", "<u8", (None,))
        degree = self.take(f"{at}.degree", "<u4", (len(types),))
        blocks = self.take(f"{at}.blocks", "<u2", (None,))
        counts = self.take(f"{at}.counts", "<u4", (len(blocks),))
        demand(bool((types[1:] > types[:-1]).all()), "types out of order")
        demand(0 < k < LARGEST and len(types) <= k and 0 <= tau < 1 << 64, "a bad sample")
        demand(len(types) == 0 or int(types[-1]) <= tau, "a type above the threshold")
        demand(bool((degree > 0).all()) and int(degree.sum()) == len(blocks), "bad degrees")
        demand(
            len(blocks) == 0 or bool(blocks.max() < 1 << bits and counts.min() > 0), "a bad entry"
        )
        indptr = np.zeros(len(types) + 1, np.int64)
        np.cumsum(degree, out=indptr[1:])
        return TypeSample(k, np.uint64(tau), types, indptr, blocks, counts)

    def _documents(self, at: str, k: int) -> DocumentSample:
        content = self.take(f"{at}content", "<u8", (None,))
        n = len(content)
        keys = self.take(f"{at}keys", "<f8", (n,))
        offsets = self.take(f"{at}offsets", "<i8", (n + 1,))
        vocabulary = self.take(f"{at}vocabulary", "<u8", (None,))
        tokens = vocabulary[self.take(f"{at}tokens", "<u4", (None,))]
        lengths = self.take(f"{at}lengths", "<i8", (n,))
        copies = self.take(f"{at}copies", "<i8", (n,))
        demand(0 < k < LARGEST and n <= k, "a bad document sample")
        demand(offsets[0] == 0 and offsets[-1] == len(tokens), "bad document borders")
        inside = (offsets >= 0) & (offsets <= len(tokens))
        demand(bool(inside.all()), "bad document borders")
        cut = np.minimum(lengths, KEEP_TOKENS)
        demand(bool((lengths > 0).all() and (np.diff(offsets) == cut).all()), "bad lengths")
        demand(countable(lengths) and countable(copies) and bool((copies > 0).all()), "a count")
        demand(bool(np.isfinite(keys).all() and (keys[1:] >= keys[:-1]).all()), "bad keys")
        return DocumentSample(k, keys, content, copies, lengths, tokens, offsets)

    def _names(self, at: str) -> Names:
        hashes = self.take(f"{at}hashes", "<u8", (None,))
        demand(bool((hashes[1:] > hashes[:-1]).all()), "names out of order")
        sizes = self.take(f"{at}sizes", "<u2", (len(hashes),))
        raw = self.take(f"{at}bytes", "|u1", (int(sizes.sum()),)).tobytes()
        ends = np.cumsum(sizes, dtype=np.int64)
        texts = tuple(
            raw[end - size : end].decode("utf-8", "replace")
            for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
        )
        return Names(hashes, texts)
