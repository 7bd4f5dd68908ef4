"""Finding and opening files: folders, globs, addresses, compression, and what can go wrong."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tailguard.errors import CorpusError, TailguardError

COMPRESSION = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class File:
    """A file: where it is, what it is called within its corpus, and its size in bytes."""

    path: str
    name: str
    size: int

    @property
    def compression(self) -> str | None:
        return next((c for end, c in COMPRESSION.items() if self.path.endswith(end)), None)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """The stored bytes, as a seekable Arrow file; every failure becomes a ``CorpusError``."""
        with readable(self.path):
            if is_remote(self.path):
                import fsspec

                with fsspec.open(self.path, "rb") as remote, pa.PythonFile(remote, "r") as file:
                    yield file
            else:
                with pa.OSFile(self.path) as file:
                    yield file

    @contextmanager
    def stream(self) -> Iterator[Any]:
        """The content, decompressed on the way."""
        with self.open() as file:
            if self.compression:
                with pa.CompressedInputStream(file, self.compression) as stream:
                    yield stream
            else:
                yield file


@contextmanager
def readable(who: str) -> Iterator[None]:
    """Turn what the system and the libraries raise on damaged or missing files into one line."""
    try:
        yield
    except TailguardError:
        raise
    except FileNotFoundError as error:
        raise CorpusError(who, "a file", "nothing there", "check the path") from error
    except PermissionError as error:
        raise CorpusError(
            who, "a file that may be read", "permission denied", "ask for read permission"
        ) from error
    except (OSError, EOFError, pa.ArrowException, ValueError, MemoryError, OverflowError) as error:
        reason = str(error)[:300] or type(error).__name__
        raise CorpusError(
            who, "an undamaged file", f"an error ({reason})", "fetch or write the file again"
        ) from error


def is_remote(path: str) -> bool:
    """Whether the path is an address such as ``s3://bucket/key``."""
    return "://" in path


def is_glob(path: str) -> bool:
    """Whether the path is a pattern, and no file is really called that."""
    return glob.has_magic(path) and not os.path.exists(path)


def find(paths: list[str]) -> list[File]:
    """All files that the paths, globs and folders name, in order; folders are walked, sorted."""
    found: dict[str, int] = {}
    for path in paths:
        with readable(path):
            found.update(_remote(path) if is_remote(path) else _local(path))
    parents = {posixpath.dirname(path) for path in found}
    root = posixpath.commonpath(parents) if len(parents) > 1 else "".join(parents)
    return [File(path, posixpath.relpath(path, root or "."), n) for path, n in found.items()]


def _local(path: str) -> dict[str, int]:
    if is_glob(path):
        matches = sorted(m for m in glob.glob(path, recursive=True) if os.path.isfile(m))
        if not matches:
            raise CorpusError(path, "files that match", "none", "check the pattern")
        return {os.path.abspath(match): os.path.getsize(match) for match in matches}
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return dict(_walk(path))
    if not os.path.isfile(path):
        got = "something that is not a file" if os.path.exists(path) else "nothing there"
        raise CorpusError(path, "a file or folder", got, "check the path")
    return {path: os.path.getsize(path)}


def _walk(folder: str) -> Iterator[tuple[str, int]]:
    def refuse(error: OSError) -> None:
        raise error

    root = os.path.realpath(folder)
    for base, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(base, name)
            # A link that leads out of the folder would let a data set name any file of its reader.
            if os.path.islink(path) and not os.path.realpath(path).startswith(root + os.sep):
                raise CorpusError(path, "files inside the folder", "a link out of it", "remove it")
            if not name.startswith(".") and os.path.isfile(path):
                yield path, os.path.getsize(path)


def _remote(path: str) -> dict[str, int]:
    import fsspec

    try:
        fs, inside = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise CorpusError(path, "a protocol that is installed", str(error), "install it") from error
    if glob.has_magic(inside):
        names = sorted(fs.glob(inside))
    elif fs.isdir(inside):
        names = sorted(fs.find(inside))
    else:
        names = [inside]
    sizes = {name: fs.size(name) or 0 for name in names if not fs.isdir(name)}
    if not sizes:
        raise CorpusError(path, "files that match", "none", "check the address")
    return {fs.unstrip_protocol(name): size for name, size in sizes.items()}


def read_all(file: File, limit: int) -> bytes:
    """The content up to ``limit`` + 1 bytes: a longer result means the file is too long."""
    with file.stream() as stream:
        content: bytes = stream.read(limit + 1)
        return content
