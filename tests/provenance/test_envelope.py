"""Signed documents: what DSSE and RFC 8785 prescribe, and what hostile input must not do."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tailguard.provenance import envelope, keys
from tailguard.provenance.base import EnvelopeError, SignatureError

KIND = "application/example+json"
KEY, OTHER = keys.generate("one"), keys.generate("two")


def flips(data: bytes) -> Any:
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def believed(data: bytes) -> Any:
    return envelope.verify(envelope.parse(data), [KEY.public], KIND)


def test_what_is_signed_is_the_encoding_of_the_standard() -> None:
    # The example of the DSSE protocol.
    told = envelope.pae("http://example.com/HelloWorld", b"hello world")
    assert told == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert envelope.pae("ä", b"\xff") == b"DSSEv1 2 \xc3\xa4 1 \xff"
    signed = envelope.sign({"a": 1}, KIND, KEY)
    assert KEY.public.verifies(signed.signatures[0][1], envelope.pae(KIND, b'{"a":1}'))


def test_canonical_json_is_that_of_the_rfc() -> None:
    # RFC 8785, section 3.2.2 and 3.2.3.
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert envelope.canonical_json(value) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    order = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}
    assert list(json.loads(envelope.canonical_json(order)).values()) == [2, 4, 6, 7, 1, 5, 3]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, {1: 2}, "\ud800", {"\ud800": 1}, object(), b"x"]
)
def test_values_without_canonical_json_are_refused_in_one_line(value: Any) -> None:
    with pytest.raises(EnvelopeError):
        envelope.canonical_json(value)


def test_envelopes_survive_a_round_trip_and_say_who_signed(tmp_path: Path) -> None:
    signed = envelope.sign({"b": [1, 2], "a": "ä"}, KIND, KEY, OTHER)
    envelope.save(signed, tmp_path / "file")
    again = envelope.load(tmp_path / "file")
    assert again == signed and again.to_bytes() == (tmp_path / "file").read_bytes()
    assert envelope.verify(again, [OTHER.public], KIND) == {"a": "ä", "b": [1, 2]}
    assert envelope.signers(again, [OTHER.public, KEY.public]) == [KEY.public, OTHER.public]


def test_no_bit_of_a_signed_file_changes_unnoticed() -> None:
    data = envelope.sign({"text": "gold", "n": [1, 2, 3]}, KIND, KEY).to_bytes()
    believed(data)
    tried = 0
    for broken in flips(data):
        with pytest.raises((EnvelopeError, SignatureError)):
            believed(broken)
        tried += 1
    assert tried == 8 * len(data)


def test_a_signature_by_another_key_does_not_pass_for_ours() -> None:
    stranger = envelope.sign({"a": 1}, KIND, OTHER)
    with pytest.raises(SignatureError, match="key you trust"):
        envelope.verify(stranger, [KEY.public], KIND)
    # Claiming our key id does not help, and is told from a stranger's signature.
    claimed = envelope.Envelope(
        KIND, stranger.payload, ((KEY.public.key_id, stranger.signatures[0][1]),)
    )
    with pytest.raises(SignatureError, match="altered"):
        envelope.verify(claimed, [KEY.public], KIND)
    # Nor does a good signature beside a wrong one of the same document.
    mine = envelope.sign({"a": 1}, KIND, KEY).signatures[0]
    broken = (OTHER.public.key_id, bytes(64))
    both = envelope.Envelope(KIND, stranger.payload, (mine, broken))
    with pytest.raises(SignatureError, match="altered"):
        envelope.verify(both, [KEY.public, OTHER.public], KIND)


def test_a_signature_is_for_one_type_of_document_only() -> None:
    signed = envelope.sign({"a": 1}, KIND, KEY)
    with pytest.raises(EnvelopeError, match="other/type"):
        envelope.verify(signed, [KEY.public], "other/type")
    moved = envelope.Envelope("other/type", signed.payload, signed.signatures)
    with pytest.raises(SignatureError):
        envelope.verify(moved, [KEY.public], "other/type")


def test_a_malleated_signature_is_not_taken() -> None:
    """S + L is the same point for a sloppy verifier (RFC 8032, 5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493
    signed = envelope.sign({"a": 1}, KIND, KEY)
    key_id, signature = signed.signatures[0]
    scalar = int.from_bytes(signature[32:], "little") + order
    other = signature[:32] + scalar.to_bytes(32, "little")
    with pytest.raises(SignatureError):
        believed(envelope.Envelope(KIND, signed.payload, ((key_id, other),)).to_bytes())


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "bytes": b"\xff\xfe",
    "a key twice": b'{"a":1,"a":2}',
    "not a number": b'{"a":NaN}',
    "infinity": b"[1,-Infinity]",
    "deep lists": b"[" * 40 + b"]" * 40,
    "very deep lists": b"[" * 200_000 + b"]" * 200_000,
    "deep objects": b'{"a":' * 40 + b"1" + b"}" * 40,
    "a long number": b"1" * 5_000,
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "two values": b"1 2",
    "utf-16": '{"a":1}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(EnvelopeError) as refused:
        envelope.parse_json(HOSTILE[name])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "data", [b'{"a": 1}', b'{"a":1.0}', b'{"b":1,"a":1}', b'"\\u0041"', b'{"a":"\\ud800"}', b"-0"]
)
def test_json_that_is_not_canonical_is_refused_where_it_must_be(data: bytes) -> None:
    envelope.parse_json(data)
    with pytest.raises(EnvelopeError):
        envelope.parse_canonical(data)


