"""Error sources, each switched on and off, against what theory says each does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma

from tailguard.errors import InputError
from tailguard.lab.ablation import SOURCES, ablate
from tailguard.lab.simulate import Setting


def test_chance_and_bias_share_the_loss_of_log_variance_as_theory_says() -> None:
    # With the bias on and chance off, log var falls by -log(1 - 1/n) a generation. With chance on
    # and no bias, by log(n - 1) - log 2 - digamma((n - 1)/2) on average. The sum is both.
    n, steps = 20, 30
    found = ablate(Setting(n=n, generations=steps, replicates=4_000), "log_var",
                   exact={"unbiased": True})  # fmt: skip
    bias = steps * np.log(1 - 1 / n)
    chance = steps * (digamma((n - 1) / 2) + np.log(2) - np.log(n - 1))
    assert found.values[frozenset()] == 0
    assert found.values[frozenset({"approximation"})] == pytest.approx(bias)
    assert abs(found.share["statistical"] - chance) < 5 * found.error["statistical"]
    assert abs(found.share["approximation"] - bias) < 5 * found.error["approximation"]
    assert found.share["expressivity"] == 0


def test_shares_add_up_to_what_all_sources_do() -> None:
    setting = Setting(truth="exponential", n=30, generations=10, replicates=100)
    found = ablate(setting, "tail_mass_lost", exact={"unbiased": True})
    both = found.values[frozenset(SOURCES)] - found.values[frozenset()]
    assert len(found.values) == 8
    assert sum(found.share.values()) == pytest.approx(both)


def test_a_family_that_cannot_fit_loses_what_no_number_of_samples_saves() -> None:
    # A Gaussian puts 2.5% beyond each quantile of its own, but an exponential has no left tail.
    setting = Setting(truth="exponential", n=400, generations=2, replicates=100)
    found = ablate(setting, "tail_mass")
    off, on = (found.values[frozenset(s)] for s in ((), ("expressivity",)))
    assert off == pytest.approx(0.05, abs=2e-3) and abs(on - off) > 0.02


def test_an_unknown_exact_setting_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'unbiased'"):
        ablate(Setting(generations=2, replicates=5), "var", exact={"unbiassed": True})
