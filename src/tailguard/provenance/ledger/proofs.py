"""Make proofs: self-contained files that :mod:`.checking` and an auditor check offline.

Each is checked with the ledger's own key before it is handed out, so that a damaged ledger gives
an error and never a wrong proof. Proofs for records and names read the maps beside the ledger;
where a map is gone, the one of an inventory is made again from the log, the one of records from
the data.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from tailguard.corpus.atomic import replacing
from tailguard.provenance.base import EnvelopeError
from tailguard.provenance.envelope import canonical_json, read_bounded
from tailguard.provenance.gold.files import Source
from tailguard.provenance.ledger.base import Entry, LedgerBroken, LedgerError
from tailguard.provenance.ledger.checking import FORMAT, LONGEST_PROOF_BYTES, check
from tailguard.provenance.ledger.index import Index
from tailguard.provenance.ledger.inventory import record_map_of, stock_of
from tailguard.provenance.ledger.keymap import MapProof, key_of
from tailguard.provenance.ledger.keymap import prove as prove_items
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.mapfile import KeyMap
from tailguard.provenance.ledger.notes import LONGEST_NOTE_BYTES, parse_note, verify_checkpoint
from tailguard.provenance.ledger.register import build_map, map_name
from tailguard.provenance.ledger.statements import MAP_DIGEST, kind_of, name_for
from tailguard.provenance.ledger.tiles import Tree

Proof = dict[str, Any]
"""A proof as JSON values; see :mod:`tailguard.provenance.ledger.checking`."""


_Spare = tuple[bytes, Path]
_HEX = re.compile("[0-9a-f]{64}")


class Prover:
    """Makes proofs against one checkpoint of a ledger: the newest, or the one that another ledger
    ``via`` refers to, so that they can be checked with the key of that one.

    >>> import tempfile
    >>> from tailguard.provenance.keys import generate
    >>> key = generate("example.com/log")
    >>> with tempfile.TemporaryDirectory() as place:
    ...     ledger = Ledger.init(place, key)
    ...     try:
    ...         Prover(ledger).entry(0)
    ...     except LedgerError as error:
    ...         error.got
    'entry 0'
    """

    def __init__(self, ledger: Ledger, *, via: Ledger | None = None) -> None:
        self.ledger = ledger
        self.via = None if via is None else _reference(ledger, via)
        if self.via is None:
            self.head, self.note = ledger.head()
        else:
            entry = self.via[1]
            self.note = parse_note(entry.statement["predicate"]["checkpoint"].encode())
            self.head = verify_checkpoint(self.note, ledger.key)
        # Tiles of a larger tree hold those of a smaller one.
        self._tree = ledger.tree()

    def entry(self, sequence: int) -> Proof:
        """That an entry is in the log."""
        return self._made({"kind": "entry"}, entry=self._entry(sequence))

    def record(
        self, record: str, *, sequence: int | None = None, data: Source | None = None
    ) -> Proof:
        """That a record (RECORD_ID, 64 hex digits) is part of registered data: of that of entry
        ``sequence``, or of the newest that has it. ``data`` stands in for a map that is gone."""
        key = record_key(record)
        with self._spare(data) as spare:
            if sequence is None:
                sequence = self._newest_with(key, spare)
            (entry,) = self._registered(sequence)
            found = self._map_proof(entry, key, spare)
        if found is None:
            raise _no_map(entry)
        if found.value(key) is None:
            got = f"{record[:16]}…"
            raise LedgerError(
                "record", f"one of entry {sequence}", got, "or prove that it is not: --absent"
            )
        claim = {"kind": "record", "record": record}
        return self._made(claim, entry=self._entry(entry.sequence), map=_told(found))

    def no_record(
        self, record: str, *, sequence: int | None = None, data: Source | None = None
    ) -> Proof:
        """That a record is no part of the data of entry ``sequence``; without a number, of no data
        that the newest inventory lists."""
        key = record_key(record)
        with self._spare(data) as spare:
            if sequence is None:
                return self._nowhere(record, key, spare)
            (entry,) = self._registered(sequence)
            found = self._without(entry, key, spare)
        claim = {"kind": "no-record", "record": record}
        return self._made(claim, entry=self._entry(sequence), map=_told(found))

    def no_name(self, name: str) -> Proof:
        """That nothing is entered under a name or digest (``name:…``, ``digest:sha256:…``)."""
        inventory = self._inventory()
        told, key = inventory.statement["predicate"], key_of(name)
        try:
            root = bytes.fromhex(told["map"]["root"])
            found = _proved(self._path(root), root, key)
        except LedgerError:
            found = prove_items(stock_of(self.ledger, told["size"]).items, key)
        if found.value(key) is not None:
            raise LedgerError("name", "one not entered", f"entry {found.value(key)}", "check it")
        claim = {"kind": "no-name", "name": name}
        return self._made(claim, entry=self._entry(inventory.sequence), map=_told(found))

    def grown(self, older: bytes) -> Proof:
        """That the log only grew since an older checkpoint of it, which is given as its note."""
        old = verify_checkpoint(parse_note(older, who="older checkpoint"), self.ledger.key)
        if old.size > self.head.size:
            raise LedgerBroken(
                "older checkpoint", f"at most {self.head.size:,} entries", f"{old.size:,}",
                "the ledger went back: keep the checkpoint as evidence",
            )  # fmt: skip
        path = self._tree.consistency(old.size, self.head.size)
        return self._made({"kind": "grown"}, older=older.decode(), path=[one.hex() for one in path])

    def _newest_with(self, key: bytes, spare: _Spare) -> int:
        """The newest entry under the checkpoint with a map that has the key."""
        paths = [self._path(bytes.fromhex(root)) for root in self._kept()]
        roots = {spare[0]: spare[1]} if spare[0] else {}
        roots |= {bytes.fromhex(path.stem): path for path in paths}
        found = []
        with Index(self.ledger) as index:
            for root, path in roots.items():
                with KeyMap(path) as stored:
                    if stored.value(key) is not None:
                        found += index.find(f"digest:{MAP_DIGEST}:{root.hex()}")
        sequences = [e.sequence for e in found if e.sequence < self.head.size]
        if not sequences:
            got = f"{key.hex()[:16]}…, in none of {len(roots)} maps here"
            raise LedgerError(
                "record", "one of the registered data", got, "pass --data, or prove it --absent"
            )
        return max(sequences)

    def _kept(self) -> list[str]:
        """Roots of the maps beside the ledger."""
        names = [PurePosixPath(name) for name, _ in self.ledger.folder.names("maps")]
        return [n.stem for n in names if n.suffix == ".map" and _HEX.fullmatch(n.stem)]

    def _nowhere(self, record: str, key: bytes, spare: _Spare) -> Proof:
        inventory = self._inventory()
        listed = []
        for entry in reversed(self._registered(None)):
            root = record_map_of(entry.statement)
            if entry.sequence < inventory.statement["predicate"]["size"] and root is not None:
                found = self._without(entry, key, spare)
                listed.append({"sequence": entry.sequence, "root": root.hex(), **_told(found)})
        claim = {"kind": "no-record-anywhere", "record": record}
        return self._made(claim, entry=self._entry(inventory.sequence), maps=listed)

    def _without(self, entry: Entry, key: bytes, spare: _Spare) -> MapProof:
        found = self._map_proof(entry, key, spare)
        if found is None:
            raise _no_map(entry)
        if found.value(key) is not None:
            who = f"entry {entry.sequence}"
            raise LedgerError(who, "data without the record", "data that has it", "check the id")
        return found

    def _registered(self, sequence: int | None) -> list[Entry]:
        """Registered data under the checkpoint, newest first."""
        if sequence is not None:
            entry = self.ledger.entry(sequence)
            if kind_of(entry.statement) != "data-registered":
                got = kind_of(entry.statement) or "another statement"
                raise LedgerError(f"entry {sequence}", "registered data", got, "see: ledger log")
            return [entry]
        with Index(self.ledger) as index:
            found = index.of_kind("data-registered")
        return [entry for entry in found if entry.sequence < self.head.size]

    def _inventory(self) -> Entry:
        with Index(self.ledger) as index:
            found = index.of_kind("inventory", newest=1)
            if found and found[0].sequence >= self.head.size:  # an older checkpoint is asked for
                found = [e for e in index.of_kind("inventory") if e.sequence < self.head.size]
        if not found:
            raise LedgerError(
                str(self.ledger.folder.path), "an inventory", "none", "take one: ledger inventory"
            )
        return found[0]

    def _map_proof(self, entry: Entry, key: bytes, spare: _Spare) -> MapProof | None:
        """The proof for a key out of the map of an entry; None where there is no map."""
        root = record_map_of(entry.statement)
        if root is None:
            return None
        path = spare[1] if root == spare[0] else self._path(root)
        return _proved(path, root, key) if path.exists() else None

    @contextmanager
    def _spare(self, data: Source | None) -> Iterator[_Spare]:
        """Root and path of the map of data, for as long as needed; nothing without data."""
        if data is None:
            yield b"", Path()
            return
        with self.ledger.folder.building() as temporary:
            yield build_map(data, temporary), temporary

    def _path(self, root: bytes) -> Path:
        self.ledger.folder.names("maps")  # refuses a link in its place
        return self.ledger.folder.path / map_name(root)

    def _entry(self, sequence: int) -> Proof:
        if not 0 <= sequence < self.head.size:
            got = f"entry {sequence}"
            raise LedgerError(
                self.head.origin, f"one of {self.head.size:,} entries", got, "see: log"
            )
        return _entry_proof(self._tree, sequence, self.head.size)

    def _made(self, claim: Proof, **fields: Any) -> Proof:
        proof = {
            "format": FORMAT, "claim": claim, "checkpoint": self.note.to_bytes().decode(), **fields
        }  # fmt: skip
        key = self.ledger.key
        if self.via is not None:
            outer, entry = self.via
            head, note = outer.head()
            proof["via"] = {
                "checkpoint": note.to_bytes().decode(),
                "entry": _entry_proof(outer.tree(), entry.sequence, head.size),
            }
            key = outer.key
        try:
            check(canonical_json(proof), key, who=str(self.ledger.folder.path))
        except EnvelopeError as error:
            raise LedgerError("proof", error.expected, error.got, error.next_step) from None
        return proof


def prove(
    ledger: Ledger,
    record: str | None = None,
    *,
    entry: int | None = None,
    absent: bool = False,
    about: str | None = None,
    since: str | Path | None = None,
    data: Source | None = None,
    via: Ledger | None = None,
) -> Proof:
    """The proof that these words of a command ask for.

    ``record``: that it is part of registered data (of ``entry``), or with ``absent`` that it is
    not; ``entry`` alone: that the entry is there; ``about`` with ``absent``: that nothing of that
    name or digest is; ``since``, the path of an older checkpoint: that the ledger only grew.
    Raises :class:`LedgerError` for any other combination.
    """
    asked = [record is not None, about is not None, since is not None]
    one = sum(asked) == 1 or (not any(asked) and entry is not None)
    if not one or (about is not None) > absent or (absent and record is None and about is None):
        raise LedgerError(
            "prove",
            "a RECORD_ID, --entry, --since, or --absent with --about",
            "none or several",
            "choose one",
        )
    prover = Prover(ledger, via=via)
    if since is not None:
        return prover.grown(read_bounded(since, LONGEST_NOTE_BYTES))
    if about is not None:
        return prover.no_name(name_for(about))
    if record is not None and absent:
        return prover.no_record(record, sequence=entry, data=data)
    if record is not None:
        return prover.record(record, sequence=entry, data=data)
    assert entry is not None
    return prover.entry(entry)


def save_proof(proof: Proof, path: str | Path) -> None:
    """Write a proof; the file appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(canonical_json(proof))


