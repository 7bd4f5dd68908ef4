"""Arrow batches become rows of numbers; what cannot is put aside and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailguard.corpus import Columns, open_corpus
from tailguard.errors import CorpusError
from tailguard.measure.vectors.store import dump_vector_profile
from tailguard.measure.vectors.survey import survey_vectors

RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((40, 3))


def vectors(rows: list[object], kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"embedding": pa.array(rows, kind or pa.list_(pa.float32()))})


def test_vectors_of_another_length_are_quarantined_and_counted() -> None:
    rows: list[object] = [*MATRIX.tolist(), [1.0], None, [1.0, 2.0, 3.0, 4.0], []]
    found = survey_vectors(vectors(rows), engine="serial")
    assert (found.profile.n_rows, found.profile.quarantined) == (40, 4)
    assert dict(found.quarantine.counts) == {
        "1 numbers in vector, not 3": 1,
        "no vector in vector, not 3": 1,
        "4 numbers in vector, not 3": 1,
        "0 numbers in vector, not 3": 1,
    }


def test_missing_numbers_inside_a_vector_are_counted_and_not_quarantined() -> None:
    found = survey_vectors(vectors([[1.0, None, 3.0], [1.0, 2.0, 3.0]]), engine="serial").profile
    assert found.n_rows == 2 and found.moments.missing.tolist() == [0, 1, 0]


def test_every_kind_of_table_gives_the_same_contents(tmp_path: Path) -> None:
    frame = pd.DataFrame(MATRIX, columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame[["c", "a", "b"]].to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    sources = (frame, table, pl.from_pandas(frame), tmp_path / "t.csv", tmp_path / "t.parquet")
    prints = {survey_vectors(source, engine="serial").profile.fingerprint() for source in sources}
    assert len(prints) == 1
    near = survey_vectors(tmp_path / "t.jsonl", engine="serial").profile
    np.testing.assert_allclose(near.moments.mean, MATRIX.mean(axis=0), rtol=1e-9)


def test_matrices_lists_and_fixed_lists_of_vectors_are_the_same_corpus() -> None:
    flat = pa.array(MATRIX.ravel())
    fixed = pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, 3)})
    lists = vectors(MATRIX.tolist(), pa.large_list(pa.float64()))
    prints = {
        survey_vectors(source, engine="serial").profile.fingerprint()
        for source in (MATRIX, fixed, lists)
    }
    assert len(prints) == 1


def test_booleans_and_integers_count_as_numbers_and_origins_do_not() -> None:
    table = pa.table({
        "yes": [True, False, None], "n": [1, 2, 3], "source": list("abc"), "id": list("123"),
    })  # fmt: skip
    found = survey_vectors(table, engine="serial").profile
    assert found.names == ["n", "yes"]
    assert found.moments.mean.tolist() == [2.0, 0.5]


def test_a_named_vector_column_makes_text_with_embeddings_numeric() -> None:
    table = pa.table({"text": ["a", "b"], "e": [[1.0, 2.0], [3.0, 4.0]], "other": [1, 2]})
    assert open_corpus(table).modality == "text"
    corpus = open_corpus(table, columns=Columns(vector="e"))
    assert corpus.modality == "numeric"
    assert survey_vectors(corpus, engine="serial").profile.names == ["vector[0]", "vector[1]"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (pa.table({"e": ["a", "b"]}), "a column of numbers"),
        (pa.table({"e": [[[1.0]], [[2.0]]]}), "a column of numbers"),
        (pa.table({"e": pa.array([[], []], pa.list_(pa.float64()))}), "a column of numbers"),
    ],
)
def test_columns_without_numbers_are_refused_in_one_line(table: pa.Table, told: str) -> None:
    with pytest.raises(CorpusError, match=told) as error:
        survey_vectors(open_corpus(table, columns=Columns(vector="e")), engine="serial")
    assert "\n" not in str(error.value)


def test_a_column_that_only_some_files_have_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0], "b": [2.0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "2.parquet")
    with pytest.raises(CorpusError, match="a column 'b'"):
        survey_vectors(tmp_path, engine="serial")


def test_the_same_bytes_come_out_on_one_worker_and_on_two(tmp_path: Path) -> None:
    for number in range(4):
        part = pa.table({"x": RNG.standard_normal(300), "y": RNG.integers(0, 5, 300)})
        pq.write_table(part, tmp_path / f"{number}.parquet")
    dumped = {
        dump_vector_profile(survey_vectors(tmp_path, engine=engine, workers=workers).profile)
        for engine, workers in (("serial", None), ("local", 2))
    }
    assert len(dumped) == 1


def test_sliced_arrow_arrays_are_read_at_their_place() -> None:
    table = pa.table({"vector": pa.array(MATRIX.tolist())}).slice(5, 20)
    found = survey_vectors(table, engine="serial").profile
    np.testing.assert_allclose(found.moments.mean, MATRIX[5:25].mean(axis=0), rtol=1e-12)
