"""Rows that could not be read: counted by reason and kept, never silently dropped."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from tailguard.corpus.atomic import replacing

RAW_BYTES = 1_000
"""How much of a bad row is kept."""

KEPT_ROWS = 10_000
"""How many bad rows are kept in memory; beyond, they are only counted."""


class Quarantine:
    """Bad rows of a corpus: ``counts`` by reason, and the rows themselves.

    With a path, rows go to that file as JSON lines (``file``, ``row`` or ``byte``, ``reason``,
    ``n_bytes``, ``raw`` escaped and cut), which appears only on ``close``. Without one, the first
    10,000 are held in memory: a worker returns such a quarantine and the parent merges it, in the
    order of the shards. ``not_kept`` counts those that were too many to hold.

    >>> worker = Quarantine()
    >>> worker.add("not JSON", file="a.jsonl", unit="byte", at=12, raw=b"{")
    >>> parent = Quarantine()
    >>> parent.merge(worker)
    >>> str(parent)
    '1 row quarantined (not JSON: 1)'
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.counts: Counter[str] = Counter()
        self.kept: list[bytes] = []
        self.not_kept = 0
        self._file: BinaryIO | None = None
        self._open = ExitStack()

    @property
    def total(self) -> int:
        """How many rows were quarantined."""
        return self.counts.total()

    def add(
        self,
        reason: str,
        *,
        file: str,
        unit: Literal["row", "byte"],
        at: int,
        raw: bytes,
        n_bytes: int = -1,
    ) -> None:
        """Put one row aside; ``n_bytes`` is its true length where ``raw`` is only its head."""
        self.counts[reason] += 1
        if self.path is None and len(self.kept) >= KEPT_ROWS:
            self.not_kept += 1
            return
        row = {
            "file": file,
            unit: at,
            "reason": reason,
            "n_bytes": len(raw) if n_bytes < 0 else n_bytes,
            "raw": raw[:RAW_BYTES].decode("utf-8", "backslashreplace"),
        }
        self._keep(json.dumps(row, ensure_ascii=True).encode() + b"\n")

    def merge(self, other: Quarantine) -> None:
        """Take over the counts and rows of a worker's quarantine."""
        self.counts.update(other.counts)
        self.not_kept += other.not_kept
        for line in other.kept:
            if self.path is None and len(self.kept) >= KEPT_ROWS:
                self.not_kept += 1
            else:
                self._keep(line)

    def close(self) -> None:
        """Finish the file: it appears under its name, complete, even when nothing was bad."""
        if self.path is not None:
            self._handle()
        self._open.close()
        self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._open.__exit__(kind, error, trace)

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason}: {n:,}" for reason, n in sorted(self.counts.items()))
        rows = "row" if self.total == 1 else "rows"
        return f"{self.total:,} {rows} quarantined" + (f" ({reasons})" if reasons else "")

    def _keep(self, line: bytes) -> None:
        if self.path is None:
            self.kept.append(line)
        else:
            self._handle().write(line)

    def _handle(self) -> BinaryIO:
        if self._file is None:
            assert self.path is not None
            temporary = self._open.enter_context(replacing(self.path))
            self._file = self._open.enter_context(temporary.open("wb"))
        return self._file

    def __getstate__(self) -> dict[str, object]:
        if self._file is not None:
            raise TypeError("a Quarantine that writes a file stays in its process; merge into it")
        return {k: v for k, v in self.__dict__.items() if k != "_open"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _open=ExitStack())
