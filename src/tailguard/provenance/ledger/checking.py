"""Check a proof: one file, the log's public key, and nothing else.

A proof is canonical JSON with the fields ``format``, ``claim``, ``checkpoint``, and of these what
its claim needs:

``entry``  ``index``, ``data`` (base64) and ``path`` (hashes in hex, RFC 9162) of an entry;
``map``    ``path`` (the siblings from the root of a key map on) and ``found`` (key and value);
``maps``   the same of every record map that an inventory lists, with ``sequence`` and ``root``;
``older``  an older checkpoint, and ``path`` from it (RFC 9162, consistency);
``via``    an entry of another log that holds this log's checkpoint and key.

==========================  ====================================================================
claim                       what it says when it holds
==========================  ====================================================================
``entry``                   the entry was in the log when the checkpoint was signed
``record``                  so was that data, of which the record is a part
``no-record``               so was that data, and the record is no part of it: whoever made the
                            entry can never prove that it is
``no-record-anywhere``      the record is no part of any data that the inventory lists
``no-name``                 nothing of that name or digest is in the inventory
``grown``                   the older checkpoint's entries are the beginning of the newer one's
==========================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tailguard.provenance import merkle
from tailguard.provenance.base import EnvelopeError, ProvenanceError, SignatureError
from tailguard.provenance.envelope import parse_canonical
from tailguard.provenance.keys import PublicKey, parse_vkey
from tailguard.provenance.ledger.base import LARGEST_SIZE, Entry, LedgerBroken, LedgerError
from tailguard.provenance.ledger.inventory import map_leaf, record_map_of
from tailguard.provenance.ledger.keymap import MapProof, key_of
from tailguard.provenance.ledger.notes import (
    Checkpoint,
    Note,
    parse_note,
    strict_base64,
    verify_checkpoint,
)
from tailguard.provenance.ledger.statements import kind_of, parse_entry, signers_of
from tailguard.provenance.ledger.witness import witnessed

FORMAT = "tailguard-proof-1"
LONGEST_PROOF_BYTES = 32 << 20

TRUTH = "proves that this was entered, not that it is true"
COMPLETE = "the inventory is the ledger's own; reading the whole log shows whether it is complete"

_FIELDS = {
    "entry": {"entry"},
    "record": {"entry", "map"},
    "no-record": {"entry", "map"},
    "no-record-anywhere": {"entry", "maps"},
    "no-name": {"entry", "map"},
    "grown": {"older", "path"},
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A proof that holds: its claim in words, and what it was checked against."""

    kind: str
    claim: str
    checkpoint: Checkpoint
    entry: Entry | None = None
    signed_by: tuple[str, ...] = ()
    witnesses: tuple[tuple[str, int], ...] = ()
    via: str = ""
    caveats: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "ok": True,
            "kind": self.kind,
            "claim": self.claim,
            "name": self.checkpoint.origin,
            "size": self.checkpoint.size,
            "root": self.checkpoint.root.hex(),
            "statement": None if self.entry is None else self.entry.statement,
            "signed_by": list(self.signed_by),
            "witnesses": [{"name": name, "time": at} for name, at in self.witnesses],
            "via": self.via,
            "caveats": list(self.caveats),
        }

    def words(self) -> str:
        """All of it as lines of text."""
        lines = [f"holds: {self.claim}"]
        lines += [f"  signed by {name}" for name in self.signed_by]
        lines += [f"  witnessed by {name} at {at} s since 1970" for name, at in self.witnesses]
        lines += [f"  through the ledger {self.via}"] if self.via else []
        return "\n".join([*lines, *(f"  note: {one}" for one in self.caveats)])


@dataclass(frozen=True, slots=True)
class _Case:
    """A proof while it is looked at."""

    proof: dict[str, Any]
    claim: dict[str, Any]
    head: Checkpoint
    key: PublicKey
    entry: Entry | None


def check(
    data: bytes,
    key: PublicKey,
    *,
    witnesses: Iterable[PublicKey] = (),
    quorum: int | None = None,
    signers: Iterable[PublicKey] = (),
    who: str = "proof",
) -> Checked:
    """Check a proof with the public key of its log (or of a log that refers to it).

    Of ``witnesses``, at least ``quorum`` (default: all) must have cosigned the checkpoint; with
    ``signers``, one of them must have signed the statement. Raises :class:`LedgerError` for what
    is no proof, and :class:`LedgerBroken` for one that does not hold.
    """
    proof = _parsed(data, who)
    claim = proof["claim"]
    note, via = _head(proof, key, who)
    head = verify_checkpoint(note, via or key, who=who)
    seen = witnessed(note, list(witnesses), quorum, who=who)
    entry = _entry(proof["entry"], head, who) if "entry" in proof else None
    by = _signed(entry, list(signers), who) if entry is not None else ()
    case = _Case(proof, claim, head, via or key, entry)
    try:
        words, caveats = _CLAIMS[claim["kind"]](case)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise _no_proof(who, "fields of another kind") from None
    except _Fails as fault:
        raise LedgerBroken(who, fault.expected, fault.got, "do not trust it") from None
    return Checked(claim["kind"], words, head, entry, by, seen, key.name if via else "", caveats)


