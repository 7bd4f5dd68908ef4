"""Linear regression, many replicates at once: least squares, ridge, least norm."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.mix.samples import Floats, Ints, readers, unseen


@dataclass(frozen=True)
class NormalEquations:
    """X'X, shape (R, d, d), and X'y, shape (R, d), of n samples in each replicate."""

    n: int
    gram: Floats
    moment: Floats

    @property
    def values(self) -> NormalEquations:
        return self

    def join(self, *others: NormalEquations) -> NormalEquations:
        """Sums: both are totals over samples."""
        n = self.n + sum(other.n for other in others)
        gram = sum((other.gram for other in others), self.gram)
        return NormalEquations(n, gram, sum((other.moment for other in others), self.moment))

    def take(self, rows: Ints) -> NormalEquations:
        raise unseen("normal equations")

    def read(self, group: int, shift: int) -> NormalEquations:
        whom = readers(len(self.gram), group, shift)
        return NormalEquations(self.n, self.gram[whom], self.moment[whom])

    def scaled(self, weight: float) -> NormalEquations:
        return NormalEquations(self.n, self.gram * weight, self.moment * weight)


@FAMILIES.register("linear", cite="Gerstgrasser et al. 2024, arXiv:2404.01413")
@dataclass(frozen=True)
class Linear:
    """Linear regression y = x'β + noise on a standard Gaussian design.

    Samples have shape (R, n, d + 1): x, then y. A model writes x ~ N(0, I_d) and y = x'β + ε with
    ε ~ N(0, ``noise``²), the noise of the truth. β is the least-squares fit; with ``ridge`` λ > 0
    it minimises |y - Xβ|² + n λ |β|²; for n < d it is the solution of least norm.

    >>> rng = np.random.default_rng(0)
    >>> truth = Linear().truth(3, d=2)
    >>> model = Linear().fit(truth.sample(50, rng=rng), rng=rng)
    >>> model.coef.shape, bool(np.all(np.abs(model.coef - truth.coef) < 1))
    ((3, 2), True)

    Source: Gerstgrasser et al. 2024; Dohmatob et al. 2024, arXiv:2402.07712.
    """

    ridge: float = 0.0
    noise: float = 1.0
    replicated = True

    def __post_init__(self) -> None:
        for name in ("ridge", "noise"):
            if not 0.0 <= getattr(self, name) < np.inf:
                got = f"{getattr(self, name)}"
                raise InputError("linear", f"{name} at least 0", got, f"change {name}")

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> LinearModel:
        """Least squares in every replicate; ``rng`` is not used."""
        x, y = data[..., :-1], data[..., -1]
        weighted = x if weights is None else x * np.broadcast_to(weights, y.shape)[..., None]
        gram = weighted.swapaxes(1, 2) @ x
        moment = (weighted.swapaxes(1, 2) @ y[..., None])[..., 0]
        return self.fit_statistics(NormalEquations(data.shape[1], gram, moment), rng=rng)

    def fit_statistics(
        self, statistics: NormalEquations, *, rng: np.random.Generator
    ) -> LinearModel:
        """The same from X'X and X'y."""
        if not isinstance(statistics, NormalEquations):
            got = type(statistics).__name__
            raise InputError(
                "linear", "NormalEquations", f"{got} of another truth", "use path samples"
            )
        gram, moment = statistics.gram, statistics.moment
        d = gram.shape[-1]
        if self.ridge > 0:
            gram = gram + statistics.n * self.ridge * np.eye(d)
        if self.ridge > 0 or statistics.n >= d:
            # Weights of zero can still leave fewer than d directions.
            with suppress(np.linalg.LinAlgError):
                solved: Floats = np.asarray(np.linalg.solve(gram, moment[..., None]), float)
                return LinearModel(solved[..., 0], self.noise)
        inverse: Floats = np.asarray(np.linalg.pinv(gram, hermitian=True), float)
        return LinearModel((inverse @ moment[..., None])[..., 0], self.noise)

    def truth(self, replicates: int, *, d: int = 10, norm: float = 1.0) -> LinearModel:
        """The true coefficients: ``d`` equal ones of length ``norm``."""
        if d < 1:
            raise InputError("linear", "d at least 1", f"{d}", "change d")
        return LinearModel(np.full((replicates, d), norm / np.sqrt(d)), self.noise)


@dataclass(frozen=True)
class LinearModel:
    """R fitted regressions: ``coef`` (R, d) and the noise's standard deviation."""

    coef: Floats
    noise: float

    @property
    def mean(self) -> Floats:
        """The coefficients: what `mean_sq` compares with the truth."""
        return self.coef

    @property
    def var(self) -> Floats:
        """Variance of the noise, shape (R,)."""
        return np.full(len(self.coef), self.noise**2)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n, d + 1): the design, then the response."""
        replicates, d = self.coef.shape
        out = np.empty((replicates, n, d + 1))
        out[..., :d] = rng.standard_normal((replicates, n, d))
        signal = (out[..., :d] @ self.coef[..., None])[..., 0]
        out[..., d] = signal + self.noise * rng.standard_normal((replicates, n))
        return out

    def statistics(self, n: int, *, rng: np.random.Generator) -> NormalEquations:
        """Their law: X'X = S ~ Wishart(n, I); X'y given S is N(Sβ, noise² S).

        For n ≥ d, S = LL' with Bartlett's lower triangle L, so X'y = Sβ + noise · L z; for smaller
        n the design is drawn.
        """
        replicates, d = self.coef.shape
        if n < d:
            root = rng.standard_normal((replicates, d, n))
        else:
            root = np.tril(rng.standard_normal((replicates, d, d)), -1)
            at = np.arange(d)
            root[:, at, at] = np.sqrt(rng.chisquare(n - at, (replicates, d)))
        gram = root @ root.swapaxes(1, 2)
        noise = self.noise * rng.standard_normal((replicates, root.shape[2], 1))
        moment = gram @ self.coef[..., None] + root @ noise
        return NormalEquations(n, gram, moment[..., 0])

    def log_prob(self, x: Floats) -> Floats:
        """Log density of the response given the design, in nats, shape (R, n)."""
        gap = x[..., -1] - (x[..., :-1] @ self.coef[..., None])[..., 0]
        var: Any = self.noise**2
        with np.errstate(divide="ignore", invalid="ignore"):
            return -0.5 * (gap**2 / var + np.log(2 * np.pi * var))
