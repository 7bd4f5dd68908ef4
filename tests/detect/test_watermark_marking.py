"""Marking: the laws of the draws, and that marks are found again, with the right key alone."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, chisquare
from watermark_cases import KEY, KEYS, OTHER, small_model

from tailguard.detect.watermark import SCHEMES, Detection, Scheme, WatermarkError
from tailguard.detect.watermark.detection import Finding
from tailguard.detect.watermark.logits import WatermarkLogits, mark_logits
from tailguard.detect.watermark.sampling import choose, marker, tilt, values
from tailguard.detect.watermark.units import collect_with, unit_scores
from tailguard.errors import InputError
from tailguard.lab.families.ngram import NGram, tokenize
from tailguard.lab.watermarked import WatermarkedNGram, lab_ids

ALL = [Scheme(name) for name in SCHEMES]
LAW = np.array([0.5, 0.25, 0.15, 0.07, 0.03, 0.0])
IDS = np.arange(6, dtype=np.uint64) + 90
CONTEXT = np.array([3, 1, 4, 1, 5], np.uint64)


def marked_law(scheme: Scheme, key: object) -> tuple[np.ndarray, np.ndarray]:
    it, value, law = marker(scheme, key), np.empty(6, np.uint64), LAW.copy()  # type: ignore[arg-type]
    values(it, CONTEXT, IDS, value)
    tilt(it, value, law)
    return law, value


@pytest.mark.parametrize("scheme", ALL, ids=SCHEMES)
def test_a_marked_law_sums_to_one_and_never_allows_the_impossible(scheme: Scheme) -> None:
    for key in KEYS[:50]:
        law, _ = marked_law(scheme, key)
        assert law.sum() == pytest.approx(1) and law.min() >= 0 and law[5] == 0


@pytest.mark.parametrize("scheme", ALL, ids=SCHEMES)
def test_the_sampler_and_the_detector_see_the_same_value(scheme: Scheme) -> None:
    _, value = marked_law(scheme, KEY)
    docs = np.concatenate([np.append(CONTEXT, token) for token in IDS])
    units = collect_with(docs, np.arange(7) * 6, scheme, KEY.words(scheme)[None])
    last = [units.values[stop - 1] for stop in units.offsets[1:]]
    if scheme.context:
        assert last == value.tolist()
    else:
        assert set(value.tolist()) <= set(units.values.tolist())


@pytest.mark.parametrize("name", ["exp", "synthid"])
def test_over_keys_the_marked_law_is_the_law_of_the_model(name: str) -> None:
    laws = np.array([marked_law(Scheme(name), key)[0] for key in KEYS])  # type: ignore[arg-type]
    error = laws.std(axis=0) / np.sqrt(len(KEYS))
    assert (np.abs(laws.mean(axis=0) - LAW) <= 4.5 * error + 1e-12).all()


def test_green_schemes_raise_green_odds_by_delta_exactly() -> None:
    scheme = Scheme("kgw", gamma=0.5, delta=1.5)
    for key in KEYS[:30]:
        law, value = marked_law(scheme, key)
        green = unit_scores(scheme, value) > 0
        expected = LAW * np.where(green, np.exp(1.5), 1.0)
        np.testing.assert_allclose(law, expected / expected.sum())


def test_exp_takes_the_token_with_the_least_time() -> None:
    for key in KEYS[:30]:
        law, value = marked_law(Scheme("exp"), key)
        r = (value[:5].astype(float) + 0.5) / 2.0**64
        assert law[np.argmax(r ** (1 / LAW[:5]))] == 1.0


def test_one_layer_of_synthid_is_a_tournament_of_two() -> None:
    law, value = marked_law(Scheme("synthid", layers=1), KEY)
    g = (value & np.uint64(1)).astype(int)
    assert 0 < g[:5].sum() < 5
    played = np.zeros(6)
    for a in range(6):
        for b in range(6):
            for winner in {(True, False): [a], (False, True): [b]}.get(
                (bool(g[a] > g[b]), bool(g[b] > g[a])), [a, b]
            ):
                share = 1.0 if g[a] != g[b] else 0.5
                played[winner] += LAW[a] * LAW[b] * share
    np.testing.assert_allclose(law, played)


def found(scheme: Scheme, texts: list[str], **settings: object) -> list[Finding]:
    return Detection(scheme, [KEY], **settings).update(lab_ids(texts))  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ALL, ids=SCHEMES)
def test_marked_samples_are_found_and_plain_ones_and_other_keys_are_not(scheme: Scheme) -> None:
    rng = np.random.default_rng(4)
    lengths = np.full(8, 260)
    marked = WatermarkedNGram(small_model(), scheme, KEY).sample(8, rng=rng, lengths=lengths)
    test = Detection(scheme, [OTHER, KEY])
    findings = test.update(lab_ids(marked))
    assert [f.decision for f in findings].count("marked") >= 7
    assert {f.key for f in findings if f.decision == "marked"} == {"ours"}
    overall = test.overall()
    assert overall["ours"] < 1e-10 and overall["theirs"] > 1e-3 and test.decision() == "marked"
    plain = found(scheme, small_model().sample(8, rng=rng))
    assert [f.decision for f in plain].count("marked") == 0
    theirs = Detection(scheme, [OTHER])
    assert "marked" not in {f.decision for f in theirs.update(lab_ids(marked))}
    assert theirs.decision() == "not found"


def test_without_a_bonus_documents_come_as_often_as_the_model_says() -> None:
    rng, n = np.random.default_rng(5), 20_000
    model = NGram(order=3, escape=2.0).fit(["a b a c a b", "b c a b c"], rng=rng)
    marked = WatermarkedNGram(model, Scheme("kgw", delta=0.0), KEY)
    times = Counter(marked.sample(n, rng=rng, lengths=np.full(n, 3)))
    documents = [" ".join(words) for words in product("abc", repeat=3)]
    chances = np.exp(3 * model.log_prob(documents))
    assert chances.sum() == pytest.approx(1) and sum(times[text] for text in documents) == n
    seen = np.array([times[text] for text in documents])
    assert chisquare(seen[chances > 0], n * chances[chances > 0]).pvalue > 1e-4


def test_exp_does_not_let_a_repeated_context_decide_twice() -> None:
    # A model that knows one context would otherwise write one word for ever.
    rng = np.random.default_rng(6)
    model = NGram(order=1).fit(["a b c d"], rng=rng)
    text = WatermarkedNGram(model, Scheme("exp", width=1), KEY).sample(1, rng=rng, lengths=[400])
    words = text[0].split()
    assert min(words.count(word) for word in "abcd") > 60


def test_the_same_seed_and_key_write_the_same_and_another_key_does_not() -> None:
    def written(key: object) -> list[str]:
        it = WatermarkedNGram(small_model(), Scheme("synthid"), key)  # type: ignore[arg-type]
        return it.sample(2, rng=np.random.default_rng(9), lengths=[30, 30])

    assert written(KEY) == written(KEY) != written(OTHER)
    assert [len(tokenize(text)) for text in written(KEY)] == [30, 30]


def test_windows_find_a_marked_passage_that_the_whole_document_hides() -> None:
    rng = np.random.default_rng(10)
    scheme, model = Scheme("kgw"), small_model()
    passage = WatermarkedNGram(model, scheme, KEY).sample(1, rng=rng, lengths=[150])[0]
    human = rng.integers(10_000, 20_000, (2, 2_500)).astype(np.uint64)
    document = np.concatenate([human[0], lab_ids([passage])[0], human[1]])
    whole = Detection(scheme, [KEY]).update([document])[0]
    best = Detection(scheme, [KEY], windows=True).update([document])[0]
    assert whole.decision == "not found" and best.decision == "marked" and best.p < 1e-6
    assert best.tokens is not None
    overlap = min(best.tokens[1], 2_650) - max(best.tokens[0], 2_500)
    assert overlap > 0.7 * (best.tokens[1] - best.tokens[0])


def test_every_document_is_corrected_for_the_number_of_keys() -> None:
    documents = list(np.random.default_rng(15).integers(0, 10_000, (40, 60)))
    alone = [[f.p for f in Detection(Scheme("exp"), [key]).update(documents)] for key in KEYS[:5]]
    together = [f.p for f in Detection(Scheme("exp"), KEYS[:5]).update(documents)]
    np.testing.assert_allclose(together, np.minimum(5 * np.min(alone, axis=0), 1))


def test_an_abstention_allows_for_the_windows_and_keys_that_are_tried() -> None:
    # 90 units: 0.9^90 = 7.6e-5 is below 1e-4, but not when 20 windows or two keys are tried.
    document, scheme = [np.arange(91)], Scheme("kgw", gamma=0.9)
    decisions = [
        Detection(scheme, keys, windows=windows).update(document)[0].decision
        for keys, windows in (([KEY], False), ([KEY], True), ([KEY, OTHER], False))
    ]
    assert decisions == ["not found", "abstain", "abstain"]


def test_many_documents_too_short_alone_are_found_together() -> None:
    rng = np.random.default_rng(11)
    marked = WatermarkedNGram(small_model(), Scheme("kgw"), KEY)
    texts = marked.sample(80, rng=rng, lengths=np.full(80, 7))
    test = Detection(Scheme("kgw"), [KEY])
    assert {f.decision for f in test.update(lab_ids(texts))} == {"abstain"}
    assert test.decision() == "marked"


def test_copies_of_one_document_are_no_more_evidence_than_one() -> None:
    rng = np.random.default_rng(12)
    text = WatermarkedNGram(small_model(), Scheme("kgw"), KEY).sample(1, rng=rng, lengths=[60])
    once, often = Detection(Scheme("kgw"), [KEY]), Detection(Scheme("kgw"), [KEY])
    once.update(lab_ids(text))
    for _ in range(5):
        often.update(lab_ids(text * 20))
    assert often.overall()["ours"] == once.overall()["ours"]


def test_the_overall_test_keeps_its_rate_where_documents_share_phrases() -> None:
    rng = np.random.default_rng(13)
    phrases = rng.integers(0, 30, (10, 8))
    documents = [phrases[rng.integers(0, 10, 5)].ravel() for _ in range(15)]
    p = []
    for key in KEYS:
        test = Detection(Scheme("kgw"), [key])
        test.update(documents)
        p.append(test.overall()[key.name])
    for level in (0.3, 0.1, 0.01):
        assert (np.array(p) <= level).sum() <= binom.isf(1e-6, len(p), level)


@pytest.mark.parametrize("scheme", ALL, ids=SCHEMES)
def test_text_drawn_from_marked_logits_is_found_with_tokenizer_ids_and_key(scheme: Scheme) -> None:
    rng = np.random.default_rng(14)
    base = rng.normal(0, 2, (50, 50))
    ids = rng.integers(0, 50, (3, 1))
    for _ in range(220):
        logits = base[ids[:, -1]]
        logits[:, 0] = -np.inf
        law = np.exp(mark_logits(scheme, KEY, ids, logits))
        np.testing.assert_allclose(law.sum(axis=1), 1)
        assert (law[:, 0] == 0).all()
        drawn = [rng.choice(50, p=row / row.sum()) for row in law]
        ids = np.column_stack([ids, drawn])
    test = Detection(scheme, [KEY])
    findings = test.update(list(ids))
    if scheme.name == "unigram":  # 50 types are all there is to count
        assert all(f.units <= 50 for f in findings)
    else:
        assert [f.decision for f in findings].count("marked") >= 2


def test_marked_logits_leave_short_rows_and_repeated_contexts_alone() -> None:
    logits = np.log(np.full((1, 8), 1 / 8))
    for ids in ([[1, 2, 3]], [[1, 2, 3, 4, 9, 1, 2, 3, 4]]):
        np.testing.assert_allclose(mark_logits(Scheme("exp"), KEY, np.array(ids), logits), logits)
    assert mark_logits(Scheme("exp"), KEY, np.array([[1, 2, 3, 4]]), logits).max() == 0


@pytest.mark.parametrize(
    "bad", [np.full((1, 4), np.nan), np.full((1, 4), -np.inf), np.zeros((2, 4)), np.zeros(4)]
)
def test_logits_that_are_no_law_are_refused_in_one_line(bad: np.ndarray) -> None:
    with pytest.raises(WatermarkError, match="expected") as told:
        mark_logits(Scheme("exp"), KEY, np.array([[1, 2, 3, 4]]), bad)
    assert "\n" not in str(told.value)


def test_the_processor_marks_torch_tensors_like_arrays() -> None:
    torch = pytest.importorskip("torch")
    ids, logits = np.array([[7, 8, 9, 10, 11]]), np.random.default_rng(0).normal(size=(1, 30))
    out = WatermarkLogits(Scheme("synthid"), KEY)(torch.tensor(ids), torch.tensor(logits))
    np.testing.assert_allclose(out.numpy(), mark_logits(Scheme("synthid"), KEY, ids, logits))


def test_a_draw_refuses_what_is_no_law_and_lengths_that_are_none() -> None:
    rng = np.random.default_rng(0)
    for law in (np.zeros(6), np.full(6, np.nan), -LAW, LAW[:3]):
        with pytest.raises(WatermarkError):
            choose(marker(Scheme("exp"), KEY), law, CONTEXT, IDS, rng=rng)
    model = WatermarkedNGram(small_model(), Scheme("exp"), KEY)
    for lengths in ([1], [2, -1], [1.5, 2.0]):
        with pytest.raises(InputError):
            model.sample(2, rng=rng, lengths=lengths)  # type: ignore[arg-type]
    assert model.sample(0, rng=rng) == []
