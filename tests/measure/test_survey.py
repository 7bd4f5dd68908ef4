"""Surveying a corpus: the same bytes for any workers, slices that add up, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tailguard.corpus import Columns, Quarantine
from tailguard.errors import CorpusError, InputError
from tailguard.measure.categories import LONGEST_VALUE
from tailguard.measure.profile import profile_texts
from tailguard.measure.store import dump_profile, save_profile
from tailguard.measure.survey import MOST_SLICES, REST, Surveyed, survey


def rows(n: int, seed: int, sources: int = 3) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "text": " ".join(f"w{x}" for x in rng.zipf(1.4, 15) % 900),
            "source": f"site {int(rng.integers(sources)):03d}",
            "created": f"2024-{int(rng.integers(1, 13)):02d}-03",
        }
        for _ in range(n)
    ]


def write(path: Path, records: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("corpus")
    return [str(write(folder / f"{i}.jsonl", rows(70, i))) for i in range(4)]


def test_serial_and_one_and_two_workers_give_the_same_bytes(files: list[str]) -> None:
    by = ("source", "month")
    serial = dump_profile(survey(files, engine="serial", by=by).profile)
    for workers in (1, 2):
        assert dump_profile(survey(files, workers=workers, by=by).profile) == serial


def test_cutting_a_corpus_into_files_changes_no_byte(files: list[str], tmp_path: Path) -> None:
    joined = tmp_path / "all.jsonl"
    joined.write_text("".join(Path(f).read_text() for f in reversed(files)))
    one = survey(joined, engine="serial", by=["source"]).profile
    assert dump_profile(one) == dump_profile(survey(files, engine="serial", by=["source"]).profile)
    texts = [json.loads(line)["text"] for line in joined.read_text().splitlines()]
    assert profile_texts(texts).fingerprint() == one.fingerprint()


def test_types_that_earlier_shards_ruled_out_are_skipped_and_no_byte_changes(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(3)
    texts = [" ".join(f"w{x}" for x in rng.integers(0, 40_000, 1_000)) for _ in range(450)]
    parts = [
        str(write(tmp_path / f"{i}.jsonl", [{"text": text} for text in texts[i::3]]))
        for i in range(3)
    ]
    whole = profile_texts(texts)
    assert whole.grams[3].rate < 0.5  # of three equal parts, each holds more than the sample can
    for workers in (None, 2):
        engine = "serial" if workers is None else "local"
        found = survey(parts, engine=engine, workers=workers).profile
        assert found.fingerprint() == whole.fingerprint()


def test_slices_add_up_to_the_whole(files: list[str]) -> None:
    found = survey(files, engine="serial", by=["source", "month"]).profile
    for name in ("source", "month"):
        parts = [part for (column, _), part in found.slices.items() if column == name]
        assert sum(part.n_documents for part in parts) == found.n_documents == 280
        assert sum(part.n_tokens for part in parts) == found.n_tokens
        assert sum(part.n_bytes for part in parts) == found.n_bytes
    counts = found.categories.counts["source"]
    assert {v: p.n_documents for (c, v), p in found.slices.items() if c == "source"} == counts
    assert len([key for key in found.slices if key[0] == "month"]) == 12


def test_many_values_are_bounded_alike_however_the_corpus_is_cut(tmp_path: Path) -> None:
    records = rows(300, 9, sources=200)
    whole = write(tmp_path / "whole.jsonl", records)
    parts = [write(tmp_path / f"p{i}.jsonl", records[i::3]) for i in range(3)]
    one = survey(whole, engine="serial", by=["source"]).profile
    many = survey([str(p) for p in parts], engine="serial", by=["source"]).profile
    assert dump_profile(one) == dump_profile(many)
    kept = sorted({record["source"] for record in records})[:MOST_SLICES]
    assert [value for _, value in one.slices] == sorted([REST, *kept])
    assert sum(part.n_documents for part in one.slices.values()) == 300
    expected = profile_texts(
        [r["text"] for r in records if r["source"] not in kept],
        keep_types=one.slices["source", REST].grams[0].k,
        keep_documents=one.slices["source", REST].documents.k,
    )
    assert one.slices["source", REST].fingerprint() == expected.fingerprint()


def test_a_value_pushed_out_within_a_shard_joins_the_rest() -> None:
    names = [f"v{i:03d}" for i in range(100, 0, -1)]
    batches = [
        pa.table({"text": [f"text of {n}" for n in names], "source": names}).slice(i, 10)
        for i in range(0, 100, 10)
    ]
    profiles = [survey(b, engine="serial", by=["source"]) for b in batches]
    merged = profiles[0]
    for other in profiles[1:]:
        merged = merged.merge(other)
    whole = survey(pa.concat_tables(batches), engine="serial", by=["source"])
    assert dump_profile(merged.profile) == dump_profile(whole.profile)
    assert merged.profile.slices["source", REST].n_documents == 100 - MOST_SLICES


def test_missing_and_long_values_are_slices_too() -> None:
    table = pa.table({"text": ["a", "b", "c"], "source": [None, "x" * 5000, ""]})
    found = survey(table, engine="serial", by=["source"]).profile
    assert {value for _, value in found.slices} == {"unknown", "x" * LONGEST_VALUE, ""}
    assert set(found.categories.counts["source"]) == {"unknown", "x" * LONGEST_VALUE, ""}


def test_an_unknown_slice_column_is_refused_with_the_columns_there_are(files: list[str]) -> None:
    with pytest.raises(InputError, match=r"'topic'; choose from .*source"):
        survey(files, engine="serial", by=["topic"])


def test_bad_rows_are_counted_in_the_profile_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows(5, 0))
    path.write_text(path.read_text() + '{"text": 3}\n{broken\n')
    bad = tmp_path / "bad.jsonl"
    found = survey(path, engine="serial", quarantine=bad)
    assert found.profile.n_documents == 5
    assert found.profile.quarantined == found.quarantine.total == 2
    assert len(bad.read_text().splitlines()) == 2


def test_text_columns_are_taken_by_name() -> None:
    table = pa.table({"body": ["one two", "three"], "n": [1, 2]})
    assert survey(table, columns=Columns(text="body"), engine="serial").profile.n_tokens == 3


def test_corpora_without_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "a.png")
    (tmp_path / "empty.jsonl").write_text("")
    write(tmp_path / "bad.jsonl", [])
    (tmp_path / "bad.jsonl").write_text("{\n[\n")
    for source in ("images", "empty.jsonl", "bad.jsonl", "missing.jsonl"):
        with pytest.raises(CorpusError) as caught:
            survey(tmp_path / source, engine="serial")
        assert "\n" not in str(caught.value)
    with pytest.raises(CorpusError, match="images"):
        survey(tmp_path / "images", engine="serial")


def test_a_corpus_of_only_empty_documents_has_a_profile() -> None:
    found = survey(["", "", ""], engine="serial").profile
    assert found.n_documents == 3 and found.n_tokens == 0


def test_a_saved_profile_is_taken_as_it_is(files: list[str], tmp_path: Path) -> None:
    first = survey(files, engine="serial")
    path = tmp_path / "gold.profile"
    save_profile(first.profile, path)
    for source in (path, str(path), first.profile, first):
        assert dump_profile(survey(source).profile) == path.read_bytes()
    assert isinstance(survey(path).quarantine, Quarantine)
    assert survey(first) is first and isinstance(first, Surveyed)
