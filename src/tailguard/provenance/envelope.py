"""Signed documents: canonical JSON (RFC 8785) in a DSSE envelope, read as if it were hostile.

What is signed is ``PAE(type, payload) = "DSSEv1" SP len(type) SP type SP len(payload) SP payload``
(lengths in bytes, in decimal). DSSE leaves the key id and the envelope's own JSON unsigned; here
both are bound as well: a file must be the canonical JSON of the envelope, to the byte, and a key id
must be the hash of the key that verifies. So no bit of a signed file can change unnoticed.
Sources: Secure Systems Lab, DSSE v1.0.2; RFC 8785 (JSON Canonicalization Scheme).
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import rfc8785

from tailguard.corpus.atomic import replacing
from tailguard.provenance.base import EnvelopeError, SignatureError
from tailguard.provenance.keys import SIGNATURE_BYTES, PublicKey, SecretKey

LONGEST_BYTES = 64 << 20
"""A document longer than this is not read unless the caller allows it."""

DEEPEST = 32
"""Brackets nested more deeply than this are refused."""

MOST_SIGNATURES = 32
"""An envelope with more signatures is refused."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its type, and signatures as (key id in hex, 64 bytes).

    >>> from tailguard.provenance.keys import generate
    >>> key = generate("example")
    >>> signed = sign({"a": 1}, "application/example+json", key)
    >>> verify(parse(signed.to_bytes()), [key.public], "application/example+json")
    {'a': 1}
    """

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def signed(self) -> bytes:
        """The bytes that the signatures are over."""
        return pae(self.payload_type, self.payload)

    def to_bytes(self) -> bytes:
        """The envelope as a file: canonical JSON and a newline."""
        signatures = [{"keyid": k, "sig": b64encode(s).decode()} for k, s in self.signatures]
        return canonical_json(
            {
                "payload": b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": signatures,
            }
        ) + b"\n"  # fmt: skip


def pae(payload_type: str, payload: bytes) -> bytes:
    """What DSSE signs (its pre-authentication encoding).

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def canonical_json(value: Any) -> bytes:
    """Canonical JSON (RFC 8785): one value, one string of bytes.

    Raises :class:`EnvelopeError` for what it cannot hold: integers beyond 2^53 - 1, numbers that
    are not finite, keys that are not strings, characters that are no Unicode.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise EnvelopeError(
            "document", "values that JSON can hold", str(error)[:200], "write numbers as text"
        ) from None


def parse_json(
    data: bytes, *, who: str = "document", limit: int = LONGEST_BYTES, deepest: int = DEEPEST
) -> Any:
    """JSON from outside: UTF-8 of at most ``limit`` bytes, no key twice, nothing nested deeper
    than ``deepest``, no numbers but finite ones. Raises :class:`EnvelopeError` for all else.

    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    if len(data) > limit:
        got = f"{len(data):,}"
        raise EnvelopeError(who, f"at most {limit:,} bytes", got, "do not trust where it is from")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:120] if isinstance(error, ValueError) else "deep nesting"
        raise EnvelopeError(who, "JSON", f"an error ({reason})", "fetch it again") from None
    if _deeper(value, deepest):
        raise EnvelopeError(who, f"at most {deepest} levels", "more", "do not trust this file")
    return value


def parse_canonical(data: bytes, *, who: str = "document", limit: int = LONGEST_BYTES) -> Any:
    """Like :func:`parse_json`, and the bytes must be the canonical ones of what they say.

    >>> parse_canonical(b'{"a":1}')
    {'a': 1}
    """
    value = parse_json(data, who=who, limit=limit)
    if canonical_json(value) != data:
        raise EnvelopeError(who, "canonical JSON (RFC 8785)", "other JSON", "fetch it again")
    return value


def sign(payload: Any, payload_type: str, *keys: SecretKey) -> Envelope:
    """The envelope of ``payload`` (a JSON value, or bytes as they are), signed with each key."""
    body = payload if isinstance(payload, bytes) else canonical_json(payload)
    signed = pae(payload_type, body)
    made = tuple((key.public.key_id, key.sign(signed)) for key in keys)
    return Envelope(payload_type, body, made)


def parse(data: bytes, *, who: str = "envelope", limit: int = LONGEST_BYTES) -> Envelope:
    """The envelope in a file's bytes; :class:`EnvelopeError` unless they are exactly those that
    :meth:`Envelope.to_bytes` writes. Nothing is verified yet: see :func:`verify`."""
    if not data.endswith(b"\n"):
        raise EnvelopeError(who, "a newline at the end", "a cut file", "fetch it again")
    value = parse_canonical(data[:-1], who=who, limit=limit)
    try:
        if set(value) != {"payload", "payloadType", "signatures"} or len(value) != 3:
            raise ValueError("other fields")
        payload_type = value["payloadType"]
        if not isinstance(payload_type, str) or not 0 < len(payload_type) <= 255:
            raise ValueError("no type")
        listed = value["signatures"]
        if not isinstance(listed, list) or not 0 < len(listed) <= MOST_SIGNATURES:
            raise ValueError("no signatures, or too many")
        found = Envelope(
            payload_type, _base64(value["payload"]), tuple(_signature(item) for item in listed)
        )
    except (ValueError, TypeError, AttributeError) as error:
        got = f"an error ({str(error)[:80]})"
        raise EnvelopeError(who, "a DSSE envelope", got, "fetch it again") from None
    if len({key_id for key_id, _ in found.signatures}) < len(found.signatures):
        raise EnvelopeError(who, "one signature of each key", "two", "do not trust this file")
    return found


