"""Witnesses: others who have seen a log grow, and sign its checkpoints; logs that refer to logs.

A witness keeps the newest checkpoint it has seen of each log, and cosigns a newer one only if the
log can prove that it grew from there. So an owner who shows different logs to different people
must do it without that witness. A cosignature is one more signature line of the checkpoint: key
hash with type byte 0x04, eight bytes of time, and the Ed25519 signature of ``cosignature/v1``,
``time <seconds>`` and the checkpoint's text, each on its line. The time is the witness's claim.
Source: C2SP tlog-cosignature (cosignature/v1).

A log refers to another by an entry that holds the other's checkpoint: then a proof in the other
log can be checked with the key of this one.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tailguard.provenance import merkle
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.envelope import canonical_json, parse_canonical
from tailguard.provenance.keys import SIGNATURE_BYTES, PublicKey, SecretKey, parse_vkey
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.files import Folder
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.notes import (
    Checkpoint,
    Note,
    parse_note,
    strict_base64,
    verify_checkpoint,
)
from tailguard.provenance.ledger.statements import statement

COSIGNATURE = b"\x04"
"""The signature type of a cosignature in a signed note."""

STATE_FORMAT = "tailguard-witness-1"

_LONGEST_STATE = 16 << 20
_LATEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What a witness did: the checkpoint it cosigned, and the size it had seen before."""

    checkpoint: Checkpoint
    before: int
    vkey: str


def cosigner_hash(key: PublicKey) -> bytes:
    """The 4 bytes that mark a key's cosignatures (C2SP tlog-cosignature).

    >>> len(cosigner_hash(PublicKey("w", bytes(32))))
    4
    """
    return sha256(key.name.encode() + b"\n" + COSIGNATURE + key.raw).digest()[:4]


def cosigner_vkey(key: PublicKey) -> str:
    """The key as one line of text, marked as that of a witness.

    >>> cosigner_vkey(PublicKey("w", bytes(32)))[:2]
    'w+'
    """
    held = b64encode(COSIGNATURE + key.raw).decode()
    return f"{key.name}+{cosigner_hash(key).hex()}+{held}"


def parse_cosigner(text: str) -> PublicKey:
    """The key of a line that :func:`cosigner_vkey` makes, or of a plain vkey.

    Raises :class:`~tailguard.provenance.base.KeyFileError` for anything else.

    >>> key = PublicKey("w", bytes(32))
    >>> parse_cosigner(cosigner_vkey(key)) == parse_cosigner(key.vkey) == key
    True
    """
    with suppress(ValueError, ProvenanceError):
        name, _, held = text.split("+", 2)
        raw = strict_base64(held)
        key = PublicKey(name, raw[1:])
        if cosigner_vkey(key) == text:
            return key
    return parse_vkey(text)


def cosign(note: Note, key: SecretKey, *, at: int) -> Note:
    """The note with a cosignature of ``key`` added, made at ``at`` (seconds since 1970).

    A former one of the same key is replaced. Whether the log grew from what was seen before is
    the caller's to know: see :func:`witness`.
    """
    signature = at.to_bytes(8, "big") + key.sign(_message(note.text, at))
    mark = cosigner_hash(key.public)
    others = [s for s in note.signatures if s[:2] != (key.public.name, mark)]
    return Note(note.text, (*others, (key.public.name, mark, signature)))


def witnessed(
    note: Note, witnesses: Sequence[PublicKey], quorum: int | None = None, *, who: str = "note"
) -> tuple[tuple[str, int], ...]:
    """Which of ``witnesses`` cosigned, and when, by their own word.

    Raises :class:`LedgerBroken` where a cosignature by one of them is wrong, or fewer than
    ``quorum`` (default: all of them) are there.
    """
    found = []
    for key in witnesses:
        signature = note.signature(key.name, cosigner_hash(key))
        if signature is None:
            continue
        at = int.from_bytes(signature[:8], "big")
        sound = len(signature) == 8 + SIGNATURE_BYTES and at <= _LATEST
        if not sound or not key.verifies(signature[8:], _message(note.text, at)):
            raise LedgerBroken(who, f"a cosignature of {key.name}", "a wrong one", _DISTRUST)
        found.append((key.name, at))
    needed = len(witnesses) if quorum is None else quorum
    if len(found) < needed:
        raise LedgerBroken(who, f"{needed} witnesses", str(len(found)), "ask them to cosign")
    return tuple(found)


