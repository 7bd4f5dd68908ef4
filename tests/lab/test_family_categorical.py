"""Types against Wright-Fisher theory, on samples and on statistics."""

from __future__ import annotations

import time

import numpy as np
import pytest
from family_cases import (
    DOUBT,
    MANY,
    REGIMES_TO_TRY,
    family_of,
    near,
    p_value,
    paths_agree,
    refused,
    run,
    same_bytes,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tailguard.lab.families.categorical import Categorical, CategoricalModel, sharpened, tally
from tailguard.lab.sums import Sums
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats

SKEWED = (0.5, 0.25, 0.15, 0.07, 0.03)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def heterozygosity(model: CategoricalModel) -> Floats:
    return 1.0 - (model.probabilities**2).sum(axis=1)


@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
def test_samples_and_statistics_give_the_same_law(regime: str) -> None:
    summaries = {
        "heterozygosity": heterozygosity,
        "first": lambda m: m.probabilities[:, 0],
        "last": lambda m: m.probabilities[:, -1],
    }
    paths_agree(Categorical(probabilities=SKEWED), regime, summaries)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_heterozygosity_falls_by_one_nth_each_generation(path: str) -> None:
    n, t, k = 30, 20, 10
    model = run(Categorical(k=k), path=path, n=n, generations=t, replicates=4_000)
    assert near(heterozygosity(model), (1 - 1 / k) * (1 - 1 / n) ** t)
    assert np.allclose(model.probabilities.sum(axis=1), 1.0)


def test_a_type_takes_over_with_its_initial_probability() -> None:
    # Shumailov et al. 2024; Kimura 1962: a martingale that ends at 0 or 1.
    model = run(Categorical(probabilities=SKEWED), n=10, generations=150, replicates=10_000)
    assert (model.probabilities.max(axis=1) == 1.0).mean() > 0.99
    for winner, share in enumerate(SKEWED):
        assert near(model.probabilities[:, winner], share)


def test_a_type_is_lost_in_one_step_when_every_draw_misses_it() -> None:
    model = run(Categorical(probabilities=SKEWED), n=12, generations=1, replicates=50_000)
    for lost, share in zip((model.probabilities == 0).T, SKEWED, strict=True):
        assert near(lost * 1.0, (1 - share) ** 12)


def test_a_prior_keeps_every_type_alive() -> None:
    model = run(Categorical(k=50, prior=0.1), n=20, generations=60, replicates=500)
    assert (model.probabilities > 0).all()
    assert (run(Categorical(k=50), n=20, generations=60, replicates=500).probabilities == 0).any()
    counts = Sums(3, np.array([[3.0, 0.0]]), "2 types")
    found = Categorical(k=2, prior=1.0).fit_statistics(counts, rng=rng()).probabilities
    assert np.allclose(found, [[0.8, 0.2]])


# Few types and many, so that every way of drawing is used: comparing, the guide table, binomials.
@pytest.mark.parametrize(("k", "n"), [(3, 9), (64, 50), (65, 50), (300, 400), (3, 1_000)])
def test_counts_are_multinomial_however_they_are_drawn(k: int, n: int) -> None:
    share = rng(k).dirichlet(np.full(k, 0.5))
    share[k // 2] = 0.0  # a dead type in the middle stays dead
    share /= share.sum()
    model, replicates = CategoricalModel(np.tile(share, (4_000, 1))), 4_000
    counts = model.statistics(n, rng=rng()).sums
    types = model.sample(n, rng=rng(1))
    assert (counts.sum(axis=1) == n).all() and not counts[:, k // 2].any()
    assert not (types == k // 2).any()
    for found in (counts.sum(axis=0), np.bincount(types.ravel(), minlength=k)):
        alive = share * n * replicates > 5
        rest = np.append(found[alive], found[~alive].sum())
        expected = np.append(share[alive], share[~alive].sum()) * n * replicates
        keep = expected > 0
        assert stats.chisquare(rest[keep], expected[keep], sum_check=False).pvalue > DOUBT
    # Beyond means: Σ (c - np)²/np has mean K - 1 over live types in every replicate.
    live = share > 0
    gap = ((counts[:, live] - n * share[live]) ** 2 / (n * share[live])).sum(axis=1)
    assert near(gap, live.sum() - 1)
    # Draws of a replicate do not depend on each other.
    top = types == share.argmax()
    assert near(1.0 * (top[:, 0] & top[:, -1]), share.max() ** 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=90),
    st.integers(0, 200),
    st.integers(0, 2**32),
)
def test_only_live_types_are_drawn_and_all_draws_are_counted(
    weights: list[float], n: int, seed: int
) -> None:
    share = np.array(weights) + 0.0
    share[seed % len(share)] += 1.0
    share /= share.sum()
    model = CategoricalModel(np.tile(share, (3, 1)))
    counts = model.statistics(n, rng=rng(seed)).sums
    types = model.sample(n, rng=rng(seed))
    assert (counts.sum(axis=1) == n).all() and not counts[:, share == 0].any()
    assert np.array_equal(tally("test", types, len(share), None).sums.sum(axis=1), [n] * 3)
    assert (share[types] > 0).all()


def brute_force(p: Floats, decoding: Decoding) -> Floats:
    """Sharpened probabilities of one distribution, one type after the other."""
    p = p ** (1 / decoding.temperature)
    order = sorted(range(len(p)), key=lambda i: (-p[i], i))[: decoding.top_k]
    p = np.array([x if i in order else 0.0 for i, x in enumerate(p)])
    p, held, kept = p / p.sum(), 0.0, np.zeros(len(p))
    for i in order:
        if held >= decoding.top_p:
            break
        held, kept[i] = held + p[i], p[i]
    return kept / kept.sum()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.floats(0.2, 3.0),
    st.none() | st.integers(1, 14),
    st.floats(0.05, 1.0),
    st.integers(0, 99),
)
def test_decoding_equals_brute_force(
    k: int, temperature: float, top_k: int | None, top_p: float, seed: int
) -> None:
    decoding = Decoding(temperature=temperature, top_k=top_k, top_p=top_p)
    p = rng(seed).multinomial(20, np.full(k, 1 / k), size=3) / 20  # with ties and zeros
    found = sharpened("test", p, decoding)
    assert np.allclose(found, [brute_force(row, decoding) for row in p])


def test_very_cold_decoding_leaves_only_the_likeliest_type() -> None:
    p = np.full((1, 1_000), 1e-3)
    p[0, 7] += 1e-4
    p /= p.sum()
    assert sharpened("test", p, Decoding(temperature=1e-3)).argmax() == 7
    assert sharpened("test", p, Decoding(temperature=1e-3))[0, 7] == pytest.approx(1.0)


def test_weighted_types_count_as_often_as_their_weights() -> None:
    data = np.array([[0, 1, 1], [2, 2, 0]])
    found = Categorical(k=3).fit(data, rng=rng(), weights=np.array([2.0, 1.0, 1.0]))
    assert found.probabilities.tolist() == [[0.5, 0.5, 0.0], [0.25, 0.0, 0.75]]


def test_expected_statistics_are_the_average_and_lose_nothing() -> None:
    model = CategoricalModel(np.tile(SKEWED, (50_000, 1)))
    drawn, expected = model.statistics(9, rng=rng()).sums, model.expected_statistics(9)
    for k in range(5):
        assert near(drawn[:, k], expected.sums[0, k])
    again = Categorical(k=5).fit_statistics(expected, rng=rng())
    assert np.allclose(again.probabilities, SKEWED)


def test_log_probabilities_are_those_of_the_types() -> None:
    model = CategoricalModel(np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]))
    found = np.exp(model.log_prob(np.array([1, 2])))
    assert np.allclose(found, [[0.75, 0.0], [0.0, 0.0]])


