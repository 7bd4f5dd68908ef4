"""Real human text that every Python installation carries: its documentation and its sources.

Which version of Python is running decides the exact texts; their order is always the same.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

import numpy as np
import pyarrow as pa

from tailguard.corpus.base import BATCH_BYTES, Columns, Corpus
from tailguard.corpus.layout import conform, find_layout
from tailguard.corpus.quarantine import Quarantine
from tailguard.errors import CorpusError

SECTION_WORDS = 200
"""A record gathers paragraphs of a topic until it has this many words."""

SKIPPED = {"test", "tests", "idle_test", "site-packages", "__pycache__", "encodings", "pydoc_data"}

Record = tuple[str, str, str]  # text, id, source

_DOCSTRING = re.compile(r'^ *(?:r|R)?"""(.*?)"""', re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"(\S[^\n]*)\n([*=\-~^\"])\2{3,}\n")


@dataclass(frozen=True, slots=True)
class BuiltinShard:
    """One of the bundled corpora."""

    name: str

    @property
    def n_bytes(self) -> int:
        return sum(len(text) for text, _, _ in RECORDS[self.name]())

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        rows: list[Record] = []
        size = at = 0
        for row in RECORDS[self.name]():
            rows.append(row)
            size += len(row[0])
            if size >= BATCH_BYTES:
                yield from self._batch(rows, at, quarantine)
                at += len(rows)
                rows, size = [], 0
        yield from self._batch(rows, at, quarantine)

    def _batch(
        self, rows: list[Record], at: int, quarantine: Quarantine
    ) -> Iterator[pa.RecordBatch]:
        names = ["text", "id", "source"]
        declared = {"kind": "human", "evidence": "declared", "license": "PSF-2.0"}
        batch = pa.RecordBatch.from_arrays(
            [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            + [pa.array([value] * len(rows)) for value in declared.values()],
            [*names, *declared],
        )
        layout = find_layout(batch.schema, Columns(), self.name)
        where = np.arange(at, at + len(rows))
        return conform(batch, layout, quarantine, file=self.name, at=where)


def open_builtin(name: str) -> Corpus:
    """``builtin:python-docs`` or ``builtin:python-code``.

    The first holds the documentation topics, a record per section, and the docstrings of the
    standard library, a record per module; the second the sources, a record per file.

    Both are declared human, generation 0, under PSF-2.0.
    """
    if name not in RECORDS:
        known = " or ".join(repr(n) for n in RECORDS)
        raise CorpusError(name, known, "another name", "use one of these")
    return Corpus(name, (BuiltinShard(name),), "text")


def _docs() -> Iterator[Record]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise CorpusError(
            "builtin:python-docs", "pydoc_data", "a Python without it", "use builtin:python-code"
        ) from error
    told: set[str] = set()  # several topics share a text
    for topic in sorted(topics):
        for number, (title, text) in enumerate(_sections(topics[topic])):
            if text not in told:
                told.add(text)
                yield text, f"{topic}/{number}-{title}", topic
    for code, path, package in _code():
        prose = "\n\n".join(cleandoc(found) for found in _DOCSTRING.findall(code))
        if len(prose.split()) >= SECTION_WORDS:
            yield prose, f"docstrings/{path}", package


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Heading and text of runs of whole paragraphs, each of ``SECTION_WORDS`` words or more."""
    runs: list[tuple[str, str]] = []
    heading = ""
    for paragraph in re.split(r"(?<=\n)\n+", text):
        found = _HEADING.match(paragraph)
        heading = found[1] if found else heading
        if runs and len(runs[-1][1].split()) < SECTION_WORDS:
            runs[-1] = (runs[-1][0], f"{runs[-1][1]}\n{paragraph}")
        else:
            runs.append((heading, paragraph))
    if len(runs) > 1 and len(runs[-1][1].split()) < SECTION_WORDS:
        _, rest = runs.pop()
        runs[-1] = (runs[-1][0], f"{runs[-1][1]}\n{rest}")
    for title, run in runs:
        yield re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"), run.strip("\n") + "\n"


def _code() -> Iterator[Record]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for base, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = Path(base, name)
            if path.suffix != ".py":
                continue
            inside = path.relative_to(root)
            try:
                text = path.read_bytes().decode()
            except (OSError, UnicodeDecodeError):
                continue  # a few sources are deliberately not UTF-8
            yield text, inside.as_posix(), inside.parts[0].removesuffix(".py")


RECORDS: dict[str, Callable[[], Iterator[Record]]] = {
    "builtin:python-docs": _docs,
    "builtin:python-code": _code,
}
