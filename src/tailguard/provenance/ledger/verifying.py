"""Verify a whole ledger: every byte that the signed checkpoint covers, and what lies beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tailguard.engine.progress import progress
from tailguard.provenance import merkle
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.keys import parse_vkey
from tailguard.provenance.ledger.base import TILE_WIDTH, Entry, LedgerBroken, LedgerError
from tailguard.provenance.ledger.index import FILE, Index
from tailguard.provenance.ledger.inventory import Stock
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.mapfile import KeyMap
from tailguard.provenance.ledger.notes import Checkpoint, parse_note, verify_checkpoint
from tailguard.provenance.ledger.statements import kind_of, parse_entry
from tailguard.provenance.ledger.tiles import (
    BUNDLE_BYTES,
    TILE_BYTES,
    Tree,
    tile_name,
    tiles_in,
    unpack_entries,
    width_of,
)

MOST_PROBLEMS = 100
"""Problems told one by one; there may be more."""


@dataclass(slots=True)
class Verification:
    """What verifying a ledger found.

    ``problems`` are what is not as signed; ``notes`` are what is worth knowing and no fault of
    the log. ``kinds`` counts entries by kind, those of other types under their type.
    """

    checkpoint: Checkpoint
    kinds: Counter[str] = field(default_factory=Counter)
    signed: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is as it was signed."""
        return not self.problems


def verify(ledger: Ledger, *, older: bytes | None = None) -> Verification:
    """Read the whole ledger and check all of it against its signed head.

    Every entry, tile and partial tile; that entries are well-formed; that inventories are complete
    and references signed; maps and index; and with ``older``, an older checkpoint of the log, that
    it only grew since. Memory: the names in the log, and one map of records. Raises
    :class:`LedgerBroken` where the head itself is not signed.

    >>> import tempfile
    >>> from tailguard.provenance.keys import generate
    >>> with tempfile.TemporaryDirectory() as place:
    ...     verify(Ledger.init(place, generate("example.com/log"))).ok
    True
    """
    checkpoint, _ = ledger.head()
    return _Reader(ledger, Verification(checkpoint)).read(older)