class _Fails(Exception):
    """What was expected, and what the proof has instead."""

    def __init__(self, expected: str, got: str) -> None:
        self.expected, self.got = expected, got


def _no_proof(who: str, got: str) -> LedgerError:
    return LedgerError(who, f"a {FORMAT}", got, "ask for the proof again")


def _parsed(data: bytes, who: str) -> dict[str, Any]:
    try:
        proof = parse_canonical(data, who=who, limit=LONGEST_PROOF_BYTES)
    except EnvelopeError as error:
        raise LedgerError(who, error.expected, error.got, error.next_step) from None
    claim = proof.get("claim") if isinstance(proof, dict) else None
    kind = claim.get("kind") if isinstance(claim, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS or proof.get("format") != FORMAT:
        raise _no_proof(who, "something else")
    wanted = {"format", "claim", "checkpoint", *_FIELDS[kind]}
    if set(proof) - {"via"} != wanted or not isinstance(proof["checkpoint"], str):
        raise _no_proof(who, "other fields")
    return dict(proof)


def _head(proof: dict[str, Any], key: PublicKey, who: str) -> tuple[Note, PublicKey | None]:
    """The note of the log that the proof is about, and its key if another log vouches for it."""
    note = parse_note(proof["checkpoint"].encode(), who=who)
    if "via" not in proof:
        return note, None
    via = proof["via"]
    if not isinstance(via, dict) or set(via) != {"checkpoint", "entry"}:
        raise _no_proof(who, "other fields")
    outer = verify_checkpoint(parse_note(str(via["checkpoint"]).encode(), who=who), key, who=who)
    told = _entry(via["entry"], outer, who).statement
    held = told["predicate"]
    if kind_of(told) != "log-reference" or held["checkpoint"] != proof["checkpoint"]:
        raise LedgerBroken(who, "a reference to this checkpoint", "another", "do not trust it")
    try:
        return note, parse_vkey(held["key"])
    except ProvenanceError:
        raise LedgerBroken(who, "a reference with a key", "none", "do not trust it") from None


def _entry(told: Any, head: Checkpoint, who: str) -> Entry:
    try:
        if set(told) != {"index", "data", "path"}:
            raise ValueError
        index, data = _count(told["index"]), strict_base64(told["data"])
        path = _hashes(told["path"])
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _no_proof(who, "an entry of another form") from None
    if not merkle.verify_inclusion(merkle.leaf_hash(data), index, head.size, path, head.root):
        raise LedgerBroken(who, "an entry of this log", "another entry or path", "do not trust it")
    return parse_entry(data, index, who=who)


def _signed(entry: Entry, signers: Sequence[PublicKey], who: str) -> tuple[str, ...]:
    if not signers:
        return ()
    try:
        found = signers_of(entry, signers)
    except SignatureError as error:
        raise LedgerBroken(who, error.expected, error.got, error.next_step) from None
    if not found:
        names = ", ".join(key.name for key in signers)
        raise LedgerBroken(who, f"a statement signed by {names}", "another", "ask who signed it")
    return tuple(key.name for key in found)


def _check_entry(case: _Case) -> tuple[str, tuple[str, ...]]:
    return f"{_place(case)} is a {_about(case.entry)}", (TRUTH,)


def _check_record(case: _Case) -> tuple[str, tuple[str, ...]]:
    record = _record(case)
    found = _map_proof(case.proof["map"])
    _in_map(found, record, _map_of(case))
    copies = found.value(record)
    if copies is None:
        raise _Fails("the record in the map", "another one")
    times = "" if copies == 1 else f"{copies:,} times "
    return f"record {record.hex()} is {times}part of the {_about(case.entry)}: {_place(case)}", (
        TRUTH,
    )


def _check_no_record(case: _Case) -> tuple[str, tuple[str, ...]]:
    record = _record(case)
    _absent(_map_proof(case.proof["map"]), record, _map_of(case), "the record")
    return f"record {record.hex()} is no part of the {_about(case.entry)}: {_place(case)}", (TRUTH,)


def _check_nowhere(case: _Case) -> tuple[str, tuple[str, ...]]:
    record, told = _record(case), _inventory(case)["record_maps"]
    tree = merkle.Accumulator()
    for one in case.proof["maps"]:
        if set(one) != {"sequence", "root", "path", "found"}:
            raise ValueError
        root = _hash(one["root"])
        tree.append(map_leaf(_count(one["sequence"]), root))
        proof = _map_proof({"path": one["path"], "found": one["found"]})
        _absent(proof, record, root, "the record")
    if tree.size != told["count"] or tree.root().hex() != told["root"]:
        raise _Fails("all record maps of the inventory", "others")
    without = _count(told["without"])
    more = f"; {without:,} more have no map and may hold it" if without else ""
    words = f"record {record.hex()} is no part of the {tree.size:,} data sets registered{more}"
    return f"{words}, among the first {_inventory(case)['size']:,} entries", (COMPLETE,)


def _check_no_name(case: _Case) -> tuple[str, tuple[str, ...]]:
    name, told = case.claim["name"], _inventory(case)
    if set(case.claim) != {"kind", "name"} or not isinstance(name, str):
        raise ValueError
    _absent(_map_proof(case.proof["map"]), key_of(name), _hash(told["map"]["root"]), "the name")
    return f"nothing is entered as {name} among the first {told['size']:,} entries", (COMPLETE,)


def _check_grown(case: _Case) -> tuple[str, tuple[str, ...]]:
    if set(case.claim) != {"kind"}:
        raise ValueError
    older = parse_note(case.proof["older"].encode(), who="older checkpoint")
    old = verify_checkpoint(older, case.key, who="older checkpoint")
    path, new = _hashes(case.proof["path"]), case.head
    if not merkle.verify_consistency(old.size, new.size, path, old.root, new.root):
        raise _Fails("a log that only grew", "one that was changed")
    return f"the first {old.size:,} of {new.size:,} entries of {new.origin} are unchanged", ()


_CLAIMS: dict[str, Callable[[_Case], tuple[str, tuple[str, ...]]]] = {
    "entry": _check_entry,
    "record": _check_record,
    "no-record": _check_no_record,
    "no-record-anywhere": _check_nowhere,
    "no-name": _check_no_name,
    "grown": _check_grown,
}


def _absent(proof: MapProof, key: bytes, root: bytes, what: str) -> None:
    _in_map(proof, key, root)
    if proof.value(key) is not None:
        raise _Fails(f"a map without {what}", "one that has it")


def _in_map(proof: MapProof, key: bytes, root: bytes) -> None:
    if proof.root(key) != root:
        raise _Fails("a proof that leads to the map's root", "another")


def _map_of(case: _Case) -> bytes:
    root = record_map_of(_statement(case))
    if root is None or kind_of(_statement(case)) != "data-registered":
        raise _Fails("data with a map of its records", "an entry without")
    return root


def _inventory(case: _Case) -> dict[str, Any]:
    if kind_of(_statement(case)) != "inventory":
        raise _Fails("an inventory", "another entry")
    told: dict[str, Any] = _statement(case)["predicate"]
    assert case.entry is not None
    if told["size"] > case.entry.sequence:
        raise _Fails("an inventory of earlier entries", "one of later ones")
    return told


def _statement(case: _Case) -> dict[str, Any]:
    assert case.entry is not None  # by the fields of the claim
    return case.entry.statement


def _record(case: _Case) -> bytes:
    if set(case.claim) != {"kind", "record"}:
        raise ValueError
    return _hash(case.claim["record"])


def _map_proof(told: Any) -> MapProof:
    if set(told) != {"path", "found"}:
        raise ValueError
    found = told["found"]
    if found is not None:
        key, value = found
        found = _hash(key), _count(value)
    return MapProof(tuple(_hashes(told["path"])), found)


def _place(case: _Case) -> str:
    assert case.entry is not None
    return f"entry {case.entry.sequence:,} of {case.head.size:,} in {case.head.origin}"


def _about(entry: Entry | None) -> str:
    assert entry is not None
    told = entry.statement
    subject = told["subject"][0]
    name = subject.get("name") or subject.get("uri") or next(iter(subject["digest"].values()))
    return f"{kind_of(told) or repr(told['predicateType'])} {name!r}"


def _hashes(told: Any) -> list[bytes]:
    if not isinstance(told, list) or len(told) > 256:
        raise ValueError("no list of hashes")
    return [_hash(one) for one in told]


def _hash(told: Any) -> bytes:
    if not isinstance(told, str):
        raise ValueError("no hash")
    found = bytes.fromhex(told)
    if len(found) != 32 or found.hex() != told:
        raise ValueError("no hash")
    return found


def _count(told: Any) -> int:
    if type(told) is not int or not 0 <= told <= LARGEST_SIZE:
        raise ValueError("no number")
    return told
