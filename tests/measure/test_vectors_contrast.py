"""The test of rows keeps its level, and shows what theory says it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from tailguard.measure.stage import Diagnosis
from tailguard.measure.vectors.contrast import contrast, copies_evidence, examine
from tailguard.measure.vectors.summary import profile_vectors
from tailguard.measure.vectors.units import clusters, make_units, normal_scores, principal


def run(batch: np.ndarray, gold: np.ndarray, seed: int = 0) -> Diagnosis:
    return examine(
        profile_vectors(batch), profile_vectors(gold), alpha=0.01, margin=0.02, resolution=0.25,
        seed=seed,
    )  # fmt: skip


def retention(found: Diagnosis, name: str) -> float:
    return next(e.retention for e in found.evidence if e.name == name)


def table(n: int, *, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian, a heavy-tailed, a skewed, a count and a yes-or-no column."""
    return np.column_stack([
        rng.standard_normal(n), rng.standard_t(3, n), np.exp(rng.standard_normal(n)),
        rng.poisson(3, n), rng.random(n) < 0.3,
    ])  # fmt: skip


def test_p_values_are_uniform_when_batch_is_gold() -> None:
    rng = np.random.default_rng(0)
    p = []
    for number in range(120):
        values = table(90, rng=rng)
        names = list("abcde")
        gold, batch = profile_vectors(values[:50], names), profile_vectors(values[50:], names)
        seeds = np.random.default_rng(number)
        found = contrast(make_units(gold, batch, rng=seeds), alpha=0.05, rng=seeds, permutations=99)
        p.append(min(e.p for e in found.evidence))
    found_p = np.array(p)
    assert (found_p <= 0.05).mean() <= 0.12
    assert (found_p <= 0.2).mean() <= 0.31
    assert (found_p <= 0.5).mean() >= 0.36


def pooled_retention(sigma: float, of: str) -> float:
    """What the scores of N(0, sigma²) against N(0, 1), pooled half and half, must give."""

    def pooled(x: float) -> float:
        return 0.5 * float(norm.cdf(x)) + 0.5 * float(norm.cdf(x / sigma))

    if of == "tail":
        q = brentq(lambda x: pooled(x) - 0.975, 0, 10)
        return float(norm.sf(q / sigma) / norm.sf(q))

    def mean_square(s: float) -> float:
        def integrand(x: float) -> float:
            return float(norm.ppf(pooled(x)) ** 2 * norm.pdf(x / s) / s)

        return float(quad(integrand, -6 * s, 6 * s)[0])

    return mean_square(sigma) / mean_square(1.0)


@pytest.mark.parametrize("sigma", [0.9, 0.7])
def test_variance_and_tails_are_lost_as_theory_gives(sigma: float) -> None:
    rng = np.random.default_rng(3)
    found = run(sigma * rng.standard_normal((6000, 6)), rng.standard_normal((6000, 6)), 49)
    # One vector: its principal components are those of a sphere, each of variance sigma².
    expected = pooled_retention(sigma, "spread")
    assert retention(found, "spread") == pytest.approx(expected, rel=0.025)
    assert expected == pytest.approx(sigma**2, rel=0.08)
    assert retention(found, "outer_5") == pytest.approx(pooled_retention(sigma, "tail"), rel=0.12)


def test_a_gaussian_trained_on_its_own_samples_loses_variance_as_theory_gives() -> None:
    rng = np.random.default_rng(5)
    n, generations, d = 60, 12, 1000
    real = rng.standard_normal((n, d))
    data, variances = real, []
    for _ in range(generations):
        data = data.mean(axis=0) + data.std(axis=0) * rng.standard_normal((n, d))
        variances.append(float(profile_vectors(data).moments.variance.mean()))
    # E[variance of generation g] = (1 - 1/n)^g by maximum likelihood (Shumailov et al. 2024), with
    # a spread over columns of about sqrt(2 g / n).
    for g, found in enumerate(variances, start=1):
        error = np.sqrt(2 * (g + 1) / n / d)
        assert found == pytest.approx((1 - 1 / n) ** g, abs=4 * error)
    columns = data[:, :40]
    batch = columns.mean(axis=0) + columns.std(axis=0) * rng.standard_normal((1500, 40))
    diagnosis = run(batch, rng.standard_normal((1500, 40)))
    assert {e.axis for e in diagnosis.alarms} >= {"T", "S"}
    assert retention(diagnosis, "spread") < 0.95


def test_each_damage_fires_its_own_axis() -> None:
    rng = np.random.default_rng(7)
    gold, batch = rng.standard_normal((1500, 8)), rng.standard_normal((1500, 8))
    cut = batch.copy()
    far = np.abs(cut) > 2.3
    cut[far] = rng.standard_normal(int(far.sum())) * 0.5
    copies = batch.copy()
    copies[:75] = copies[750:825]
    # One fifth of gold lies in a place of its own.
    gold[:300] += 6.0
    whole = batch.copy()
    whole[:300] += 6.0
    damaged = {
        axis.axis: found
        for wanted, found in (("R", run(np.vstack([copies[:1200], whole[:300]]), gold)),)
        for axis in found.axes
        if axis.alarm and axis.beyond and axis.axis == wanted
    }
    assert set(damaged) == {"R"} and damaged["R"].stage == "late"
    lost = run(batch, gold)
    assert lost.stage == "mid" and "N" in {a.axis for a in lost.axes if a.alarm and a.beyond}
    tails = run(cut, rng.standard_normal((1500, 8)))
    assert tails.stage == "early"
    assert {"T", "S"} & {a.axis for a in tails.axes if a.alarm and a.beyond}


