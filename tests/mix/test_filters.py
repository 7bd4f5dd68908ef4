"""Filters keep what their laws say, on arrays, vectors, rows and texts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from mix_stubs import StubPast, StubReal, Write
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtr
from scipy.stats import kstest

from tailguard.errors import InputError
from tailguard.lab.families.gaussian import GaussianModel
from tailguard.mix.base import Block
from tailguard.mix.filters import (
    correct,
    curate,
    edit,
    keep_human,
    quadratic_scores,
    resample_human,
    verify,
)
from tailguard.mix.policy import Filter
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays, Rows
from tailguard.theory.curation import curated
from tailguard.theory.verification import kept_accuracy, verified_accuracy

R = 50


def normals(scale: float = 1.0, *tail: int, replicates: int = R) -> Write:
    return lambda n, rng: scale * rng.standard_normal((replicates, n, *tail))


def kept(
    keep: Filter, write: Write, n: int, *, real: Write | None = None, replicated: bool = True
) -> Block:
    rng = np.random.default_rng(0)
    past = StubPast(write, replicated)
    source = StubReal(real or write, replicated)
    return keep(lambda m: past.draw(m, rng=rng), source, n=n, rng=rng)


def test_a_verifier_multiplies_the_odds_of_correct_samples() -> None:
    coin: Write = lambda n, rng: (rng.random((R, n)) < 0.4).astype(np.int8)  # noqa: E731
    for accept in ((1.0, 0.5), (0.6, 0.1), (0.3, 0.3), (0.05, 0.02)):
        block = kept(verify(accept_correct=accept[0], accept_wrong=accept[1]), coin, 400)
        assert block.samples.n == 400
        expected = float(kept_accuracy(0.4, *accept))
        error = (expected * (1 - expected) / (R * 400)) ** 0.5
        assert abs(block.samples.values.mean() - expected) < 4 * error


def test_verification_flips_a_classifier_from_wrong_to_right() -> None:
    # Feng et al.: labels right with chance .4; accepted with φ = ψ, then with φ = 2ψ.
    snr, d, n, replicates = 1.5, 10, 2_000, 40
    mu = np.r_[snr, np.zeros(d - 1)]

    def labelled(n: int, rng: np.random.Generator) -> Any:
        truth = rng.choice([-1.0, 1.0], (replicates, n))
        label = np.where(rng.random((replicates, n)) < 0.4, truth, -truth)
        x = truth[..., None] * mu + rng.standard_normal((replicates, n, d))
        return np.concatenate([x, label[..., None], truth[..., None]], axis=2)

    def right(values: Any) -> Any:
        return values[..., -1] == values[..., -2]

    rule = {
        ratio: REGIMES.make("verified", accept_correct=1.0, accept_wrong=1 / ratio, correct=right)
        for ratio in (1, 2)
    }
    found = {}
    for ratio, regime in rule.items():
        past = StubPast(labelled)
        made = regime(StubReal(labelled), [past], n=n, rng=np.random.default_rng(1))
        x, label = made.data[..., :d], made.data[..., d]
        w = (x * label[..., None]).mean(axis=1)
        found[ratio] = ndtr(w @ mu / np.linalg.norm(w, axis=1)).mean()
    assert abs(found[1] - 0.07) < 0.02 and abs(found[2] - 0.92) < 0.02
    # The theory draws n before the verifier; the regime keeps n after it.
    assert abs(found[1] - verified_accuracy(n, 0.4, 1.0, 1.0, snr=snr, d=d)) < 0.01
    before = round(n / (0.4 + 0.6 / 2))
    assert abs(found[2] - verified_accuracy(before, 0.4, 1.0, 0.5, snr=snr, d=d)) < 0.01


def test_a_verifier_that_accepts_next_to_nothing_is_refused_in_one_line() -> None:
    zeros: Write = lambda n, rng: np.zeros((2, n))  # noqa: E731
    with pytest.raises(InputError, match="samples accepted, got 0 of") as caught:
        kept(verify(accept_correct=1.0, accept_wrong=0.0), zeros, 5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("candidates", [1, 2, 4])
def test_curation_follows_its_law_for_every_number_of_candidates(candidates: int) -> None:
    # Ferbach et al.; with two candidates this is row 1 of the published results.
    n, replicates, rng = 5_000, 60, np.random.default_rng(5)
    p, reward = np.array([0.6, 0.3, 0.1]), np.array([0.0, 1.0, 2.0])
    shares = np.tile(p, (replicates, 1))

    def types(n: int, rng: np.random.Generator) -> Any:
        return (rng.random((replicates, n, 1)) > np.cumsum(shares, axis=1)[:, None, :2]).sum(2)

    for step in range(1, 6):
        past = StubPast(types)
        made = REGIMES.make("curated", candidates=candidates)(
            StubReal(types), [past], n=n, rng=rng
        ).data
        shares = np.stack([(made == k).mean(axis=1) for k in range(3)], axis=1)
        expected = curated(step, p, reward, candidates)
        error = shares.std(axis=0, ddof=1) / replicates**0.5
        assert (np.abs(shares.mean(axis=0) - expected) < 4.5 * error).all()
    if candidates == 2:
        assert np.abs(shares.mean(axis=0) - [0.0483, 0.3395, 0.6122]).max() < 0.003
        assert abs(shares.mean(axis=0) @ reward - 1.5639) < 0.003


def test_a_reward_of_ones_own_and_its_scale_decide_who_is_kept() -> None:
    texts: Write = lambda n, rng: ["a" * k for k in rng.integers(0, 5, n)]  # noqa: E731
    length = lambda docs: np.array([len(doc) for doc in docs])  # noqa: E731
    plain, long, short = (
        np.mean([
            len(doc)
            for doc in kept(
                curate(length, candidates=2, scale=scale), texts, 2_000, replicated=False
            ).samples.values
        ])
        for scale in (0.0, 5.0, -5.0)
    )  # fmt: skip
    assert abs(plain - 2) < 0.15
    # The larger, or the smaller, of two draws from 0 … 4.
    assert abs(long - 2.8) < 0.15 and abs(short - 1.2) < 0.15


def test_correction_moves_samples_along_the_cheapest_matching() -> None:
    n, strength = 40, 2.0
    write = normals(0.3, replicates=3)
    real: Write = lambda n, rng: 1.0 + rng.standard_normal((3, n))  # noqa: E731
    before, after = (kept(correct(strength=s), write, n, real=real) for s in (0.0, strength))
    aims = StubReal(real).fixed(n).samples.values
    for x, moved, y in zip(before.samples.values, after.samples.values, aims, strict=True):
        aim = (moved * (1 + strength) - x) / strength
        assert np.allclose(np.sort(aim), np.sort(y))
        # In one dimension several matchings may be the cheapest.
        rows, match = linear_sum_assignment(np.abs(x[:, None] - y))
        assert np.isclose(np.abs(x - aim).sum(), np.abs(x[rows] - y[match]).sum())
    assert (after.depth == 1).all()
    # An endless correction is the real data themselves.
    whole = kept(correct(strength=1e12), write, n, real=real).samples.values
    assert np.allclose(np.sort(whole), np.sort(aims))


def test_correction_of_vectors_is_no_worse_than_any_other_matching() -> None:
    write, real = normals(0.5, 2, replicates=2), normals(1.0, 2, replicates=2)
    x = kept(correct(strength=0.0), write, 6, real=real).samples.values
    y = kept(correct(strength=1e12), write, 6, real=real).samples.values
    for a, b in zip(x, y, strict=True):
        cost = np.linalg.norm(a - b, axis=1).sum()
        for order in itertools.permutations(range(6)):
            assert cost <= np.linalg.norm(a - b[list(order)], axis=1).sum() + 1e-6


def test_correction_refuses_counts_and_texts_unless_told_how() -> None:
    ones: Write = lambda n, rng: np.ones((2, n), np.int64)  # noqa: E731
    texts: Write = lambda n, rng: ["a"] * n  # noqa: E731
    with pytest.raises(InputError, match="continuous numbers"):
        kept(correct(strength=1.0), ones, 3)
    with pytest.raises(InputError, match="give move="):
        kept(correct(strength=1.0), texts, 3, replicated=False)
    moved = kept(correct(lambda a, b: [x + y for x, y in zip(a, b, strict=True)], strength=1.0),
                 texts, 3, replicated=False)  # fmt: skip
    assert moved.samples.values == ["aa"] * 3
    with pytest.raises(InputError, match="as many samples as came"):
        kept(correct(lambda a, b: a[:-1], strength=1.0), texts, 3, replicated=False)


def test_editing_takes_its_share_of_every_vector_from_one_real_sample() -> None:
    n, d = 60, 5
    zeros: Write = lambda n, rng: np.zeros((R, n, d))  # noqa: E731

    def rows(n: int, rng: np.random.Generator) -> Any:
        return np.tile(np.arange(1.0, n + 1)[None, :, None], (R, 1, d))

    for share in (0.0, 0.3, 1.0):
        block = kept(edit(share), zeros, n, real=rows)
        values, edited = block.samples.values, block.samples.values > 0
        number = edited.sum(axis=2)
        assert number.min() >= np.floor(share * d) and number.max() <= np.ceil(share * d)
        error = 0.5 / (R * n) ** 0.5
        assert abs(number.mean() - share * d) <= 4 * error
        # All parts of a sample come from the same donor, and donors are not always the same.
        donor = values.max(axis=2)
        assert ((values == donor[..., None]) | ~edited).all()
        assert share == 0.0 or len(np.unique(donor[:, 0])) > R / 4
        depth = np.broadcast_to(block.depth, (R, n))
        assert np.array_equal(depth == 0, edited.all(axis=2))


def test_editing_a_single_number_makes_it_real_as_often_as_its_share() -> None:
    block = kept(edit(0.3), normals(), 200, real=lambda n, rng: np.full((R, n), 7.0))
    replaced = block.samples.values == 7.0
    assert np.array_equal(block.depth == 0, replaced)
    assert abs(replaced.mean() - 0.3) < 4 * (0.21 / (R * 200)) ** 0.5


def test_editing_texts_replaces_words_in_place_and_leaves_the_rest_alone() -> None:
    own: Write = lambda n, rng: [" ".join(f"w{i}" for i in range(8)) + "\n"] * n  # noqa: E731
    real: Write = lambda n, rng: [" ".join(f"R{i}" for i in range(6))] * n  # noqa: E731
    texts = kept(edit(0.5), own, 50, real=real, replicated=False).samples.values
    changed = set()
    for text in texts:
        words = text.split()
        assert len(words) == 8
        edited = [i for i, word in enumerate(words) if word[0] == "R"]
        assert len(edited) == 4
        assert all(words[i] == (f"R{i % 6}" if i in edited else f"w{i}") for i in range(8))
        changed.add(tuple(edited))
    assert len(changed) > 20
    assert kept(edit(0.0), own, 2, real=real, replicated=False).samples.values == own(2, None)  # type: ignore[arg-type]
    empty: Write = lambda n, rng: [""] * n  # noqa: E731
    assert kept(edit(0.5), own, 1, real=empty, replicated=False).samples.values == own(1, None)  # type: ignore[arg-type]
    assert kept(edit(0.5), empty, 2, real=real, replicated=False).samples.values == ["", ""]
    whole = kept(edit(1.0), real, 3, real=real, replicated=False)
    assert whole.samples.values == real(3, None) and (whole.depth == 0).all()  # type: ignore[arg-type]


def test_resampling_by_the_default_detector_restores_the_real_distribution() -> None:
    # Candidates are narrower and shifted; 30 times as many, so that the weights can bite.
    n = 1_000
    narrow: Write = lambda n, rng: 0.3 + 0.8 * rng.standard_normal((4, n))  # noqa: E731
    real = normals(replicates=4)
    plain = narrow(n, np.random.default_rng(3))
    back = kept(resample_human(oversample=30.0), narrow, n, real=real).samples.values
    assert kstest(plain[0], "norm").pvalue < 1e-6
    assert np.abs(back.mean(axis=1)).max() < 0.2 < np.abs(plain.mean(axis=1)).min()
    assert (np.abs(back.std(axis=1) - 1) < 0.1).all()


def test_importance_weights_of_a_known_detector_are_the_ratio_of_densities() -> None:
    # Candidates 0 and 1 with equal odds; the detector says 1 is three times as real.
    coin: Write = lambda n, rng: rng.integers(0, 2, (R, n))  # noqa: E731
    score = lambda real, values: -np.log(3.0) * values  # noqa: E731
    values = kept(resample_human(score, oversample=20.0), coin, 500).samples.values
    assert abs(values.mean() - 0.75) < 0.02


def test_the_detector_keeps_the_most_human_and_only_as_many_as_asked() -> None:
    score = lambda real, values: np.abs(values)  # noqa: E731
    write = normals()
    block = kept(keep_human(score, oversample=3.0), write, 20)
    candidates = write(60, np.random.default_rng(0))
    for mine, all_ in zip(block.samples.values, candidates, strict=True):
        assert set(mine) == set(all_[np.argsort(np.abs(all_))[:20]])
    shorter = kept(keep_human(lambda real, docs: np.array([len(d) for d in docs]), oversample=2.0),
                   lambda n, rng: ["a" * i for i in range(n)], 5, replicated=False)  # fmt: skip
    assert shorter.samples.values == ["", "a", "aa", "aaa", "aaaa"]


def test_default_scores_tell_which_of_two_gaussians_a_sample_is_from() -> None:
    rng = np.random.default_rng(1)
    real, other = rng.standard_normal((3, 4_000, 2)), 1.5 * rng.standard_normal((3, 4_000, 2)) + 0.5
    scores = quadratic_scores(real, other)
    true = -0.5 * ((other - 0.5) ** 2 / 1.5**2).sum(-1) - 2 * np.log(1.5) + 0.5 * (other**2).sum(-1)
    assert scores.shape == (3, 4_000)
    for found, exact in zip(scores, true, strict=True):
        near = np.abs(exact) < 3
        assert np.abs(found - exact)[near].mean() < 0.15


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e6])
def test_default_scores_are_finite_however_far_apart_the_sides_are(scale: float) -> None:
    rng = np.random.default_rng(2)
    scores = quadratic_scores(rng.standard_normal((2, 30, 1)), scale * rng.random((2, 30, 1)) + 5)
    assert np.isfinite(scores).all()


FILTERS: dict[str, Filter] = {
    "verify": verify(accept_correct=1.0, accept_wrong=0.5),
    "curate": curate(candidates=2),
    "correct": correct(strength=1.0),
    "edit": edit(0.5),
    "keep": keep_human(oversample=2.0),
    "resample": resample_human(oversample=2.0),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("tail", [(), (3,)])
def test_one_replicate_as_rows_is_the_same_as_one_in_an_array(
    name: str, tail: tuple[int, ...]
) -> None:
    write = normals(1.0, *tail, replicates=1)

    def alone(n: int, rng: np.random.Generator) -> Any:
        return write(n, rng)[0]

    rows, arrays = kept(FILTERS[name], alone, 9, replicated=False), kept(FILTERS[name], write, 9)
    assert isinstance(rows.samples, Rows) and isinstance(arrays.samples, Arrays)
    assert np.array_equal(rows.samples.values, arrays.samples.values[0])
    assert np.shape(rows.samples.values) == (9, *tail)


@pytest.mark.parametrize("name", FILTERS)
def test_statistics_are_refused_in_one_line(name: str) -> None:
    model = GaussianModel(np.zeros(2), np.ones(2))
    rng = np.random.default_rng(0)

    def draw(n: int) -> Block:
        return Block(model.statistics(n, rng=rng), np.ones(n, np.int64))

    with pytest.raises(InputError, match="path 'samples'") as caught:
        FILTERS[name](draw, StubReal(normals()), n=5, rng=rng)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keep",
    [
        verify(lambda values: values[:, 0], accept_correct=1.0, accept_wrong=0.0),
        curate(lambda values: values * np.nan, candidates=2),
        curate(lambda values: "better", candidates=2),
        keep_human(lambda real, values: values.sum(), oversample=2.0),
    ],
)
def test_a_function_that_scores_wrongly_is_refused_in_one_line(keep: Filter) -> None:
    with pytest.raises(InputError, match="a number for each sample") as caught:
        kept(keep, normals(), 5)
    assert "\n" not in str(caught.value)
