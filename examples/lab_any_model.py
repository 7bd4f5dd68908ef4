"""A recursion with any object that has ``fit`` and ``sample``: here SciPy's density estimate.

python examples/lab_any_model.py
"""

from __future__ import annotations

import numpy as np
from scipy.stats import gaussian_kde

from tailguard.lab.recursion import recurse
from tailguard.mix.registry import REGIMES


class Density:
    """A family of one setting; ``fit`` returns a model, which is any object with ``sample``."""

    def fit(self, data: np.ndarray, *, rng: np.random.Generator) -> Density:
        self.estimate = gaussian_kde(data.T)
        return self

    def sample(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        return self.estimate.resample(n, seed=rng).T


def main() -> None:
    """Two clouds of points, copied for ten generations without and with real data."""
    rng = np.random.default_rng(0)
    real = rng.standard_normal((300, 2)) * 0.3 + rng.choice([-2.0, 2.0], (300, 1))
    for regime in (REGIMES.make("replace"), REGIMES.make("fixed-real", real_frac=0.5)):
        runs = list(recurse(real, Density(), regime, generations=10, seed=0))
        spread = [float(generation.data.std()) for generation in runs]
        print(f"spread {spread[0]:.2f} -> {spread[-1]:.2f}, real share {runs[-1].real_frac:.1f}")


if __name__ == "__main__":
    main()