def test_the_comparison_of_paths_sees_draws_without_replacement() -> None:
    model = CategoricalModel(np.full((MANY, 10), 0.1))
    shuffled = np.argsort(rng(1).random((MANY, 60)), axis=1)[:, :8] % 10  # six balls of each type
    wrong = (tally("test", shuffled, 10, None).sums ** 2).sum(axis=1)
    right = (model.statistics(8, rng=rng()).sums ** 2).sum(axis=1)
    again = (model.statistics(8, rng=rng(2)).sums ** 2).sum(axis=1)
    assert p_value(right, wrong) < DOUBT < p_value(right, again)


def test_dead_types_cost_next_to_nothing() -> None:
    def seconds(model: CategoricalModel) -> float:
        best = np.inf
        for _ in range(5):
            start = time.process_time()
            model.statistics(400, rng=rng())
            best = min(best, time.process_time() - start)
        return best

    share = np.full((500, 2_000), 1 / 2_000)
    few = np.zeros((500, 2_000))
    few[:, ::1_000] = 0.5
    seconds(CategoricalModel(share))
    assert seconds(CategoricalModel(few)) < 0.7 * seconds(CategoricalModel(share))


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(Categorical(k=100).truth(50))
    same_bytes(Categorical(k=3).truth(50), n=500)


def test_bad_settings_and_data_are_refused_in_one_line() -> None:
    refused("k at least 1", lambda: family_of("categorical", k=0))
    refused("list that sums to 1", lambda: family_of("categorical", probabilities=[0.5, 0.6]))
    refused("list that sums to 1", lambda: family_of("categorical", probabilities=[[1.0]]))
    refused("list that sums to 1", lambda: family_of("categorical", probabilities=[2.0, -1.0]))
    refused("prior at least 0", lambda: family_of("categorical", prior=float("inf")))
    fit = Categorical(k=3).fit
    refused("types 0 to 2", lambda: fit(np.array([[0, 3]]), rng=rng()))
    refused("whole numbers", lambda: fit(np.array([[0.5]]), rng=rng()))
    refused("positive weight", lambda: fit(np.zeros((2, 0), int), rng=rng()))
