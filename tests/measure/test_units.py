"""Units hold at least 512 tokens, whoever they are from, and copies count as what they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sample_words import sample_of, units_of, zipf_documents

from tailguard.measure.scores import WINDOW
from tailguard.measure.units import SCORES, TOPICS, _unit_starts, make_units

NAMES = [name for name, _, _ in SCORES]


@pytest.mark.parametrize(
    ("lengths", "starts"),
    [
        ([600, 700], [0, 1]),
        ([200, 200, 200, 600], [0, 3]),
        ([600, 100], [0]),
        ([100, 100], [0]),
        ([512, 511, 1], [0, 1]),
        ([], []),
    ],
)
def test_documents_join_until_a_unit_has_512_tokens(lengths: list[int], starts: list[int]) -> None:
    assert _unit_starts(np.array(lengths, np.int64)).tolist() == starts


def test_a_unit_never_holds_documents_of_both_sides() -> None:
    rng = np.random.default_rng(0)
    gold = zipf_documents(20, rng=rng, shortest=700)
    batch = zipf_documents(30, rng=rng, shortest=200, longest=300)
    units = units_of(gold, batch)
    assert int((~units.batch).sum()) == 20
    assert 0 < int(units.batch.sum()) <= sum(map(len, batch)) // WINDOW
    assert units.documents == (20, 30)


def test_exact_copies_count_as_often_as_they_occur() -> None:
    rng = np.random.default_rng(1)
    gold = zipf_documents(10, rng=rng, shortest=600)
    batch = zipf_documents(10, rng=rng, shortest=600)
    copied = units_of(gold, [*batch, *[batch[0]] * 5])
    assert int(copied.batch.sum()) == 15
    score = copied.scores[copied.batch, NAMES.index("not_a_copy")]
    assert np.sort(score).tolist() == [0.0] * 6 + [1.0] * 9


def test_looping_documents_are_seen_and_others_are_not() -> None:
    rng = np.random.default_rng(2)
    documents = zipf_documents(20, rng=rng, shortest=600)
    looping = np.concatenate([documents[0], np.tile([7, 8, 9], 300)])
    units = units_of(documents[1:11], [*documents[11:], looping])
    assert int((units.scores[:, NAMES.index("no_loops")] < 1).sum()) == 1


def test_scores_are_shares_or_logarithms_and_topics_are_few() -> None:
    rng = np.random.default_rng(3)
    units = units_of(zipf_documents(40, rng=rng), zipf_documents(40, rng=rng))
    assert np.isfinite(units.scores).all() and np.isfinite(units.topics).all()
    for column, (name, _, logarithm) in enumerate(SCORES):
        values = units.scores[:, column]
        assert logarithm or ((values >= 0) & (values <= 1)).all(), name
    assert units.topics.shape == (len(units.batch), min(TOPICS, len(units.batch) // 12))


def test_new_words_make_a_batch_novel_and_another_draw_does_not() -> None:
    rng = np.random.default_rng(4)
    gold, same = zipf_documents(30, rng=rng), zipf_documents(30, rng=rng)
    assert units_of(gold, same).novelty == pytest.approx(1.0, abs=0.25)
    assert units_of(gold, [words + 25_000 for words in same]).novelty > 3


@pytest.mark.parametrize("empty", ["gold", "batch", "both"])
def test_without_documents_on_a_side_there_are_no_units(empty: str) -> None:
    full = zipf_documents(5, rng=np.random.default_rng(5))
    gold, batch = (sample_of([] if empty in (side, "both") else full) for side in ("gold", "batch"))
    units = make_units(gold, batch)
    assert len(units.batch) == 0 and units.scores.shape == (0, len(SCORES))
    assert math.isnan(units.novelty)
