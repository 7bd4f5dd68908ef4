"""The n-gram language models against a slow reference and theory, and their detector."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from detect_texts import COMMON, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors import ngram_tables
from tailguard.detect.detectors.base import Stored
from tailguard.detect.detectors.language_model import LanguageModelDetector, halves
from tailguard.detect.detectors.ngram_tables import NgramTables
from tailguard.detect.leaks import auroc
from tailguard.measure.store import Container, pack

Texts = list[list[int]]
WORDS = st.lists(st.integers(0, 4), max_size=8)
CORPUS = st.lists(WORDS, min_size=1, max_size=6)


class Reference:
    """The formulae of ngram_tables for one class, with dictionaries of tuples."""

    def __init__(self, own: Texts, other: Texts, order: int, discount: float) -> None:
        self.d, self.order = discount, order
        self.counts = Counter(
            tuple(text[i : i + n])
            for text in own
            for n in range(1, order + 1)
            for i in range(len(text) - n + 1)
        )
        self.total = sum(c for gram, c in self.counts.items() if len(gram) == 1)
        self.types = len({word for text in own + other for word in text})

    def given(self, gram: tuple[int, ...]) -> float:
        return max(self.counts[gram] - self.d, 0.0)

    def p(self, word: int, context: tuple[int, ...]) -> float:
        if not context:
            spent = sum(self.given(g) for g in self.counts if len(g) == 1)
            left = (self.total - spent) / self.total
            return self.given((word,)) / self.total + left / (self.types + 1)
        lower = self.p(word, context[1:])
        if not self.counts[context]:
            return lower
        n = len(context) + 1
        followers = [g for g in self.counts if len(g) == n and g[:-1] == context]
        left = self.counts[context] - sum(self.given(g) for g in followers)
        return (self.given((*context, word)) + left * lower) / self.counts[context]

    def log(self, text: list[int]) -> list[float]:
        return [
            math.log(self.p(word, tuple(text[max(0, i - self.order + 1) : i])))
            for i, word in enumerate(text)
        ]


def arrays(corpus: Texts) -> tuple[Any, Any]:
    flat = [word + 1 for text in corpus for word in text]
    return np.array(flat, np.uint64), np.cumsum([0, *(len(text) for text in corpus)])


def tables(
    human: Texts, machine: Texts, order: int, discount: float, most: int = ngram_tables.MOST
) -> NgramTables:
    label = np.repeat([False, True], [len(human), len(machine)])
    return NgramTables.count(
        *arrays(human + machine), label, order=order, discount=discount, most=most
    )


@settings(deadline=None, max_examples=60)
@given(CORPUS, CORPUS, CORPUS, st.integers(1, 4), st.sampled_from([0.3, 0.9, 1.0]))
def test_compiled_log_probabilities_equal_the_slow_reference(
    human: Texts, machine: Texts, held: Texts, order: int, discount: float
) -> None:
    human, machine = [*human, [0, 1]], [*machine, [2, 1]]
    held = [*held, [9, 0, 1, 9, 9, 2]]  # 9 is known to nobody
    found = tables(human, machine, order, discount)
    sides = [Reference(human, machine, order, discount), Reference(machine, human, order, discount)]
    wanted = [[p for text in held for p in side.log(text)] for side in sides]
    stream, offsets = arrays(held)
    assert np.allclose(found.logs(stream, offsets), np.transpose(wanted), atol=1e-5)
    sums = [[sum(side.log(text)) for side in sides] for text in held]
    assert np.allclose(found.sums(stream, offsets), sums, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(CORPUS, CORPUS, WORDS, st.integers(1, 4), st.integers(2, 12))
def test_next_word_probabilities_sum_to_one_after_any_context(
    human: Texts, machine: Texts, context: list[int], order: int, most: int
) -> None:
    human, machine = [*human, [0, 1]], [*machine, [2, 1]]
    found = tables(human, machine, order, 0.8, most=most)  # few grams kept: most are dropped
    known = [int(key) for key in range(5) if key in {w for t in human + machine for w in t}]
    kept = found.grams[0].keys
    total = np.zeros(2)
    said = 0
    for word in known:
        stream, offsets = arrays([[*context, word]])
        ends = np.zeros(len(stream), np.uint64)
        ngram_tables._ends(stream, offsets, 1, ends)
        if ends[-1] in kept:  # a word that was dropped is as unknown as any other
            said += 1
            total += np.exp(found.logs(stream, offsets)[-1])
    stream, offsets = arrays([[*context, 99]])
    total += np.exp(found.logs(stream, offsets)[-1])
    assert said == len(kept)
    assert np.allclose(total, 1.0, atol=1e-5)


def test_counting_in_bands_keeps_the_most_frequent_grams(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    corpus = [rng.zipf(1.5, 50).clip(max=200).tolist() for _ in range(40)]
    whole = tables(corpus[:20], corpus[20:], 2, 0.9, most=60)
    monkeypatch.setattr(ngram_tables, "AT_ONCE", 100)
    banded = tables(corpus[:20], corpus[20:], 2, 0.9, most=60)
    for one, other in zip(whole.grams, banded.grams, strict=True):
        assert np.array_equal(one.keys, other.keys) and np.array_equal(one.counts, other.counts)
    words = Counter(word for text in corpus for word in text)
    wanted = sorted(words.values(), reverse=True)[:60]
    assert sorted(whole.grams[0].counts.sum(axis=1).tolist(), reverse=True) == wanted


@pytest.fixture(scope="module")
def fitted() -> LanguageModelDetector:
    rng = np.random.default_rng(1)
    return LanguageModelDetector().fit(texts("human", 200, rng), texts("machine", 200, rng))


def test_held_out_synthetic_texts_score_higher(fitted: LanguageModelDetector) -> None:
    rng = np.random.default_rng(2)
    human, machine = (fitted.score(texts(kind, 200, rng)) for kind in ("human", "machine"))
    assert auroc(human, machine) > 0.9
    assert np.median(human) < 0 < np.median(machine)


def test_perplexity_alone_inverts_where_the_ratio_does_not() -> None:
    # Synthetic texts say the commonest human words, and so are likelier to a model of human texts
    # than human texts are; in `rare` they say the rarest, and are less likely.
    rng = np.random.default_rng(3)
    law = 1.0 / np.arange(1, 301)

    def say(power: float, n: int) -> list[str]:
        p = law**power / (law**power).sum()
        return [" ".join(rng.choice(COMMON, 60, p=p).tolist()) for _ in range(n)]

    human = say(1.0, 300)
    for power, inverted in ((1.6, True), (0.4, False)):
        detector = LanguageModelDetector().fit(human[:150], say(power, 150))
        held = human[150:], say(power, 150)
        scores = [detector.score(side) for side in held]
        perplexities = [detector.cross_entropies(side)[:, 0] for side in held]
        assert auroc(*scores) > 0.9
        assert (auroc(*perplexities) < 0.1) == inverted
        assert (auroc(*perplexities) > 0.9) != inverted


def test_the_score_is_the_ratio_less_its_tilt(fitted: LanguageModelDetector) -> None:
    rng = np.random.default_rng(4)
    some = [*texts("machine", 20, rng), ""]
    each = fitted.cross_entropies(some)
    assert fitted.tilt == 0  # no groups were known
    assert np.allclose(fitted.score(some), each[:, 0] - each[:, 1], equal_nan=True)
    assert (each[:-1] > 0).all() and np.isnan(each[-1]).all()
    leaning = copy.deepcopy(fitted)
    leaning.tilt, leaning.centre = 0.5, 3.0
    wanted = each[:, 0] - each[:, 1] - 0.5 * (each.mean(axis=1) - 3.0)
    assert np.allclose(leaning.score(some), wanted, equal_nan=True)


def test_the_tilt_mends_a_class_whose_texts_are_copied() -> None:
    # Humans say more new words. Each human training text stands three times, so the human model
    # expects a third of the new words that it should, and takes them for synthetic.
    rng = np.random.default_rng(5)

    def say(kind: str, n: int, new: float) -> list[str]:
        out = []
        for text in texts(kind, n, rng, own=0.04):
            words = np.array(text.split(), object)
            fresh = rng.random(len(words)) < new
            words[fresh] = [f"new{k}" for k in rng.integers(0, 10**9, fresh.sum())]
            out.append(" ".join(words))
        return out

    human, machine = say("human", 100, 0.12), say("machine", 100, 0.06)
    copied = [text for text in human for _ in range(3)]
    groups = np.repeat(np.arange(100), 3), np.arange(100)
    held = say("human", 300, 0.12), say("machine", 300, 0.06)
    once = LanguageModelDetector().fit(human, machine)
    plain = LanguageModelDetector(tilted=False).fit(copied, machine, groups=groups)
    mended = LanguageModelDetector().fit(copied, machine, groups=groups)
    best, worse, again = (auroc(*map(d.score, held)) for d in (once, plain, mended))
    assert plain.tilt == 0 < mended.tilt <= 1
    assert best - worse > 0.05  # the planted fault is there
    assert again > (best + worse) / 2  # and most of it is mended


def test_halves_keep_groups_whole_and_hold_both_classes() -> None:
    rng = np.random.default_rng(6)
    groups = rng.integers(0, 30, 200)
    label = rng.random(200) < 0.5
    half = halves(label, groups)
    assert half is not None
    for group in range(30):
        assert len(set(half[groups == group].tolist())) <= 1
    assert {(int(h), bool(s)) for h, s in zip(half, label, strict=True)} == {
        (0, False), (0, True), (1, False), (1, True)
    }  # fmt: skip
    assert halves(label, label.astype(np.int64)) is None  # a group for each class
    assert halves(label, np.zeros(200, np.int64)) is None


def test_a_score_does_not_depend_on_its_neighbours(fitted: LanguageModelDetector) -> None:
    rng = np.random.default_rng(7)
    batch = [*texts("human", 5, rng), "", "x", "y " * 100_000, *texts("machine", 5, rng)]
    alone = np.concatenate([fitted.score([text]) for text in batch])
    assert np.array_equal(fitted.score(batch), alone, equal_nan=True)
    assert np.array_equal(fitted.score(batch[::-1]), alone[::-1], equal_nan=True)
    assert np.isnan(alone[5]) and np.isfinite(np.delete(alone, 5)).all()
    assert fitted.score([]).shape == (0,)


def test_only_the_window_of_a_text_is_scored() -> None:
    rng = np.random.default_rng(8)
    detector = LanguageModelDetector(Window(20))
    detector.fit(texts("human", 60, rng), texts("machine", 60, rng))
    end = " ".join(["word1 word2"] * 10)
    same = detector.score([end, "delve1 " * 50 + end])
    assert same[0] == same[1]
    each = detector.cross_entropies([end, "delve1 " * 50 + end])
    assert np.array_equal(each[0], each[1])


def test_evidence_names_the_words_and_sums_to_the_score(fitted: LanguageModelDetector) -> None:
    text = " ".join(["word1"] * 10 + ["delve3", "plain4", "delve3"] + ["word2"] * 10)
    shown = fitted.evidence(text, most=2)
    assert [word for word, _ in shown] == ["delve3", "plain4"]
    assert shown[0][1] > 0 > shown[1][1]
    whole = fitted.evidence(text, most=1_000)
    assert len(whole) == 4
    assert sum(nats for _, nats in whole) == pytest.approx(float(fitted.score([text])[0]))
    assert fitted.evidence("  ") == []


def stored(detector: LanguageModelDetector, **changed: Any) -> tuple[dict[str, Any], Stored]:
    """Settings and arrays of a detector, by way of bytes, some of them changed."""
    state, found = detector.state()
    state |= {name: value for name, value in changed.items() if name in state}
    found |= {name.replace("_", "."): v for name, v in changed.items() if name not in state}
    data = pack(b"TGTEST\x00\x01", {"detector": state}, found)
    size = int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + size])
    return header["detector"], Stored(Container(header, data[16 + size : -32]))


def test_a_file_gives_back_the_same_detector(fitted: LanguageModelDetector) -> None:
    rng = np.random.default_rng(9)
    some = texts("machine", 30, rng)
    back = LanguageModelDetector.restore(fitted.window, *stored(fitted, tilt=0.25, centre=5.0))
    assert (back.tilt, back.centre) == (0.25, 5.0)
    back.tilt = back.centre = 0.0
    assert np.array_equal(back.score(some), fitted.score(some))
    assert back.state()[0] == fitted.state()[0]
    for name, values in fitted.state()[1].items():
        assert np.array_equal(values, back.state()[1][name])


def hostile() -> list[tuple[str, Any]]:
    far, near = np.uint32(2**32 - 1), np.uint64(7)
    return [
        ("order", lambda a: 6), ("order", lambda a: True), ("order", lambda a: 2.0),
        ("discount", lambda a: 0.0), ("discount", lambda a: 1.5), ("discount", lambda a: "0.5"),
        ("most", lambda a: 0), ("tilt", lambda a: 2.0), ("tilt", lambda a: float("nan")),
        ("centre", lambda a: float("inf")), ("tilted", lambda a: 1),
        ("1_keys", lambda a: a["1.keys"][::-1].copy()),
        ("2_keys", lambda a: np.full_like(a["2.keys"], near)),
        ("3_keys", lambda a: np.concatenate([[0], a["3.keys"][1:]]).astype(np.uint64)),
        ("3_keys", lambda a: np.arange(1, len(a["3.keys"]) + 1).astype(np.uint64) << np.uint64(40)),
        ("1_keys", lambda a: a["1.keys"].astype(np.int64)),
        ("1_counts", lambda a: a["1.counts"][1:]), ("2_counts", lambda a: 0 * a["2.counts"]),
        ("1_counts", lambda a: a["1.counts"] * np.array([0, 0], np.uint32)),
        ("2_context", lambda a: a["2.context"] + far // 2),
        ("3_suffix", lambda a: a["3.suffix"][1:]),
        ("2_suffix", lambda a: a["2.suffix"] + np.uint32(len(a["1.keys"]))),
    ]  # fmt: skip


@pytest.mark.parametrize("case", range(len(hostile())))
def test_a_hostile_file_is_refused(fitted: LanguageModelDetector, case: int) -> None:
    name, change = hostile()[case]
    state = stored(fitted, **{name: change(fitted.state()[1])})
    with pytest.raises((ValueError, KeyError, TypeError)):
        LanguageModelDetector.restore(fitted.window, *state)


def test_bad_settings_and_unfitted_detectors_are_one_clear_line() -> None:
    rng = np.random.default_rng(10)
    human, machine = texts("human", 25, rng), texts("machine", 25, rng)
    for settings_, word in (({"order": 0}, "order"), ({"discount": math.nan}, "discount"),
                            ({"most": 0}, "most")):  # fmt: skip
        with pytest.raises(DetectorError, match=word):
            LanguageModelDetector(**settings_).fit(human, machine)
    fresh = LanguageModelDetector()
    for use in (lambda: fresh.score(["a"]), lambda: fresh.cross_entropies(["a"]), fresh.state):
        with pytest.raises(DetectorError, match="fitted"):
            use()


def test_fitting_twice_gives_the_same_file() -> None:
    files = []
    for _ in range(2):
        rng = np.random.default_rng(11)
        detector = LanguageModelDetector()
        groups = np.arange(40) // 2, np.arange(40) // 2
        detector.fit(texts("human", 40, rng), texts("machine", 40, rng), groups=groups)
        state, found = detector.state()
        files.append(pack(b"TGTEST\x00\x01", {"detector": state}, found))
    assert files[0] == files[1]
