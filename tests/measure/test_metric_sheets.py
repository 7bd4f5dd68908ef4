"""Every metric moves the way its sheet says when damage of its kind is done to real text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from tailguard.corpus import open_corpus
from tailguard.measure.profile import Profile, ProfileBuilder, profile_texts
from tailguard.measure.readings import METRICS, evaluate
from tailguard.measure.view import View

Texts = tuple[str, ...]
SENTENCES = {
    "en": "the cat and the dog are not in the house with this man of that town",
    "de": "der hund und die katze sind nicht in dem haus mit einer von auch für sich",
    "fr": "le chat et les chiens ne sont pas dans la maison avec une qui que pour sur",
    "es": "el perro y los gatos no están en la casa con una de su pero como más",
}


@cache
def real() -> tuple[Texts, Texts]:
    """Gold and batch, from alternate sections of Python's documentation."""
    texts = [
        text
        for batch in open_corpus("builtin:python-docs").batches()
        for text in batch.column("text").to_pylist()
    ]
    chosen = [text for text in texts if 60 < len(text.split()) < 400][:160]
    return tuple(chosen[::2]), tuple(chosen[1::2])


def replace_words(texts: Texts, change: Callable[[str], str]) -> Texts:
    return tuple(" ".join(map(change, text.split())) for text in texts)


def hapaxes_deleted(texts: Texts) -> Texts:
    counts = Counter(word for text in texts for word in text.split())
    return replace_words(texts, lambda word: word if counts[word] > 1 else "")


def unknown_and_rare_words_deleted(texts: Texts) -> Texts:
    counts = Counter(word.lower() for text in real()[0] for word in text.split())
    return replace_words(texts, lambda word: word if counts[word.lower()] > 2 else "")


def common_words_put_in(texts: Texts) -> Texts:
    rng = np.random.default_rng(0)
    return replace_words(texts, lambda word: "the" if rng.random() < 0.2 else word)


def an_eighth_said_eight_times(texts: Texts) -> Texts:
    """The same length of text, from few documents, each a little reworded."""
    few = texts[::8]
    return tuple(f"{text} take {i}" for i in range(8) for text in few)[: len(texts)]


def another_domain(texts: Texts) -> Texts:
    rng = np.random.default_rng(1)
    return tuple(" ".join(f"z{x}" for x in rng.zipf(1.3, 120) % 3000) for _ in texts)


def copied_from_gold(_: Texts) -> Texts:
    return real()[0]


def third(damage: Callable[[str], str]) -> Callable[[Texts], Texts]:
    return lambda texts: tuple(damage(text) if i % 3 == 0 else text for i, text in enumerate(texts))


looping = third(lambda text: text + " and then it went on again" * 60)
emptied = third(lambda text: "")
broken_off = third(lambda text: text[: text.rindex(" ")] + " and")
garbled = third(lambda text: " ".join(f"q{hash_}" for hash_ in range(len(text.split()))))


def doubled(texts: Texts) -> Texts:
    return (*texts, *texts)


# The damage that each metric is there to see.
DAMAGE: dict[str, Callable[[Texts], Texts]] = {
    "missing_mass": hapaxes_deleted,
    "coverage": hapaxes_deleted,
    "chao1": hapaxes_deleted,
    "ace": hapaxes_deleted,
    "hill_0": hapaxes_deleted,
    "hill_0_half": hapaxes_deleted,
    "hill_0_at_coverage": hapaxes_deleted,
    "heaps_slope": hapaxes_deleted,
    "entropy_words_chao_shen": hapaxes_deleted,
    "zipf_slope_spectrum_mle": hapaxes_deleted,
    "hill_1": common_words_put_in,
    "hill_2": common_words_put_in,
    "simpson": common_words_put_in,
    "unseen_mass": unknown_and_rare_words_deleted,
    "rare_mass": unknown_and_rare_words_deleted,
    "rare_recall": unknown_and_rare_words_deleted,
    "cross_entropy": common_words_put_in,
    "cross_entropy_bigrams": common_words_put_in,
    "distinct_2_pooled": an_eighth_said_eight_times,
    "distinct_3_pooled": an_eighth_said_eight_times,
    "distinct_4_pooled": an_eighth_said_eight_times,
    "entropy_4grams_sampled": an_eighth_said_eight_times,
    "self_bleu": an_eighth_said_eight_times,
    "self_repetition": an_eighth_said_eight_times,
    "word_stream_compression": an_eighth_said_eight_times,
    "vendi": an_eighth_said_eight_times,
    "effective_rank": an_eighth_said_eight_times,
    "total_variance": an_eighth_said_eight_times,
    "spread": an_eighth_said_eight_times,
    "nearest_cosine": an_eighth_said_eight_times,
    "knn_recall": an_eighth_said_eight_times,
    "knn_coverage": an_eighth_said_eight_times,
    "shared_phrases": copied_from_gold,
    "knn_precision": another_domain,
    "knn_density": another_domain,
    "frontier": another_domain,
    "mmd2": another_domain,
    "energy": another_domain,
    "sliced_wasserstein": another_domain,
    "frechet": another_domain,
    "repeated_4grams_128": looping,
    "repeating_beyond_gold": looping,
    "loop_tokens": looping,
    "looped_documents": looping,
    "near_duplicate_rate": doubled,
    "empty_documents": emptied,
    "unfinished_documents": broken_off,
    "cross_entropy_outliers": garbled,
}
# Metrics of columns: documents of many values against documents of one.
COLUMNS = {"source_diversity", "month_diversity", "language_diversity"}


@cache
def profile(damage: Callable[[Texts], Texts] | None) -> Profile:
    batch = real()[1]
    return profile_texts(batch if damage is None else damage(batch))


def test_every_metric_has_a_test_of_its_direction() -> None:
    assert DAMAGE.keys() | COLUMNS == METRICS.keys()
    assert not DAMAGE.keys() & COLUMNS


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_of_its_kind_moves_a_metric_the_way_its_sheet_says(name: str) -> None:
    metric, gold = METRICS[name], View.whole(profile_texts(real()[0]))
    sound = evaluate(metric, View.whole(profile(None)), gold)
    hurt = evaluate(metric, View.whole(profile(DAMAGE[name])), gold)
    assert math.isfinite(sound) and math.isfinite(hurt)
    if metric.worse == "lower":
        assert hurt < sound - 0.01 * abs(sound)
    elif metric.worse == "higher":
        assert hurt > sound + 0.01 * abs(sound)
    else:
        assert abs(hurt - sound) > 0.01 * abs(sound)


def counted(values: dict[str, list[str]], texts: list[str]) -> View:
    builder = ProfileBuilder()
    builder.add(pa.array(texts), {name: pa.array(column) for name, column in values.items()})
    return View.whole(builder.finish())


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_fewer_values_of_a_column_lower_its_diversity(name: str) -> None:
    column = name.removesuffix("_diversity")
    many, one = [f"v{i % 4}" for i in range(12)], ["v0"] * 12
    spoken = [SENTENCES[code] for code in ("en", "de", "fr", "es")] * 3
    if column == "language":
        wide, narrow = counted({}, spoken), counted({}, [SENTENCES["en"]] * 12)
    else:
        wide, narrow = counted({column: many}, spoken), counted({column: one}, spoken)
    metric = METRICS[name]
    assert evaluate(metric, wide, None) == pytest.approx(4)
    assert evaluate(metric, narrow, None) == pytest.approx(1)


@pytest.mark.parametrize("name", METRICS)
def test_names_in_sheets_are_keys_and_sentences_end(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert not metric.meaning[0].islower() and metric.meaning.endswith(".")