class _Reader:
    def __init__(self, ledger: Ledger, found: Verification) -> None:
        self.ledger, self.found = ledger, found
        self.folder, self.size = ledger.folder, found.checkpoint.size
        self.stock = Stock()

    def read(self, older: bytes | None) -> Verification:
        root = self._tiles()
        if root != self.found.checkpoint.root:
            self._problem(LedgerBroken(
                str(self.folder.path), "entries that make up the signed root", "others",
                "restore it from a copy",
            ))  # fmt: skip
        self._beyond()
        self._maps()
        self._index()
        if older is not None:
            self._grown(older)
        return self.found

    def _problem(self, error: ProvenanceError) -> None:
        if len(self.found.problems) < MOST_PROBLEMS:
            self.found.problems.append(str(error))

    def _tiles(self) -> bytes:
        """Read all bundles in order, and compare all tiles with the hashes of what they say."""
        levels: list[list[bytes]] = [[]]
        total = -(-self.size // TILE_WIDTH)
        with progress("verifying the ledger", total, in_bytes=False) as advance:
            for index in range(total):
                levels[0] += self._bundle(index)
                self._carry(levels, index)
                advance(1)
        root = b""
        for level, open_ in enumerate(levels):
            if open_:
                self._compare(level, self.size >> 8 * (level + 1), b"".join(open_))
            root = merkle.root([*open_, root] if root else open_) if open_ else root
        return root or merkle.EMPTY_ROOT

    def _carry(self, levels: list[list[bytes]], index: int) -> None:
        """Put each tile that became full into the one above."""
        for level in range(len(levels)):
            if len(levels[level]) < TILE_WIDTH:
                return
            self._compare(level, index >> 8 * level, b"".join(levels[level]))
            if level + 1 == len(levels):
                levels.append([])
            levels[level + 1].append(merkle.root(levels[level]))
            levels[level] = []

    def _bundle(self, index: int) -> list[bytes]:
        """The leaf hashes of a bundle; those of its tile where the bundle is broken."""
        width = width_of(0, index, self.size)
        name = tile_name("entries", index, width)
        try:
            data, wide = self._stored("entries", index, width)
            entries = unpack_entries(data, wide, who=self._who(name))[:width]
        except LedgerError as error:
            self._problem(error)
            return self._tile_instead(index, width)
        self._partials("entries", index, width, data)
        for sequence, entry in enumerate(entries, start=index * TILE_WIDTH):
            self._entry(sequence, entry)
        return [merkle.leaf_hash(entry) for entry in entries]

    def _stored(self, level: int | str, index: int, width: int) -> tuple[bytes, int]:
        """A tile or bundle and its width: the full one, where a writer has just put it in place
        of the partial one."""
        limit = BUNDLE_BYTES if level == "entries" else TILE_BYTES
        for wide in sorted({width, TILE_WIDTH}):
            data = self.folder.read(tile_name(level, index, wide), limit)
            if data is not None:
                return data, wide
        name = tile_name(level, index, width)
        raise LedgerBroken(self._who(name), "a file", "nothing there", "restore it from a copy")

    def _tile_instead(self, index: int, width: int) -> list[bytes]:
        try:
            tile, _ = self._stored(0, index, width)
        except LedgerError:
            tile = b""
        tile = tile.ljust(width * 32, b"\0")
        return [tile[at : at + 32] for at in range(0, width * 32, 32)]

    def _entry(self, sequence: int, data: bytes) -> None:
        try:
            entry = parse_entry(data, sequence)
            kind = kind_of(entry.statement)
            self.found.kinds[kind or entry.statement["predicateType"]] += 1
            self.found.signed += bool(entry.signers)
            self.stock.add(entry)
            if kind == "inventory":
                self._inventory(entry)
            elif kind == "log-reference":
                _check_reference(entry)
        except ProvenanceError as error:
            self._problem(error)

    def _inventory(self, entry: Entry) -> None:
        told = entry.statement["predicate"]
        who = f"entry {entry.sequence}"
        if told["size"] > entry.sequence:
            raise LedgerBroken(who, "an inventory of earlier entries", "of later ones", "ask why")
        if (told["map"], told["record_maps"]) != self.stock.at(told["size"]):
            raise LedgerBroken(who, "a complete inventory", "another", "do not trust its absences")

    def _compare(self, level: int, index: int, expected: bytes) -> None:
        """Whether a tile on the disk holds these hashes, and nothing else."""
        width = len(expected) // merkle.HASH_BYTES
        name = tile_name(level, index, width)
        try:
            data, wide = self._stored(level, index, width)
            if data[: len(expected)] != expected or len(data) != wide * merkle.HASH_BYTES:
                raise LedgerBroken(
                    self._who(name), "the hashes of its entries", "others", "restore it"
                )
        except LedgerError as error:
            self._problem(error)
        self._partials(level, index, width, expected)

    def _partials(self, level: int | str, index: int, width: int, whole: bytes) -> None:
        """Partial tiles of older checkpoints are beginnings of what there is now."""
        place = f"{tile_name(level, index)}.p"
        try:
            for name, _ in self.folder.names(place):
                if name.isdecimal() and 0 < int(name) < width:
                    data = self.folder.read(f"{place}/{name}", len(whole)) or b"-"
                    if level != "entries" and len(data) != int(name) * merkle.HASH_BYTES:
                        data = b"-"
                    if level == "entries":
                        unpack_entries(data, int(name), who=self._who(f"{place}/{name}"))
                    if not whole.startswith(data):
                        raise LedgerBroken(
                            self._who(f"{place}/{name}"), "a beginning of the tile", "other bytes",
                            "remove it",
                        )  # fmt: skip
        except LedgerError as error:
            self._problem(error)

    def _beyond(self) -> None:
        """Count what a killed writer left; the next writer removes it."""
        left = 0
        for level in ("entries", *range(9)):
            height = 0 if level == "entries" else int(level)
            last = self.size >> 8 * (height + 1)
            for _, index, width in tiles_in(self.folder, level, last):
                left += width > width_of(height, index, self.size)
        if left:
            self.found.notes.append(
                f"{left} files beyond the checkpoint, left by an interrupted writer or being "
                "written now; the next writer replaces them"
            )

    def _maps(self) -> None:
        needed = {root.hex() for _, root in self.stock.maps}
        there = set()
        for name, _ in self.folder.names("maps"):
            path = PurePosixPath(name)
            if path.suffix != ".map":
                continue
            there.add(path.stem)
            try:
                with KeyMap(self.folder.path / "maps" / name) as stored:
                    stored.check()
                    if stored.root.hex() != path.stem:
                        raise LedgerBroken(
                            self._who(f"maps/{name}"), "the map of its name", "another", "remove it"
                        )
            except LedgerError as error:
                self._problem(error)
        gone = len(needed - there)
        if gone:
            self.found.notes.append(
                f"{gone} of {len(needed)} maps of records are not here; their proofs need the data"
            )

    def _index(self) -> None:
        if not any(name == FILE for name, _ in self.folder.names(".")):
            return
        try:
            with Index(self.ledger) as index:
                if index.rebuilt:
                    self.found.notes.append("the index was damaged, and has been made again")
                else:
                    index.check()
        except LedgerError as error:
            self._problem(error)

    def _grown(self, older: bytes) -> None:
        try:
            note = parse_note(older, who="older checkpoint")
            old, new = verify_checkpoint(note, self.ledger.key), self.found.checkpoint
            tree = Tree(self.folder, new.size)
            fits = old.size <= new.size and merkle.verify_consistency(
                old.size, new.size, tree.consistency(old.size), old.root, new.root
            )
            if not fits:
                raise LedgerBroken(
                    self._who("checkpoint"), f"a log that grew from {old.size:,} entries",
                    f"another of {new.size:,}", "keep both checkpoints as evidence",
                )  # fmt: skip
        except LedgerError as error:
            self._problem(error)

    def _who(self, name: str) -> str:
        return str(self.folder.path / name)


def _check_reference(entry: Entry) -> None:
    """Whether the checkpoint in an entry is signed by the log that the entry names."""
    told = entry.statement["predicate"]
    who = f"entry {entry.sequence}"
    try:
        note = parse_note(told["checkpoint"].encode(), who=who)
        head = verify_checkpoint(note, parse_vkey(told["key"]), who=who)
    except ProvenanceError as error:
        raise LedgerBroken(who, error.expected, error.got, "do not trust this reference") from None
    if told.get("size", head.size) != head.size:
        raise LedgerBroken(who, f"the size {head.size:,}", str(told["size"])[:40], "ask why")
