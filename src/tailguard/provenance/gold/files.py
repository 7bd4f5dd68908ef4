"""Which files a lock covers, and the names they go by in it."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tailguard.corpus.files import File, is_glob, is_remote, readable
from tailguard.corpus.folders import open_images, open_texts
from tailguard.corpus.ipc import saved_dataset
from tailguard.corpus.open import FORMATS, Opener
from tailguard.provenance.base import LockError

Source: TypeAlias = str | Path | Sequence[str | Path]
"""Data to lock: a folder, a file, a glob, or a list of these."""

LONGEST_PATH = 1_024


def opener_of(path: str) -> Opener | None:
    """What opens a file of this name, or none where no format is known for it.

    >>> opener_of("a.parquet").__name__, opener_of("a.lock")
    ('open_parquet', None)
    """
    lower = path.lower()
    return next((opener for opener, ends in FORMATS if lower.endswith(ends)), None)


def check_path(path: Any, who: str) -> str:
    """The path, if it can be a file's name in a lock: relative, with '/', staying inside.

    Raises :class:`LockError` for an absolute path, '..', empty or '.' parts, backslashes, drive
    letters, control characters and anything that is no text.

    >>> check_path("a/b.parquet", "lock")
    'a/b.parquet'
    """
    sound = isinstance(path, str) and 0 < len(path) <= LONGEST_PATH and "\\" not in path
    if sound:
        parts = path.split("/")
        sound = not any(part in ("", ".", "..") for part in parts) and ":" not in parts[0]
        sound = sound and not any(unicodedata.category(c) in ("Cc", "Cs") for c in path)
    if not sound:
        got = ascii(path)[:80]
        raise LockError(who, "a relative path that stays inside the data", got, "rename the file")
    return str(path)


def find_files(data: Source, *, empty: bool = False) -> list[File]:
    """The files of records in ``data``, sorted by their names relative to the data's root.

    The root is the folder given, the folder of a single file, or the one that all have in common.
    In a folder, names with a leading dot and files of no known format are passed over, and files
    of rows (Parquet, JSON lines, ...) come before texts and images, as everywhere in Tailguard.

    A folder without any is an error unless ``empty`` allows it.

    Raises :class:`LockError` for what cannot be locked: addresses, nothing at all, links that
    lead out of the root or to folders; ``CorpusError`` for what cannot be read.
    """
    alone = isinstance(data, str | Path)
    sources = [data] if alone else list(data) if isinstance(data, list | tuple) else []
    if not sources or not all(isinstance(one, str | Path) and str(one) for one in sources):
        raise LockError("gold", "a folder or files", repr(data)[:80], "pass a path")
    paths = [path for one in sources for path in _expanded(str(one))]
    folders = [p if os.path.isdir(p) else os.path.dirname(p) for p in paths]
    root = os.path.commonpath(folders)
    found: dict[str, File] = {}
    for path in paths:
        if os.path.isdir(path):
            saved = saved_dataset(path)
            listed = _walk(path, root) if saved is None else (_file(one, root) for one in saved)
            for file in _preferred(list(listed)):
                found[file.name] = file
        elif opener_of(path) is None:
            raise LockError(path, "a file of a known format", "another", "convert it first")
        else:
            file = _file(path, root)
            found[file.name] = file
    if not found and not empty:
        raise LockError(str(sources[0]), "files of records", "none", "check the path")
    return sorted(found.values(), key=lambda file: file.name.encode())


def _expanded(path: str) -> list[str]:
    """Absolute paths of what is there."""
    if is_remote(path) or path.startswith("builtin:"):
        raise LockError(path, "files on this machine", "an address", "download it first")
    with readable(path):
        matches = sorted(glob.glob(path, recursive=True)) if is_glob(path) else [path]
        if not matches or not all(os.path.isfile(m) or os.path.isdir(m) for m in matches):
            raise LockError(path, "a file or folder", "nothing there", "check the path")
        return [os.path.abspath(match) for match in matches]


def _preferred(files: list[File]) -> list[File]:
    """Files of rows where there are any, otherwise texts and images."""
    rows = [file for file in files if opener_of(file.path) not in (open_texts, open_images)]
    return rows or files


def _walk(folder: str, root: str) -> Iterator[File]:
    def refuse(error: OSError) -> None:
        raise error

    inside = os.path.realpath(folder)
    with readable(folder):
        for base, folders, names in os.walk(folder, onerror=refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                if os.path.islink(os.path.join(base, name)):
                    path = os.path.join(base, name)
                    raise LockError(path, "folders and files", "a link to a folder", "copy it in")
            for name in sorted(names):
                path = os.path.join(base, name)
                if name.startswith(".") or opener_of(name) is None:
                    continue
                # A link out would let a data set name any file of its reader's machine.
                real = os.path.realpath(path)
                if os.path.islink(path) and os.path.commonpath([real, inside]) != inside:
                    raise LockError(
                        path, "files inside the folder", "a link out of it", "remove it"
                    )
                if os.path.isfile(path):
                    yield _file(path, root)


def _file(path: str, root: str) -> File:
    name = check_path(os.path.relpath(path, root).replace(os.sep, "/"), path)
    return File(path, name, os.path.getsize(path))
