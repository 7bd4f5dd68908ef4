"""Columns and values that have no canonical form, or are built to do harm."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tailguard.provenance import encoding
from tailguard.provenance.base import RecordError
from tailguard.provenance.canonical import canonical_record, record_hashes, record_id, record_ids


def damaged(kind: pa.DataType, offsets: list[int], data: bytes) -> pa.Array:
    """An array as a hostile file would hold it: Arrow itself looks at the ends only."""
    places = pa.py_buffer(np.array(offsets, np.int32).tobytes())
    return pa.Array.from_buffers(kind, len(offsets) - 1, [None, places, pa.py_buffer(data)])


REFUSED: dict[str, Callable[[], Any]] = {
    "offsets out of bounds": lambda: damaged(pa.string(), [0, 5_000_000, 3], b"abc"),
    "offsets that fall": lambda: damaged(pa.binary(), [0, 3, 1, 3], b"abc"),
    "text that is not UTF-8": lambda: damaged(pa.string(), [0, 2], b"\xc3\x28"),
    "indices out of bounds": lambda: pa.DictionaryArray.from_arrays(
        pa.array([5]), pa.array(["a"]), safe=False
    ),
    "a union": lambda: pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    "an interval": lambda: pa.array([pa.MonthDayNano([1, 2, 3])]),
    "a field twice": lambda: pa.StructArray.from_arrays([pa.array([1])] * 2, ["a", "a"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_without_canonical_form_are_refused_in_one_line(name: str) -> None:
    batch = pa.RecordBatch.from_arrays([REFUSED[name]()], ["x"])
    with pytest.raises(RecordError) as refused:
        record_hashes(batch)
    assert "\n" not in str(refused.value)


def test_columns_of_the_same_name_are_refused() -> None:
    with pytest.raises(RecordError, match="'x' twice"):
        record_hashes(pa.RecordBatch.from_arrays([pa.array([1])] * 2, ["x", "x"]))


def test_values_nested_too_deeply_are_refused() -> None:
    value: Any = 1
    kind = pa.int64()
    for _ in range(70):
        value, kind = [value], pa.list_(kind)
    batch = pa.record_batch([pa.array([value], kind)], ["x"])
    for call in (lambda: canonical_record({"x": value}), lambda: record_hashes(batch)):
        with pytest.raises(RecordError, match="64 levels"):
            call()


@pytest.mark.parametrize("row", [{"x": object()}, {1: 2}, {"x": "\ud800"}, {"x": {1, 2}}, [1],
                                 {"x": Decimal("NaN")}, {"x": (1, 2, 3)}])  # fmt: skip
def test_python_values_without_canonical_form_are_refused(row: Any) -> None:
    with pytest.raises(RecordError):
        canonical_record(row)


def test_a_dictionary_bomb_is_hashed_piece_by_piece_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand records share one long text: together they would be a gigabyte."""
    text = pa.array(["x" * 1_000_000])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(60, np.int32)), text)
    ids = record_ids(pa.record_batch([column], ["x"]))
    assert set(ids) == {record_id({"x": "x" * 1_000_000})} and len(ids) == 60
    monkeypatch.setattr(encoding, "LARGEST_BYTES", 10_000_000)
    lists = pa.ListArray.from_arrays(pa.array([0, 60]), column)
    with pytest.raises(RecordError, match="10,000,000 bytes"):
        record_hashes(pa.record_batch([lists], ["x"]))