@pytest.mark.parametrize("move", [0.3, 4.0])
def test_data_that_only_moved_is_shifted_and_not_collapsed(move: float) -> None:
    rng = np.random.default_rng(8)
    found = run(rng.standard_normal((1200, 8)) + move, rng.standard_normal((1200, 8)))
    assert found.stage == "shifted"


def test_a_narrow_batch_in_another_place_is_foreign() -> None:
    rng = np.random.default_rng(9)
    found = run(0.5 * rng.standard_normal((800, 8)) + 4, rng.standard_normal((800, 8)))
    assert found.stage == "shifted" and found.foreign


def test_more_variance_than_gold_is_never_called_collapse() -> None:
    rng = np.random.default_rng(10)
    found = run(1.5 * rng.standard_normal((800, 4)), rng.standard_normal((800, 4)))
    assert found.stage in ("healthy", "shifted", "insufficient")


def test_few_rows_are_insufficient_and_told_how_many_are_needed() -> None:
    rng = np.random.default_rng(11)
    found = run(rng.standard_normal((60, 3)), rng.standard_normal((60, 3)))
    assert found.stage == "insufficient" and found.documents_needed is not None
    assert found.documents_needed > 60
    assert run(rng.standard_normal((4, 3)), rng.standard_normal((60, 3))).stage == "insufficient"


def test_units_and_scale_of_a_column_do_not_matter() -> None:
    rng = np.random.default_rng(12)
    a, b = table(300, rng=rng), table(300, rng=rng)
    names = list("abcde")

    def shown(f: np.ndarray, g: np.ndarray) -> list[float]:
        found = examine(
            profile_vectors(f, names), profile_vectors(g, names), alpha=0.05, margin=0.02,
            resolution=0.25,
        )  # fmt: skip
        return [e.retention for e in found.evidence if np.isfinite(e.retention)]

    scale, offset = np.array([1e6, 2.0, 1e-3, 3.0, 1.0]), np.array([5.0, 0, 0, -7, 0])
    moved = shown(a * scale + offset, b * scale + offset)
    # The sample's order follows the hash of the numbers, so clusters may differ.
    assert np.allclose(shown(a, b)[:9], moved[:9], rtol=1e-6)


def test_a_constant_table_and_empty_columns_raise_nothing() -> None:
    rng = np.random.default_rng(13)
    constant = np.full((50, 3), 0.1)
    assert run(constant, constant).stage in ("insufficient", "healthy")
    empty = rng.standard_normal((50, 3))
    empty[:, 1] = np.nan
    assert run(empty, rng.permutation(empty)).stage != "late"


def test_values_that_go_missing_are_a_shift() -> None:
    rng = np.random.default_rng(14)
    gold, batch = rng.standard_normal((600, 4)), rng.standard_normal((600, 4))
    batch[rng.random(batch.shape) < 0.1] = np.nan
    found = run(batch, gold)
    assert "same_missing" in {e.name for e in found.alarms}


def test_copies_evidence_is_exact_for_columns_of_few_values() -> None:
    rng = np.random.default_rng(15)
    p = []
    for _ in range(300):
        gold, batch = (profile_vectors(rng.integers(0, 200, (n, 1))) for n in (150, 60))
        p.append(copies_evidence(batch, gold).p * 0.2)
    assert np.mean(np.array(p) <= 0.05) <= 0.08


def test_copies_beyond_the_row_sample_are_still_found() -> None:
    rng = np.random.default_rng(16)
    gold, batch = rng.standard_normal((30_000, 1)), rng.standard_normal((30_000, 1))
    batch[:1500] = batch[15_000:16_500]
    found = copies_evidence(profile_vectors(batch), profile_vectors(gold))
    assert found.p < 1e-6 and found.retention == pytest.approx(0.9, abs=0.02)


def test_normal_scores_and_components_are_what_they_say() -> None:
    rng = np.random.default_rng(17)
    scores = normal_scores(np.exp(rng.standard_normal((4000, 2))))
    assert scores.mean() == pytest.approx(0, abs=1e-9)
    assert scores.std() == pytest.approx(1, abs=0.01)
    values = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 5))
    points, variances = principal(values)
    np.testing.assert_allclose(np.cov(points.T, bias=True), np.diag(variances), atol=1e-9)
    wide, more = principal(values.T @ rng.standard_normal((400, 900)))
    assert wide.shape[1] == len(more) <= 5


def test_clusters_find_well_separated_groups() -> None:
    rng = np.random.default_rng(18)
    places = np.repeat(np.eye(4) * 50, 100, axis=0)
    found = clusters(places + rng.standard_normal(places.shape), rng=rng)
    for group in range(4):
        mine = set(found[group * 100 : group * 100 + 100])
        assert not mine & set(np.delete(found, np.s_[group * 100 : group * 100 + 100]))
