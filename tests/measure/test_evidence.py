"""What is shown of a finding is really in the batch, or really missing from it."""

from __future__ import annotations

import numpy as np
import pytest

from tailguard.corpus import open_corpus
from tailguard.measure.evidence import EXCERPT, SHOWN, Shown, lost_words, show, wanted
from tailguard.measure.profile import Profile, profile_texts

STOCK = "in conclusion it is important to remember that every journey begins with a single step"


def stories(n: int, seed: int) -> list[str]:
    """Texts of random made-up words."""
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{i}" for i in rng.zipf(1.3, 200) % 5_000) for _ in range(n)]


def shown_of(batch: list[str], gold: list[str]) -> Shown:
    what = wanted(profile_texts(batch), profile_texts(gold))
    return show(open_corpus(batch).batches(), what)


def test_lost_words_are_common_in_gold_and_absent_from_the_batch_the_surest_first() -> None:
    gold = [
        f"{text} zebra {'okapi' if i % 4 == 0 else ''}" for i, text in enumerate(stories(80, 1))
    ]
    batch = stories(80, 2)
    found = lost_words(profile_texts(batch), profile_texts(gold))
    assert found[:2] == ["zebra", "okapi"]
    assert not {w for text in batch for w in text.split()} & set(found)


def test_lost_words_are_at_most_as_many_as_asked_for() -> None:
    batch, gold = profile_texts(["nothing at all"]), profile_texts(stories(20, 3))
    assert len(lost_words(batch, gold, limit=5)) == 5


def test_a_stock_phrase_of_the_batch_is_quoted() -> None:
    batch = [f"{text} {STOCK}." if i % 3 == 0 else text for i, text in enumerate(stories(60, 4))]
    found = shown_of(batch, stories(60, 5))
    assert any(STOCK in phrase for phrase in found.phrases)
    assert all(any(phrase in text for text in batch) for phrase in found.phrases)


def test_a_phrase_that_gold_has_as_often_is_not_quoted() -> None:
    batch, gold = ([f"{text} {STOCK}." for text in stories(60, seed)] for seed in (4, 5))
    assert not any("important to remember" in p for p in shown_of(batch, gold).phrases)


def test_a_looping_document_is_shown_by_its_end_and_a_copy_by_its_head() -> None:
    plain = stories(40, 6)
    looping = plain[0] + " and so on and on" * 100
    found = shown_of([*plain, looping, plain[7]], stories(40, 7))
    assert found.looping == ("… " + looping[-EXCERPT:],)
    assert plain[7][:EXCERPT] + " …" in found.copied


def test_excerpts_are_few_and_short() -> None:
    batch = [text + f" round {i} and round" * 50 for i, text in enumerate(stories(40, 8))] * 2
    found = shown_of(batch, stories(40, 9))
    assert 0 < len(found.looping) <= SHOWN and 0 < len(found.copied) <= SHOWN
    assert all(len(text) <= EXCERPT + 2 for text in (*found.looping, *found.copied))


@pytest.mark.parametrize("batch", [[""] * 5, ["a b c"], ["...", ""]])
def test_nothing_is_shown_of_nothing(batch: list[str]) -> None:
    assert shown_of(batch, stories(5, 1)) == Shown()


def test_a_batch_without_documents_wants_nothing() -> None:
    what = wanted(Profile.empty(), profile_texts(stories(5, 1)))
    assert len(what.looping) == len(what.copied) == len(what.phrases) == 0
