"""However a file is cut, the same records come out, in constant memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailguard.corpus import Quarantine, open_corpus
from tailguard.corpus.files import find
from tailguard.corpus.jsonl import cut_file
from tailguard.corpus.layout import Layout
from tailguard.corpus.parquet import cut_file as cut_parquet

LAYOUT = Layout("text", {"text": "text"})
LINES = st.sampled_from(
    [
        b'{"text": "a"}',
        b'{"text": "longer text \\n here"}',
        b"",
        b"{bad",
        b'{"text": ""}',
        b"\r",
        b"  ",
    ]
)


def contents(shards: Any) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Records and quarantined rows of all shards, each read by a worker of its own."""
    rows: list[dict[str, Any]] = []
    whole = Quarantine()
    for shard in shards:
        worker = Quarantine()
        rows += [row for batch in shard.batches(worker) for row in batch.to_pylist()]
        whole.merge(worker)
    return rows, whole.kept


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(LINES, max_size=12), end=st.sampled_from([b"", b"\n"]), size=st.integers(1, 90)
)
def test_json_lines_are_read_once_for_any_shard_size(
    tmp_path: Path, lines: list[bytes], end: bytes, size: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines) + end)
    (file,) = find([str(path)])
    rows, bad = contents(cut_file(file, LAYOUT, size))
    assert (rows, bad) == contents(cut_file(file, LAYOUT, 1 << 30))
    assert len(rows) == sum(line.startswith(b'{"text') for line in lines)
    assert len(bad) == sum(line == b"{bad" for line in lines)


@pytest.mark.parametrize("size", [1, 3_000, 1 << 30])
def test_parquet_is_read_once_for_any_shard_size(tmp_path: Path, size: int) -> None:
    texts = [f"text {i} " * (i % 50) for i in range(1_000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=70)
    (file,) = find([str(tmp_path / "a.parquet")])
    shards = list(cut_parquet(file, LAYOUT, size))
    assert len(shards) == {1: 15, 3_000: len(shards), 1 << 30: 1}[size]
    rows, _ = contents(shards)
    assert [row["text"] for row in rows] == texts
    assert [row["id"] for row in rows] == [f"a.parquet#{i}" for i in range(1_000)]


def test_a_compressed_file_gives_the_same_ids_as_the_plain_one(tmp_path: Path) -> None:
    content = b'{"text": "a"}\n{"text": "b"}\n'
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    ids = [
        [row["id"].split("#")[1] for row in contents(open_corpus(tmp_path / name).shards)[0]]
        for name in ("a.jsonl", "a.jsonl.gz")
    ]
    assert ids == [["0", "14"], ["0", "14"]]


def test_no_batch_holds_more_than_sixteen_megabytes_unless_it_is_one_record(tmp_path: Path) -> None:
    texts = ["x" * 100_000] * 500 + ["y" * (20 << 20)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    for source in (tmp_path / "a.parquet", pa.table({"text": texts})):
        batches = list(open_corpus(source).batches())
        assert all(b.nbytes <= 17 << 20 or b.num_rows == 1 for b in batches)
        assert sum(b.num_rows for b in batches) == 501


PEAK = """
import resource, sys
from tailguard.corpus import open_corpus
n = 0
warm = open_corpus([{small!r}])
list(warm.batches())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for batch in open_corpus({big!r}).batches():
    n += batch["text"].nbytes
print(n, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_compressed_file_of_200_mb_is_read_in_constant_memory(tmp_path: Path) -> None:
    line = b'{"text": "' + b"words and more words " * 500 + b'"}\n'
    (tmp_path / "small.jsonl.gz").write_bytes(gzip.compress(line))
    (tmp_path / "big.jsonl.gz").write_bytes(gzip.compress(line * 20_000, 1))
    script = PEAK.format(small=str(tmp_path / "small.jsonl.gz"), big=str(tmp_path / "big.jsonl.gz"))
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    read_bytes, grown_mb = map(int, out.stdout.split())
    assert read_bytes > 200_000_000
    assert grown_mb < 100