def witness(
    ledger: Ledger, key: SecretKey, state: str | Path, *, at: int | None = None
) -> Witnessed:
    """Cosign the newest checkpoint of a ledger, if it grew from the last one seen.

    ``state`` is the witness's own file, made at the first call; what was seen is durable there
    before a signature leaves. Raises :class:`LedgerBroken` where the log went back or was changed,
    with what was seen before in the line; :class:`LedgerError` for a state file that is none.
    """
    path = Path(state).absolute()
    folder = Folder(path.parent)
    # One at a time, or two could cosign two histories.
    with folder.lock(f"{path.name}.lock"):
        seen = _read_state(folder, path.name)
        head, note = ledger.head()
        before = _last_seen(seen, head.origin, ledger.key, who=str(path))
        if before is not None:
            _grew(ledger, before, head)
        seen[head.origin] = note.to_bytes().decode()
        folder.replace(path.name, canonical_json({"format": STATE_FORMAT, "seen": seen}))
        cosigned = cosign(note, key, at=int(time.time()) if at is None else at)
        if not ledger.set_head(cosigned):
            raise LedgerError(
                str(ledger.folder.path), "a log at rest", "one that grew meanwhile", "try again"
            )
    size = 0 if before is None else before.size
    return Witnessed(head, size, cosigner_vkey(key.public))


def refer(ledger: Ledger, other: Ledger, key: SecretKey) -> int:
    """Enter the newest checkpoint of another ledger, with its key; the entry's number."""
    head, note = other.head()
    predicate = {
        "key": other.key.vkey,
        "size": head.size,
        "checkpoint": note.to_bytes().decode(),
    }
    subject = [(head.origin, {"sha256": head.root.hex()})]
    (sequence,) = ledger.append([statement("log-reference", subject, predicate)], key)
    return sequence


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _grew(ledger: Ledger, before: Checkpoint, head: Checkpoint) -> None:
    who, seen = str(ledger.folder.path), f"{before.size:,} entries that were seen"
    if head.size < before.size:
        raise LedgerBroken(who, f"at least the {seen}", f"{head.size:,}", _DISTRUST)
    try:
        path = ledger.tree().consistency(before.size, head.size)
    except LedgerBroken:
        path = []
    if not merkle.verify_consistency(before.size, head.size, path, before.root, head.root):
        raise LedgerBroken(who, f"the {seen} unchanged", "others", _DISTRUST)


def _last_seen(seen: dict[str, str], origin: str, key: PublicKey, *, who: str) -> Checkpoint | None:
    return (
        verify_checkpoint(parse_note(seen[origin].encode(), who=who), key, who=who)
        if origin in seen
        else None
    )


def _read_state(folder: Folder, name: str) -> dict[str, str]:
    data, who = folder.read(name, _LONGEST_STATE), str(folder.path / name)
    if data is None:
        return {}
    try:
        state = parse_canonical(data, who=who)
        seen = state["seen"]
        if set(state) != {"format", "seen"} or state["format"] != STATE_FORMAT:
            raise TypeError
        if not all(isinstance(note, str) for note in seen.values()):
            raise TypeError
    except (ProvenanceError, TypeError, KeyError, AttributeError):
        raise LedgerError(
            who, f"a {STATE_FORMAT}", "something else", "restore it: it is what was seen"
        ) from None
    return dict(seen)


_DISTRUST = "do not trust this log; keep both checkpoints as evidence"
