"""Records as they are stored, in every format; and rows that cannot be read."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from gold_cases import GROUP, locked, make_gold, payload
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.provenance import canonical
from tailguard.provenance.gold import hashing
from tailguard.provenance.gold import rows as stored
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.files import find_files

FORMATS = ("jsonl", "jsonl.gz", "csv", "arrow", "feather", "parquet")


def test_every_format_of_rows_gives_the_same_records(tmp_path: Path) -> None:
    """Cells of CSV are text, so the records here are."""
    records = [{"text": f"line {i}\nmore", "note": "" if i % 2 else None} for i in range(50)]
    made = pa.Table.from_pylist(records)
    jsonl = "".join(json.dumps(record) + "\n" for record in records).encode()
    (tmp_path / "x.jsonl").write_bytes(jsonl)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(jsonl))
    csv.write_csv(made, tmp_path / "x.csv")
    with pa.ipc.new_stream(tmp_path / "x.arrow", made.schema) as writer:
        writer.write_table(made, max_chunksize=7)
    with pa.ipc.new_file(tmp_path / "x.feather", made.schema) as writer:
        writer.write_table(made)
    pq.write_table(made, tmp_path / "x.parquet")
    roots = {}
    for ending in FORMATS:
        told = payload(locked(tmp_path / f"x.{ending}"))
        roots[ending] = told["files"][0]["root"], json.dumps(told["columns"])
    assert set(roots.values()) == {roots["parquet"]}


def test_texts_images_and_archives_are_records_too(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a text")
    (tmp_path / "two.md").write_bytes(b"\xef\xbb\xbfanother")
    told = payload(locked(tmp_path))
    ids = [canonical.record_id({"text": text}) for text in ("a text", "\ufeffanother")]
    assert [f["root"] for f in told["files"]] == ids
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"\x89PNG")
    told = payload(locked(tmp_path / "images"))
    assert told["files"][0]["root"] == canonical.record_id({"image": b"\x89PNG"})
    body = b"plain text"
    head = (
        b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/\r\n"
        b"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        b"WARC-Date: 2020-01-01T00:00:00Z\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
    )
    (tmp_path / "x.wet").write_bytes(head + body + b"\r\n\r\n")
    assert payload(locked(tmp_path / "x.wet"))["columns"]["text"]["values"] == 1


def leaves_of(path: Path) -> list[str]:
    held: list[str] = []
    tally = Tally()
    for part in stored.cut(find_files(path)[0]):
        held += [leaf.tobytes().hex() for leaves in part.leaves(tally) for leaf in leaves]
    return held


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats(allow_nan=False)
    | st.sampled_from(["", "2020-01-01", "2020-01-01T00:00:00Z", "é", "\x00", "12:00:00"]),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from("abé"), v, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(records=st.lists(st.dictionaries(st.sampled_from("xyz"), JSON, max_size=3), max_size=6))
@settings(max_examples=100, deadline=None)
def test_json_lines_keep_every_value_as_it_is_written(
    records: list[dict[str, Any]],
) -> None:
    """Arrow would take dates for moments, large integers for floats, and refuse mixed columns."""
    lines = [json.dumps(record, ensure_ascii=i % 2 == 0) for i, record in enumerate(records)]
    expected = [canonical.record_id(json.loads(line)) for line in lines]
    tally = Tally()
    data = ("\n\n".join(lines) + "\n").encode()
    assert [leaf.tobytes().hex() for leaf in stored._lines(data, 0, tally)] == expected
    # Whatever else is in the block: a neighbour that Arrow refuses sends all through Python.
    both = data + b'{"x": "text"}\n{"x": 1}\n{"x": [2]}\n'
    again = [leaf.tobytes().hex() for leaf in stored._lines(both, 0, Tally())]
    assert again[: len(expected)] == expected


def test_lists_of_nulls_alone_are_read_in_spite_of_arrow(tmp_path: Path) -> None:
    """Of these Arrow's JSON reader makes an array whose offsets lead out of it."""
    records: list[dict[str, Any]] = [{"x": [None, None]}, {"x": [None]}, {"x": []}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    assert leaves_of(tmp_path) == [canonical.record_id(one) for one in records]


BAD_LINES = {
    "half an object": b'{"a": 1\n',
    "a list": b"[1]\n",
    "two objects": b'{"a": 1} {"b": 2}\n',
    "a key twice": b'{"a": 1, "a": 2}\n',
    "an inner key twice": b'{"a": {"b": 1, "b": 2}, "c": [1, "x"]}\n',
    "bad UTF-8": b'{"a": "\xff"}\n',
    "half a character": b'{"a": "\\ud800"}\n',
    "deep nesting": b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}\n",
    "a huge number": b'{"a": ' + b"9" * 5_000 + b"}\n",
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_lines_that_cannot_be_read_are_refused_not_left_out(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": 0}\n' + BAD_LINES[name])
    with pytest.raises(InputError) as refused:
        locked(tmp_path)
    assert "x.jsonl" in str(refused.value) and "\n" not in str(refused.value)


def test_damaged_tables_are_faults_or_other_records_but_never_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Footers that lie about rows among them: where parts begin is taken from there."""
    monkeypatch.setattr(stored, "SHARD_BYTES", 1)
    gold = make_gold(tmp_path)
    path = gold / "a.parquet"
    data = path.read_bytes()
    file = find_files(path)[0]
    [sound] = hashing.hash_files([file], group_rows=GROUP, engine="serial")
    chance = random.Random(5)
    spots = [chance.randrange(len(data)) for _ in range(200)]
    changes = [(at, data[at] ^ 1 << chance.randrange(8)) for at in spots]
    # Every place that may hold the 30 rows of a row group, as Thrift writes it, says 29 and 31.
    last = range(len(data) - 2_500, len(data))
    changes += [(at, other) for at in last if data[at] == 60 for other in (58, 62)]
    seen = {"fault": 0, "other": 0, "same": 0}
    for at, byte in changes:
        path.write_bytes(data[:at] + bytes([byte]) + data[at + 1 :])
        [found] = hashing.hash_files([file], group_rows=GROUP, engine="serial")
        if found.fault is not None:
            assert "\n" not in str(found.fault)
        same = found.file == sound.file
        seen["fault" if found.fault is not None else "same" if same else "other"] += 1
    assert seen["fault"] > 50, seen


def test_a_row_that_is_no_utf8_or_has_too_few_cells_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n3\n")
    (tmp_path / "y.csv").write_bytes(b"a,b\n1,\xff\n")
    bad = pa.array([b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": bad}), tmp_path / "z.parquet")
    for name in ("x.csv", "y.csv", "z.parquet"):
        with pytest.raises(InputError, match=name):
            locked(tmp_path / name)
