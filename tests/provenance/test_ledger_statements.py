"""What may be entered: in-toto statements in canonical JSON, and nothing secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from ledger_cases import KEY, OTHER, WITNESS, entry

from tailguard.provenance import envelope
from tailguard.provenance.base import SignatureError
from tailguard.provenance.ledger.base import LedgerError
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.statements import (
    PAYLOAD_TYPE,
    PREFIX,
    REQUIRED,
    STATEMENT,
    name_for,
    names_in,
    parse_entry,
    parse_subject,
    signers_of,
    statement,
)

GOOD: dict[str, Any] = {
    "_type": STATEMENT,
    "subject": [{"name": "a", "digest": {"sha256": "00" * 32}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {"x": 1},
}


def dumped(value: Any) -> bytes:
    return rfc8785.dumps(value)


def test_the_statement_is_one_that_in_toto_reads() -> None:
    read = json_format.Parse(entry(1), statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    told = json.loads(entry(1))
    assert json_format.MessageToDict(read)["predicate"] == told["predicate"]
    assert told["predicateType"] == PREFIX + "verdict/v1"


@pytest.mark.parametrize("change", [
    {"_type": "https://in-toto.io/Statement/v0.1"}, {"_type": None}, {"subject": []},
    {"subject": {}},
    {"subject": [{"name": "a"}]}, {"subject": [{"name": "a", "digest": {}}]}, {"subject": ["a"]},
    {"subject": [{"name": "a", "digest": {"sha256": "xyz"}}]},
    {"subject": [{"name": "a", "digest": {"sha256": "AA" * 32}}]},
    {"subject": [{"name": "a", "digest": {"sha256": 5}}]},
    {"subject": [{"name": 5, "digest": {"sha256": "00" * 32}}]},
    {"predicateType": ""}, {"predicateType": None}, {"predicate": None}, {"predicate": [1]},
])  # fmt: skip
def test_a_malformed_statement_is_one_clear_line(change: dict[str, Any]) -> None:
    parse_entry(dumped(GOOD))
    with pytest.raises(LedgerError) as caught:
        parse_entry(dumped(GOOD | change), 7)
    line = str(caught.value)
    assert line.startswith("entry 7: expected ") and "\n" not in line and len(line) < 200


@pytest.mark.parametrize("data", [
    b"", b"null", b"[]", b"{}", b"\xff", json.dumps(GOOD).encode(), dumped(GOOD) + b"\n",
    dumped(GOOD).replace(b'"x":1', b'"x":1.0'), dumped(GOOD).replace(b'"x":1', b'"x":1,"x":1'),
    dumped(GOOD).replace(b'"x":1', b'"x":NaN'), dumped(GOOD).replace(b'"x":1', b'"x":-0'),
    dumped(GOOD).replace(b'"x":1', b'"x":99999999999999999999'),
    dumped(GOOD).replace(b'"x":1', b'"x":"\\u0041"'),
    dumped(GOOD).replace(b'"x":1', b'"x":"\\ud800"'),
    dumped(GOOD).replace(b'"x":1', b'"x":' + b"[" * 40 + b"]" * 40),
    dumped(GOOD).replace(b'"x":1', b'"x":' + b"[" * 30_000 + b"]" * 30_000),
    b'{"payload":"', b'{"payload":"","payloadType":"x","signatures":[]}\n',
])  # fmt: skip
def test_bytes_that_are_not_canonical_json_of_a_statement_are_refused(data: bytes) -> None:
    with pytest.raises(LedgerError) as caught:
        parse_entry(data)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5)
    | st.floats(-(2.0**52), 2.0**52),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_the_quick_way_takes_exactly_what_the_standard_writes(value: Any) -> None:
    """Python's own JSON is the canonical one or is not taken, whatever is in it."""
    data = dumped(GOOD | {"predicate": {"v": value}})
    assert parse_entry(data).data == data
    loose = json.dumps(GOOD | {"predicate": {"v": value}}, separators=(",", ":")).encode()
    if loose != data:
        with pytest.raises(LedgerError):
            parse_entry(loose)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_a_statement_made_quickly_is_the_canonical_one(value: Any) -> None:
    predicate = {"status": "pass", "recorded": "x", "v": value}
    made = statement("verdict", [("a", {"sha256": "00" * 32})], predicate)
    told = {"_type": STATEMENT, "subject": [{"name": "a", "digest": {"sha256": "00" * 32}}],
            "predicateType": PREFIX + "verdict/v1", "predicate": predicate}  # fmt: skip
    assert made == dumped(told) == parse_entry(bytes(made)).data


