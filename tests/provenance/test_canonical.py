"""Records as bytes: the values alone decide, whatever stored them."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.provenance import canonical
from tailguard.provenance.canonical import canonical_record, record_hashes, record_id, record_ids

# Changing what this record hashes to breaks every lock there is: it needs a new FORM.
GOLDEN = "bd5657c114e978dced534af7bf430b6b41865057c2764d1e04a749cfa0e1a88f"
EPOCH = dt.datetime(1970, 1, 1)


def u64(n: int) -> bytes:
    return n.to_bytes(8, "big")


def ids_of(*columns: pa.Array) -> list[str]:
    """The ids of records with one column after the other, all of the same name."""
    found = [record_ids(pa.record_batch([column], ["x"])) for column in columns]
    assert all(one == found[0] for one in found), [str(column.type) for column in columns]
    return found[0]


def test_the_bytes_of_a_record_are_those_of_the_specification() -> None:
    row = {"text": "é", "n": -3, "empty": "", "none": None, "list": [1, None], "flag": True}
    expected = (
        b"{" + u64(5)
        + u64(5) + b"empty" + b"s" + u64(0)
        + u64(4) + b"flag" + b"t"
        + u64(4) + b"list" + b"[" + u64(2) + b"+" + u64(1) + b"n"
        + u64(1) + b"n" + b"-" + u64(2)
        + u64(4) + b"text" + b"s" + u64(2) + b"\xc3\xa9"
    )  # fmt: skip
    assert canonical_record(row) == expected
    [(data, starts)] = canonical.canonical_rows(pa.Table.from_pylist([row]))
    assert data.tobytes() == expected and starts.tolist() == [0, len(expected)]
    assert record_id(row) == sha256(b"\x00" + expected).hexdigest()
    assert record_id(row) == GOLDEN


SCALARS: list[tuple[Any, bytes]] = [
    (2**64 - 1, b"+" + b"\xff" * 8),
    (-(2**63), b"-" + b"\x7f" + b"\xff" * 7),
    (2**64, b"e" + u64(22) + b"18446744073709551616E0"),
    (0.5, b"d" + bytes.fromhex("3fe0000000000000")),
    (-0.0, b"+" + u64(0)),
    (2.0**63, b"+" + u64(2**63)),
    (-(2.0**63), b"-" + u64(2**63 - 1)),
    (2.0**64, b"d" + struct.pack(">d", 2.0**64)),
    (float("inf"), b"d" + bytes.fromhex("7ff0000000000000")),
    (struct.unpack(">d", bytes.fromhex("fff8000000000001"))[0], b"d" + b"\x7f\xf8" + bytes(6)),
    (Decimal("100"), b"+" + u64(100)),
    (Decimal("1E+25"), b"e" + u64(4) + b"1E25"),
    (Decimal("-0.10"), b"e" + u64(5) + b"-1E-1"),
    (Decimal("0.00"), b"+" + u64(0)),
    (b"\x00", b"b" + u64(1) + b"\x00"),
    (dt.date(1969, 12, 31), b"D" + b"\xff" * 8),
    (dt.time(0, 0, 1, 5), b"C" + u64(1_000_005_000)),
    (dt.datetime(1969, 12, 31, 23, 59, 59, 1), b"T" + b"\xff" * 8 + (1000).to_bytes(4, "big")),
    (dt.timedelta(microseconds=-1), b"L" + b"\xff" * 8 + (999_999_000).to_bytes(4, "big")),
    ({}, b"{" + u64(0)),
    ([], b"[" + u64(0)),
]


@pytest.mark.parametrize(("value", "expected"), SCALARS, ids=[repr(v)[:30] for v, _ in SCALARS])
def test_every_kind_of_value_has_the_specified_bytes(value: Any, expected: bytes) -> None:
    assert canonical.canonical_value(value) == expected
    if value == {} or value == 2**64:
        return
    kind = pa.list_(pa.int8()) if value == [] else pa.uint64() if value == 2**64 - 1 else None
    column = pa.array([value], kind)
    [(data, _)] = canonical.canonical_rows(pa.record_batch([column], ["x"]))
    assert data.tobytes() == b"{" + u64(1) + u64(1) + b"x" + expected


def test_width_and_offsets_of_a_column_do_not_matter() -> None:
    numbers = [1, None, 0, 127]
    ids_of(*(pa.array(numbers, kind) for kind in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(),
        pa.float64(), pa.float16(), pa.decimal128(5, 0), pa.decimal128(9, 2), pa.decimal256(40, 3),
        pa.dictionary(pa.int8(), pa.int32()),
    )))  # fmt: skip
    texts = ["a", None, "", "ß" * 40]
    ids_of(*(pa.array(texts, pa.string()).cast(kind) for kind in (
        pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    )))  # fmt: skip
    blobs = [b"ab", None, b"\xff\x00"]
    ids_of(*(pa.array(blobs, kind) for kind in (
        pa.binary(), pa.large_binary(), pa.binary(2), pa.binary_view(),
    )))  # fmt: skip
    lists = [[1, 2], None, [3, None]]
    ids_of(*(pa.array(lists, kind) for kind in (
        pa.list_(pa.int64()), pa.large_list(pa.int8()), pa.list_(pa.float32(), 2),
        pa.list_view(pa.int32()), pa.large_list_view(pa.uint16()),
    )))  # fmt: skip


def test_slices_and_encodings_of_a_column_do_not_matter() -> None:
    lists = [[9], [1, 2], None, [], [3, None], [4]]
    kinds = (pa.list_(pa.int64()), pa.large_list(pa.int8()), pa.list_view(pa.int32()),
             pa.large_list_view(pa.uint16()))  # fmt: skip
    ids_of(*(pa.array(lists, kind).slice(1, 4) for kind in kinds), pa.array(lists[1:5]))
    pairs = [[0, 0], [1, 2], None, [3, None], [5, 5]]
    ids_of(pa.array(pairs, pa.list_(pa.int32(), 2)).slice(1, 3), pa.array(pairs[1:4]))
    runs = pa.array([7, 1, 1, None, 2, 2])
    ids_of(pc.run_end_encode(runs).slice(1, 4), runs.slice(1, 4))
    # A null may be in the dictionary as well as among the indices.
    both = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    ids_of(both, pa.array(["a", None, None, "a"]))
    wide = pa.array(["a", None, "b" * 20]).cast(pa.string_view())
    ids_of(wide.slice(1), pa.array([None, "b" * 20]))
    raw = pa.array([bytes(16), None], pa.binary(16))
    ids_of(pa.ExtensionArray.from_storage(pa.uuid(), raw), raw)


def test_units_and_zones_of_moments_do_not_matter_but_having_a_zone_does() -> None:
    moments = [dt.datetime(2024, 2, 29, 12, 0, 5), None, dt.datetime(1901, 1, 1)]
    plain = ids_of(*(pa.array(moments, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")))
    zoned = ids_of(
        *(pa.array(moments, pa.timestamp(unit, zone))
          for unit in ("s", "us") for zone in ("UTC", "Europe/Berlin", "+05:30"))
    )  # fmt: skip
    assert plain[0] != zoned[0] and plain[1] == zoned[1]
    ids_of(
        pa.array([dt.date(1960, 5, 1)], pa.date32()), pa.array([dt.date(1960, 5, 1)], pa.date64())
    )
    times = [dt.time(23, 59, 59)]
    ids_of(pa.array(times, pa.time32("s")), pa.array(times, pa.time32("ms")),
           pa.array(times, pa.time64("us")), pa.array(times, pa.time64("ns")))  # fmt: skip
    spans = [dt.timedelta(seconds=-3)]
    ids_of(*(pa.array(spans, pa.duration(unit)) for unit in ("s", "ms", "us", "ns")))


def test_nanoseconds_are_part_of_a_moment() -> None:
    one = pa.array([1, 2, -1], pa.timestamp("ns"))
    ids = record_ids(pa.record_batch([one], ["x"]))
    assert len(set(ids)) == 3
    assert ids == [record_id({"x": pd.Timestamp(n, unit="ns")}) for n in (1, 2, -1)]
    zoned = pa.array([1], pa.timestamp("ns", "Europe/Berlin"))
    assert record_ids(pa.record_batch([zoned], ["x"])) == [
        record_id({"x": pd.Timestamp(1, unit="ns", tz="Europe/Berlin")})
    ]


DIFFERENT: list[dict[str, Any]] = [
    {}, {"x": ""}, {"x": b""}, {"x": []}, {"x": {}}, {"x": [None]}, {"x": [[]]}, {"y": ""},
    {"x": "1"}, {"x": 1}, {"x": True}, {"x": [1]}, {"x": -1}, {"x": 0}, {"x": False}, {"x": "0"},
    {"x": 1.5}, {"x": Decimal("1.5")}, {"x": float("nan")}, {"x": float("inf")}, {"x": "NaN"},
    {"x": dt.date(1970, 1, 2)}, {"x": dt.datetime(1970, 1, 1, 0, 0, 1)},
    {"x": dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)}, {"x": dt.timedelta(seconds=1)},
    {"x": dt.time(0, 0, 1)}, {"x": "a", "y": "b"}, {"x": "b", "y": "a"}, {"xy": "ab"},
    {"x": ["a", "b"]}, {"x": ["ab"]}, {"x": ["b", "a"]}, {"x": "e\u0301"}, {"x": "é"},
    {"x": {"y": 1}}, {"x": {"y": {"z": 1}}}, {"x": {"y": 1, "z": 1}}, {"x": "a\0"}, {"x": "a"},
]  # fmt: skip


def test_different_values_have_different_bytes_and_none_begins_another() -> None:
    told = sorted(canonical_record(row) for row in DIFFERENT)
    assert len(set(told)) == len(told)
    assert not any(b.startswith(a) for a, b in pairwise(told))


def test_a_null_is_as_good_as_no_column_but_never_an_empty_value() -> None:
    with_nulls = pa.table({"x": ["a", None, ""], "y": pa.nulls(3), "z": pa.nulls(3, pa.int8())})
    assert record_ids(with_nulls) == record_ids(with_nulls.select(["x"]))
    assert len(set(record_ids(with_nulls))) == 3
    nested = pa.array([{"a": None}, {}, None, {"a": {"b": None}}])
    ids = record_ids(pa.record_batch([nested], ["x"]))
    assert ids[0] == ids[1] and len({ids[0], ids[2], ids[3]}) == 3


def test_names_and_their_values_count_but_not_the_order_of_columns() -> None:
    table = pa.table({"b": [1, 2], "a": ["x", "y"], "é": [None, 0.5], "z": [[1], []]})
    assert record_ids(table) == record_ids(table.select(["z", "é", "a", "b"]))
    assert record_ids(table) != record_ids(table.rename_columns(["a", "b", "é", "z"]))
    fields = pa.array([{"b": 1, "a": 2}])
    other = pa.StructArray.from_arrays([pa.array([2]), pa.array([1])], ["a", "b"])
    ids_of(fields, other)


KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.decimal128(38, 5), st.decimals(allow_nan=False, allow_infinity=False, places=5,
                                      min_value=-(10**30), max_value=10**30)),
    (pa.string(), st.text(max_size=6)),
    (pa.dictionary(pa.int16(), pa.string()), st.sampled_from(["", "a", "bb"])),
    (pa.binary(), st.binary(max_size=6)),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))),
    (pa.duration("us"), st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999))),
]  # fmt: skip


Kind = tuple[pa.DataType, st.SearchStrategy[Any]]


def lists(one: Kind) -> Kind:
    return pa.list_(one[0]), st.lists(st.none() | one[1], max_size=3)


def structs(one: Kind, other: Kind) -> Kind:
    kind = pa.struct([("b", one[0]), ("a", other[0])])
    return kind, st.fixed_dictionaries({"b": st.none() | one[1], "a": st.none() | other[1]})


def maps(one: Kind) -> Kind:
    pairs = st.lists(st.tuples(st.text(max_size=3), st.none() | one[1]), max_size=3)
    return pa.map_(pa.string(), one[0]), pairs


PLAIN = [kind for kind in KINDS if not pa.types.is_dictionary(kind[0])]
NESTED = [
    *map(lists, KINDS[1:8]),
    *(structs(one, other) for one, other in pairwise(PLAIN)),
    lists(lists(PLAIN[7])),
    lists(structs(PLAIN[0], lists(PLAIN[4]))),
    structs(maps(PLAIN[4]), structs(PLAIN[7], PLAIN[7])),
    maps(lists(PLAIN[8])),
    maps(structs(PLAIN[3], PLAIN[11])),
]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_the_compiled_path_agrees_with_the_definition_in_plain_python(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 4))
    columns = {}
    for name in ("a", "é")[: data.draw(st.integers(1, 2))]:
        kind, values = data.draw(st.sampled_from(KINDS + NESTED))
        rows = data.draw(st.lists(st.none() | values, min_size=n, max_size=n))
        columns[name] = pa.array(rows, kind)
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    expected = [canonical.leaf_hash(canonical_record(row)).hex() for row in batch.to_pylist()]
    assert record_ids(batch) == expected
    # A slice points into the same buffers with an offset.
    first, stop = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    part = batch.slice(first, max(stop - first, 0))
    assert record_ids(part) == expected[first : max(stop, first)]


def sample(n: int = 300) -> pa.Table:
    rng = np.random.default_rng(3)
    words = np.array(["", "text", "日本", None, "a" * 100], object)
    moments = [None if i % 7 == 0 else EPOCH + dt.timedelta(days=i, seconds=i) for i in range(n)]
    return pa.table({
        "text": pa.array(words[rng.integers(0, 5, n)], pa.string()),
        "n": pa.array(rng.integers(-5, 5, n), pa.int32(), mask=rng.random(n) < 0.2),
        "score": pa.array(rng.random(n), mask=rng.random(n) < 0.2),
        "created": pa.array(moments, pa.timestamp("ms")),
        "tags": pa.array([[str(i), "x"] if i % 3 else [] for i in range(n)]),
        "source": pa.array([{"url": "u", "rank": i if i % 5 else None} for i in range(n)]),
        "raw": pa.array([bytes([i % 256]) for i in range(n)]),
    })  # fmt: skip


WRITERS: dict[str, Callable[[pa.Table, Path], Any]] = {
    "row groups of 7, snappy": lambda t, p: pq.write_table(
        t, p, row_group_size=7, compression="snappy"
    ),
    "no dictionary, zstd": lambda t, p: pq.write_table(
        t, p, use_dictionary=False, compression="zstd"
    ),
    "pages of 64 bytes": lambda t, p: pq.write_table(t, p, data_page_size=64, version="1.0"),
    "no Arrow schema": lambda t, p: pq.write_table(t, p, store_schema=False),
    "coerced units": lambda t, p: pq.write_table(t, p, coerce_timestamps="us"),
    "chunks of three": lambda t, p: pq.write_table(
        pa.concat_tables([t.slice(i, 3) for i in range(0, len(t), 3)]), p
    ),
    "wide types, other order": lambda t, p: pq.write_table(
        t.select(t.column_names[::-1])
        .set_column(5, "n", t["n"].cast(pa.float64()))
        .set_column(6, "text", t["text"].cast(pa.large_string()).dictionary_encode()),
        p,
    ),
    "pandas": lambda t, p: t.to_pandas().to_parquet(p),
    "pandas with index and nullable types": lambda t, p: t.to_pandas(
        types_mapper={pa.int32(): pd.Int64Dtype()}.get
    ).to_parquet(p, index=False, row_group_size=11),
    "polars": lambda t, p: pl.from_arrow(t).write_parquet(p, row_group_size=50),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("writer", WRITERS)
def test_rewriting_with_any_writer_keeps_every_hash(writer: str, tmp_path: Path) -> None:
    table = sample()
    WRITERS[writer](table, tmp_path / "again.parquet")
    again = pq.read_table(tmp_path / "again.parquet")
    assert record_ids(again) == record_ids(table)


def test_changing_any_single_cell_changes_that_record_alone() -> None:
    table = sample(40)
    before = record_ids(table)
    rows = table.to_pylist()
    other = {"text": "!", "n": 99, "score": 2.5, "created": EPOCH, "tags": ["!"], "raw": b"!!",
             "source": {"url": "v", "rank": 1}}  # fmt: skip
    for i, name in ((i, name) for i in (0, 17, 39) for name in other):
        changed = [dict(row) for row in rows]
        changed[i][name] = other[name]
        after = record_ids(pa.Table.from_pylist(changed, table.schema))
        assert [a == b for a, b in zip(before, after, strict=True)] == [j != i for j in range(40)]


def test_pieces_of_any_size_give_the_same_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    table = sample()
    whole = record_hashes(table)
    monkeypatch.setattr(canonical, "PIECE_BYTES", 100)
    monkeypatch.setattr(canonical, "_ROWS", 64)
    assert (record_hashes(table) == whole).all()
    assert len(list(canonical.canonical_rows(table))) > len(table) // 2
    assert record_hashes(table.slice(0, 0)).shape == (0, 32)
