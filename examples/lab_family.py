"""A family of your own, in full: the uniform distribution on [0, top], fitted by the largest value.

Put this file into src/tailguard/lab/families/ and ``tailguard lab run --family uniform`` knows it.
Here: python examples/lab_family.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.lab.families import FAMILIES
from tailguard.lab.overlay import overlays
from tailguard.lab.simulate import Setting, simulate
from tailguard.lab.store import summarised
from tailguard.theory.base import Law


@FAMILIES.register("uniform", cite="Casella & Berger 2002, example 7.3.13")
@dataclass(frozen=True)
class Uniform:
    """Uniform on [0, top], fitted by the largest sample, the maximum-likelihood estimate."""

    replicated = True  # data have shape (R, n): R replicates at once

    def fit(self, data: Any, *, rng: np.random.Generator) -> UniformModel:
        return UniformModel(data.max(axis=1))

    def truth(self, replicates: int, *, top: float = 1.0) -> UniformModel:
        return UniformModel(np.full(replicates, top))


@dataclass(frozen=True)
class UniformModel:
    """R fitted models; measurements ask for ``mean`` and ``var``, shape (R,)."""

    top: Any

    def sample(self, n: int, *, rng: np.random.Generator) -> Any:
        return self.top[:, None] * rng.random((len(self.top), n))

    mean = property(lambda self: self.top / 2)
    var = property(lambda self: self.top**2 / 12)


def variance(*, t: Any, n: int, var0: float) -> Any:
    """E var = var0·(n/(n + 2))^t, for the largest of n has E max² = top²·n/(n + 2)."""
    return var0 * (n / (n + 2)) ** np.asarray(t, float)


if __name__ == "__main__":
    law = Law("replace: uniform", variance, ("replace",), ("uniform",), "var")
    setting = Setting("uniform", n=50, generations=20, measurements=("var", "log_var"))
    run = summarised(simulate(setting, engine="serial"))
    (beside,) = overlays(run, laws=[law])
    print(f"theory {beside.value[-1]:.4f}, simulated {run.summaries['var'].mean[-1]:.4f}")
    print("the run leaves theory" if beside.flagged else "the run keeps to theory")