def parse_loose(data: bytes, *, who: str = "envelope", limit: int = LONGEST_BYTES) -> Envelope:
    """An envelope as other tools write it: any JSON, any key ids, other fields beside.

    For documents of others only: here, key ids and layout may change unnoticed. The ids are left
    out, so that :func:`signers` tries every key. Raises :class:`EnvelopeError` for all else.
    """
    value = parse_json(data, who=who, limit=limit)
    try:
        listed = value["signatures"][: MOST_SIGNATURES + 1]
        held = [b64decode(item["sig"], validate=True) for item in listed]
        if not isinstance(value["payloadType"], str) or not 0 < len(held) <= MOST_SIGNATURES:
            raise ValueError("no type or signatures")
        body = b64decode(value["payload"], validate=True)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        got = f"an error ({str(error)[:80]})"
        raise EnvelopeError(who, "a DSSE envelope", got, "fetch it again") from None
    return Envelope(value["payloadType"], body, tuple(("", one) for one in held))


def signers(
    envelope: Envelope, keys: Iterable[PublicKey], *, who: str = "envelope"
) -> list[PublicKey]:
    """The ones of ``keys`` that signed, in the order of the envelope.

    Raises :class:`SignatureError` where a signature that claims to be of one of them is not: an
    altered document must not pass for one of an unknown signer.
    """
    known = {key.key_id: key for key in keys}
    found = []
    for key_id, signature in envelope.signatures:
        key = known.get(key_id)
        if not key_id:
            tried = (one for one in known.values() if one.verifies(signature, envelope.signed))
            key = next(tried, None)
        if key is not None and not key.verifies(signature, envelope.signed):
            raise SignatureError(
                who, f"a signature of {key.name}", "a wrong one", "it was altered: do not trust it"
            )
        if key is not None:
            found.append(key)
    return found


def verify(
    envelope: Envelope, keys: Iterable[PublicKey], payload_type: str, *, who: str = "envelope"
) -> Any:
    """The payload as a JSON value, once a signature by one of ``keys`` holds.

    Raises :class:`SignatureError` for a wrong signature or none by these keys;
    :class:`EnvelopeError` for another type, or a payload that is not canonical JSON.
    """
    if not signers(envelope, keys, who=who):
        by = ", ".join(key_id[:16] for key_id, _ in envelope.signatures)
        raise SignatureError(
            who, "a signature of a key you trust", f"keys {by}", "import the signer's public key"
        )
    return payload_of(envelope, payload_type, who=who)


def payload_of(envelope: Envelope, payload_type: str, *, who: str = "envelope") -> Any:
    """The payload as a JSON value, its signatures not looked at; :class:`EnvelopeError` for
    another type, or a payload that is not canonical JSON."""
    if envelope.payload_type != payload_type:
        got = repr(envelope.payload_type[:80])
        raise EnvelopeError(who, f"a {payload_type}", got, "pass another file")
    limit = len(envelope.payload)
    return parse_canonical(envelope.payload, who=f"{who}: payload", limit=limit)


def save(envelope: Envelope, path: str | Path) -> None:
    """Write the envelope; the file appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(envelope.to_bytes())


def load(path: str | Path, *, limit: int = LONGEST_BYTES) -> Envelope:
    """The envelope in a file of at most ``limit`` bytes; see :func:`parse`."""
    return parse(read_bounded(path, limit), who=str(path), limit=limit)


def read_bounded(path: str | Path, limit: int) -> bytes:
    """The bytes of a regular file; :class:`EnvelopeError` if it is none, or longer than
    ``limit``."""
    try:
        if not Path(path).is_file():
            got = "something else" if Path(path).exists() else "nothing there"
            raise EnvelopeError(str(path), "a file", got, "check the path")
        with open(path, "rb") as stored:
            data = stored.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a name that no file has"
        raise EnvelopeError(str(path), "a file to read", reason, "check the path") from None
    if len(data) > limit:
        raise EnvelopeError(str(path), f"at most {limit:,} bytes", "more", "check the path")
    return data


def _signature(item: Any) -> tuple[str, bytes]:
    if set(item) != {"keyid", "sig"}:
        raise ValueError("a signature with other fields")
    key_id, signature = item["keyid"], _base64(item["sig"])
    plain = isinstance(key_id, str) and len(key_id) == 64 and set(key_id) <= set("0123456789abcdef")
    if not plain or len(signature) != SIGNATURE_BYTES:
        raise ValueError("a signature of another kind")
    return key_id, signature


def _base64(text: Any) -> bytes:
    """Decoded strictly: of all the texts that decode to these bytes, only the one that encodes
    them is taken."""
    if not isinstance(text, str):
        raise ValueError("no base64")
    data = b64decode(text, validate=True)
    if b64encode(data).decode() != text:
        raise ValueError("no canonical base64")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice in an object")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _deeper(value: Any, deepest: int) -> bool:
    """Whether containers are nested more than ``deepest`` levels."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(deepest):
        level = [inner for outer in level for inner in _inside(outer)]
    return bool(level)


def _inside(outer: dict[str, Any] | list[Any]) -> Iterator[dict[str, Any] | list[Any]]:
    for inner in outer.values() if isinstance(outer, dict) else outer:
        if isinstance(inner, dict | list):
            yield inner
