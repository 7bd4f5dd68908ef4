"""Whatever the bytes, a reader gives clean batches or one line of error: no traceback, no hang."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from corpus_samples import ROWS, http, warc_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailguard.corpus import Quarantine, open_corpus, write_corpus
from tailguard.errors import CorpusError

EXAMPLES = int(os.environ.get("TAILGUARD_FUZZ", "150"))
"""Cases for each reader and kind of damage."""

quietly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ENDINGS = ["jsonl", "csv", "jsonl.gz", "jsonl.zst", "parquet", "arrow", "warc", "warc.gz"]


def survives(path: Path) -> None:
    """Read to the end: sound batches, every row accounted for, or a ``CorpusError``."""
    message = ""
    try:
        for batch in open_corpus(path).batches(Quarantine()):
            batch.validate(full=True)
            if "text" in batch.schema.names:
                assert batch["text"].null_count == 0
            batch.to_pylist()
    except CorpusError as error:
        message = str(error)
    assert "\n" not in message


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small sound file of each format."""
    folder = tmp_path_factory.mktemp("valid")
    found: dict[str, bytes] = {}
    for ending in ("jsonl", "csv", "jsonl.gz", "jsonl.zst", "parquet"):
        write_corpus([pa.RecordBatch.from_pylist(ROWS[:10])], folder / f"v.{ending}")
        found[ending] = (folder / f"v.{ending}").read_bytes()
    with pa.ipc.new_stream(folder / "v.arrow", pa.RecordBatch.from_pylist(ROWS).schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(ROWS[:10]))
    found["arrow"] = (folder / "v.arrow").read_bytes()
    records = [
        warc_record("conversion", "http://a.org/1", b"some text"),
        warc_record("response", "http://a.org/2", http("text/plain", b"more"), "application/http"),
    ]
    return found | {"warc": b"".join(records), "warc.gz": b"".join(map(gzip.compress, records))}


def mutate(content: bytes, data: st.DataObject) -> bytes:
    """A few cuts, flips, insertions and repetitions."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat", "drop"]))
        more = data.draw(st.binary(min_size=1, max_size=8))
        span = data.draw(st.integers(1, 200))
        if kind == "flip":
            content = content[:at] + more + content[at + len(more) :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + more + content[at:]
        elif kind == "repeat":
            content = content[: at + span] + content[at:]
        else:
            content = content[:at] + content[at + span :]
    return content


@pytest.mark.parametrize("ending", ENDINGS)
@quietly
@given(data=st.data())
def test_mutations_of_sound_files_never_break_a_reader(
    tmp_path: Path, valid: dict[str, bytes], ending: str, data: st.DataObject
) -> None:
    path = tmp_path / f"f.{ending}"
    path.write_bytes(mutate(valid[ending], data))
    survives(path)


@pytest.mark.parametrize("pack", ["", "gzip", "zstd"])
@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@quietly
@given(data=st.data())
def test_mutations_under_compression_never_break_a_reader(
    tmp_path: Path, valid: dict[str, bytes], ending: str, pack: str, data: st.DataObject
) -> None:
    content = mutate(valid[ending], data)
    if pack == "zstd" and ending == "csv":
        return
    tail = {"": "", "gzip": ".gz", "zstd": ".zst"}[pack]
    path = tmp_path / f"f.{ending}{tail}"
    path.write_bytes(
        gzip.compress(content, 1)
        if pack == "gzip"
        else zstandard.compress(content)
        if pack
        else content
    )
    survives(path)


@pytest.mark.parametrize("ending", [*ENDINGS, "txt"])
@quietly
@given(content=st.binary(max_size=300))
def test_random_bytes_never_break_a_reader(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"f.{ending}"
    path.write_bytes(content)
    survives(path)
