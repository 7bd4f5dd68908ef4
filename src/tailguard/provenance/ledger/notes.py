"""Signed notes and checkpoints: the head of a log as one small text that anyone can verify.

A checkpoint's text is three lines: the log's name (its origin), the number of entries, the root
hash in base64. It is signed as a note: after an empty line, one line per signature, ``— name
base64(4-byte key hash || signature)``. Sources: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0.

Of all texts that say the same, only one is taken: base64 without stray bits, numbers without
leading zeros. So no bit of what is trusted can change unnoticed.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from dataclasses import dataclass

from tailguard.provenance.base import KeyFileError
from tailguard.provenance.keys import PublicKey, SecretKey, check_name
from tailguard.provenance.ledger.base import LARGEST_SIZE, LedgerBroken, LedgerError
from tailguard.provenance.merkle import HASH_BYTES

LONGEST_NOTE_BYTES = 64 << 10
"""A longer note is not read."""

MOST_SIGNATURES = 64
"""A note with more signatures is refused; the standard asks for 16 at least."""

_DASH = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_HASH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and signatures as (name, 4-byte key hash, rest).

    >>> note = Note("hello\\n", (("me", bytes(4), bytes(64)),))
    >>> parse_note(note.to_bytes()) == note
    True
    """

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def to_bytes(self) -> bytes:
        """The note as a file."""
        lines = (f"{_DASH}{n} {b64encode(h + s).decode()}\n" for n, h, s in self.signatures)
        return f"{self.text}\n{''.join(lines)}".encode()

    def signature(self, name: str, key_hash: bytes) -> bytes | None:
        """The signature that claims to be of a key, None if there is none."""
        for signer, found, signature in self.signatures:
            if (signer, found) == (name, key_hash):
                return signature
        return None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its name, how many entries it has, and the root of its Merkle tree.

    >>> from tailguard.provenance.merkle import EMPTY_ROOT
    >>> Checkpoint("example.com/log", 0, EMPTY_ROOT).text.splitlines()[:2]
    ['example.com/log', '0']
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def parse_note(data: bytes, *, who: str = "note") -> Note:
    """The note in a file's bytes; nothing is verified yet.

    Raises :class:`LedgerError` for anything else than the one way to write it: see the module.
    """
    if len(data) > LONGEST_NOTE_BYTES:
        got = f"{len(data):,}"
        raise LedgerError(who, f"at most {LONGEST_NOTE_BYTES:,} bytes", got, _AGAIN)
    try:
        whole = data.decode()
        if _CONTROL.search(whole) or not whole.endswith("\n"):
            raise ValueError("control characters, or no newline at the end")
        text, found, signed = whole.rpartition("\n\n")
        if not found or not text:
            raise ValueError("no empty line before the signatures")
        # Not splitlines(), for which other characters than a newline end a line too.
        lines = signed.removesuffix("\n").split("\n")
        if len(lines) > MOST_SIGNATURES:
            raise ValueError("too many signatures")
        note = Note(text + "\n", tuple(_signature(line) for line in lines))
        if len({(name, key) for name, key, _ in note.signatures}) < len(lines):
            raise ValueError("two signatures of one key")
    except (ValueError, KeyFileError) as error:
        reason = "bytes" if isinstance(error, UnicodeDecodeError) else str(error)
        raise LedgerError(who, "a signed note", f"an error ({reason[:80]})", _AGAIN) from None
    return note


def parse_checkpoint(text: str, *, who: str = "checkpoint") -> Checkpoint:
    """The checkpoint in a note's text. Raises :class:`LedgerError` for any other text.

    Extension lines are refused: this project writes none, and the standard advises against them.
    """
    try:
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise ValueError("not three lines")
        origin, size, root = lines[:3]
        check_name(origin)
        # str.isdecimal() takes digits of every script.
        if not re.fullmatch(r"0|[1-9][0-9]{0,15}", size) or int(size) > LARGEST_SIZE:
            raise ValueError("no size of a tree")
        found = Checkpoint(origin, int(size), strict_base64(root))
        if len(found.root) != HASH_BYTES:
            raise ValueError("a root of another size")
    except (ValueError, KeyFileError) as error:
        raise LedgerError(who, "a checkpoint", f"an error ({str(error)[:80]})", _AGAIN) from None
    return found


def sign_checkpoint(checkpoint: Checkpoint, key: SecretKey) -> Note:
    """The checkpoint signed by its log, whose name the key must have."""
    if key.public.name != checkpoint.origin:
        raise LedgerError(
            "key", f"the key of {checkpoint.origin}", f"one of {key.public.name}", "pass --key"
        )
    signature = key.sign(checkpoint.text.encode())
    return Note(checkpoint.text, ((key.public.name, key.public.note_hash, signature),))


def verify_checkpoint(note: Note, key: PublicKey, *, who: str = "checkpoint") -> Checkpoint:
    """The checkpoint of the log that ``key`` belongs to, once its signature holds.

    Raises :class:`LedgerBroken` for a wrong signature, none by this key, or another log's name.
    """
    signature = note.signature(key.name, key.note_hash)
    if signature is None or not key.verifies(signature, note.text.encode()):
        got = "none of that key" if signature is None else "a wrong one"
        raise LedgerBroken(who, f"a signature of {key.name}", got, "do not trust it")
    found = parse_checkpoint(note.text, who=who)
    if found.origin != key.name:
        raise LedgerBroken(who, f"the log {key.name}", found.origin, "ask for that log's key")
    return found


def strict_base64(text: str) -> bytes:
    """Decode the one standard encoding of some bytes; ValueError for any other text.

    >>> strict_base64("YQ==")
    b'a'
    """
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except (Error, UnicodeEncodeError):
        raise ValueError("no base64") from None
    if b64encode(data).decode() != text:
        raise ValueError("no canonical base64")
    return data


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, held = line[:2], *line[2:].rsplit(" ", 1)
    check_name(name)
    raw = strict_base64(held)
    if dash != _DASH or len(raw) <= _HASH_BYTES:
        raise ValueError("no signature line")
    return name, raw[:_HASH_BYTES], raw[_HASH_BYTES:]


_AGAIN = "fetch it again"
