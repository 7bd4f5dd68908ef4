"""The nouns of the laboratory: a family is an untrained kind of model, a model is a fitted one."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

Data = TypeVar("Data")
Data_co = TypeVar("Data_co", covariant=True)


class Model(Protocol[Data_co]):
    """A fitted model: writes ``n`` records of the kind it was fitted on."""

    def sample(self, n: int, *, rng: np.random.Generator) -> Data_co: ...


class Family(Protocol[Data]):
    """An untrained kind of model with its settings; ``fit`` leaves the family unchanged."""

    def fit(self, data: Data, *, rng: np.random.Generator) -> Model[Data]: ...
