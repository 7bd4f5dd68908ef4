"""Ed25519 keys on disk: secrets stay secret, public keys travel as C2SP verifier keys.

A secret key is a file of one line, ``PRIVATE+KEY+<name>+<hash>+<base64>``, as Go's sumdb tools
write it, or an unencrypted PEM (PKCS #8). It must be readable by its owner alone. A public key is
one line too, ``<name>+<hash>+<base64>``, the *vkey* of C2SP signed-note: the hash is the first
four bytes of ``SHA-256(name || "\\n" || 0x01 || public key)``, the base64 holds ``0x01`` and the 32
bytes of the key. Sources: RFC 8032 (Ed25519); C2SP signed-note v1.0.0.
"""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tailguard.corpus.atomic import replacing
from tailguard.errors import CorpusError
from tailguard.provenance.base import KeyFileError

ED25519 = b"\x01"
"""The signature type of Ed25519 in a signed note."""

SIGNATURE_BYTES = 64
"""Size of an Ed25519 signature."""

_SECRET = "PRIVATE+KEY+"
_LONGEST_FILE = 16 << 10
_LONGEST_NAME = 200
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A named Ed25519 public key: ``raw`` are its 32 bytes (RFC 8032).

    >>> key = PublicKey("example", bytes(31) + b"\\x01")
    >>> parse_vkey(key.vkey) == key
    True
    """

    name: str
    raw: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.raw) != 32:
            raise KeyFileError("key", "32 bytes", str(len(self.raw)), "use an Ed25519 key")

    @property
    def key_id(self) -> str:
        """SHA-256 of the 32 bytes in hex: the same whatever the key is called."""
        return sha256(self.raw).hexdigest()

    @property
    def note_hash(self) -> bytes:
        """The 4 bytes that mark this key's lines in a signed note (C2SP signed-note)."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.raw).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as one line of text, with its name (C2SP signed-note)."""
        held = b64encode(ED25519 + self.raw).decode()
        return f"{self.name}+{self.note_hash.hex()}+{held}"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether ``signature`` (64 bytes) over ``data`` was made with this key's secret half."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