def test_size_is_bounded_before_anything_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(EnvelopeError, match="at most 10 bytes"):
        envelope.parse_json(b" " * 11, limit=10)
    (tmp_path / "large").write_bytes(b" " * 1000)
    with pytest.raises(EnvelopeError, match="at most"):
        envelope.load(tmp_path / "large", limit=100)
    for path in (tmp_path, tmp_path / "missing", "/dev/zero", "a\0b"):
        with pytest.raises(EnvelopeError):
            envelope.load(path)


def altered(**fields: Any) -> bytes:
    value = json.loads(envelope.sign({"a": 1}, KIND, KEY).to_bytes())
    value.update(fields)
    return envelope.canonical_json(value) + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        altered(more=1),
        altered(payload=1),
        altered(payload="e30"),
        altered(payload="e31="),
        altered(payload="e30=\n"),
        altered(payloadType=""),
        altered(payloadType=3),
        altered(signatures=[]),
        altered(signatures={}),
        altered(signatures=[{"keyid": "x", "sig": ""}]),
        altered(signatures=[{"keyid": KEY.public.key_id, "sig": "AAAA"}]),
        altered(signatures=[{"keyid": KEY.public.key_id.upper(), "sig": "A" * 86 + "=="}]),
        altered(signatures=[{"sig": "A" * 86 + "=="}]),
        altered(signatures=[{"keyid": KEY.public.key_id, "sig": "A" * 86 + "=="}] * 2),
        altered(signatures=[{"keyid": f"{i:064x}", "sig": "A" * 86 + "=="} for i in range(33)]),
        altered(signatures=["text"]),
        b"[]\n",
        b'"text"\n',
        b"null\n",
        altered()[:-1],
        altered() + b"\n",
    ],
)
def test_envelopes_of_any_other_form_are_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        envelope.parse(data)


def test_envelopes_of_other_tools_are_read_where_asked() -> None:
    body = b'{ "a" : 1 }'
    told = {
        "payloadType": KIND,
        "payload": b64encode(body).decode(),
        "signatures": [{"sig": b64encode(KEY.sign(envelope.pae(KIND, body))).decode()}],
        "more": None,
    }
    data = json.dumps(told, indent=2).encode()
    with pytest.raises(EnvelopeError):
        envelope.parse(data)
    found = envelope.parse_loose(data)
    assert found.payload == body
    assert envelope.signers(found, [OTHER.public, KEY.public]) == [KEY.public]
    assert envelope.signers(found, [OTHER.public]) == []
    for broken in (b"[]", b"{}", b'{"signatures":[],"payload":"","payloadType":"x"}'):
        with pytest.raises(EnvelopeError):
            envelope.parse_loose(broken)
