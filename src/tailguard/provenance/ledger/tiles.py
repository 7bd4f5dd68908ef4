"""The Merkle tree of a log in tiles: where they lie, and hashes and entries read from them.

A tile holds up to 256 neighbouring hashes of one level, 8 levels of the tree apart; a bundle
holds up to 256 entries, each after its length as 16 bits, big-endian. The last of a level is
*partial*, under a name that tells its width: ``tile/0/x001/234.p/17``. Full ones never change.
Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tailguard.provenance import merkle
from tailguard.provenance.ledger.base import (
    LONGEST_ENTRY_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    LedgerBroken,
)
from tailguard.provenance.ledger.files import Folder

TILE_BYTES = TILE_WIDTH * merkle.HASH_BYTES
"""Size of a full tile."""

BUNDLE_BYTES = TILE_WIDTH * (2 + LONGEST_ENTRY_BYTES)
"""The largest that a bundle of entries can be."""

_KEPT_TILES = 64
_AHEAD = 1_000_000
_NAME = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


def tile_name(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile of a ``level`` (or of ``"entries"``), partial if narrower than 256.

    >>> tile_name(0, 1234067), tile_name("entries", 5, 17)
    ('tile/0/x001/x234/067', 'tile/entries/005.p/17')
    """
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.append(f"x{index % 1000:03d}")
    partial = f".p/{width}" if width < TILE_WIDTH else ""
    return f"tile/{level}/{'/'.join(reversed(parts))}{partial}"