class SecretKey:
    """A named Ed25519 secret key, which never shows its secret and never leaves the process.

    It has no repr of its bytes, cannot be pickled or copied, and no error tells them.

    >>> key = generate("example")
    >>> key.public.verifies(key.sign(b"data"), b"data")
    True
    >>> repr(key) == f"SecretKey('example', {key.public.key_id[:16]})"
    True
    """

    __slots__ = ("_secret", "public")

    public: PublicKey

    def __init__(self, name: str, secret: Ed25519PrivateKey) -> None:
        self._secret = secret
        self.public = PublicKey(name, secret.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of ``data``; the same data always gets the same one (RFC 8032)."""
        return self._secret.sign(data)

    def __repr__(self) -> str:
        return f"SecretKey({self.public.name!r}, {self.public.key_id[:16]})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key stays in its process")

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret key is not copied")


def check_name(name: str) -> None:
    """Raise :class:`KeyFileError` unless ``name`` can name a key: no spaces, no plus, not empty.

    >>> check_name("curation-team")
    """
    fits = 0 < len(name) <= _LONGEST_NAME and name.isprintable()
    if not fits or "+" in name or any(c.isspace() for c in name):
        got = repr(name[:60])
        raise KeyFileError("key", "a name without spaces or '+'", got, "as in curation-team")


def generate(name: str) -> SecretKey:
    """A new key from the system's source of randomness.

    >>> generate("a").public.key_id == generate("a").public.key_id
    False
    """
    return SecretKey(name, Ed25519PrivateKey.generate())


def save(key: SecretKey, path: str | Path) -> Path:
    """Write the secret to ``path`` (mode 0600) and the public half to ``path`` + ``.pub``.

    Returns the path of the public half. Never replaces a file: :class:`KeyFileError` if either is
    there, or where the system refuses to write.
    """
    secret, public = Path(path), public_path(path)
    for taken in (secret, public):
        if os.path.lexists(taken):
            raise KeyFileError(str(taken), "a new file", "one that is there", "choose another name")
    held = b64encode(ED25519 + key._secret.private_bytes_raw()).decode()
    line = f"{_SECRET}{key.public.name}+{key.public.note_hash.hex()}+{held}\n"
    try:
        # Not through a temporary name: only an exclusive creation cannot destroy another secret.
        handle = os.open(secret, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY)
    except (OSError, ValueError) as error:
        raise _unwritten(secret, error) from None
    try:
        with os.fdopen(handle, "wb") as stored:
            stored.write(line.encode())
            stored.flush()
            os.fsync(handle)
        with replacing(public) as temporary:
            temporary.write_text(key.public.vkey + "\n", encoding="utf-8")
    except (OSError, CorpusError) as error:
        with suppress(OSError):
            secret.unlink()
        raise _unwritten(secret, error) from None
    return public


def _unwritten(path: Path, error: Exception) -> KeyFileError:
    reason = str(getattr(error, "strerror", None) or getattr(error, "got", "a bad name"))
    return KeyFileError(str(path), "to write a key", reason.lower(), "choose another place")


def public_path(path: str | Path) -> Path:
    """Where the public half of the secret at ``path`` lies.

    >>> public_path("team.key").name
    'team.key.pub'
    """
    return Path(f"{path}.pub")


def load(path: str | Path, *, name: str | None = None) -> SecretKey:
    """The secret key in a file: one line of Go's note format, or an unencrypted PEM.

    ``name`` is for a PEM, which holds none; by default the file's name. Raises
    :class:`KeyFileError` where the file is missing, damaged, encrypted, of another kind of key,
    or open to anyone but its owner. No error tells what is in the file.
    """
    content = _read(path, secret=True)
    try:
        if content.startswith(_SECRET.encode()):
            named, stated, raw = _fields(content.decode().strip().removeprefix(_SECRET))
            key = SecretKey(named, Ed25519PrivateKey.from_private_bytes(raw))
            if key.public.note_hash.hex() != stated:
                raise ValueError
            return key
        secret = load_pem_private_key(content, None)
        if not isinstance(secret, Ed25519PrivateKey):
            raise ValueError
        return SecretKey(name or Path(path).stem.replace(" ", "-"), secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # No cause and no context: either could quote the file.
        pass
    raise KeyFileError(
        str(path), "an Ed25519 secret key, not encrypted", "something else", "make one: gold keygen"
    )


def load_public(path: str | Path) -> PublicKey:
    """The public key in a file of one vkey line.

    Raises :class:`KeyFileError` where it is missing or damaged, and where it is a secret key, so
    that nobody gets used to handing those around.
    """
    content = _read(path, secret=False)
    if content.startswith(_SECRET.encode()) or b"PRIVATE KEY" in content:
        raise KeyFileError(
            str(path), "a public key", "a secret key", f"pass {public_path(path).name} instead"
        )
    try:
        return parse_vkey(content.decode().strip())
    except UnicodeDecodeError:
        raise KeyFileError(str(path), "a line of text", "bytes", "pass the .pub file") from None
    except KeyFileError as error:
        raise KeyFileError(str(path), error.expected, error.got, error.next_step) from None


def parse_vkey(text: str) -> PublicKey:
    """The key of a vkey line, ``<name>+<hash>+<base64>``; its hash must fit name and key.

    Raises :class:`KeyFileError` for anything else, a key of another algorithm included.
    """
    key: PublicKey | None = None
    try:
        name, stated, raw = _fields(text)
        key = PublicKey(name, raw)
    except (ValueError, KeyFileError):
        stated = ""
    if key is None or key.note_hash.hex() != stated:
        raise KeyFileError(
            "key", "a public key as name+hash+base64", repr(text[:60]), "ask its owner for it again"
        )
    return key


def _fields(line: str) -> tuple[str, str, bytes]:
    """Name, stated hash and 32 bytes of a line; ValueError where it is no such line."""
    name, stated, held = line.split("+", 2)
    raw = b64decode(held, validate=True)
    if raw[:1] != ED25519 or len(raw) != 33 or b64encode(raw).decode() != held:
        raise ValueError("not an Ed25519 key")
    return name, stated, raw[1:]


def _read(path: str | Path, *, secret: bool) -> bytes:
    """The bytes of a small regular file, looked at and read through one handle."""
    kind = "a secret key" if secret else "a public key"
    try:
        # Without O_NONBLOCK a pipe put in place of the file would wait for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as stored:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or state.st_size > _LONGEST_FILE:
                raise KeyFileError(str(path), kind, "no small file", "check the path")
            if secret and os.name == "posix" and state.st_mode & 0o077:
                got = f"permissions {stat.S_IMODE(state.st_mode):04o}"
                raise KeyFileError(
                    str(path), "a secret that only its owner can open", got, f"chmod 600 {path}"
                )
            return stored.read(_LONGEST_FILE)
    except OSError as error:
        next_step = "make one: tailguard gold keygen" if secret else "check the path"
        reason = (error.strerror or "an error").lower()
        raise KeyFileError(str(path), kind, reason, next_step) from None
    except ValueError:  # a zero byte in the path
        raise KeyFileError("key", "a path", "a name that no file has", "check the path") from None
