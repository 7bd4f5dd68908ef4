"""The n-gram family: hand-worked values, and the sampler against its own probabilities."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.lab.families.ngram import NGram, NGramModel, tokenize

DECODERS = [
    NGram(order=1),
    NGram(order=2),
    NGram(order=3, escape=0.3),
    NGram(order=3, temperature=0.7),
    NGram(order=4, temperature=1.4, escape=2.0),
    NGram(order=3, top_p=0.8),
    NGram(order=2, temperature=0.8, top_p=0.9, escape=0.5),
    NGram(order=3, escape=0.0),
]
PROSE = [
    'The cat (a grey one) sat on the mat; the dog, too, sat on the "mat".\n\n  The end?',
    "A dog is not a cat: a dog barks.\n\tA cat does not, or so the dog says...",
    "* the mat\n* the cat\n* the dog (not a cat)\n",
]


def fit(family: NGram, texts: list[str]) -> NGramModel:
    return family.fit(texts, rng=np.random.default_rng(0))


def prose(documents: int = 60, words: int = 80) -> list[str]:
    """Text with order in it: a chain over 200 words in which each has five likely followers."""
    rng = np.random.default_rng(7)
    word, out = 0, []
    for _ in range(documents):
        line = []
        for _ in range(words):
            word = (word * 5 + int(rng.integers(5))) % 200
            line.append(f"w{word}")
        out.append(" ".join(line))
    return out


def entropy(texts: list[str]) -> float:
    counts = np.array(list(Counter(t for text in texts for t in tokenize(text)).values()))
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


@given(st.text())
def test_tokens_join_back_into_the_text(text: str) -> None:
    stripped = text.strip()
    assert "".join(tokenize(text)) == (" " + stripped if stripped else "")


def test_bigram_probabilities_agree_with_witten_bell_worked_by_hand() -> None:
    # After "a": 2 tokens of 2 types, so 1/2 of (1/2 b, 1/2 c) and 1/2 of the word frequencies
    # (a 2/4, b 1/4, c 1/4). After "b", and at the start: 1 token of 1 type, always "a".
    model = fit(NGram(order=2), ["a b a c"])
    after_a = 0.5 * 0.5 + 0.5 * 0.25
    always_a = 0.5 * 1.0 + 0.5 * 0.5
    expected = (2 * math.log(always_a) + 2 * math.log(after_a)) / 4
    assert model.log_prob(["a b a c"])[0] == pytest.approx(expected, rel=1e-12)
    # Nothing is known after "c", so it is word frequencies alone.
    expected = (math.log(always_a) + math.log(after_a) + math.log(0.25)) / 3
    assert model.log_prob(["a c b"])[0] == pytest.approx(expected, rel=1e-12)


def test_temperature_and_escape_act_as_the_formula_says() -> None:
    # After "a": 3 tokens of 2 types (b 2, c 1); escape 1/2 gives odds 3 : 1; T = 1/2 squares all.
    model = fit(NGram(order=2, temperature=0.5, escape=0.5), ["a b a b a c"])
    stay_a, stay_start = 9 / (9 + 1), 4 / (4 + 1)
    root = {"a": 9 / 14, "b": 4 / 14, "c": 1 / 14}
    start_a = stay_start + (1 - stay_start) * root["a"]
    a_c = stay_a * 1 / 5 + (1 - stay_a) * root["c"]
    expected = (math.log(start_a) + math.log(a_c)) / 2
    assert model.log_prob(["a c"])[0] == pytest.approx(expected, rel=1e-12)


def test_top_p_keeps_the_fewest_likeliest_tokens_that_hold_the_share() -> None:
    model = fit(NGram(order=1, top_p=0.8), ["a a a a a b b b c d"])
    assert np.exp(model.log_prob(["a", "b"])) == pytest.approx([5 / 8, 3 / 8])
    assert model.log_prob(["c", "d"]).tolist() == [-math.inf, -math.inf]
    # At exactly the share, the next token is not needed.
    assert fit(NGram(order=1, top_p=0.5), ["a a b c"]).log_prob(["a"])[0] == 0.0


@pytest.mark.parametrize("family", DECODERS, ids=repr)
def test_the_next_token_is_certain_to_be_in_the_vocabulary(family: NGram) -> None:
    model = fit(family, PROSE)
    rng = np.random.default_rng(1)
    prefixes = [text for text in model.sample(20, rng=rng) if text]
    for text in prefixes:
        tokens = tokenize(text)[: int(rng.integers(1, 12))]
        while tokens[-1].isspace():
            tokens.pop()
        prefix = "".join(tokens)[1:]
        base = float(model.log_prob([prefix])[0]) * len(tokens)
        assert base > -math.inf
        total = 0.0
        for last in model.vocabulary:
            if last.isspace():
                # White space shows only before what follows it: sum over that too.
                texts = [prefix + last + t for t in model.vocabulary if not t[0].isspace()]
                texts = [t for t in texts if tokenize(t)[:-1] == [*tokens, last]]
            else:
                texts = [prefix + last] if tokenize(prefix + last) == [*tokens, last] else []
            lengths = np.array([len(tokenize(t)) for t in texts])
            if texts:
                total += float(np.exp(model.log_prob(texts) * lengths - base).sum())
        assert total == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("family", DECODERS, ids=repr)
def test_documents_are_sampled_as_often_as_log_prob_says(family: NGram) -> None:
    model = fit(family, ["a b a", "a c a", "b a b", "a b c", "c a a"])
    every = [" ".join(words) for words in product("abc", repeat=3)]
    expected = np.exp(3 * model.log_prob(every))
    assert expected.sum() == pytest.approx(1.0, abs=1e-9)
    n = 40_000
    seen = Counter(model.sample(n, rng=np.random.default_rng(3)))
    observed = np.array([seen[text] for text in every])
    assert observed.sum() == n
    assert np.all(observed[expected == 0.0] == 0)
    error = 4.5 * np.sqrt(n * expected * (1 - expected)) + 1e-9
    assert np.all(np.abs(observed - n * expected) <= error)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(), min_size=1, max_size=5),
    st.integers(1, 4),
    st.sampled_from([0.5, 1.0]),
    st.integers(0, 99),
)
def test_a_sample_reads_back_as_training_tokens_only(
    texts: list[str], order: int, temperature: float, seed: int
) -> None:
    known = {token for text in texts for token in tokenize(text)}
    if not known:
        return
    model = fit(NGram(order=order, temperature=temperature, escape=2.0), texts)
    for text in model.sample(5, rng=np.random.default_rng(seed)):
        assert set(tokenize(text)) <= known


def test_document_lengths_are_drawn_from_the_training_lengths() -> None:
    model = fit(NGram(order=2), ["a b", "a b a b a", ""])
    rng = np.random.default_rng(0)
    lengths = Counter(len(tokenize(text)) for text in model.sample(600, rng=rng))
    assert set(lengths) == {0, 2, 5}
    assert min(lengths.values()) > 150


def test_text_is_likelier_in_its_own_order_than_shuffled() -> None:
    texts = prose()
    model = fit(NGram(order=3), texts)
    rng = np.random.default_rng(5)
    shuffled = [" ".join(rng.permutation(text.split()).tolist()) for text in texts]
    assert np.mean(model.log_prob(texts)) > np.mean(model.log_prob(shuffled)) + 1.0


def test_order_one_cannot_tell_text_from_its_shuffle() -> None:
    texts = prose()
    model = fit(NGram(order=1), texts)
    shuffled = [" ".join(reversed(text.split())) for text in texts]
    assert model.log_prob(texts) == pytest.approx(model.log_prob(shuffled))


def test_a_lower_temperature_lowers_the_entropy_of_samples() -> None:
    texts = [" ".join(f"w{i}" for i in range(200) for _ in range(200 // (i + 1)))]
    values = [
        entropy(fit(NGram(order=1, temperature=t), texts).sample(9, rng=np.random.default_rng(2)))
        for t in (1.3, 1.0, 0.7, 0.3)
    ]
    assert np.all(np.diff(values) < -0.2)
    # At temperature 1 the samples are as varied as the text.
    assert values[1] == pytest.approx(entropy(texts), abs=0.1)


@pytest.mark.parametrize("greedy", [{"temperature": 1e-3}, {"top_p": 1e-9}])
def test_the_coldest_decoder_always_takes_the_likeliest_token(greedy: dict[str, float]) -> None:
    model = fit(NGram(order=1, **greedy), ["a a a b b c " * 50])
    assert set(tokenize(" ".join(model.sample(5, rng=np.random.default_rng(0))))) == {" a"}


def test_without_escape_every_longest_known_context_is_followed() -> None:
    texts = prose(documents=5)
    known = {gram for t in texts for gram in zip(t.split(), t.split()[1:], strict=False)}
    sampled = fit(NGram(order=2, escape=0.0), texts).sample(20, rng=np.random.default_rng(0))
    # Only the last word of a document is a context without a known next word.
    ends = {text.split()[-1] for text in texts}
    for text in sampled:
        for gram in zip(text.split(), text.split()[1:], strict=False):
            assert gram in known or gram[0] in ends


def test_the_same_seed_samples_the_same_bytes() -> None:
    model = fit(NGram(order=3), PROSE)
    one, two, other = (model.sample(9, rng=np.random.default_rng(s)) for s in (4, 4, 5))
    assert one == two
    assert one != other


def test_unknown_words_are_impossible_and_empty_documents_undefined() -> None:
    model = fit(NGram(order=2), ["a b", ""])
    values = model.log_prob(["a zebra b", "", "a b"])
    assert values[0] == -math.inf
    assert math.isnan(values[1])
    assert values[2] < 0.0
    assert model.log_prob([]).shape == (0,)
    assert model.sample(0, rng=np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    "wrong",
    [{"order": 0}, {"temperature": 0.0}, {"temperature": math.nan}, {"top_p": 1.5}, {"escape": -1}],
)
def test_settings_out_of_range_are_refused_in_one_line(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as caught:
        NGram(**wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("texts", [[], [""], ["", " \n "]])
def test_text_without_a_token_is_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="text with a token"):
        fit(NGram(), texts)
