"""Secret keys of watermarks: made, kept in files that only their owner can open, never shown."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np

from tailguard.detect.watermark.base import Scheme, WatermarkError
from tailguard.detect.watermark.prf import Words

LEAST_BYTES, MOST_BYTES = 16, 4096
_LABEL = b"tailguard watermark v1\0"


class WatermarkKey:
    """A secret of 16 … 4096 bytes and a name to call it by; shows its name alone.

    For each scheme the words of the keyed function are derived with HMAC-SHA256 over the scheme's
    id, so that one secret serves many schemes and they share nothing. Cannot be pickled or copied.
    Raises :class:`WatermarkError` for a secret of another length.

    >>> WatermarkKey(bytes(range(32)), "writer")
    WatermarkKey('writer')
    """

    __slots__ = ("_secret", "name")

    def __init__(self, secret: bytes, name: str = "key") -> None:
        if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
            raise WatermarkError(
                f"watermark key {name}",
                f"{LEAST_BYTES} to {MOST_BYTES} secret bytes",
                f"{len(secret)}",
                "make one: tailguard watermark keygen",
            )
        self._secret = bytes(secret)
        self.name = name

    def words(self, scheme: Scheme) -> Words:
        """The keyed function's key under ``scheme``: four 64-bit words, two for each of two uses.

        ``HMAC-SHA256(secret, "tailguard watermark v1\\0" + scheme.id)``, read as little-endian.
        """
        digest = hmac.digest(self._secret, _LABEL + scheme.id.encode(), "sha256")
        return np.frombuffer(digest, "<u8").astype(np.uint64)

    def same_secret(self, other: WatermarkKey) -> bool:
        """Whether both hold the same secret; takes the same time whatever they hold."""
        return hmac.compare_digest(self._secret, other._secret)

    def __repr__(self) -> str:
        return f"WatermarkKey({self.name!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a watermark key stays in its process")

    def __copy__(self) -> NoReturn:
        raise TypeError("a watermark key is not copied")


def make_key(path: str | Path) -> None:
    """Write 32 bytes from the system's randomness, as one line of hex, to a new file of mode 0600.

    Never replaces a file: :class:`WatermarkError` if one is there, or the system refuses.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_key(f"{folder}/my.key")
    ...     load_key(f"{folder}/my.key")
    WatermarkKey('my')
    """
    try:
        # Not through a temporary name: only an exclusive creation cannot destroy another secret.
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(handle)
    except FileExistsError:
        raise WatermarkError(
            str(path), "a new file", "one that is there", "choose another name"
        ) from None
    except (OSError, ValueError) as error:
        got = (getattr(error, "strerror", None) or "a name no file has").lower()
        raise WatermarkError(str(path), "to write a key", got, "choose another place") from None


def load_key(path: str | Path) -> WatermarkKey:
    """The key in a file: one line of hex, at least 16 bytes of it, as `make_key` writes.

    Raises :class:`WatermarkError` where the file is missing, too long, no hex, too short, or open
    to anyone but its owner. No error tells what is in the file.
    """
    kind = "a watermark key"
    try:
        # Without O_NONBLOCK a pipe put in place of the file would wait for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or state.st_size > 2 * MOST_BYTES + 2:
                raise WatermarkError(str(path), kind, "no small file", "check the path")
            if os.name == "posix" and state.st_mode & 0o077:
                got = f"permissions {stat.S_IMODE(state.st_mode):04o}"
                expected = "a secret that only its owner can open"
                raise WatermarkError(str(path), expected, got, f"chmod 600 {path}")
            content = file.read(2 * MOST_BYTES + 2)
    except OSError as error:
        got = (error.strerror or "an error").lower()
        next_step = "make one: tailguard watermark keygen"
        raise WatermarkError(str(path), kind, got, next_step) from None
    except ValueError:  # a zero byte in the path
        raise WatermarkError("watermark key", "a path", "a bad name", "check it") from None
    secret = b""
    with suppress(ValueError):  # raised below without a cause, which would quote the file
        secret = bytes.fromhex(content.decode("ascii").strip())
    if len(secret) < LEAST_BYTES or len(set(secret)) == 1:
        raise WatermarkError(
            str(path),
            f"at least {LEAST_BYTES} random bytes as hex",
            "something else",
            "make one: tailguard watermark keygen",
        )
    return WatermarkKey(secret, Path(path).stem)
