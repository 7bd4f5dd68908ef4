"""Recursion against population genetics: drift of word frequencies under replacement."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tailguard.errors import InputError
from tailguard.lab.families.ngram import NGram
from tailguard.lab.recursion import Generation, recurse
from tailguard.mix.base import Regime
from tailguard.mix.registry import REGIMES


def fixed(real_frac: float) -> Regime:
    return REGIMES.make("fixed-real", real_frac=real_frac)


def counts(generation: Generation) -> Counter[str]:
    return Counter(word for text in generation.data for word in text.split())


def zipf(tokens: int, documents: int, seed: int = 0) -> list[str]:
    """Documents of equal length whose word counts fall like 1 / rank."""
    rng = np.random.default_rng(seed)
    ranks = np.arange(1, tokens // 8)
    words = rng.choice(ranks, tokens, p=(1 / ranks) / (1 / ranks).sum())
    return [" ".join(f"w{w}" for w in part) for part in np.split(words, documents)]


def test_replace_loses_types_at_the_rate_survival_theory_gives() -> None:
    # A token has Poisson(1) copies in the next generation. A type with c tokens is still there
    # after k of them with probability 1 - exp(-c g_k), g_1 = 1 and g_{k+1} = 1 - exp(-g_k)
    # (Suresh et al. 2024, arXiv:2412.17646): g_k is the chance that a line lives k - 1 steps.
    real = zipf(tokens=20_000, documents=40)
    runs = list(recurse(real, NGram(order=1), generations=8, seed=1))
    start = np.array(list(counts(runs[0]).values()))
    g = 1.0
    for generation in runs[1:]:
        alive = 1.0 - np.exp(-start * g)
        error = np.sqrt((alive * (1.0 - alive)).sum())
        assert abs(len(counts(generation)) - alive.sum()) < 4.0 * error
        g = 1.0 - np.exp(-g)
    # The band is narrow enough to tell neighbouring generations apart.
    assert abs(len(counts(runs[1])) - len(counts(runs[2]))) > 8.0 * error


def test_simpson_diversity_decays_by_one_token_in_n_each_generation() -> None:
    # Wright-Fisher: the chance that two tokens differ has expectation H_0 (1 - 1/N)^k, exactly.
    size, steps, replicates = 40, 6, 250
    real = [" ".join(f"w{i % 8}" for i in range(size))]
    values = np.array(
        [
            [
                1.0 - sum((c / size) ** 2 for c in counts(generation).values())
                for generation in recurse(real, NGram(order=1), generations=steps, seed=seed)
            ]
            for seed in range(replicates)
        ]
    )
    expected = values[0, 0] * (1.0 - 1.0 / size) ** np.arange(steps + 1)
    error = values.std(axis=0, ddof=1) / np.sqrt(replicates)
    assert np.all(np.abs(values.mean(axis=0) - expected) <= 4.0 * error + 1e-12)
    assert expected[0] - expected[-1] > 8.0 * error[-1]


def test_a_cold_decoder_loses_types_faster_than_drift_alone() -> None:
    real = zipf(tokens=5_000, documents=10)
    warm, cold = (
        list(recurse(real, NGram(order=2, temperature=t), generations=4, seed=2))[-1]
        for t in (1.0, 0.7)
    )
    assert len(counts(cold)) < 0.8 * len(counts(warm))


def test_all_real_data_lose_no_type_however_long_the_recursion() -> None:
    real = zipf(tokens=2_000, documents=20)
    for generation in recurse(real, NGram(order=1), fixed(1.0), generations=5, seed=3):
        assert list(generation.data) == real


def test_a_fixed_real_share_is_exact_and_the_same_in_every_generation() -> None:
    real = zipf(tokens=2_000, documents=20)
    runs = list(recurse(real, NGram(order=2), fixed(0.25), generations=3, n=30, seed=4))
    kept = [text for text in runs[1].data if text in real]
    assert len(kept) == 8  # round(0.25 * 30)
    for generation in runs[1:]:
        assert len(generation.data) == 30
        assert list(generation.data[:8]) == kept
        assert generation.real_frac == 8 / 30


def test_half_real_data_keep_types_that_replacement_loses() -> None:
    real = zipf(tokens=5_000, documents=50)
    replaced, mixed = (
        list(recurse(real, NGram(order=1), fixed(f), generations=10, seed=5))[-1]
        for f in (0.0, 0.5)
    )
    assert len(counts(mixed)) > 1.5 * len(counts(replaced))


def test_only_what_a_generation_wrote_is_seen_by_the_next() -> None:
    runs = recurse(zipf(2_000, 20), NGram(order=3), generations=4, seed=6)
    for before, after in pairwise(runs):
        assert set(counts(after)) < set(counts(before))


def test_the_same_seed_gives_the_same_bytes_however_many_generations_follow() -> None:
    real = zipf(tokens=2_000, documents=20)

    def run(generations: int, seed: int) -> list[list[str]]:
        steps = recurse(real, NGram(order=3), generations=generations, seed=seed)
        return [list(generation.data) for generation in steps]

    assert run(4, seed=7)[:3] == run(2, seed=7)
    assert run(2, seed=8) != run(2, seed=7)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"regime": "replaec"}, "did you mean 'replace'"),
        ({"path": "statistics"}, "a true model"),
        ({"regime": fixed(1.0), "n": 5}, "at most 2 real records"),
        ({"n": 0}, "n at least 1"),
        ({"generations": -1}, "generations at least 0"),
    ],
)
def test_impossible_recursions_are_refused_in_one_line(
    wrong: dict[str, object], message: str
) -> None:
    arguments = {"generations": 1, "seed": 0, **wrong}
    with pytest.raises(InputError, match=message) as caught:
        next(recurse(["a b", "b a"], NGram(), **arguments))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
