"""A log on files: opened, appended to, read.

The signed checkpoint is the commit. :meth:`Ledger.append` writes the new tiles and bundles under
names that no checkpoint speaks of yet, waits until they are on the disk, signs the new head and
renames it into place. A writer killed at any point leaves either the old head, with files beyond
it that the next writer replaces, or the new one; there is nothing to repair. What ``append`` has
returned is on the disk. Entries are in the order in which they were committed, whatever a clock
says: times inside entries are claims of whoever wrote them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailguard.provenance import merkle
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.envelope import canonical_json, parse_canonical
from tailguard.provenance.keys import PublicKey, SecretKey, parse_vkey
from tailguard.provenance.ledger.base import TILE_WIDTH, Entry, LedgerBroken, LedgerError
from tailguard.provenance.ledger.files import Folder, sync_folder
from tailguard.provenance.ledger.notes import (
    LONGEST_NOTE_BYTES,
    Checkpoint,
    Note,
    parse_note,
    sign_checkpoint,
    verify_checkpoint,
)
from tailguard.provenance.ledger.statements import checked, parse_entry
from tailguard.provenance.ledger.tiles import (
    Tree,
    pack_entries,
    tile_name,
    tiles_in,
    width_of,
)

FORMAT = "tailguard-ledger-1"
CONFIG, CHECKPOINT = "ledger.json", "checkpoint"

_LONGEST_CONFIG = 4 << 10
_MAYBE_LEFT = {"lock", CHECKPOINT}


@dataclass(frozen=True, slots=True)
class _Edge:
    """The right edge of a log: its head, and the partial tiles and bundle that grow next."""

    head: bytes
    size: int
    tiles: tuple[bytes, ...]
    bundle: bytes


class Ledger:
    """A log in a folder, read with its public key, written with its secret one.

    Several processes of one machine may append at a time, and threads that each opened their own.

    >>> import tempfile
    >>> from tailguard.provenance.keys import generate
    >>> from tailguard.provenance.ledger.statements import statement
    >>> key = generate("example.com/log")
    >>> entry = statement("verdict", [("a", {"sha256": "00" * 32})], {"status": "pass"})
    >>> with tempfile.TemporaryDirectory() as place:
    ...     ledger = Ledger.init(place, key)
    ...     list(ledger.append([entry, entry], key)), ledger.size
    ([0, 1], 2)
    """

    def __init__(self, folder: Folder, key: PublicKey) -> None:
        self.folder, self.key = folder, key
        self._edge: _Edge | None = None

    @classmethod
    def init(cls, path: str | Path, key: SecretKey) -> Ledger:
        """Make a ledger of no entries in a new or empty folder; the key's name is its name.

        Raises :class:`LedgerError` where there is something already.
        """
        place = Path(path).absolute()
        try:
            made = [p for p in (place, *place.parents) if not p.exists()]
            place.mkdir(parents=True, exist_ok=True)
            for folder in made:
                sync_folder(folder.parent)
            there = {n for n in os.listdir(place) if not n.endswith(".tmp")}
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or "a name that no folder has").lower()
            raise LedgerError(str(path), "a new folder", reason, "choose another place") from None
        if not there <= _MAYBE_LEFT:
            got = "a ledger" if CONFIG in there else "other files"
            raise LedgerError(str(path), "a new or empty folder", got, "choose another place")
        ledger = cls(Folder(path), key.public)
        with ledger.folder.lock():
            ledger.folder.sweep()
            empty = sign_checkpoint(Checkpoint(key.public.name, 0, merkle.EMPTY_ROOT), key)
            ledger.folder.replace(CHECKPOINT, empty.to_bytes())
            # Last: a folder without it is no ledger yet, and can be made one again.
            config = canonical_json({"format": FORMAT, "key": key.public.vkey})
            ledger.folder.replace(CONFIG, config)
        return ledger

    @classmethod
    def open(cls, path: str | Path, key: PublicKey | None = None) -> Ledger:
        """The ledger in a folder, its head verified.

        Without ``key``, the one that the folder itself names is believed: that shows damage, not
        a ledger replaced as a whole. Raises :class:`LedgerError` where there is no ledger, and
        :class:`LedgerBroken` where its head is not signed by ``key``.
        """
        folder = Folder(path)
        data = folder.read(CONFIG, _LONGEST_CONFIG)
        if data is None:
            raise LedgerError(
                str(path), "a ledger", "none there", "make one: tailguard ledger init"
            )
        who = str(folder.path / CONFIG)
        try:
            config = parse_canonical(data, who=who, limit=_LONGEST_CONFIG)
            if set(config) != {"format", "key"} or config["format"] != FORMAT:
                raise TypeError
            named = parse_vkey(config["key"])
        except (ProvenanceError, TypeError, AttributeError):
            raise LedgerBroken(who, f"a {FORMAT}", "something else", _RESTORE) from None
        if key is not None and key != named:
            raise LedgerBroken(str(path), f"the ledger of {key.vkey}", named.vkey, "check the key")
        ledger = cls(folder, named)
        ledger.head()
        return ledger

    def head(self) -> tuple[Checkpoint, Note]:
        """The newest checkpoint, verified, and the note it came in, with all its signatures."""
        return self._verified(self._head_bytes())

    @property
    def size(self) -> int:
        """How many entries the newest checkpoint covers."""
        return self.head()[0].size

    def tree(self) -> Tree:
        """The tree under the newest checkpoint; entries read from it are those that were signed."""
        head = self.head()[0]
        return Tree(self.folder, head.size, head.root)

    def entry(self, sequence: int) -> Entry:
        """One entry; :class:`LedgerError` where there is none of that number, and
        :class:`LedgerBroken` where it is not the one that was signed."""
        tree = self.tree()
        if not 0 <= sequence < tree.size:
            got = str(sequence)
            raise LedgerError(str(self.folder.path), f"an entry below {tree.size}", got, "see: log")
        return parse_entry(tree.entry(sequence), sequence)

    def entries(self, first: int = 0, end: int | None = None) -> Iterator[Entry]:
        """Entries ``first`` to ``end`` (not included) in the order of the log."""
        for sequence, data in self.tree().entries(first, end):
            yield parse_entry(data, sequence)

    def append(self, entries: Sequence[bytes], key: SecretKey) -> range:
        """Add entries, all or none, and return their numbers once they are on the disk.

        Each is an in-toto statement as :mod:`~tailguard.provenance.ledger.statements` makes it;
        anything else, or one that holds a secret, raises :class:`LedgerError` before anything is
        written. Thousands at a time are what is fast: every call waits for the disk.
        """
        self.check_key(key)
        for number, data in enumerate(entries):
            checked(data, who=f"new entry {number}")
        leaves = [merkle.leaf_hash(data) for data in entries]
        with self.folder.lock(marked=True) as interrupted:
            first = self._edge is None
            edge = self._read_edge()
            if first or interrupted:
                self._clear(edge)
            if not entries:
                return range(edge.size, edge.size)
            grown, full = self._write_tiles(edge, entries, leaves)
            self.folder.sync()
            root = _edge_root(grown.tiles)
            head = sign_checkpoint(Checkpoint(self.key.name, grown.size, root), key).to_bytes()
            self.folder.replace(CHECKPOINT, head)
            self._edge = _Edge(head, grown.size, grown.tiles, grown.bundle)
            for name in full:
                # Grown out of: whoever holds an older head reads the full tile instead.
                self.folder.remove(f"{name}.p")
        return range(edge.size, grown.size)

    def check_key(self, key: SecretKey) -> None:
        """Raise :class:`LedgerError` unless ``key`` is the secret half of the ledger's own."""
        if key.public != self.key:
            got = f"that of {key.public.name} ({key.public.key_id[:16]})"
            raise LedgerError("key", f"the key of {self.key.name}", got, "pass its key")

    def set_head(self, note: Note) -> bool:
        """Put a note with more signatures in place of the newest checkpoint.

        Only of the same text: False, and nothing changes, where the log has grown meanwhile.
        """
        self._verified(note.to_bytes())
        with self.folder.lock():
            if parse_note(self._head_bytes()).text != note.text:
                return False
            self.folder.replace(CHECKPOINT, note.to_bytes())
        return True

    def _head_bytes(self) -> bytes:
        data = self.folder.read(CHECKPOINT, LONGEST_NOTE_BYTES)
        if data is None:
            raise LedgerBroken(self._who(), "a checkpoint", "none", _RESTORE)
        return data

    def _verified(self, data: bytes) -> tuple[Checkpoint, Note]:
        try:
            note = parse_note(data, who=self._who())
            return verify_checkpoint(note, self.key, who=self._who()), note
        except LedgerBroken:
            raise
        except LedgerError as error:
            raise LedgerBroken(*error.args) from None

    def _who(self) -> str:
        return str(self.folder.path / CHECKPOINT)

    def _read_edge(self) -> _Edge:
        """The edge under the head as it is now, read again if another writer has been there."""
        head = self._head_bytes()
        if self._edge is not None and self._edge.head == head:
            return self._edge
        checkpoint, _ = self._verified(head)
        tree = Tree(self.folder, checkpoint.size, checkpoint.root)
        tiles: list[bytes] = []
        while (checkpoint.size >> 8 * len(tiles)) > 0:
            level = len(tiles)
            index = checkpoint.size >> 8 * (level + 1)
            tiles.append(tree.tile(level, index) if width_of(level, index, tree.size) else b"")
        if _edge_root(tiles) != checkpoint.root:
            raise LedgerBroken(
                str(self.folder.path), "tiles that fit the checkpoint", "others", _RESTORE
            )
        last = checkpoint.size // TILE_WIDTH
        bundle = pack_entries(tree.bundle(last)) if width_of(0, last, tree.size) else b""
        return _Edge(head, checkpoint.size, tuple(tiles), bundle)

    def _clear(self, edge: _Edge) -> None:
        """Remove what a killed writer left beyond the edge, lest it be taken for a part of it."""
        self.folder.sweep()
        for level in ("entries", *range(len(edge.tiles) + 1)):
            height = 0 if level == "entries" else int(level)
            last = edge.size >> 8 * (height + 1)
            for name, index, width in list(tiles_in(self.folder, level, last)):
                if width > width_of(height, index, edge.size):
                    self.folder.remove(name)

    def _write_tiles(
        self, edge: _Edge, entries: Sequence[bytes], leaves: list[bytes]
    ) -> tuple[_Edge, list[str]]:
        """Write what is new; the edge after it, and the names of the tiles that are full now."""
        write, full = self.folder.write, []
        size, at = edge.size, 0
        packed = edge.bundle
        while at < len(entries):
            room = TILE_WIDTH - (size + at) % TILE_WIDTH
            packed += pack_entries(list(entries[at : at + room]))
            index = (size + at) // TILE_WIDTH
            at = min(at + room, len(entries))
            write(tile_name("entries", index, size + at - index * TILE_WIDTH), packed)
            if (size + at) % TILE_WIDTH == 0:
                full.append(tile_name("entries", index))
                packed = b""
        tiles, new, level = list(edge.tiles), leaves, 0
        while new:
            if level == len(tiles):
                tiles.append(b"")
            index = edge.size >> 8 * (level + 1)
            joined = tiles[level] + b"".join(new)
            new = []
            for start in range(0, len(joined), TILE_WIDTH * merkle.HASH_BYTES):
                tile = joined[start : start + TILE_WIDTH * merkle.HASH_BYTES]
                width = len(tile) // merkle.HASH_BYTES
                write(tile_name(level, index, width), tile)
                tiles[level] = tile
                if width == TILE_WIDTH:
                    new.append(_tile_root(tile))
                    full.append(tile_name(level, index))
                    tiles[level] = b""
                index += 1
            level += 1
        return _Edge(b"", size + len(entries), tuple(tiles), packed), full


def _tile_root(tile: bytes) -> bytes:
    size = merkle.HASH_BYTES
    return merkle.root([tile[at : at + size] for at in range(0, len(tile), size)])


def _edge_root(tiles: Sequence[bytes]) -> bytes:
    """Root of the whole log: each level's partial tile, and what is right of it as a last leaf."""
    found = b""
    for tile in tiles:
        if tile or found:
            found = _tile_root(tile + found) if tile else found
    return found or merkle.EMPTY_ROOT


_RESTORE = "restore it from a copy"