@pytest.mark.parametrize("value", [
    {1: "a"}, {None: 1}, {True: 1}, {"a", "b"}, float("nan"), float("inf"), 2**53, b"x", object(),
    "\ud800", {"x": {2: 3}},
])  # fmt: skip
def test_a_value_that_json_would_bend_is_refused(value: Any) -> None:
    predicate = {"status": "pass", "v": value}
    with pytest.raises(LedgerError) as caught:
        statement("verdict", [("a", {"sha256": "00" * 32})], predicate)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [k for k, fields in REQUIRED.items() if fields])
def test_each_kind_is_refused_without_its_fields(kind: str) -> None:
    with pytest.raises(LedgerError, match="got none; correct '"):
        statement(kind, [("a", {"sha256": "00" * 32})], {})


@pytest.mark.parametrize(("field", "value"), [
    ("map", {}), ("map", {"root": "00" * 32}), ("map", {"root": "x", "keys": 1}), ("size", -1),
    ("record_maps", {"root": "00" * 32, "count": 1}), ("record_maps", []), ("size", True),
    ("record_maps", {"root": "00" * 32, "count": 1, "without": "1"}),
])  # fmt: skip
def test_an_inventory_without_its_roots_and_numbers_is_refused(field: str, value: Any) -> None:
    sound = {"size": 1, "map": {"root": "00" * 32, "keys": 1},
             "record_maps": {"root": "00" * 32, "count": 1, "without": 0}}  # fmt: skip
    subject = [("log", {"sha256": "00" * 32})]
    statement("inventory", subject, sound)
    with pytest.raises(LedgerError, match=f"as '{field}'"):
        statement("inventory", subject, {**sound, field: value})


@pytest.mark.parametrize("origin", [
    {}, {"kind": "robot"}, "human", None, {"kind": "human", "generation": -1},
    {"kind": "human", "generation": "0"}, {"kind": "human", "generation": True},
])  # fmt: skip
def test_an_origin_has_one_of_four_kinds_and_a_generation_that_counts(origin: Any) -> None:
    subject = [("a", {"sha256": "00" * 32})]
    for sound in ({"kind": "human", "generation": 0}, {"kind": "unknown", "generation": None}):
        statement("data-registered", subject, {"origin": sound})
    with pytest.raises(LedgerError, match="an origin with a kind as 'origin'"):
        statement("data-registered", subject, {"origin": origin})


def test_unknown_fields_and_unknown_types_survive_to_the_byte() -> None:
    more = GOOD | {"predicate": {"nested": {"ключ": ["é", 0.5]}}, "annotations": {"mine": 1}}
    assert parse_entry(dumped(more)).statement == more


