"""What an entry of the ledger says: an in-toto Statement (v1), in canonical JSON.

A statement names its subjects by digest and makes one claim about them, of a type:

==================  ============================================================================
``data-registered`` data with an origin, how many records, their roots
``model-trained``   a model trained on a plan
``samples-drawn``   data drawn from a model
``review-decision`` what a reviewer decided about data
``gold-release``    a lock of gold
``verdict``         the outcome of an audit
``inventory``       everything that entries before it name, as one root (made by the ledger)
``log-reference``   the checkpoint of another ledger
==================  ============================================================================

Statements of other types are entered as they are. An entry is the bare statement, or a DSSE
envelope around it, signed by whoever makes the claim. Fields that are not known here survive.
An entry stays for ever: one that holds what looks like a secret is refused, without telling it.
Sources: in-toto Attestation Framework v1; DSSE v1.0.2; RFC 8785.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

from tailguard.corpus.base import KINDS
from tailguard.provenance import envelope
from tailguard.provenance.base import EnvelopeError
from tailguard.provenance.envelope import canonical_json, parse_canonical
from tailguard.provenance.keys import PublicKey, SecretKey
from tailguard.provenance.ledger.base import LONGEST_ENTRY_BYTES, Entry, LedgerError

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREFIX = "urn:tailguard:ledger/"
MAP_DIGEST = "tailguardRecordMap"
"""What the root of a map of records is called among the names in an entry."""

STATUSES = ("pass", "warn", "fail", "inconclusive")

_HEX = re.compile(r"(?:[0-9a-f]{2}){4,128}")
_DEEPEST = 32
_LARGEST = 2**53 - 1

# A claim's field, and what it must be. Everything else about a claim is free.
_Test = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _origin(value: Any) -> bool:
    generation = value.get("generation") if isinstance(value, dict) else ""
    sound = generation is None or _count(generation)
    return sound and value.get("kind") in KINDS


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _named(value: Any) -> bool:
    return _text(value) or _mapping(value)


def _root(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and _HEX.fullmatch(value) is not None


def _rooted(*counts: str) -> _Test:
    def test(value: Any) -> bool:
        return (
            _mapping(value)
            and _root(value.get("root"))
            and all(_count(value.get(name)) for name in counts)
        )

    return test


REQUIRED: dict[str, dict[str, tuple[_Test, str]]] = {
    "data-registered": {"origin": (_origin, "an origin with a kind")},
    "model-trained": {"plan": (_named, "a name, or a name and a digest")},
    "samples-drawn": {"model": (_named, "a name, or a name and a digest")},
    "review-decision": {"decision": (_text, "a text"), "reviewer": (_text, "a text")},
    "gold-release": {"root": (_root, "a root in hex")},
    "verdict": {"status": (lambda v: v in STATUSES, f"one of {', '.join(STATUSES)}")},
    "inventory": {
        "size": (_count, "a number"),
        "map": (_rooted("keys"), "a root and a number of keys"),
        "record_maps": (_rooted("count", "without"), "a root and numbers"),
    },
    "log-reference": {"key": (_text, "a public key"), "checkpoint": (_text, "a signed note")},
}
"""Kind of statement to the fields its predicate must have, besides any others."""


class EntryBytes(bytes):
    """The bytes of an entry that has been checked in this process; a ledger takes them as such."""

    __slots__ = ()


def statement(
    kind: str,
    subjects: Iterable[tuple[str, Mapping[str, str]]],
    predicate: Mapping[str, Any],
    *,
    signer: SecretKey | None = None,
) -> EntryBytes:
    """An entry of one of the known kinds; ``subjects`` are names with their digests in hex.

    The wall clock is added as ``recorded`` unless the predicate has one: a claim, as all else.
    With ``signer``, the entry is a DSSE envelope. Raises :class:`LedgerError` for anything that
    would not be taken by a ledger.

    >>> data = statement("verdict", [("batch", {"sha256": "00" * 32})], {"status": "pass"})
    >>> kind_of(parse_entry(data).statement)
    'verdict'
    """
    if kind not in REQUIRED:
        raise LedgerError("entry", f"one of {', '.join(REQUIRED)}", kind, "choose a kind")
    made = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": dict(digest)} for name, digest in subjects],
        "predicateType": f"{PREFIX}{kind}/v1",
        "predicate": {"recorded": now(), **predicate},
    }
    data = _quickly(made)
    if data is None:
        try:
            data = canonical_json(made)
        except EnvelopeError as error:
            raise LedgerError("entry", error.expected, error.got, error.next_step) from None
        checked(data, who="entry")
    else:
        # Reads back as it was: what checked() would find out again.
        _check_size(data, "entry")
        _check(made, "entry")
        _refuse_secrets(data, "entry")
    if signer is not None:
        data = envelope.sign(data, PAYLOAD_TYPE, signer).to_bytes()
        _check_size(data, "entry")
    return EntryBytes(data)


def checked(data: bytes, *, who: str) -> EntryBytes:
    """The bytes of an entry that may be entered: one that :func:`parse_entry` takes, and without
    what looks like a secret; :class:`LedgerError` otherwise, which does not tell the secret."""
    if not isinstance(data, EntryBytes):
        _, _, inner = _opened(data, who)
        _refuse_secrets(inner, who)
        data = EntryBytes(data)
    return data


def now() -> str:
    """The wall clock in UTC to the second, as RFC 3339 writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def kind_of(statement: Mapping[str, Any]) -> str:
    """The kind of a statement, empty where its type is none of ours.

    >>> kind_of({"predicateType": "urn:tailguard:ledger/verdict/v1"}), kind_of({})
    ('verdict', '')
    """
    name = str(statement.get("predicateType", "")).removeprefix(PREFIX).removesuffix("/v1")
    return name if name in REQUIRED else ""


