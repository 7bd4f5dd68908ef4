"""One way in: whatever holds records becomes a corpus."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tailguard.corpus.base import Columns, Corpus
from tailguard.corpus.builtin import open_builtin
from tailguard.corpus.files import File, find, is_glob, is_remote
from tailguard.corpus.folders import open_images, open_texts
from tailguard.corpus.ipc import open_arrow, saved_dataset
from tailguard.corpus.jsonl import open_jsonl
from tailguard.corpus.memory import open_strings, open_table
from tailguard.corpus.parquet import open_parquet
from tailguard.corpus.tabular import open_csv
from tailguard.corpus.warc import open_warc
from tailguard.errors import CorpusError

Opener = Callable[[Sequence[File], Columns], Corpus]

FORMATS: tuple[tuple[Opener, tuple[str, ...]], ...] = (
    (open_parquet, (".parquet", ".pq")),
    (open_jsonl, (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")),
    (open_csv, (".csv", ".csv.gz", ".tsv", ".tsv.gz")),
    (open_arrow, (".arrow", ".feather", ".ipc")),
    (open_warc, (".warc", ".warc.gz", ".wet", ".wet.gz")),
    (open_texts, (".txt", ".md")),
    (open_images, (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")),
)
"""To add a format: a file with an opener, and one line here."""


def open_corpus(source: Any, *, columns: Columns = Columns()) -> Corpus:  # noqa: B008
    """Open a corpus, whatever it is held in; nothing but its outline is read yet.

    ``source`` is a path, glob, folder or address (``s3://...``), a list of these, a bundled corpus
    (``builtin:python-docs``, ``builtin:python-code``), a list of strings, a pandas, Polars or Arrow
    table, an HF dataset (in memory, or a ``save_to_disk`` folder), or a corpus, which is returned.
    A list of strings is taken for paths when every one of them is a path by its looks: one line
    with a known ending, a glob, an address or an existing folder. In a folder, files of rows
    (Parquet, JSON lines, ...) come before texts and images, and other files are passed over.

    Raises ``CorpusError`` for what is missing, empty, damaged, unreadable or of an unknown format.

    >>> open_corpus(["Call me Ishmael.", "It was the best of times."]).modality
    'text'
    """
    if isinstance(source, Corpus):
        return source
    if isinstance(source, str) and not source:
        raise CorpusError("corpus", "a path or records", "an empty string", "pass a path")
    if isinstance(source, str | Path):
        return _open_paths([str(source)], columns)
    if isinstance(source, list | tuple):
        if not source:
            raise CorpusError("corpus", "at least one record", "an empty list", "check its source")
        if all(isinstance(item, Path) or _looks_like_path(item) for item in source):
            return _open_paths([str(item) for item in source], columns)
        return open_strings(source, columns)
    return open_table(source, columns)


def _open_paths(paths: list[str], columns: Columns) -> Corpus:
    name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    builtin = [path for path in paths if path.startswith("builtin:")]
    parts = [open_builtin(path) for path in builtin]
    expanded: list[str] = []
    for path in paths:
        if path not in builtin:
            saved = saved_dataset(path)
            expanded += [path] if saved is None else saved
    files = find(expanded)
    if expanded and not files:
        raise CorpusError(name, "files to read", "an empty folder", "check the path")
    strict = not any(os.path.isdir(path) or is_remote(path) for path in expanded)
    parts += [opener(group, columns) for opener, group in _by_format(files, name, strict)]
    kinds = sorted({part.modality for part in parts})
    if len(kinds) > 1:
        raise CorpusError(name, "one kind of content", " and ".join(kinds), "open them apart")
    return Corpus(name, tuple(s for part in parts for s in part.shards), parts[0].modality)


def _by_format(files: list[File], name: str, strict: bool) -> list[tuple[Opener, list[File]]]:
    """The files of each format; ``strict`` refuses files of unknown formats (outside folders)."""
    groups: dict[Opener, list[File]] = {}
    for file in files:
        opener = _opener(file.path)
        if opener is not None:
            groups.setdefault(opener, []).append(file)
        elif strict:
            raise _unknown(file.path)
    if files and not groups:
        raise _unknown(files[0].path)
    if not strict and any(opener not in (open_texts, open_images) for opener in groups):
        groups = {o: g for o, g in groups.items() if o not in (open_texts, open_images)}
    return list(groups.items())


def _opener(path: str) -> Opener | None:
    lower = path.lower()
    return next((opener for opener, ends in FORMATS if lower.endswith(ends)), None)


def _unknown(path: str) -> CorpusError:
    known = ", ".join(ends[0] for _, ends in FORMATS)
    ending = "".join(Path(path).suffixes[-2:]) or "no ending"
    return CorpusError(path, f"a known format ({known}, ...)", ending, "convert or rename the file")


def _looks_like_path(item: Any) -> bool:
    if not isinstance(item, str) or not item or len(item) > 4_096 or "\n" in item or "\0" in item:
        return False
    known = item.startswith("builtin:") or _opener(item) is not None or os.path.isdir(item)
    return known and (" " not in item or is_glob(item) or os.path.exists(item))
