"""Columns are found, and origins come out in one form."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from corpus_samples import read

from tailguard.corpus import Columns, open_corpus
from tailguard.errors import CorpusError

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def one(**values: Any) -> dict[str, Any]:
    """The single record of a table with these values."""
    (row,), _ = read(pa.table({"text": ["t"], **{k: [v] for k, v in values.items()}}))
    return row


@pytest.mark.parametrize(
    ("code", "kind", "generation"),
    [
        (IPTC + "trainedAlgorithmicMedia", "synthetic", None),
        ("algorithmicMedia", "synthetic", None),
        ("digsrctype:digitalCapture", "human", 0),
        (IPTC + "humanEdits/", "human", 0),
        ("HUMANEDITS", "human", 0),
        (IPTC + "compositeWithTrainedAlgorithmicMedia", "mixed", None),
        (IPTC + "screenCapture", "unknown", None),
        ("somethingNew", "unknown", None),
    ],
)
def test_iptc_source_types_decide_the_kind(code: str, kind: str, generation: int | None) -> None:
    row = one(digitalSourceType=code)
    assert (row["kind"], row["generation"]) == (kind, generation)
    known = kind != "unknown" or "screen" in code
    assert row["digital_source_type"].startswith(IPTC) == known


def test_a_stated_kind_goes_before_the_source_type_but_silence_does_not() -> None:
    row = one(kind="Mixed", digital_source_type="digitalCapture")
    assert row["kind"] == "mixed"
    assert one(kind="unknown", digital_source_type="digitalCapture")["kind"] == "human"


def test_an_unknown_generation_is_null_and_only_humans_are_zero_by_definition() -> None:
    assert one(kind="synthetic")["generation"] is None
    assert one(kind="human")["generation"] == 0
    assert one(generation=None)["generation"] is None
    assert one(generation="3")["generation"] == 3 == one(generation=3.0)["generation"]
    assert "generation" not in one(stars=1)


def test_values_that_are_not_understood_survive_beside_the_reading() -> None:
    row = one(kind="comment", generation="first", evidence="gossip")
    assert (row["kind"], row["kind_given"]) == ("unknown", "comment")
    assert (row["generation"], row["generation_given"]) == (None, "first")
    assert (row["evidence"], row["evidence_given"]) == ("none", "gossip")
    assert one(generation=-1)["generation_given"] == -1


def test_dates_become_iso_text_and_parents_lists() -> None:
    when = datetime.datetime(2024, 5, 6, 7, 8)
    assert one(created=when)["created"].startswith("2024-05-06T07:08")
    assert one(parents='["a", "b"]')["parents"] == ["a", "b"]
    assert one(parents="a")["parents"] == ["a"]
    assert one(parents=["a"])["parents"] == ["a"]


def test_dates_in_json_lines_stay_as_written(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(
        '{"text": "a", "when": "2024-01-01", "m": {"d": ["2024-01-01 10:00:00"]}}\n' * 3
    )
    row = read(path)[0][2]
    assert (row["when"], row["m"]) == ("2024-01-01", {"d": ["2024-01-01 10:00:00"]})


def test_one_mapping_of_columns_serves_and_the_usual_names_are_found() -> None:
    table = pa.table({"Content": ["a"], "DOC_ID": [7], "lang": ["en"], "author": ["me"], "x": [1]})
    assert read(table)[0] == [
        {"text": "a", "id": "7", "language": "en", "creator": "me", "x": 1},
    ]
    table = pa.table({"text": ["short"], "full": ["long"], "url": ["u"]})
    assert read(table, text="full", source="url")[0] == [
        {"text": "long", "id": "table#0", "source": "u", "text_given": "short"}
    ]


def test_a_wrong_column_is_refused_with_the_near_one() -> None:
    table = pa.table({"body": ["a"], "title": ["b"]})
    with pytest.raises(CorpusError, match=r"columns 'body', 'title'; did you mean 'body'\?"):
        open_corpus(table, columns=Columns(text="bodi"))
    with pytest.raises(CorpusError, match=r"a text column .* columns 'n'; name it"):
        open_corpus(pa.table({"n": ["a"]}))
    with pytest.raises(CorpusError, match="strings in column 'text', got int64"):
        open_corpus(pa.table({"text": [1]}))
