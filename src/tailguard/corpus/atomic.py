"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tailguard.errors import CorpusError


def _there(target: Path) -> bool:
    try:
        return target.exists()
    except OSError:  # a name too long: opening it will say so
        return False


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it on success and removed on any failure.

    Raises ``CorpusError`` where the system refuses to write (full disk, no permission).
    """
    target = Path(path)
    if _there(target) and not target.is_file():
        kind = "a folder" if target.is_dir() else "a device"
        raise CorpusError(str(target), "the name of a file", kind, "choose another name")
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CorpusError(
            str(target), "to write the file", reason, "free some space or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