def test_a_signed_entry_tells_its_signers_and_each_is_verified() -> None:
    signed = parse_entry(entry(3, signer=WITNESS))
    assert signed.statement == parse_entry(entry(3)).statement
    assert signed.signers == (WITNESS.public.key_id,)
    assert signers_of(signed, [KEY.public, WITNESS.public]) == [WITNESS.public]
    assert signers_of(signed, [KEY.public]) == [] == signers_of(parse_entry(entry(3)), [KEY.public])
    held = envelope.parse(signed.data)
    forged = envelope.Envelope(held.payload_type, entry(4), held.signatures).to_bytes()
    with pytest.raises(SignatureError, match="a wrong one"):
        signers_of(parse_entry(forged), [WITNESS.public])
    other = envelope.sign(entry(3), "text/plain", OTHER).to_bytes()
    with pytest.raises(LedgerError, match="expected application/vnd"):
        parse_entry(other)
    inside = envelope.sign(b"{}", PAYLOAD_TYPE, OTHER).to_bytes()
    with pytest.raises(LedgerError, match="an in-toto Statement"):
        parse_entry(inside)


# In pieces: a scanner of secrets must not take this file for one.
SECRETS = [
    "-----BEGIN PRIV" + "ATE KEY-----", "PRIVATE" + "+KEY+name+00000000+AAAA",
    "AGE-SECRET-" + "KEY-1QQQQ", "https://user:pass" + "word@example.com/x",
    "gh" + "p_" + "a1B2" * 9, "hf" + "_" + "aB1" * 10, "AKIA" + "ABCDEFGHIJKLMNOP",
    "sk" + "-" + "abcd1234" * 4, "xox" + "b-" + "1234567890-abcdefghij",
    "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.abc",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("signer", [None, WITNESS])
def test_what_looks_like_a_secret_is_refused_and_never_repeated(secret: str, signer: Any) -> None:
    with pytest.raises(LedgerError, match="nothing secret") as caught:
        statement(
            "verdict", [(f"see {secret}", {"sha256": "00" * 32})], {"status": "pass"}, signer=signer
        )
    assert secret not in str(caught.value) and secret[:12] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_inside_an_envelope_from_elsewhere_is_refused(tmp_path: Path) -> None:
    hidden = entry(0).replace(b"batch-0", b"https://a:b" + b"@c")
    data = envelope.sign(hidden, PAYLOAD_TYPE, OTHER).to_bytes()
    assert parse_entry(data).signers
    with pytest.raises(LedgerError, match="nothing secret"):
        Ledger.init(tmp_path / "log", KEY).append([data], KEY)


@pytest.mark.parametrize("text", [
    "https://example.com/a@b", "mail me@example.com", "task-force of the KEY", "sk-learn",
    "high_ghosts", "a ratio of 3:4@home", "hf_hub", "s3://bucket/key:1",
])  # fmt: skip
def test_plain_text_is_not_taken_for_a_secret(text: str) -> None:
    statement("verdict", [(text, {"sha256": "00" * 32})], {"status": "pass"})


def test_names_are_those_of_subjects_and_registered_files() -> None:
    told = json.loads(statement(
        "data-registered", [("a", {"sha256": "00" * 32, "blake3": "11" * 32})],
        {"origin": {"kind": "human"}, "files": [{"sha256": "22" * 32}, {}, 5],
         "record_map": {"root": "33" * 32}},
    ))  # fmt: skip
    assert names_in(told) == [
        "digest:blake3:" + "11" * 32, "digest:sha256:" + "00" * 32, "digest:sha256:" + "22" * 32,
        "digest:tailguardRecordMap:" + "33" * 32, "name:a",
    ]  # fmt: skip
    assert name_for("sha256:" + "00" * 32) in names_in(told) and name_for("a") in names_in(told)


def test_a_subject_is_a_file_or_a_name_with_a_digest(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"abc")
    name, digest = parse_subject(str(tmp_path / "m.bin"))
    assert name == "m.bin" and digest["sha256"].startswith("ba7816bf")
    assert parse_subject("a=b=sha256:00aa00aa") == ("a=b", {"sha256": "00aa00aa"})
    for text in ("nothing", "", "a=sha256:xyz", "=sha256:00aa00aa", "zero\0"):
        with pytest.raises(LedgerError, match="a file, or NAME=ALGORITHM:HEX"):
            parse_subject(text)
