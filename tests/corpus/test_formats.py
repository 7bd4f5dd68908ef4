"""Every format gives back what was put in."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_samples import ROWS, read

from tailguard.corpus import Columns, Corpus, Quarantine, open_corpus, write_corpus

WRITABLE = ["parquet", "jsonl", "jsonl.gz", "jsonl.zst", "csv", "tsv"]


@pytest.mark.parametrize("ending", WRITABLE)
def test_what_is_written_is_read_back_with_unknown_columns(
    tmp_path: Path, sample: pa.RecordBatch, ending: str
) -> None:
    path = tmp_path / f"c.{ending}"
    assert write_corpus([sample.slice(0, 15), sample.slice(15)], path) == 40
    rows, quarantine = read(path)
    text_only = ending in ("csv", "tsv")
    assert rows == [{**row, "stars": str(row["stars"])} if text_only else row for row in ROWS]
    assert quarantine.total == 0


@pytest.mark.parametrize("ending", [*WRITABLE, "arrow"])
def test_reading_what_was_read_changes_nothing(
    tmp_path: Path, sample: pa.RecordBatch, ending: str
) -> None:
    kinds = ["human", "synthetic", None, "mixed"] * 10
    given = sample.append_column("kind", pa.array(kinds))
    first = tmp_path / f"first.{ending}"
    if ending == "arrow":
        with pa.ipc.new_file(first, given.schema) as writer:
            writer.write_batch(given)
    else:
        write_corpus([given], first)
    once, _ = read(first)
    write_corpus(open_corpus(first).batches(), tmp_path / "second.parquet")
    assert read(tmp_path / "second.parquet")[0] == once


def test_arrow_streams_files_and_feather_are_told_apart_by_content(
    tmp_path: Path, sample: pa.RecordBatch
) -> None:
    for name, kind in (("stream.arrow", pa.ipc.new_stream), ("file.feather", pa.ipc.new_file)):
        with kind(tmp_path / name, sample.schema) as writer:
            writer.write_batch(sample)
        assert read(tmp_path / name)[0] == ROWS


def test_hf_datasets_are_read_from_disk_and_from_memory(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_list(ROWS)
    whole.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": whole, "test": whole}).save_to_disk(tmp_path / "two")
    assert read(tmp_path / "one")[0] == ROWS == read(whole)[0]
    assert read(tmp_path / "two")[0] == ROWS * 2
    assert read(whole.select([5, 3]))[0] == [ROWS[5], ROWS[3]]


def test_pandas_polars_and_arrow_tables_are_corpora(sample: pa.RecordBatch) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pandas.DataFrame(ROWS)
    table = pa.Table.from_batches([sample])
    for source in (sample, table, polars.from_arrow(table), frame, frame[frame.stars >= 0]):
        assert read(source)[0] == ROWS


def test_a_list_of_strings_is_a_corpus_and_a_list_of_paths_is_read(
    tmp_path: Path, sample: pa.RecordBatch
) -> None:
    write_corpus([sample], tmp_path / "a.jsonl")
    write_corpus([sample], tmp_path / "b.parquet")
    paths = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.parquet")]
    assert read(paths)[0] == ROWS * 2
    assert [row["text"] for row in read([*paths, "and a text"])[0]] == [*paths, "and a text"]
    assert read(["one", ""])[0] == [
        {"text": "one", "id": "strings#0"},
        {"text": "", "id": "strings#1"},
    ]


def test_globs_folders_and_addresses_find_the_same_files(
    tmp_path: Path, sample: pa.RecordBatch
) -> None:
    (tmp_path / "deep").mkdir()
    bare = sample.drop_columns(["id"])
    write_corpus([bare], tmp_path / "a.jsonl")
    write_corpus([bare], tmp_path / "deep" / "b.jsonl.gz")
    (tmp_path / "README.md").write_text("beside rows, prose is not data")
    (tmp_path / ".hidden.jsonl").write_text("not JSON")
    rows, _ = read(tmp_path)
    assert {row["id"].split("#")[0] for row in rows} == {"a.jsonl", "deep/b.jsonl.gz"}
    assert read(str(tmp_path / "**" / "*.jsonl*"))[0] == rows
    store = fsspec.filesystem("memory")
    store.pipe("/corpus/a.jsonl", (tmp_path / "a.jsonl").read_bytes())
    store.pipe("/corpus/deep/b.jsonl.gz", (tmp_path / "deep" / "b.jsonl.gz").read_bytes())
    assert read("memory://corpus")[0] == rows
    assert read("memory://corpus/a.jsonl")[0] == rows[:40]


def test_a_folder_of_texts_has_a_record_a_file(tmp_path: Path) -> None:
    (tmp_path / "poems").mkdir()
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    (tmp_path / "poems" / "a.md").write_text("")
    (tmp_path / "c.txt").write_bytes(b"caf\xe9")
    rows, quarantine = read(tmp_path)
    assert rows == [
        {"text": "one\r\ntwo", "id": "b.txt", "source": None},
        {"text": "", "id": "poems/a.md", "source": "poems"},
    ]
    assert quarantine.counts == {"invalid UTF-8 in text": 1}
    assert read(tmp_path / "b.txt")[0][0]["text"] == "one\r\ntwo"


def test_a_folder_of_images_keeps_the_encoded_bytes(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "2.jpg").write_bytes(b"\xff\xd8")
    corpus = open_corpus(tmp_path)
    assert corpus.modality == "image"
    assert sorted(read(tmp_path)[0], key=lambda row: str(row["id"])) == [
        {"image": b"\xff\xd8", "id": "2.jpg", "source": None},
        {"image": b"\x89PNG\xff", "id": "cats/1.png", "source": "cats"},
    ]


def test_hf_image_structs_become_bytes() -> None:
    table = pa.table({"image": [{"bytes": b"x", "path": "a"}, {"bytes": None, "path": "b"}]})
    rows, quarantine = read(table)
    assert rows == [{"image": b"x", "id": "table#0"}]
    assert quarantine.counts == {"no image": 1}


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.wet.gz"])
def test_web_archives_give_text_with_address_date_and_digest(
    archive: Callable[[str], Path], name: str
) -> None:
    rows, quarantine = read(archive(name))
    assert [row["text"] for row in rows] == ["größer", "größer"]
    headers = dict(json.loads(rows[1].pop("warc_headers")))
    assert headers["WARC-Type"] == "response" and headers["WARC-Block-Digest"] == "sha1:ABC"
    assert rows[0]["http_status"] is None and rows[0]["x_robots_tag"] is None
    assert rows[1] == {
        "text": "größer",
        "id": "urn:uuid:http://b.org/2",
        "source": "b.org",
        "captured": "2024-01-02T03:04:05Z",
        "language": None,
        "uri": "http://b.org/2",
        "payload_digest": "sha1:ABC",
        "refers_to": None,
        "http_status": "200",
        "content_type": "text/plain; charset=latin-1",
        "x_robots_tag": "noai, noindex",
        "tdm_reservation": "1",
        "tdm_policy": None,
    }
    assert quarantine.counts == {"not plain text (text/html)": 1, "not utf-8": 1}


def test_numeric_tables_pass_through(tmp_path: Path) -> None:
    table = pa.table({"x": [1.5, 2.0], "y": [3, 4]})
    pq.write_table(table, tmp_path / "n.parquet")
    (tmp_path / "n.csv").write_text("x,y\n1.5,3\n2,4\n")
    vectors = pa.table(
        {"v": pa.FixedSizeListArray.from_arrays(np.arange(4.0), 2), "tag": ["a", "b"]}
    )
    for source in (table, tmp_path / "n.parquet", tmp_path / "n.csv"):
        assert open_corpus(source).modality == "numeric"
        assert [(row["x"], row["y"]) for row in read(source)[0]] == [(1.5, 3), (2.0, 4)]
    assert [row["v"] for row in read(vectors)[0]] == [[0.0, 1.0], [2.0, 3.0]]


def test_builtin_corpora_are_declared_human_and_always_the_same() -> None:
    for name, least in (("builtin:python-docs", 200), ("builtin:python-code", 400)):
        rows, quarantine = read(name)
        assert len(rows) >= least and quarantine.total == 0
        assert len({row["id"] for row in rows}) == len(rows)
        assert {(r["kind"], r["generation"], r["evidence"], r["license"]) for r in rows} == {
            ("human", 0, "declared", "PSF-2.0")
        }
        assert read(name)[0] == rows
    docs = read("builtin:python-docs")[0]
    assert sum(len(row["text"].split()) for row in docs) > 40_000
    assert not any("/test/" in row["id"] for row in rows)


@pytest.mark.parametrize("kind", ["file", "table", "rows", "builtin", "texts"])
def test_shards_of_every_kind_survive_pickling(
    tmp_path: Path, sample: pa.RecordBatch, kind: str
) -> None:
    write_corpus([sample], tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("a text")
    source: Any = {
        "file": tmp_path / "a.parquet",
        "table": pa.table(sample.to_pydict()),
        "rows": ["a", 1],
        "builtin": "builtin:python-docs",
        "texts": tmp_path / "a.txt",
    }[kind]
    corpus = open_corpus(source)
    thawed: Corpus = pickle.loads(pickle.dumps(corpus))  # noqa: S301
    assert [b.to_pylist() for b in thawed.batches(Quarantine())] == [
        b.to_pylist() for b in corpus.batches(Quarantine())
    ]


def test_a_shard_of_a_table_is_pickled_without_the_rest() -> None:
    table = pa.table({"text": ["x" * 1_000] * 200_000})
    shards = open_corpus(table).shards
    assert len(shards) > 2
    assert len(pickle.dumps(shards[0])) < table.nbytes / 2


def test_gzip_of_several_members_is_read_whole(tmp_path: Path) -> None:
    parts = [b'{"text": "a"}\n', b'{"text": "b"}\n']
    (tmp_path / "m.jsonl.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    assert [row["text"] for row in read(tmp_path / "m.jsonl.gz")[0]] == ["a", "b"]


def test_an_open_corpus_opens_as_itself() -> None:
    corpus = open_corpus(["a"])
    assert open_corpus(corpus, columns=Columns()) is corpus
