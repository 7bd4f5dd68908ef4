"""From Arrow batches to rows of numbers: which columns count, and which rows cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.corpus.layout import USUAL
from tailguard.errors import CorpusError
from tailguard.measure.base import Floats
from tailguard.measure.vectors.summary import Shape

Rows = NDArray[np.bool_]


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in lists) and _is_number(kind.value_type)


def _kinds(batch: pa.RecordBatch) -> dict[str, pa.DataType]:
    """The columns of numbers: the vector column alone where one was named."""
    found = dict(zip(batch.schema.names, batch.schema.types, strict=True))
    if "vector" in found:
        return {"vector": found["vector"]}
    return {
        name: kind
        for name, kind in found.items()
        if name not in USUAL and (_is_number(kind) or _is_list(kind))
    }


def find_shape(batches: Iterator[pa.RecordBatch], who: str) -> Shape:
    """The columns of numbers of a corpus, by its first batch; a vector has its usual length.

    Raises :class:`CorpusError` when there is no column of numbers.
    """
    first = next(batches, None)
    if first is None:
        raise CorpusError(who, "at least one readable record", "none", "check its format")
    shape = []
    for name, kind in _kinds(first).items():
        width = 1 if _is_number(kind) else _usual_length(first.column(name))
        if width:
            shape.append((name, width))
    if not shape:
        got = "columns " + ", ".join(repr(name[:60]) for name in first.schema.names[:12])
        raise CorpusError(
            who, "a column of numbers or of lists of them", got, "name it: --vector-column NAME"
        )
    return tuple(sorted(shape))


def _usual_length(column: pa.Array) -> int:
    if not _is_list(column.type):
        return 0
    if pa.types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    lengths = Counter(int(n) for n in _lengths(column) if n > 0)
    return max(lengths, key=lambda n: (lengths[n], -n), default=0)


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    """Length of each list; -1 for none at all."""
    import pyarrow.compute as pc

    if pa.types.is_fixed_size_list(column.type):
        there = column.is_valid().to_numpy(zero_copy_only=False)
        return np.where(there, column.type.list_size, -1)
    found = pc.fill_null(pc.list_value_length(column), -1)
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Reads the columns of ``shape`` out of batches."""

    shape: Shape
    who: str

    def rows(self, batch: pa.RecordBatch) -> tuple[Floats, dict[int, str]]:
        """Rows of numbers (n, d), nan where one is missing, and what is wrong with the others.

        A vector of another length than the usual, or none at all, makes its row unusable.
        Raises :class:`CorpusError` when a column is missing or of another kind.
        """
        values = np.full((batch.num_rows, sum(w for _, w in self.shape)), np.nan)
        bad: dict[int, str] = {}
        at = 0
        for name, width in self.shape:
            if name not in batch.schema.names:
                raise CorpusError(self.who, f"a column {name!r}", "none in some rows or files",
                                  "open them apart")  # fmt: skip
            column = batch.column(name)
            kind = column.type
            if _is_list(kind):
                lengths = _lengths(column)
                good = lengths == width
                for row in np.flatnonzero(~good).tolist():
                    got = "no vector" if lengths[row] < 0 else f"{lengths[row]} numbers"
                    bad[row] = f"{got} in {name}, not {width}"
                held = column.filter(pa.array(good)).flatten()
                values[good, at : at + width] = _doubles(held).reshape(-1, width)
            elif _is_number(kind) and width == 1:
                values[:, at] = _doubles(column)
            elif not pa.types.is_null(kind):
                raise CorpusError(
                    self.who, f"numbers in column {name!r}", str(kind)[:80], "convert them"
                )
            at += width
        return values, bad


def _doubles(column: pa.Array) -> Floats:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    found = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.float64)
