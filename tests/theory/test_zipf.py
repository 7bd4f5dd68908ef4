"""Zipf's tail: unseen mass, cuts, mixtures and scaling laws, against samples and sums."""

from __future__ import annotations

import numpy as np
import pytest
from theory_cases import agrees, multinomial_replace

from tailguard.errors import InputError
from tailguard.theory import zipf


def test_row_4_unseen_mass_figures() -> None:
    mass = zipf.zipf_unseen_mass([1, 10, 30], 20_000, 20_000, 1.5)
    assert mass == pytest.approx([0.0294, 0.0571, 0.0822], abs=5e-5)
    p = zipf.zipf_probabilities(20_000, 1.5)
    assert mass[0] == pytest.approx((p * (1 - p) ** 20_000).sum(), rel=1e-9)


def test_unseen_mass_agrees_with_samples_in_every_generation() -> None:
    rng, n, vocab, beta = np.random.default_rng(7), 60, 40, 1.3
    p = zipf.zipf_probabilities(vocab, beta)
    seen = multinomial_replace(12, n, 8_000, p, rng=rng) > 0
    t = np.array([1, 2, 5, 12])
    missing = (~seen[:, t - 1]) @ p
    assert agrees(missing, zipf.zipf_unseen_mass(t, n, vocab, beta))
    assert agrees(seen[:, t - 1].sum(axis=2), zipf.zipf_survivors(t, n, vocab, beta))
    assert not agrees(missing, zipf.zipf_unseen_mass(t, n, vocab, beta + 0.05))
    assert zipf.zipf_unseen_mass(0, n, vocab, beta) == 0


def test_large_samples_agree_with_one_big_simulation() -> None:
    rng, n, vocab, beta = np.random.default_rng(1), 30_000, 5_000, 1.2
    p = zipf.zipf_probabilities(vocab, beta)
    seen = multinomial_replace(20, n, 40, p, rng=rng) > 0
    t = np.array([1, 5, 20])
    assert agrees((~seen[:, t - 1]) @ p, zipf.zipf_unseen_mass(t, n, vocab, beta))


@pytest.mark.parametrize("beta", [1.3, 1.5, 2.0, 3.0])
def test_scaling_law_has_the_exponent_and_constant_of_the_exact_sum(beta: float) -> None:
    p = zipf.zipf_probabilities(2_000_000, beta)
    for n in (10_000, 100_000):
        seen_tail = 2e6 ** (1 - beta) / (beta - 1) / (p[0] ** -1)  # facts beyond the vocabulary
        exact = zipf.missing_mass(n, p, p)
        law = zipf.scaling_law(n, beta)
        if n * p[-1] < 1e-3:
            assert law == pytest.approx(float(exact) + seen_tail, rel=0.02)
    law = zipf.scaling_law([1e4, 1e6], beta)
    assert np.log(law[0] / law[1]) / np.log(100) == pytest.approx(1 - 1 / beta)
    late = zipf.scaling_law(1e9, beta, t=[1_000, 4_000])
    assert np.log(late[1] / late[0]) / np.log(4) == pytest.approx(1 - 1 / beta, abs=0.005)


def test_generations_act_as_a_smaller_sample() -> None:
    n, vocab, beta = 2_000, 200_000, 2.0
    exact = zipf.zipf_unseen_mass([1, 5, 25], n, vocab, beta)
    assert zipf.scaling_law(n, beta, t=[1, 5, 25]) == pytest.approx(exact, rel=0.03)


def test_a_narrowed_tail_slows_the_law_down() -> None:
    beta, steep = 1.5, 2.0
    p, q = zipf.zipf_probabilities(300_000, beta), zipf.zipf_probabilities(300_000, steep)
    assert np.allclose(q, zipf.tempered(p, beta / steep), rtol=1e-9, atol=0)
    beyond = 300_000 ** (1 - beta) / (beta - 1) * p[0]
    for n in (1_000, 10_000):
        exact = float(zipf.missing_mass(n, p, q)) + beyond
        law = zipf.scaling_law(n, beta, exponent_model=steep)
        assert law == pytest.approx(exact, rel=0.03)
        assert law > 1.4 * zipf.scaling_law(n, beta)  # exponents 1/4 and 1/3


@pytest.mark.parametrize("n", [1e3, 1e5, 3e6, 1e9])
def test_a_cut_tail_leaves_a_floor(n: float) -> None:
    beta, k = 2.0, 1_000
    p = zipf.zipf_probabilities(1_000_000, beta)
    exact = zipf.missing_mass(n, p, zipf.top_k(p, k))
    assert zipf.cut_scaling_law(n, beta, k) == pytest.approx(float(exact), rel=0.03)


def test_real_data_end_the_plateau_at_the_stated_size() -> None:
    vocab, beta, k = 50_000, 1.5, 100
    p = zipf.zipf_probabilities(vocab, beta)
    plateau = p[k:].sum()
    cut = zipf.grokking_error(1e12, 0.0, vocab, beta, k=k)
    assert cut == pytest.approx(plateau, rel=1e-9)
    for share in (0.1, 0.001):
        turn = 100 * round(float(zipf.grokking_size(share, beta, k)) / 100)
        before, after = zipf.grokking_error([turn // 100, 10_000 * turn], share, vocab, beta, k=k)
        assert before > 0.9 * plateau and after < 0.2 * plateau
        alone = zipf.missing_mass(round(10_000 * turn * share), p, p)
        assert after == pytest.approx(float(alone), rel=0.01)
    assert zipf.grokking_error(5_000, 1.0, vocab, beta, k=k) == pytest.approx(
        float(zipf.missing_mass(5_000, p, p))
    )
    assert zipf.grokking_size(0.0, beta, k) == np.inf


def test_grokking_error_agrees_with_mixed_samples() -> None:
    rng, vocab, beta, k, n = np.random.default_rng(0), 30, 1.2, 5, 40
    p = zipf.zipf_probabilities(vocab, beta)
    real = rng.binomial(n, 0.3, 8_000)
    counts = rng.multinomial(real, p) + rng.multinomial(n - real, zipf.top_k(p, k))
    expected = zipf.grokking_error(n, 0.3, vocab, beta, k=k)
    assert agrees((counts == 0) @ p, expected)
    assert not agrees((counts == 0) @ p, zipf.grokking_error(n, 0.4, vocab, beta, k=k))


def test_cuts_keep_the_largest_and_renormalise() -> None:
    p = [0.1, 0.4, 0.2, 0.3]
    assert zipf.top_k(p, 2) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert zipf.top_k(p, 9) == pytest.approx(p) and zipf.top_p(p, 1.0) == pytest.approx(p)
    assert zipf.top_p(p, 0.7) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert zipf.top_p(p, 0.71) == pytest.approx([0, 4 / 9, 2 / 9, 3 / 9])
    assert zipf.tempered(p, 1.0) == pytest.approx(p)
    assert zipf.missing_mass([0, 3], p, [0, 1, 0, 0]) == pytest.approx([1.0, 0.6])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: zipf.scaling_law(10, 1.0), "exponent"),
        (lambda: zipf.zipf_probabilities(0, 1.5), "types"),
        (lambda: zipf.top_k([0.5, 0.5], 0), "k"),
        (lambda: zipf.tempered([0.5, 0.5], 0.0), "temperature"),
        (lambda: zipf.grokking_error(10, 1.5, 10, 1.5, k=2), "real_frac"),
    ],
)
def test_bad_zipf_settings_are_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
