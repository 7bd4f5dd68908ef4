"""The statistics detector: features against their definitions, no leaks, and its file."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from detect_texts import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Prepared, Stored
from tailguard.detect.detectors.dense import (
    Frequencies,
    cross_frequencies,
    local_variation,
    open_table,
    word_folds,
    word_hashes,
)
from tailguard.detect.detectors.token_statistics import GAPS, RANKS, SPANS, TokenStatisticsDetector
from tailguard.detect.leaks import auroc
from tailguard.errors import ProfileError
from tailguard.measure.store import Container, pack, unpack

MAGIC = b"TGTEST\x00\x01"
SOME = st.lists(
    st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "kl", "New", ".", ",", "?"]), max_size=90)
    .map(" ".join),
    min_size=1, max_size=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> TokenStatisticsDetector:
    rng = np.random.default_rng(1)
    detector = TokenStatisticsDetector(Window(0))
    return detector.fit(texts("human", 150, rng), texts("machine", 150, rng, own=0.12))


def known_by_hand(corpus: list[str]) -> tuple[Counter[str], Counter[tuple[str, str]], list[str]]:
    """Words, pairs of neighbouring words, and words by rank."""
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for text in corpus:
        tokens = re.findall(r"\w+|[^\w\s]", text.lower())
        words.update(t for t in tokens if t[0].isalnum())
        pairs.update(p for p in pairwise(tokens) if all(t[0].isalnum() for t in p))
    hashes = dict(zip(words, word_hashes(list(words)).tolist(), strict=True))
    return words, pairs, sorted(words, key=lambda w: (-words[w], hashes[w]))


def diversity_by_hand(words: list[str]) -> dict[str, float]:
    """Features of moving windows."""
    out: dict[str, float] = {}

    def put(name: str, values: Any, whole: float | None = None) -> None:
        size = len(values) if whole is None else whole
        out[name] = float(np.sum(values)) / size if size > 0 else np.nan

    for span in SPANS:
        windows = [
            np.array(list(Counter(words[i : i + span]).values()))
            for i in range(len(words) - span + 1)
        ]
        types = sum(len(w) for w in windows)
        put(f"different words in {span}", [len(w) / span for w in windows])
        put(f"entropy of {span} words", [-(w / span * np.log(w / span)).sum() for w in windows])
        yule = [1e4 * ((w**2).sum() - span) / span**2 for w in windows]
        put(f"Yule's K of {span} words", yule)
        put(f"share said once in {span}", [(w == 1).sum() for w in windows], types)
        put(f"share said twice in {span}", [(w == 2).sum() for w in windows], types)
    whole = [np.sort(w)[::-1] for w in windows[::span] if len(w) > 1]
    slopes = [np.polyfit(np.log(np.arange(1, len(w) + 1)), np.log(w), 1)[0] for w in whole]
    put(f"Zipf slope of {span} words", slopes)
    return out


def sentences_by_hand(tokens: list[str], logs: Any) -> dict[str, float]:
    """How log-frequency varies from sentence to sentence."""
    out: dict[str, float] = {}
    ends, k = [], 0
    for at, token in enumerate(tokens):
        k += token[0].isalnum()
        following = "".join(tokens[at + 1 : at + 2])
        if token in ".?" and k and not re.match("[a-z]", following):
            ends.append(k)
    means = [logs[a:b].mean() for a, b in zip([0, *ends], ends, strict=False) if b - a >= 4]
    out["variance of sentences' log-frequency"] = (
        np.var(means, ddof=1) if len(means) > 1 else np.nan
    )
    changes = np.abs(np.diff(means))
    out["change between sentences' log-frequency"] = changes.mean() if len(changes) else np.nan
    return out


def by_hand(text: str, corpus: list[str]) -> dict[str, float]:
    """The features, from their definitions and without a thought for speed."""
    counts, pair_counts, ranked = known_by_hand(corpus)
    total = sum(counts.values())
    mass = total + (len(counts) + 1) / 2
    tokens = re.findall(r"\w+|[^\w\s]", text)
    words = [t.lower() for t in tokens if t[0].isalnum()]
    n = len(words)
    rank = [ranked.index(w) + 1 if w in counts else np.inf for w in words]
    logs = np.array([np.log((counts[w] + 0.5) / mass) for w in words])
    out: dict[str, float] = {}

    def put(name: str, values: Any) -> None:
        out[name] = float(np.mean(values)) if len(values) else np.nan

    for low, high in zip((0, *RANKS[:-1]), RANKS, strict=True):
        put(f"words of rank {low + 1} to {high}", [low < r <= high for r in rank])
    put("unseen words", [r == np.inf for r in rank])
    put("log-frequency", logs)
    if n > 1 and logs.var() > 1e-9:
        out["spread of log-frequency"] = logs.std(ddof=1)
        out["change of log-frequency"] = np.abs(np.diff(logs)).mean() / logs.std(ddof=1)
        lagged = (logs[1:] * logs[:-1]).mean() - logs.mean() ** 2
        out["persistence of log-frequency"] = lagged / logs.var(ddof=1)
    out |= sentences_by_hand(tokens, logs)
    for g in GAPS:
        for name, frequent in (("frequent", True), ("other", False)):
            places = [i for i in range(g, n) if (rank[i] <= 150) == frequent]
            put(f"{name} words again within {g}", [words[i] in words[i - g : i] for i in places])
    for name, chosen in (("rare", lambda r: r > 1000), ("frequent", lambda r: r <= 150)):
        gaps = np.diff([i for i in range(n) if chosen(rank[i])])
        varies = [3 * ((a - b) / (a + b)) ** 2 for a, b in pairwise(gaps)]
        put(f"burstiness of {name} words", varies)
    pairs = [
        (a.lower(), b.lower()) for a, b in pairwise(tokens)
        if a[0].isalnum() and b[0].isalnum()
    ]  # fmt: skip
    seen = [p for p in pairs if p in pair_counts]
    put("word pairs seen", [p in pair_counts for p in pairs])
    put(
        "information of word pairs",
        [np.log(pair_counts[p] * total / (counts[p[0]] * counts[p[1]])) for p in seen],
    )
    return out | diversity_by_hand(words)


@given(SOME, SOME)
@settings(max_examples=40, deadline=None)
def test_every_feature_equals_its_definition(corpus: list[str], batch: list[str]) -> None:
    learnt = Prepared.of([*corpus, "ab cd"])
    n = len(learnt)
    everyone = np.ones(n, np.bool_)
    known = cross_frequencies(learnt, everyone, np.zeros(n, np.int64), 1)[1]
    detector = TokenStatisticsDetector(Window(0), frequencies=known)
    found = detector.features(Prepared.of(batch))
    for row, text in zip(found, batch, strict=True):
        named = dict(zip(detector.names, row.tolist(), strict=True))
        for name, value in by_hand(text, [*corpus, "ab cd"]).items():
            assert named[name] == pytest.approx(value, abs=1e-8, nan_ok=True), name


@pytest.mark.parametrize("n", [2, 5, 50])
def test_burstiness_is_unbiased_at_every_length(n: int) -> None:
    rng = np.random.default_rng(0)
    chance = rng.exponential(size=(20_000, n))
    found = local_variation.py_func(chance[:, 1:], chance[:, :-1]).mean(axis=1)
    assert abs(found.mean() - 1) < 4 * found.std() / np.sqrt(len(found))
    assert local_variation.py_func(7, 7) == 0
    bursts = chance**3
    assert local_variation.py_func(bursts[:, 1:], bursts[:, :-1]).mean() > 1.5


def test_a_fold_is_looked_up_in_the_frequencies_of_the_others() -> None:
    corpus = Prepared.of(["ab ab cd", "cd ef", "gh gh gh ab ef"])
    human = np.array([True, True, False])
    first, second, whole = cross_frequencies(corpus, human, np.array([0, 1, 0]), 2)
    ab, cd, ef = word_hashes(["ab", "cd", "ef"])

    def table(found: Frequencies) -> dict[Any, int]:
        return dict(zip(found.words.tolist(), found.counts.tolist(), strict=True))

    assert table(first) == {cd: 1, ef: 1}
    assert table(second) == {ab: 2, cd: 1}
    assert table(whole) == {ab: 2, cd: 2, ef: 1}
    assert (len(first.pairs), len(second.pairs), len(whole.pairs)) == (1, 2, 3)
    assert whole.mass == 5 + (3 + 1) / 2


def test_groups_stay_together_in_folds() -> None:
    groups = np.random.default_rng(0).integers(0, 40, 300)
    folds = word_folds(groups, 5)
    assert all(len(set(folds[groups == g])) == 1 for g in groups)
    assert set(folds) == set(range(5))


def test_human_texts_do_not_know_their_own_words() -> None:
    rng = np.random.default_rng(2)

    # Each text has a subject of its own: were its own words known, "unseen" would tell all.
    def subject(k: int) -> str:
        return " ".join(f"subject{k}x{w}" for w in rng.integers(0, 12, 60))

    human, synthetic = ([subject(k) for k in range(at, at + 100)] for at in (0, 500))
    detector = TokenStatisticsDetector(Window(0)).fit(human[:60], synthetic[:60])
    assert abs(auroc(detector.score(human[60:]), detector.score(synthetic[60:])) - 0.5) < 0.2


def test_higher_scores_mean_more_likely_synthetic(fitted: TokenStatisticsDetector) -> None:
    rng = np.random.default_rng(3)
    human = fitted.score(texts("human", 150, rng))
    machine = fitted.score(texts("machine", 150, rng, own=0.12))
    assert auroc(human, machine) > 0.8
    assert np.median(human) < 0 < np.median(machine)


def test_length_alone_is_not_found_out() -> None:
    rng = np.random.default_rng(4)

    def some(n: int, least: int) -> list[str]:
        return [texts("human", 1, rng, words=least + int(rng.integers(60)), own=0.1)[0]
                for _ in range(n)]  # fmt: skip

    short, long = some(500, 60), some(500, 240)
    detector = TokenStatisticsDetector(Window(0)).fit(short[:250], long[:250])
    found = auroc(detector.score(short[250:]), detector.score(long[250:]))
    # Three standard errors of an AUROC of two samples of 250 without a difference.
    assert abs(found - 0.5) < 3 * np.sqrt(501 / (12 * 250 * 250)), found


def test_diversity_does_not_fall_when_a_text_grows() -> None:
    rng = np.random.default_rng(5)
    detector = TokenStatisticsDetector(Window(0))
    learnt = Prepared.of(texts("human", 50, rng))
    folds = np.zeros(50, np.int64)
    detector.frequencies = cross_frequencies(learnt, np.ones(50, np.bool_), folds, 1)[1]
    one, ten = (
        detector.features(Prepared.of(texts("human", n, rng, words=words)))
        for n, words in ((400, 60), (40, 600))
    )
    for name in ("different words in 50", "entropy of 25 words", "Yule's K of 50 words",
                 "other words again within 25", "unseen words",
                 "Zipf slope of 50 words"):  # fmt: skip
        k = detector.names.index(name)
        a, b = (side[~np.isnan(side[:, k]), k] for side in (one, ten))
        error = np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) < 4 * error, name


def test_a_score_does_not_depend_on_its_neighbours(fitted: TokenStatisticsDetector) -> None:
    rng = np.random.default_rng(6)
    batch = [
        *texts("human", 4, rng),
        "",
        "x",
        "...",
        "é漢字🙂",
        *texts("machine", 3, rng, words=300),
    ]
    alone = np.concatenate([fitted.score([text]) for text in batch])
    assert np.array_equal(fitted.score(batch), alone, equal_nan=True)
    assert np.isnan(alone[4]) and np.isfinite(np.delete(alone, 4)).all()


def test_fitting_twice_gives_the_same_detector(fitted: TokenStatisticsDetector) -> None:
    rng = np.random.default_rng(1)
    again = TokenStatisticsDetector(Window(0))
    again.fit(texts("human", 150, rng), texts("machine", 150, rng, own=0.12))
    assert dump(again) == dump(fitted)


def test_evidence_names_features_and_adds_up(fitted: TokenStatisticsDetector) -> None:
    text = texts("machine", 1, np.random.default_rng(7))[0]
    parts = fitted.evidence(text, most=1000)
    assert sum(v for _, v in parts) + fitted.bias == pytest.approx(fitted.score([text])[0])
    assert [abs(v) for _, v in parts] == sorted((abs(v) for _, v in parts), reverse=True)
    assert len(fitted.evidence(text)) == 5
    assert fitted.evidence("") == []
    assert {name.rsplit(": ")[0] for name, _ in parts} <= set(fitted.names)
    unseen = dict(fitted.evidence("zz1 zz2 zz3 zz4 zz5 zz6", most=1000))
    assert "unseen words: high" in unseen


@pytest.mark.parametrize(
    "text", ["漢字" * 500, "Привет мир " * 80, "สวัสดี" * 60, "word", "word " * 500, "?!", "🙂 " * 90]
)
def test_strange_texts_have_finite_scores(fitted: TokenStatisticsDetector, text: str) -> None:
    assert np.isfinite(fitted.score([text])).all()


def test_ten_megabytes_of_one_word_are_scored(fitted: TokenStatisticsDetector) -> None:
    assert np.isfinite(fitted.score(["word " * 2_000_000, "a" * 10_000_000])).all()


def test_an_unfitted_detector_refuses_everything() -> None:
    detector = TokenStatisticsDetector()
    for call in (lambda: detector.score(["text"]), detector.state, lambda: detector.evidence("a")):
        with pytest.raises(DetectorError, match="fitted"):
            call()


def dump(detector: TokenStatisticsDetector, **change: Any) -> bytes:
    values, arrays = detector.state()
    for name, value in change.items():
        (arrays if name in arrays else values)[name] = value
    return pack(MAGIC, {"settings": values}, arrays)


def load(data: bytes) -> TokenStatisticsDetector:
    def build(header: dict[str, Any], body: bytes) -> TokenStatisticsDetector:
        stored = Stored(Container(header, body))
        return TokenStatisticsDetector.restore(Window(0), header["settings"], stored)

    return unpack(data, MAGIC, "detector", build)


def test_a_file_gives_back_the_same_scores(fitted: TokenStatisticsDetector) -> None:
    batch = texts("machine", 30, np.random.default_rng(8))
    back = load(dump(fitted))
    assert np.array_equal(back.score(batch), fitted.score(batch))
    assert dump(back) == dump(fitted)
    assert back.evidence(batch[0]) == fitted.evidence(batch[0])


def test_hostile_files_are_one_clear_line(fitted: TokenStatisticsDetector) -> None:
    known, k = fitted.frequencies, len(fitted.names)
    assert known is not None and fitted.scale is not None and fitted.weights is not None
    for change in (
        {"names": ["other"]}, {"penalty": -1.0}, {"bias": float("nan")}, {"bias": "much"},
        {"scale": np.zeros(k)}, {"scale": -fitted.scale}, {"center": np.full(k, np.inf)},
        {"weights": fitted.weights[1:]}, {"weights": np.full(k, 1e300)},
        {"words": known.words[:-1]}, {"words": np.zeros_like(known.words)},
        {"words": np.repeat(known.words[:1], len(known.words))}, {"counts": known.counts[::-1]},
        {"counts": -known.counts}, {"counts": np.full(len(known.counts), 1 << 47)},
        {"mass": 1.0}, {"mass": float("inf")}, {"mass": float("nan")}, {"mass": "1"},
        {"mass": None}, {"information": known.information * np.nan},
        {"information": known.information + 1e5}, {"information": known.information[:-1]},
        {"pairs": known.pairs * np.uint64(0)},
    ):  # fmt: skip
        with pytest.raises(ProfileError, match="well-formed") as caught:
            load(dump(fitted, **change))
        assert "\n" not in str(caught.value), change


def test_hashes_made_to_collide_are_refused_before_they_take_long() -> None:
    with pytest.raises(ValueError, match="collide"):
        open_table(np.arange(1, 3_000, dtype=np.uint64) << np.uint64(40))
