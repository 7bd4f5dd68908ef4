"""The nouns of the laboratory: a family is an untrained kind of model, a model is a fitted one."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Statistics

Data = TypeVar("Data")
Data_co = TypeVar("Data_co", covariant=True)


class Model(Protocol[Data_co]):
    """A fitted model: writes ``n`` records of the kind it was fitted on.

    A numeric model of R replicates writes an array (R, n, ...).
    """

    def sample(self, n: int, *, rng: np.random.Generator) -> Data_co: ...


class Family(Protocol[Data]):
    """An untrained kind of model with its settings; ``fit`` leaves the family unchanged.

    A family whose ``replicated`` is True takes arrays (R, n, ...) and fits R models at once. One
    that can weigh samples takes ``weights``, shape (n,) or (R, n), as another keyword of ``fit``.
    """

    def fit(self, data: Data, *, rng: np.random.Generator) -> Model[Data]: ...


@runtime_checkable
class WritesStatistics(Protocol):
    """A model that can draw the sufficient statistics of n samples without drawing the samples."""

    def statistics(self, n: int, *, rng: np.random.Generator) -> Statistics: ...


@runtime_checkable
class ExpectsStatistics(Protocol):
    """A model that knows what the sufficient statistics of n samples are on average."""

    def expected_statistics(self, n: int) -> Statistics: ...


@runtime_checkable
class FitsStatistics(Protocol):
    """A family that can be fitted on sufficient statistics."""

    def fit_statistics(self, statistics: Any, *, rng: np.random.Generator) -> Model[Any]: ...


@runtime_checkable
class Decodes(Protocol):
    """A model that can be sampled in other ways than as it is."""

    def decoded(self, decoding: Decoding) -> Model[Any]: ...


@runtime_checkable
class HasLogProb(Protocol):
    """A model that says how likely records are, in nats."""

    def log_prob(self, x: Any) -> Floats: ...