def parse_entry(data: bytes, sequence: int = 0, *, who: str | None = None) -> Entry:
    """The entry in some bytes, checked.

    Raises :class:`LedgerError`, in one line, for: more than 65,535 bytes; other JSON than the
    canonical one; no in-toto statement, one without a subject or without a digest; a known kind
    without the fields it needs. Signatures are not verified here.
    """
    found, signers, _ = _opened(data, f"entry {sequence}" if who is None else who)
    return Entry(sequence, data, found, signers)


def _opened(data: bytes, who: str) -> tuple[dict[str, Any], tuple[str, ...], bytes]:
    """The statement in an entry, the key ids of its signatures, and the statement's bytes."""
    _check_size(data, who)
    try:
        signers: tuple[str, ...] = ()
        if data.startswith(b'{"payload":'):
            held = envelope.parse(data, who=who, limit=LONGEST_ENTRY_BYTES)
            signers = tuple(key_id for key_id, _ in held.signatures)
            if held.payload_type != PAYLOAD_TYPE:
                raise LedgerError(who, PAYLOAD_TYPE, held.payload_type[:80], "enter a statement")
            found, inner = _canonical(held.payload, who), held.payload
        else:
            found, inner = _canonical(data, who), data
    except EnvelopeError as error:
        raise LedgerError(who, error.expected, error.got, "enter canonical JSON") from None
    _check(found, who)
    return found, signers, inner


def signers_of(entry: Entry, keys: Iterable[PublicKey]) -> list[PublicKey]:
    """The ones of ``keys`` that signed the statement in an entry; none for a bare one.

    Raises :class:`~tailguard.provenance.base.SignatureError` for a wrong signature of one of them.
    """
    if not entry.signers:
        return []
    held = envelope.parse(entry.data, who=f"entry {entry.sequence}")
    return envelope.signers(held, keys, who=f"entry {entry.sequence}")


def names_in(statement: Mapping[str, Any]) -> list[str]:
    """All that a statement names, as ``digest:<algorithm>:<hex>`` and ``name:<name>``, sorted.

    Besides the subjects, of registered data the files and the root of the map of its records.

    >>> names_in({"subject": [{"name": "a", "digest": {"sha256": "00"}}]})
    ['digest:sha256:00', 'name:a']
    """
    found = set()
    for subject in statement["subject"]:
        found |= {f"digest:{algorithm}:{value}" for algorithm, value in subject["digest"].items()}
        name = subject.get("name") or subject.get("uri")
        if name:
            found.add(f"name:{name}")
    if kind_of(statement) == "data-registered":
        held = statement["predicate"].get("record_map")
        root = held.get("root") if isinstance(held, dict) else None
        if isinstance(root, str):
            found.add(f"digest:{MAP_DIGEST}:{root}")
        files = statement["predicate"].get("files")
        for file in files if isinstance(files, list) else ():
            digest = file.get("sha256") if isinstance(file, dict) else None
            if isinstance(digest, str):
                found.add(f"digest:sha256:{digest}")
    return sorted(found)


def name_for(text: str) -> str:
    """What a user calls something, as :func:`names_in` does: a digest or a name.

    >>> name_for("web.jsonl"), name_for("sha256:00aa00aa"), name_for("name:sha256:00aa00aa")
    ('name:web.jsonl', 'digest:sha256:00aa00aa', 'name:sha256:00aa00aa')
    """
    if text.startswith(("name:", "digest:")):
        return text
    algorithm, _, digits = text.partition(":")
    return f"{'digest' if algorithm and _HEX.fullmatch(digits) else 'name'}:{text}"