def load_proof(path: str | Path) -> bytes:
    """The bytes of a proof file, of at most 32 MB."""
    return read_bounded(path, LONGEST_PROOF_BYTES)


def record_key(record: str) -> bytes:
    """The key of a RECORD_ID in a map of records: its 32 bytes.

    >>> record_key("00" * 32) == bytes(32)
    True
    """
    with suppress(ValueError):
        key = bytes.fromhex(record)
        if len(key) == 32 and key.hex() == record:
            return key
    raise LedgerError(
        "record", "a RECORD_ID of 64 hexadecimal digits", repr(record)[:80], "see: ledger ids DATA"
    )


def _no_map(entry: Entry) -> LedgerError:
    who = f"entry {entry.sequence}"
    return LedgerError(who, "a map of its records", "none here", "pass the data: --data")


def _proved(path: Path, root: bytes, key: bytes) -> MapProof:
    with KeyMap(path) as stored:
        if stored.root != root:
            raise LedgerBroken(str(path), "the map of its name", "another", "remove it")
        return stored.prove(key)


def _entry_proof(tree: Tree, sequence: int, size: int) -> Proof:
    return {
        "index": sequence,
        "data": b64encode(tree.entry(sequence)).decode(),
        "path": [one.hex() for one in tree.inclusion(sequence, size)],
    }


def _reference(ledger: Ledger, via: Ledger) -> tuple[Ledger, Entry]:
    """The newest entry of another ledger that holds a checkpoint of this one."""
    with Index(via) as index:
        for entry in reversed(index.find(f"name:{ledger.key.name}")):
            told = entry.statement
            if kind_of(told) == "log-reference" and told["predicate"]["key"] == ledger.key.vkey:
                return via, entry
    raise LedgerError(
        str(via.folder.path), f"a reference to {ledger.key.name}", "none", "enter one: ledger refer"
    )


def _told(proof: MapProof) -> Proof:
    found = None if proof.found is None else [proof.found[0].hex(), proof.found[1]]
    return {"path": [one.hex() for one in proof.siblings], "found": found}