def parse_tile_name(name: str) -> tuple[int | str, int, int] | None:
    """Level, index and width of a path of a tile; None where it is not the path of any.

    >>> parse_tile_name("tile/entries/005.p/17"), parse_tile_name("tile/0/../../x")
    (('entries', 5, 17), None)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    level = match[1] if match[1] == "entries" else int(match[1])
    index = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3] or TILE_WIDTH)
    return (level, index, width) if tile_name(level, index, width) == name else None


def width_of(level: int, index: int, size: int) -> int:
    """How many hashes tile ``index`` of ``level`` has in a tree of ``size``; 0 if it has none.

    >>> width_of(0, 273, 70_000), width_of(1, 1, 70_000), width_of(2, 0, 70_000)
    (112, 17, 1)
    """
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def tiles_in(folder: Folder, level: int | str, beyond: int = 0) -> Iterator[tuple[str, int, int]]:
    """Path, index and width of the tiles of a level that are there, from index ``beyond`` on.

    Other names in these folders are passed over, and so are tiles more than ``_AHEAD`` further on
    whose paths are longer: no writer gets there in one go.
    """
    parts = len(tile_name(0, beyond + _AHEAD).split("/")) - 2
    waiting = [(f"tile/{level}", 0, parts)]
    while waiting:
        place, value, left = waiting.pop()
        for name, is_folder in folder.names(place):
            path = f"{place}/{name}"
            if is_folder and re.fullmatch(r"x[0-9]{3}", name):
                inner = value * 1000 + int(name[1:])
                if (inner + 1) * 1000 ** max(left - 1, 0) > beyond:
                    waiting.append((path, inner, left - 1))
                continue
            partial = is_folder and re.fullmatch(r"[0-9]{3}\.p", name)
            for inside in [f"{path}/{n}" for n, _ in folder.names(path)] if partial else [path]:
                found = parse_tile_name(inside)
                if found is not None and found[1] >= beyond:
                    yield inside, found[1], found[2]


def pack_entries(entries: list[bytes]) -> bytes:
    """A bundle of entries, each of at most 65,535 bytes.

    >>> pack_entries([b"ab", b""])
    b'\\x00\\x02ab\\x00\\x00'
    """
    return b"".join([part for e in entries for part in (len(e).to_bytes(2, "big"), e)])


def unpack_entries(bundle: bytes, width: int, *, who: str = "bundle") -> list[bytes]:
    """The ``width`` entries of a bundle. Raises :class:`LedgerBroken` unless they fill it.

    >>> unpack_entries(b"\\x00\\x02ab\\x00\\x00", 2)
    [b'ab', b'']
    """
    entries, at = [], 0
    for _ in range(width):
        first = at + 2
        at = first + int.from_bytes(bundle[at:first], "big")
        entries.append(bundle[first:at])
    # A cut bundle ends beyond its bytes, however many of them are missing.
    if at != len(bundle):
        raise LedgerBroken(who, f"a bundle of {width} entries", "another length", _RESTORE)
    return entries


class Tree:
    """The tree of a log of ``size`` entries, read from its tiles as needed.

    With ``signed``, the root that a checkpoint has, entries are returned only once they are known
    to be under it. Single hashes are not to be trusted: a proof made of them is verified before
    use. Keeps the tiles read last; make a new one for a log that has grown.
    """

    def __init__(self, folder: Folder, size: int, signed: bytes | None = None) -> None:
        self.folder, self.size, self.signed = folder, size, signed
        self._kept: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int) -> bytes:
        """The hashes of a tile, as one string. Raises :class:`LedgerBroken` where it is gone."""
        known = self._kept.get((level, index))
        if known is not None:
            return known
        width = width_of(level, index, self.size)
        data = self._read(level, index, width, TILE_BYTES)
        if len(data) % merkle.HASH_BYTES or len(data) < width * merkle.HASH_BYTES:
            raise LedgerBroken(
                self._who(level, index, width), f"{width} hashes", f"{len(data)} bytes", _RESTORE
            )
        # A full tile may stand in for the partial one it has grown from.
        data = data[: width * merkle.HASH_BYTES]
        if len(self._kept) >= _KEPT_TILES:
            del self._kept[next(iter(self._kept))]
        self._kept[level, index] = data
        return data

    def bundle(self, index: int) -> list[bytes]:
        """The entries of a bundle; :class:`LedgerBroken` unless each has the hash in its tile, and
        the tile is under the signed root."""
        width = width_of(0, index, self.size)
        data = self._read("entries", index, width, BUNDLE_BYTES)
        who = self._who("entries", index, width)
        try:
            entries = unpack_entries(data, width, who=who)
        except LedgerBroken:
            # A full bundle may stand in for a partial one.
            entries = unpack_entries(data, TILE_WIDTH, who=who)[:width]
        leaves = b"".join(map(merkle.leaf_hash, entries))
        if leaves != self.tile(0, index) or not self._is_signed(leaves, index * TILE_WIDTH):
            raise LedgerBroken(who, "the entries that were signed", "others", _RESTORE)
        return entries

    def _is_signed(self, leaves: bytes, first: int) -> bool:
        # The path of the first leaf is made of all others in the tile: it stands for them all.
        return self.signed is None or merkle.verify_inclusion(
            leaves[: merkle.HASH_BYTES], first, self.size, self.inclusion(first), self.signed
        )

    def entry(self, sequence: int) -> bytes:
        """The bytes of one entry, 0 ≤ sequence < size."""
        return self.bundle(sequence // TILE_WIDTH)[sequence % TILE_WIDTH]

    def entries(self, first: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Entries ``first`` to ``end`` (not included) in order, with their numbers."""
        end = self.size if end is None else min(end, self.size)
        for index in range(first // TILE_WIDTH, -(-end // TILE_WIDTH)):
            for sequence, data in enumerate(self.bundle(index), start=index * TILE_WIDTH):
                if first <= sequence < end:
                    yield sequence, data

    def hash_of(self, first: int, end: int) -> bytes:
        """Merkle tree hash of entries ``first`` to ``end`` (not included, at least one).

        The range must be one that a proof asks for: complete, or the end of some tree.
        """
        count = end - first
        level = (count.bit_length() - 1) // TILE_HEIGHT
        unit = 1 << TILE_HEIGHT * level
        if count & (count - 1) == 0 and first % count == 0:
            at = first // unit
            tile, place = self.tile(level, at // TILE_WIDTH), at % TILE_WIDTH
            return merkle.root(_hashes(tile, place, place + count // unit))
        half = 1 << (count - 1).bit_length() - 1
        return merkle.node_hash(self.hash_of(first, first + half), self.hash_of(first + half, end))

    def root(self, size: int | None = None) -> bytes:
        """Root of the first ``size`` entries (default: all)."""
        size = self.size if size is None else size
        return self.hash_of(0, size) if size else merkle.EMPTY_ROOT

    def inclusion(self, sequence: int, size: int | None = None) -> list[bytes]:
        """Proof that an entry is number ``sequence`` of the first ``size`` (RFC 9162, 2.1.3)."""
        size = self.size if size is None else size
        return [self.hash_of(a, b) for a, b in merkle.inclusion_ranges(sequence, size)]

    def consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Proof that the first ``old_size`` entries were there before (RFC 9162, 2.1.4)."""
        size = self.size if size is None else size
        return [self.hash_of(a, b) for a, b in merkle.consistency_ranges(old_size, size)]

    def _read(self, level: int | str, index: int, width: int, limit: int) -> bytes:
        name = tile_name(level, index, width)
        data = self.folder.read(name, limit) if width else None
        if data is None and 0 < width < TILE_WIDTH:
            data = self.folder.read(tile_name(level, index), limit)
        if data is None:
            raise LedgerBroken(self._who(level, index, width), "a file", "nothing there", _RESTORE)
        return data

    def _who(self, level: int | str, index: int, width: int) -> str:
        return str(self.folder.path / tile_name(level, index, width))


def _hashes(tile: bytes, first: int, end: int) -> list[bytes]:
    size = merkle.HASH_BYTES
    return [tile[at : at + size] for at in range(first * size, end * size, size)]


_RESTORE = "restore it from a copy"
