"""Plain simulations of models trained on their own samples, and how close theory must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from tailguard.errors import InputError

# Two-sided chance 7e-6 for a true law; some hundreds of comparisons are made.
SIGMAS = 4.5
Train = Callable[[int, Any, Any], Any]


def close(values: ArrayLike, expected: ArrayLike) -> bool:
    """Whether means over replicates, axis 0, lie within the Monte-Carlo error of ``expected``."""
    values = np.asarray(values, dtype=np.float64)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    away = np.abs(values.mean(axis=0) - np.asarray(expected))
    return bool(np.all(away <= SIGMAS * error + 1e-12))


def shares_close(hits: Any, expected: ArrayLike) -> bool:
    """The same for yes and no, axis 0, whose error follows from the expected share."""
    share = np.asarray(expected, dtype=np.float64)
    error = np.sqrt(np.clip(share * (1 - share), 0, None) / len(hits))
    return bool(np.all(np.abs(hits.mean(axis=0) - share) <= SIGMAS * error + 1e-12))


def fitted(data: Any, unbiased: bool = False) -> tuple[Any, Any]:
    """Mean and variance of Gaussians, (R, n) → (R,), (R,)."""
    return data.mean(axis=1), data.var(axis=1, ddof=int(unbiased))


def written(model: tuple[Any, Any], n: int, rng: np.random.Generator) -> Any:
    """n samples of each Gaussian, (R, n)."""
    mean, var = model
    return mean[:, None] + np.sqrt(var)[:, None] * rng.standard_normal((len(mean), n))


def real(n: int, replicates: int, rng: np.random.Generator) -> Any:
    """n standard normal samples in each replicate."""
    return rng.standard_normal((replicates, n))


def gaussian_loop(first: Any, train: Train, steps: int, *, unbiased: bool = False) -> Any:
    """Means and variances of models 1 … steps, (R, 2, steps).

    ``train(i, model, data)`` returns the data of model i + 1.
    """
    data, models = first, []
    for i in range(1, steps + 1):
        models.append(fitted(data, unbiased))
        if i < steps:
            data = train(i, models[-1], data)
    return np.moveaxis(np.array(models), (0, 1, 2), (2, 1, 0))


def agrees(models: Any, law: Any) -> bool:
    """Whether simulated models 1 … steps obey ``law(t)``, a pair of E var and E mean²."""
    want = law(np.arange(1, models.shape[2] + 1))
    return close(models[:, 1], want.var) and close(models[:, 0] ** 2, want.mean_sq)


def refused(call: Callable[[], object]) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)
