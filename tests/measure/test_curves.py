"""The numbers behind the figures mean what their axes say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tailguard.measure.curves import curves, rank_frequency, rarefaction, tail_recall
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.view import View


def texts(n: int, seed: int, words: int = 5_000, length: int = 300) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{i}" for i in rng.zipf(1.3, length) % words) for _ in range(n)]


def test_rarefaction_ends_at_the_words_there_are_and_never_falls() -> None:
    profile = profile_texts(texts(30, 1))
    view = View.whole(profile)
    found = rarefaction(view, [1, 10, 100, profile.n_tokens])
    assert found["value"][0] == pytest.approx(1)
    distinct = len({w for text in texts(30, 1) for w in text.split()})
    assert found["value"][-1] == pytest.approx(distinct)
    assert (np.diff(found["value"]) > 0).all()
    assert all(
        lo <= v <= hi for lo, v, hi in zip(found["lo"], found["value"], found["hi"], strict=True)
    )


def test_frequencies_fall_with_rank_and_the_first_is_that_of_the_commonest_word() -> None:
    batch = texts(30, 2)
    found = rank_frequency(View.whole(profile_texts(batch)))
    words = [w for text in batch for w in text.split()]
    assert found["freq"][0] == pytest.approx(max(map(words.count, {"w1", "w2"})) / len(words))
    assert (np.diff(found["freq"]) <= 0).all() and (np.diff(found["rank"]) > 0).all()


def test_another_draw_of_gold_recalls_as_much_as_expected() -> None:
    gold, same = (View.whole(profile_texts(texts(200, seed))) for seed in (3, 4))
    found = tail_recall(same, gold)
    for value, expected in zip(found["batch"], found["expected"], strict=True):
        assert value == pytest.approx(expected, abs=0.08)


def test_a_batch_of_few_words_recalls_less_of_what_is_rare() -> None:
    gold = View.whole(profile_texts(texts(200, 3)))
    poor = View.whole(profile_texts(texts(200, 4, words=500)))
    found = tail_recall(poor, gold)
    rarest = found["bands"].index("1")
    assert found["batch"][rarest] < found["expected"][rarest] / 2
    assert found["batch"][-1] > 0.8


@pytest.mark.parametrize("batch", [[], [""] * 9, ["cat"], ["one text only " * 60]])
def test_too_little_text_gives_no_curves(batch: list[str]) -> None:
    gold = profile_texts(texts(50, 1))
    few = profile_texts(batch) if batch else Profile.empty()
    assert curves(few, gold) == {} == curves(gold, few)


def test_curves_of_repetitive_text_are_quiet_and_hold_no_infinity() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = curves(profile_texts(["cat " * 600, "dog " * 50] * 20), profile_texts(texts(50, 1)))
        again = curves(
            profile_texts(texts(50, 1)), profile_texts([f"cat {i} " * 9 for i in range(40)])
        )
    assert set(found) == set(again) == {"rarefaction", "rank_frequency", "tail_recall"}
    assert not any(np.isinf(found["rarefaction"]["batch"][key]).any() for key in ("lo", "hi"))
