"""An SQLite index beside the log: which entries name something, and which are of a kind.

A cache and no more. It can be deleted at any time; it is made again when it is missing, damaged,
of another version, or of another log; it is brought up to date before it answers. What it finds is
looked up in the log before anyone sees it, so a wrong index can hide an entry but never invent
one; :meth:`Index.check` compares all of it with the log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

from tailguard.provenance.ledger.base import Entry, LedgerBroken, LedgerError
from tailguard.provenance.ledger.inventory import told
from tailguard.provenance.ledger.keymap import key_of
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.statements import (
    REQUIRED,
    kind_of,
    name_for,
    names_in,
    parse_entry,
)

FILE = "index.sqlite"

_VERSION = 1
_SCHEMA = (
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL)",
    "CREATE TABLE head (size INTEGER NOT NULL, root BLOB NOT NULL)",
    "CREATE TABLE names (key INTEGER, seq INTEGER, PRIMARY KEY (key, seq)) WITHOUT ROWID",
    "CREATE INDEX kinds ON entries (kind, seq)",
)
_KINDS = ("", *REQUIRED)
_AT_ONCE = 100_000
_PATIENCE_S = 30.0
# A damaged file may hold any bytes, in error messages too.
_DAMAGE = (sqlite3.Error, UnicodeError, OverflowError)


class Index(AbstractContextManager["Index"]):
    """The index of a ledger, brought up to date when opened.

    Lies in memory only where the ledger's folder cannot be written.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.rebuilt = False
        try:
            self._base = self._opened()
        except (*_DAMAGE, LedgerError):
            # Damaged, or of another version or log: nothing is lost by making it again.
            self._base = self._made_again()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()

    @property
    def size(self) -> int:
        """How many entries are in the index."""
        return int(self._rows("SELECT size FROM head")[0][0])

    def find(self, name: str) -> list[Entry]:
        """Entries that name something, oldest first; ``name`` as in ``names_in``."""
        rows = self._rows("SELECT seq FROM names WHERE key = ? ORDER BY seq", _short(name))
        return [e for e in self._entries(rows) if name in names_in(e.statement)]

    def of_kind(self, kind: str, *, newest: int | None = None) -> list[Entry]:
        """Entries of a kind, the newest first, at most ``newest`` of them."""
        query = "SELECT seq FROM entries WHERE kind = ? ORDER BY seq DESC LIMIT ?"
        rows = self._rows(query, _KINDS.index(kind), -1 if newest is None else newest)
        return [e for e in self._entries(rows) if kind_of(e.statement) == kind]

    def _rows(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            return self._base.execute(query, values).fetchall()
        except _DAMAGE:  # a damaged page, seen only now
            self._base.close()
            self._base = self._made_again()
            return self._base.execute(query, values).fetchall()

    def _entries(self, rows: list[tuple[Any, ...]]) -> Iterator[Entry]:
        tree = self.ledger.tree()
        for (sequence,) in rows:
            if isinstance(sequence, int) and 0 <= sequence < tree.size:
                yield parse_entry(tree.entry(sequence), sequence)

    def check(self) -> None:
        """Compare all of the index with the log; :class:`LedgerBroken` where they differ."""
        try:
            sound = self._base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            sound = sound and self._matches()
        except _DAMAGE:
            sound = False
        if not sound:
            raise LedgerBroken(self._who, "an index that fits the log", "another", "delete it")

    def _matches(self) -> bool:
        kinds = self._base.execute("SELECT seq, kind FROM entries ORDER BY seq")
        names: list[tuple[int, int]] = []
        for entry in told(self.ledger.entries(0, self.size), self.size, "checking the index"):
            if kinds.fetchone() != (entry.sequence, _kind(entry)):
                return False
            names += _names(entry)
        held = iter(self._base.execute("SELECT key, seq FROM names ORDER BY key, seq"))
        return kinds.fetchone() is None and all(
            next(held, None) == name for name in [*sorted(set(names)), None]
        )

    @property
    def _who(self) -> str:
        return str(self.ledger.folder.path / FILE)

    def _opened(self) -> sqlite3.Connection:
        folder = self.ledger.folder
        for name, is_folder in folder.names("."):
            # SQLite would follow a link, and write wherever it leads.
            if name.startswith(FILE) and (is_folder or (folder.path / name).is_symlink()):
                raise sqlite3.DatabaseError("no file")
        base = sqlite3.connect(self._who, timeout=_PATIENCE_S, isolation_level=None)
        return self._ready(base)

    def _ready(self, base: sqlite3.Connection) -> sqlite3.Connection:
        try:
            _prepare(base)
            self._refresh(base)
        except BaseException:
            base.close()
            raise
        return base

    def _made_again(self) -> sqlite3.Connection:
        self.rebuilt = True
        try:
            with self.ledger.folder.lock():
                for name in (FILE, f"{FILE}-journal", f"{FILE}-wal", f"{FILE}-shm"):
                    self.ledger.folder.remove(name)
            return self._opened()
        except (*_DAMAGE, LedgerError):
            return self._ready(sqlite3.connect(":memory:", isolation_level=None))

    def _refresh(self, base: sqlite3.Connection) -> None:
        """Bring the index up to the newest checkpoint, in steps that another process may share."""
        size, root = base.execute("SELECT size, root FROM head").fetchone()
        # Read after the size: another process may have put newer entries in.
        tree = self.ledger.tree()
        if type(size) is not int or not 0 <= size <= tree.size:
            raise sqlite3.DatabaseError("the index of a longer log")
        if root != (tree.root(size) if size else b""):
            raise sqlite3.DatabaseError("the index of another log")
        while size < tree.size:
            base.execute("BEGIN IMMEDIATE")
            try:
                (size,) = base.execute("SELECT size FROM head").fetchone()
                end = min(size + _AT_ONCE, tree.size)
                if size < end:
                    self._insert(base, size, end)
                    base.execute("UPDATE head SET size = ?, root = ?", (end, tree.root(end)))
                base.execute("COMMIT")
                size = max(size, end)
            except BaseException:
                with suppress(*_DAMAGE):
                    base.execute("ROLLBACK")
                raise

    def _insert(self, base: sqlite3.Connection, first: int, end: int) -> None:
        kinds: list[tuple[int, int]] = []
        names: list[tuple[int, int]] = []
        for entry in told(self.ledger.entries(first, end), end - first, "indexing"):
            kinds.append((entry.sequence, _kind(entry)))
            names += _names(entry)
        base.executemany("INSERT INTO entries VALUES (?, ?)", kinds)
        # In the order of the table: each of its pages is written once.
        base.executemany("INSERT INTO names VALUES (?, ?)", sorted(set(names)))


def listed(
    ledger: Ledger, *, newest: int, kind: str | None = None, about: str | None = None
) -> list[Entry]:
    """The ``newest`` entries of a ledger, of a ``kind`` and ``about`` something where asked,
    oldest first. Only with one of these the index is needed."""
    if kind is not None and kind not in REQUIRED:
        raise LedgerError("kind", f"one of {', '.join(REQUIRED)}", kind, "choose one")
    if kind is None and about is None:
        size = ledger.size
        return list(ledger.entries(max(0, size - newest), size))
    with Index(ledger) as index:
        if about is None:
            return index.of_kind(str(kind), newest=newest)[::-1]
        found = index.find(name_for(about))
    return [e for e in found if kind is None or kind_of(e.statement) == kind][-newest:]


def _prepare(base: sqlite3.Connection) -> None:
    """Make the tables where there are none; sqlite3.DatabaseError where there are others."""
    base.execute("PRAGMA trusted_schema = OFF")
    base.execute("PRAGMA cell_size_check = ON")
    # A lost index is made again: not worth waiting for the disk.
    base.execute("PRAGMA synchronous = OFF")
    base.execute("BEGIN IMMEDIATE")
    if not base.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        for command in _SCHEMA:
            base.execute(command)
        base.execute("INSERT INTO head VALUES (0, ?)", (b"",))
        base.execute(f"PRAGMA user_version = {_VERSION}")
    base.execute("COMMIT")
    there = base.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY sql").fetchall()
    version = base.execute("PRAGMA user_version").fetchone()[0]
    heads = base.execute("SELECT count(*) FROM head").fetchone()[0]
    if [sql for (sql,) in there] != sorted(_SCHEMA) or (version, heads) != (_VERSION, 1):
        raise sqlite3.DatabaseError("another schema")


def _kind(entry: Entry) -> int:
    return _KINDS.index(kind_of(entry.statement))


def _names(entry: Entry) -> Iterator[tuple[int, int]]:
    return ((_short(name), entry.sequence) for name in names_in(entry.statement))


def _short(name: str) -> int:
    return int.from_bytes(key_of(name)[:8], "big", signed=True)