def parse_subject(text: str) -> tuple[str, dict[str, str]]:
    """A subject out of ``NAME=ALGORITHM:HEX``, or a file, whose SHA-256 is taken.

    >>> parse_subject("m@1=sha256:00aa00aa")
    ('m@1', {'sha256': '00aa00aa'})
    """
    name, _, digest = text.rpartition("=")
    algorithm, _, digits = digest.partition(":")
    if name and algorithm and _HEX.fullmatch(digits):
        return name, {algorithm: digits}
    try:
        with open(text, "rb") as stored:
            return Path(text).name, {"sha256": file_digest(stored, "sha256").hexdigest()}
    except (OSError, ValueError):
        raise LedgerError(
            "subject", "a file, or NAME=ALGORITHM:HEX", repr(text)[:80], "check the path"
        ) from None


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class _Unusual(Exception):
    """A number that the quick way cannot judge."""


def _unusual(text: str) -> Any:
    raise _Unusual(text)


def _integer(text: str) -> int:
    if len(text) > 16 or not -_LARGEST <= (value := int(text)) <= _LARGEST or text == "-0":
        raise _Unusual(text)
    return value


_quick = json.JSONDecoder(parse_float=_unusual, parse_int=_integer, parse_constant=_unusual).decode


def _quickly(value: Any) -> bytes | None:
    """Canonical JSON the quick way, None where that cannot be told to be it: then go the long way.

    Equal after reading back: Python's writer would make the key "1" of 1, without a word.
    """
    try:
        text = _encode(value)
        plain = text.isascii() and text.count("{") + text.count("[") <= _DEEPEST
        return text.encode() if plain and _quick(text) == value else None
    except (_Unusual, ValueError, TypeError, RecursionError):
        return None


def _canonical(data: bytes, who: str) -> Any:
    """The value of canonical JSON.

    Most entries are ASCII without fractions; of those, Python's own writer makes the canonical
    form, five times as fast. All others go the long way.
    """
    try:
        if data.isascii() and data.count(b"{") + data.count(b"[") <= _DEEPEST:
            value = _quick(data.decode())
            if _encode(value).encode() == data:
                return value
    except (_Unusual, ValueError):
        pass
    return parse_canonical(data, who=who, limit=LONGEST_ENTRY_BYTES)


def _check_size(data: bytes, who: str) -> None:
    if len(data) > LONGEST_ENTRY_BYTES:
        got = f"{len(data):,}"
        raise LedgerError(who, f"at most {LONGEST_ENTRY_BYTES:,} bytes", got, "enter a digest")


def _check(found: Any, who: str) -> None:
    if not isinstance(found, dict) or found.get("_type") != STATEMENT:
        got = str(found.get("_type"))[:80] if isinstance(found, dict) else type(found).__name__
        raise LedgerError(who, "an in-toto Statement v1", got, "see docs/provenance-ledger.md")
    subjects, predicate = found.get("subject"), found.get("predicate")
    if not isinstance(subjects, list) or not subjects:
        raise LedgerError(who, "at least one subject", "none", "name what it is about")
    for subject in subjects:
        digest = subject.get("digest") if isinstance(subject, dict) else None
        if not isinstance(digest, dict) or not digest:
            raise LedgerError(who, "subjects with a digest", "one without", "add its digest")
        for algorithm, value in digest.items():
            if not isinstance(value, str) or not algorithm or not _HEX.fullmatch(value):
                raise LedgerError(who, "digests in hex", repr(value)[:60], "write it in hex")
        name = subject.get("name", subject.get("uri", ""))
        if not isinstance(name, str):
            raise LedgerError(who, "a name that is text", repr(name)[:60], "write it as text")
    if not _text(found.get("predicateType")) or not isinstance(predicate, dict):
        raise LedgerError(who, "a predicate and its type", "none", "say what is claimed")
    for name, (test, expected) in REQUIRED.get(kind_of(found), {}).items():
        if not test(predicate.get(name)):
            got = repr(predicate.get(name))[:60] if name in predicate else "none"
            raise LedgerError(who, f"{expected} as '{name}'", got, f"correct '{name}'")


# Short and certain: a false alarm keeps a true claim out of the ledger.
_SECRETS = {
    "a private key": re.compile(rb"PRIVATE KEY-----|PRIVATE\+KEY\+|AGE-SECRET-KEY-1"),
    "a password in an address": re.compile(rb"://[^/@\s\"]{0,200}:[^/@\s\"]{1,200}@"),
    "an access token": re.compile(
        rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{40}|hf_[0-9A-Za-z]{30}"
        rb"|AKIA[0-9A-Z]{16}|xox[abprs]-[0-9A-Za-z-]{20}|sk-[0-9A-Za-z_-]{32}"
        rb"|eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.)"
    ),
}


def _refuse_secrets(data: bytes, who: str) -> None:
    # Every match contains one of these, and looking for them first is five times as fast.
    if not (
        b"@" in data
        or (b"K" in data and (b"KEY" in data or b"AKIA" in data))
        or (b"J" in data and b"eyJ" in data)
        or b"gh" in data
        or b"hf_" in data
        or b"xox" in data
        or b"sk-" in data
    ):
        return
    for what, pattern in _SECRETS.items():
        if pattern.search(data):
            raise LedgerError(who, "nothing secret", f"what looks like {what}", "leave it out")
