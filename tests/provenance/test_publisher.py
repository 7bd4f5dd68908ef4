"""Shipments of publishers: attested, declared, or worth nothing, and why."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from gold_cases import KEY, STRANGER, locked, make_gold, rows, write

from tailguard.errors import InputError
from tailguard.provenance import envelope, keyless, keys, publisher, trust
from tailguard.provenance.base import KeyFileError, SignatureError
from tailguard.provenance.publisher import Attestation, attest, graded, sign_manifest
from tailguard.provenance.trust import TrustStore, load_store


def trusting(*known: keys.SecretKey) -> TrustStore:
    store = TrustStore()
    for key in known:
        store.add("Example Press", key.public)
    return store


def shipped(tmp_path: Path, kind: str, key: keys.SecretKey = KEY) -> tuple[Path, Path]:
    """Data of a publisher, and what is signed about it."""
    data, signed = make_gold(tmp_path / "data"), tmp_path / "signed"
    made = locked(data, key=key) if kind == "lock" else sign_manifest(
        data, publisher="Example Press", key=key, engine="serial"
    )  # fmt: skip
    envelope.save(made, signed)
    return data, signed


def judged(data: Path, signed: Path | None, store: TrustStore) -> Attestation:
    return attest(data, signed, store, engine="serial")


@pytest.mark.parametrize("kind", ["lock", "manifest"])
def test_a_signed_shipment_of_a_trusted_publisher_is_attested(tmp_path: Path, kind: str) -> None:
    data, signed = shipped(tmp_path, kind)
    found = judged(data, signed, trusting(KEY, STRANGER))
    assert found == Attestation(
        "attested", "Example Press", KEY.public.key_id, "signed by Example Press"
    )


@pytest.mark.parametrize("kind", ["lock", "manifest"])
def test_a_signer_nobody_vouched_for_leaves_the_senders_word(tmp_path: Path, kind: str) -> None:
    data, signed = shipped(tmp_path, kind, STRANGER)
    found = judged(data, signed, trusting(KEY))
    assert (found.evidence, found.publisher) == ("declared", None)
    assert STRANGER.public.key_id[:16] in found.reason
    assert judged(data, None, trusting(KEY)).evidence == "declared"
    assert "not signed" in judged(data, None, trusting(KEY)).reason


def change(data: Path) -> None:
    write(data / "sub" / "b.parquet", rows(0, 5))


def remove(data: Path) -> None:
    (data / "c.jsonl").unlink()


def add(data: Path) -> None:
    write(data / "more.parquet", rows(0, 5))


def rename(data: Path) -> None:
    (data / "c.jsonl").rename(data / "d.jsonl")


@pytest.mark.parametrize("signer", [KEY, STRANGER], ids=["trusted", "unknown"])
@pytest.mark.parametrize("meddle", [change, remove, add, rename])
@pytest.mark.parametrize("kind", ["lock", "manifest"])
def test_data_that_is_not_what_was_signed_is_worth_nothing(
    tmp_path: Path, kind: str, meddle: Any, signer: keys.SecretKey
) -> None:
    data, signed = shipped(tmp_path, kind, signer)
    meddle(data)
    found = judged(data, signed, trusting(KEY))
    assert found.evidence == "none" and found.publisher is None
    assert any(name in found.reason for name in ("b.parquet", "c.jsonl", "more.parquet"))


@pytest.mark.parametrize("kind", ["lock", "manifest"])
def test_a_wrong_signature_is_said_and_is_worth_nothing(tmp_path: Path, kind: str) -> None:
    data, signed = shipped(tmp_path, kind)
    made = envelope.load(signed)
    broken = bytes([made.signatures[0][1][0] ^ 1]) + made.signatures[0][1][1:]
    wrong = envelope.Envelope(made.payload_type, made.payload, ((made.signatures[0][0], broken),))
    envelope.save(wrong, signed)
    found = judged(data, signed, trusting(KEY))
    assert found.evidence == "none" and "wrong" in found.reason
    signed.write_text("no envelope")
    assert judged(data, signed, trusting(KEY)).evidence == "none"
    envelope.save(envelope.sign({}, "other/type", KEY), signed)
    assert judged(data, signed, trusting(KEY)).evidence == "none"


def foreign(data: Path, key: keys.SecretKey, **more: Any) -> bytes:
    """A manifest as another tool writes it: other layout, key id and predicate."""
    subjects = [
        {"name": path.relative_to(data).as_posix(),
         "digest": {"sha512": "0" * 128, "sha256": sha256(path.read_bytes()).hexdigest()}}
        for path in data.rglob("*.*") if path.is_file()
    ]  # fmt: skip
    told = {"subject": subjects, "predicateType": "https://example.org/x",
            "_type": publisher.STATEMENT, "predicate": {}} | more  # fmt: skip
    body = json.dumps(told, indent=1).encode()
    signature = key.sign(envelope.pae(publisher.STATEMENT_TYPE, body))
    return json.dumps({
        "payloadType": publisher.STATEMENT_TYPE,
        "payload": b64encode(body).decode(),
        "signatures": [{"keyid": "any", "sig": b64encode(signature).decode()}],
    }).encode()  # fmt: skip


def test_manifests_of_other_tools_are_read(tmp_path: Path) -> None:
    data, signed = make_gold(tmp_path / "data"), tmp_path / "signed"
    signed.write_bytes(foreign(data, KEY))
    assert judged(data, signed, trusting(KEY)).evidence == "attested"
    assert judged(data, signed, trusting(STRANGER)).evidence == "declared"
    change(data)
    assert judged(data, signed, trusting(KEY)).evidence == "none"


@pytest.mark.parametrize(
    "more",
    [
        {"_type": "other"},
        {"subject": []},
        {"subject": "x"},
        {"subject": [{"name": "../x", "digest": {"sha256": "0" * 64}}]},
        {"subject": [{"name": "a.parquet", "digest": {"sha1": "0" * 40}}]},
        {"subject": [{"name": "a.parquet", "digest": {"sha256": "0" * 64}}] * 2},
    ],
)
def test_manifests_that_name_no_files_are_worth_nothing(tmp_path: Path, more: Any) -> None:
    data, signed = make_gold(tmp_path / "data"), tmp_path / "signed"
    signed.write_bytes(foreign(data, KEY, **more))
    found = judged(data, signed, trusting(KEY))
    assert found.evidence == "none" and "\n" not in found.reason


def test_no_evidence_is_left_above_what_the_shipment_is_worth() -> None:
    given = pa.array(["attested", "watermark", "audited", "declared", "detected", "none", None])
    declared = graded(given, Attestation("declared", None, None, "")).to_pylist()
    assert declared == ["declared"] * 4 + ["detected", "none", None]
    none = graded(given.dictionary_encode(), Attestation("none", None, None, "")).to_pylist()
    assert none == ["none"] * 6 + [None]
    attested = graded(given, Attestation("attested", "p", "k", "")).to_pylist()
    assert attested == ["attested"] * 7


def test_trust_is_kept_in_a_file_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "home" / "trusted.json"
    store = load_store(path)
    assert store.keys == []
    store.add("Example Press", KEY.public)
    store.add("Example Press", STRANGER.public)
    store.save(path)
    again = load_store(path)
    assert again.keys == [KEY.public, STRANGER.public]
    assert again.publisher_of(KEY.public.key_id) == "Example Press"
    again.remove(KEY.public.key_id)
    assert again.keys == [STRANGER.public] and again.publisher_of(KEY.public.key_id) is None
    with pytest.raises(KeyFileError):
        again.remove(KEY.public.key_id)


def test_a_key_cannot_become_another_publishers_by_the_way() -> None:
    store = trusting(KEY)
    with pytest.raises(KeyFileError, match="one of Example Press"):
        store.add("Mallory", KEY.public)
    for name in ("", "a\nb", "x" * 201):
        with pytest.raises(KeyFileError):
            store.add(name, STRANGER.public)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_trust_store_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    trusting(KEY).save(tmp_path / "store")
    (tmp_path / "store").chmod(mode)
    with pytest.raises(KeyFileError, match="only its owner may write"):
        load_store(tmp_path / "store")


def test_damaged_trust_stores_are_refused_in_one_line(tmp_path: Path) -> None:
    trusting(KEY).save(tmp_path / "store")
    good = json.loads((tmp_path / "store").read_text())
    for told in ([], {}, good | {"form": "x"}, good | {"keys": [1]}, good | {"more": 1},
                 good | {"keys": [{"publisher": 1, "vkey": KEY.public.vkey}]},
                 good | {"keys": [{"publisher": "x", "vkey": "x"}]}):  # fmt: skip
        (tmp_path / "store").write_text(json.dumps(told))
        with pytest.raises(InputError) as refused:
            load_store(tmp_path / "store")
        assert "\n" not in str(refused.value)


def test_the_users_own_key_and_store_are_believed_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILGUARD_HOME", str(tmp_path))
    assert trust.trusted_keys() == []
    keys.save(KEY, trust.default_key())
    trusting(STRANGER).save(trust.default_store())
    assert trust.trusted_keys() == [STRANGER.public, KEY.public]
    assert trust.trusted_keys([keys.public_path(trust.default_key())]) == [KEY.public]
    assert trust.trusted_keys(store=tmp_path / "empty") == []
    monkeypatch.delenv("TAILGUARD_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert trust.default_key() == tmp_path / "xdg" / "tailguard" / "signing.key"


def test_keyless_signing_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sigstore", "sigstore.errors"):
        monkeypatch.setitem(sys.modules, name, None)
    signed = envelope.sign({}, "a/b", KEY)
    bundle = keyless.bundle_path(tmp_path / "gold.lock")
    with pytest.raises(InputError, match="extra 'sigstore'"):
        keyless.sign_keyless(signed, bundle)
    bundle.write_text("{}")
    with pytest.raises(InputError, match="extra 'sigstore'"):
        keyless.verify_keyless(signed, bundle, identity="a@example.org", issuer="https://x")


@pytest.mark.parametrize("bundle", ["{}", "[]", "", "no JSON", '{"mediaType": "x"}'])
def test_bundles_that_are_none_do_not_pass_for_signatures(tmp_path: Path, bundle: str) -> None:
    pytest.importorskip("sigstore")
    signed = envelope.sign({}, "a/b", KEY)
    (tmp_path / "bundle").write_text(bundle)
    with pytest.raises(SignatureError) as refused:
        keyless.verify_keyless(
            signed, tmp_path / "bundle", identity="a@example.org", issuer="https://x"
        )
    assert "\n" not in str(refused.value)
