"""Keys: their files, their forms, and that a secret never shows."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import stat
import traceback
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tailguard.provenance import keys
from tailguard.provenance.base import KeyFileError

# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNED = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
# The example of C2SP signed-note and of Go's golang.org/x/mod/sumdb/note.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def known() -> keys.SecretKey:
    return keys.SecretKey("known", Ed25519PrivateKey.from_private_bytes(SEED))


def pem(path: Path, secret: object, encryption: object = None) -> Path:
    content = secret.private_bytes(  # type: ignore[attr-defined]
        Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
    )
    path.touch(0o600)
    path.write_bytes(content)
    return path


def refused(call: object, *arguments: object) -> str:
    with pytest.raises(KeyFileError) as error:
        call(*arguments)  # type: ignore[operator]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_signatures_are_those_of_the_rfc() -> None:
    key = known()
    assert key.public.raw == PUBLIC
    assert key.sign(b"\x72") == SIGNED
    assert key.public.verifies(SIGNED, b"\x72")
    assert not key.public.verifies(SIGNED, b"\x73")
    assert not key.public.verifies(SIGNED[:63], b"\x72")
    assert key.public.key_id == sha256(PUBLIC).hexdigest()


def test_a_known_verifier_key_of_signed_note_is_read_and_written() -> None:
    key = keys.parse_vkey(VKEY)
    assert (key.name, key.note_hash.hex()) == ("PeterNeumann", "c74f20a3")
    assert key.vkey == VKEY
    assert key.raw == b64decode(VKEY.split("+", 2)[2])[1:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("c74f20a3", "C74F20A3"),
        VKEY.replace("Peter", "Paul"),
        VKEY.replace("+ARpc", "+Ahpc"),
        VKEY[:-4],
        VKEY + "=",
        VKEY.replace("10TW", "10TX"),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        "+" + VKEY,
        "a\nb+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_verifier_keys_that_are_not_exact_are_refused(text: str) -> None:
    refused(keys.parse_vkey, text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\t", "new\nline", "x" * 201])
def test_names_that_a_note_cannot_carry_are_refused(name: str) -> None:
    refused(keys.generate, name)


def test_saved_keys_come_back_and_only_their_owner_can_open_them(tmp_path: Path) -> None:
    key = keys.generate("curation-team")
    public = keys.save(key, tmp_path / "team.key")
    assert stat.S_IMODE((tmp_path / "team.key").stat().st_mode) == 0o600
    again = keys.load(tmp_path / "team.key")
    assert again.public == key.public == keys.load_public(public)
    assert again.sign(b"data") == key.sign(b"data")


def test_a_secret_stays_closed_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys.save(keys.generate("a"), tmp_path / "key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o777])
def test_a_secret_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    keys.save(keys.generate("a"), path)
    path.chmod(mode)
    told = refused(keys.load, path)
    assert f"{mode:04o}" in told and "chmod 600" in told


def test_saving_never_replaces_a_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys.save(keys.generate("a"), path)
    held = path.read_bytes(), keys.public_path(path).read_bytes()
    refused(keys.save, keys.generate("b"), path)
    path.unlink()
    refused(keys.save, keys.generate("b"), path)
    assert not path.exists() and keys.public_path(path).read_bytes() == held[1]


def test_a_key_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    refused(keys.save, keys.generate("a"), tmp_path / "missing" / "key")
    (tmp_path / "key.pub.d").mkdir()
    assert list(tmp_path.iterdir()) == [tmp_path / "key.pub.d"]


def test_pem_files_of_other_tools_are_read(tmp_path: Path) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(SEED)
    path = pem(tmp_path / "my key.pem", secret)
    assert keys.load(path).public == keys.PublicKey("my-key", PUBLIC)
    assert keys.load(path, name="team").public.name == "team"


def test_files_that_hold_no_usable_secret_are_refused(tmp_path: Path) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(SEED)
    files = [
        pem(tmp_path / "locked", secret, BestAvailableEncryption(b"password")),
        pem(tmp_path / "other", generate_private_key(SECP256R1())),
    ]
    contents = [b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    good = saved_line(tmp_path)
    contents += [good[:-9], good.replace(b"known", b"other"), b"PRIVATE+KEY+", good * 400]
    for number, content in enumerate(contents):
        files.append(tmp_path / f"bad{number}")
        files[-1].touch(0o600)
        files[-1].write_bytes(content)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (*files, tmp_path, tmp_path / "pipe", tmp_path / "missing", "a\0b"):
        refused(keys.load, path)


def saved_line(folder: Path) -> bytes:
    keys.save(known(), folder / "saved")
    return (folder / "saved").read_bytes()


def test_a_secret_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    keys.save(known(), tmp_path / "key")
    assert "key.pub" in refused(keys.load_public, tmp_path / "key")
    path = pem(tmp_path / "pem", Ed25519PrivateKey.from_private_bytes(SEED))
    assert "a secret key" in refused(keys.load_public, path)
    (tmp_path / "bytes").write_bytes(b"\xff")
    refused(keys.load_public, tmp_path / "bytes")


def test_a_secret_shows_nowhere_at_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = known()
    line = saved_line(tmp_path)
    told = [repr(key), str(key), f"{key}", f"{key!r}"]
    assert not hasattr(key, "__dict__")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as error:
            leak(key)
        told.append("".join(traceback.format_exception(error.value)))
    for broken in (line[:-6], line[:-2] + b"!\n", line.replace(b"known", b"other")):
        (tmp_path / "broken").unlink(missing_ok=True)
        (tmp_path / "broken").touch(0o600)
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(KeyFileError) as refusal:
            keys.load(tmp_path / "broken")
        # The whole chain, also what `from None` would only hide.
        whole = io.StringIO()
        error_now: BaseException | None = refusal.value
        while error_now is not None:
            whole.write(repr(error_now) + "".join(traceback.format_exception(error_now)))
            error_now = error_now.__cause__ or error_now.__context__
        told.append(whole.getvalue())
    secret = line.decode().strip().rsplit("+", 1)[1]
    for text in (*told, caplog.text):
        for part in (SEED.hex()[:16], secret[:12], secret[8:24], repr(SEED)[2:20]):
            assert part not in text
