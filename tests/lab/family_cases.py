"""What the tests of numeric families share: runs on both paths, and whether two laws agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.recursion import recurse
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Floats

# Two laws that agree have a p-value below it once in so many thousand comparisons.
DOUBT = 1e-4
# So many replicates tell laws apart whose variances differ by a tenth.
MANY = 20_000
REGIMES_TO_TRY = {
    "replace": {},
    "fixed-real": {"real_frac": 0.5},
    "accumulate": {},
}


def family_of(name: str, **settings: Any) -> Any:
    """A registered family."""
    return FAMILIES.make(name, **settings)


def run(
    family: Any,
    regime: str = "replace",
    *,
    path: str = "statistics",
    n: int = 8,
    generations: int = 3,
    replicates: int = 4_000,
    seed: int = 0,
    **truth: Any,
) -> Any:
    """The last model of a recursion; ``truth`` is what the true model takes."""
    rule = REGIMES.make(regime, **REGIMES_TO_TRY.get(regime, {}))
    true = family.truth(replicates, **truth)
    last = None
    for generation in recurse(
        true, family, rule, generations=generations, n=n, seed=seed, path=path
    ):
        last = generation.model
    return last


def p_value(a: Floats, b: Floats) -> float:
    """How well two samples of one number (N,) go together: means, spreads, whole distributions."""
    whole = stats.ks_2samp(a, b).pvalue
    means = stats.ttest_ind(a, b, equal_var=False).pvalue
    spreads = stats.ttest_ind((a - a.mean()) ** 2, (b - b.mean()) ** 2, equal_var=False).pvalue
    return float(min(1.0, 3 * min(whole, means, spreads)))


def near(values: Floats, expected: float, *, errors: float = 4.0) -> bool:
    """Whether the mean over replicates (N,) is within so many standard errors."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return bool(abs(values.mean() - expected) <= errors * error + 1e-12)


def paths_agree(family: Any, regime: str, summaries: dict[str, Any], **truth: Any) -> None:
    """Assert that samples and statistics give the same law of every summary of the last model."""
    models = {
        path: run(family, regime, path=path, seed=seed, replicates=MANY, **truth)
        for seed, path in enumerate(("samples", "statistics"))
    }
    for name, summary in summaries.items():
        p = p_value(*(summary(model) for model in models.values()))
        assert p > DOUBT, (regime, name, p)


def same_bytes(model: Any, n: int = 5) -> None:
    """Assert that draws repeat with their seed, and change with it."""

    def drawn(seed: int) -> list[bytes]:
        rng = np.random.default_rng(seed)
        statistics = model.statistics(n, rng=rng)
        sums = statistics.sums if hasattr(statistics, "sums") else statistics.mean
        return [model.sample(n, rng=rng).tobytes(), sums.tobytes()]

    assert drawn(1) == drawn(1)
    assert all(a != b for a, b in zip(drawn(1), drawn(2), strict=True))


def refused(match: str, make: Any) -> None:
    """Assert that ``make()`` is refused in one line that says ``match``."""
    with pytest.raises(InputError, match=match) as caught:
        make()
    assert "\n" not in str(caught.value)
