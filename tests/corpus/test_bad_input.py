"""Bad rows are quarantined and counted; damaged files are refused in one line."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from corpus_samples import read

from tailguard.corpus import Quarantine, open_corpus, write_corpus
from tailguard.corpus.files import File
from tailguard.corpus.jsonl import JsonlShard
from tailguard.corpus.layout import Layout
from tailguard.errors import CorpusError

BAD_LINES = {
    b'{"text": "a\xff"}': "invalid UTF-8",
    b'{"text": "\\ud800"}': "a lone surrogate, not Unicode text",
    b'{"text": 5}': "text is int, not a string",
    b'{"text": ["a"]}': "text is list, not a string",
    b'{"text": null}': "no text",
    b'{"other": "x"}': "no text",
    b"{broken": "not JSON",
    b'["text"]': "not an object",
    b'{"text": "a"} {"text": "b"}': "not JSON",
    b'{"text": "a", "m": ' + b"[" * 100 + b"]" * 100 + b"}": "nested too deeply",
    b'{"text": ' + b"[" * 200_000: "nested too deeply",
}
GOOD = [b'{"text": "first"}', b"", b'{"text": "nul \\u0000 inside", "n": 1}', b'{"text": ""}']


@pytest.mark.parametrize("bad", BAD_LINES, ids=lambda line: line[:30].decode("latin-1"))
def test_only_the_bad_line_of_json_lines_is_quarantined(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([*GOOD[:2], bad, *GOOD[2:]]))
    rows, quarantine = read(path)
    assert [row["text"] for row in rows] == ["first", "nul \0 inside", ""]
    assert quarantine.counts == {BAD_LINES[bad]: 1}
    kept = json.loads(quarantine.kept[0])
    assert (kept["file"], kept["byte"], kept["n_bytes"]) == ("a.jsonl", len(GOOD[0]) + 2, len(bad))
    assert kept["raw"] == bad[:1_000].decode("utf-8", "backslashreplace")


def test_brackets_over_many_lines_do_not_reach_the_recursive_parser(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_bytes(GOOD[0] + b'\n{"text": "a", "m":' + b"[\n" * 300_000)
    rows, quarantine = read(path)
    assert len(rows) == 1
    assert quarantine.total == 300_000


def test_mixed_types_in_other_columns_become_text_and_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text":"a","v":1}\n{"text":"b","v":"x"}\n{"text":"c","v":{"k":[2]}}\n')
    rows, quarantine = read(path)
    assert [row["v"] for row in rows] == ["1", "x", '{"k": [2]}']
    assert quarantine.total == 0


def test_csv_rows_of_the_wrong_width_and_undecodable_cells_are_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,n\na,1\nb\n"c\nd",2\ne,3,4\nf\xff,5\n,6\n"",7\ng\xf0\xff\n')
    rows, quarantine = read(path)
    assert [(row["text"], row["n"]) for row in rows] == [
        ("a", "1"),
        ("c\nd", "2"),
        ("", "6"),
        ("", "7"),
    ]
    assert quarantine.counts == {
        "too few cells": 2,
        "too many cells": 1,
        "invalid UTF-8 in text": 1,
    }
    kept = [json.loads(line) for line in quarantine.kept]
    assert [row["row"] for row in kept] == [1, 3, 4, 7]
    assert kept[3]["raw"] == "g\\xf0\\xff"


def test_parquet_and_lists_quarantine_missing_and_undecodable_text(tmp_path: Path) -> None:
    text = pa.array([b"a", b"\xff", None, b""]).view(pa.string())
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    rows, quarantine = read(tmp_path / "a.parquet")
    assert [row["id"] for row in rows] == ["a.parquet#0", "a.parquet#3"]
    assert quarantine.counts == {"invalid UTF-8 in text": 1, "no text": 1}
    rows, quarantine = read(["a", 3, None, "b\ud800"])
    assert [row["text"] for row in rows] == ["a"]
    assert quarantine.total == 3


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("last", [b"", b'\n{"text": "after"}'])
def test_a_line_beyond_the_limit_is_quarantined_unheld(
    tmp_path: Path, packed: bool, last: bytes
) -> None:
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    huge = b'{"text": "' + b"x" * (30 << 20) + b'"}'
    content = GOOD[0] + b"\n" + huge + last
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    file = File(str(path), path.name, path.stat().st_size)
    quarantine = Quarantine()
    shard = JsonlShard(file, Layout("text", {"text": "text"}), longest=1 << 20)
    texts = [t for b in shard.batches(quarantine) for t in b["text"].to_pylist()]
    assert texts == ["first", "after"][: 1 + bool(last)]
    assert quarantine.counts == {"longer than 1,048,576 bytes": 1}
    assert json.loads(quarantine.kept[0])["n_bytes"] == len(huge)


def test_a_million_empty_documents_are_records_and_are_quick(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": ""}\n' * 1_000_000)
    quarantine = Quarantine()
    began = time.perf_counter()
    assert sum(b.num_rows for b in open_corpus(path).batches(quarantine)) == 1_000_000
    assert time.perf_counter() - began < 10
    assert quarantine.total == 0


def damaged(folder: Path) -> dict[str, Path]:
    """One file for each kind of damage to a whole file."""
    rows = b'{"text": "' + os.urandom(5_000).hex().encode() + b'"}\n'
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["a" * 1_000] * 50}), sink)
    contents = {
        "empty.jsonl": b"",
        "empty.parquet": b"",
        "empty.csv": b"",
        "empty.txt": b"",
        "empty.jsonl.gz": b"",
        "blank.jsonl": b"\n\n  \n",
        "header.csv": b"text,n\n",
        "prose.jsonl": b"Call me Ishmael.\n",
        "cut.jsonl.gz": gzip.compress(rows)[:-200],
        "headless.jsonl.gz": gzip.compress(rows)[:5],
        "cut.jsonl.zst": zstandard.compress(rows)[:-200],
        "cut.parquet": sink.getvalue().to_pybytes()[:-20],
        "cut.arrow": b"ARROW1\0\0",
        "quote.csv": b'text,n\n"' + b"never closed\n" * 1_000_000,
        "noise.warc": b"noise\n" * 100,
        "what.xyz": b"abc",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents} | {
        "missing": folder / "none.jsonl",
        "unmatched": folder / "*.nothing",
    }


def test_damage_to_a_whole_file_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, path in damaged(tmp_path).items():
        with pytest.raises(CorpusError) as caught:
            read(path)
        assert "\n" not in str(caught.value), name
        assert str(tmp_path) in str(caught.value), name
    empty = tmp_path / "folder"
    empty.mkdir()
    for nothing in (empty, [], pa.table({"text": pa.array([], pa.string())})):
        with pytest.raises(CorpusError):
            open_corpus(nothing)


def test_an_archive_cut_inside_a_record_is_refused(archive: Callable[[str], Path]) -> None:
    for name, left in (("a.warc", -3_000), ("b.warc.gz", -15)):
        path = archive(name)
        content = path.read_bytes()
        path.write_bytes(content[:left] if name.endswith("gz") else content.split(b"\xc3\xb6")[0])
        with pytest.raises(CorpusError):
            read(path)


def test_an_empty_part_among_good_ones_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "part-0.jsonl").write_bytes(b"")
    (tmp_path / "part-1.jsonl").write_bytes(GOOD[0])
    assert len(read(tmp_path)[0]) == 1


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything, so step down to nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_without_read_permission_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.jsonl").write_bytes(GOOD[0])
        os.chmod(folder, 0o000)
        try:
            with unprivileged(), pytest.raises(CorpusError, match="permission denied"):
                open_corpus(folder)
        finally:
            os.chmod(folder, 0o700)


def test_links_and_listings_that_lead_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(CorpusError, match="a link out of it"):
        open_corpus(folder)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../secret.arrow"}]}')
    with pytest.raises(CorpusError, match="plain file names"):
        open_corpus(folder)


def test_the_quarantine_file_appears_complete_and_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "bad.jsonl"
    with Quarantine(target) as quarantine:
        list(open_corpus(tmp_path_file(tmp_path)).batches(quarantine))
        assert not target.exists()
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["not JSON", "no text"]
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "bad.jsonl"]

    def interrupted() -> None:
        with Quarantine(tmp_path / "other.jsonl") as quarantine:
            quarantine.add("x", file="f", unit="row", at=0, raw=b"")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "bad.jsonl"]


def tmp_path_file(folder: Path) -> Path:
    """A file with one good and two bad lines."""
    path = folder / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n{\n{"text": null}\n')
    return path


def test_merged_quarantines_of_workers_equal_one_quarantine(tmp_path: Path) -> None:
    corpus = open_corpus(tmp_path_file(tmp_path))
    alone = Quarantine()
    for _ in range(2):
        list(corpus.batches(alone))
    merged = Quarantine()
    for _ in range(2):
        worker = Quarantine()
        list(corpus.batches(worker))
        merged.merge(pickle.loads(pickle.dumps(worker)))  # noqa: S301
    assert (merged.counts, merged.kept) == (alone.counts, alone.kept)
    assert str(merged) == "4 rows quarantined (no text: 2, not JSON: 2)"


def test_rows_beyond_what_is_held_are_still_counted() -> None:
    quarantine = Quarantine()
    for i in range(10_005):
        quarantine.add("bad", file="f", unit="row", at=i, raw=b"x")
    assert (quarantine.total, len(quarantine.kept), quarantine.not_kept) == (10_005, 10_000, 5)


def test_reading_without_a_quarantine_warns_of_what_is_left_out(tmp_path: Path) -> None:
    corpus = open_corpus(tmp_path_file(tmp_path))
    with pytest.warns(UserWarning, match="2 rows quarantined"):
        list(corpus.batches())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(open_corpus(["fine"]).batches())


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz", "jsonl.zst", "csv"])
def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path: Path, ending: str) -> None:
    batch = pa.record_batch({"text": [os.urandom(2_000).hex() for _ in range(500)]})
    target = tmp_path / f"out.{ending}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CorpusError, match="to write the file"):
            write_corpus([batch], target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    write_corpus([pa.record_batch({"text": ["old"]})], target)

    def failing() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"text": ["new"]})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(failing(), target)
    assert os.listdir(tmp_path) == ["out.parquet"]
    assert [row["text"] for row in read(target)[0]] == ["old"]
    for batches, path in (([], target), ([pa.record_batch({"text": ["a"]})], tmp_path / "a.xyz")):
        with pytest.raises(CorpusError):
            write_corpus(batches, path)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_batches_of_different_schemas_fit_in_one_file(tmp_path: Path, ending: str) -> None:
    batches = [
        pa.record_batch({"text": ["a"], "n": [1], "m": [{}]}),
        pa.record_batch({"text": ["b"], "n": ["x"], "new": [True]}),
        pa.record_batch({"text": ["c"], "m": [{"k": 1}]}),
    ]
    assert write_corpus(batches, tmp_path / f"o.{ending}") == 3
    rows, _ = read(tmp_path / f"o.{ending}")
    assert [row["text"] for row in rows] == ["a", "b", "c"]
    assert [row["n"] for row in rows] == ["1", "x", None]
