"""How a model is sampled: as it is, or sharper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailguard.errors import InputError


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a model is sampled. The defaults draw from the model as it is.

    ``bias`` λ scales the variance of what is drawn (Alemohammad et al. 2023: λ = 1 unbiased, 0
    only the mode). ``temperature`` T draws from density^(1/T). ``top_k`` keeps the k likeliest
    outcomes, ``top_p`` the fewest, likeliest ones that hold this share.
    """

    bias: float = 1.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("bias", 0.0 <= self.bias <= 1.0, "in [0, 1]"),
            ("temperature", 0.0 < self.temperature < np.inf, "above 0"),
            ("top_k", self.top_k is None or self.top_k >= 1, "at least 1"),
            ("top_p", 0.0 < self.top_p <= 1.0, "in (0, 1]"),
        ):
            if not ok:
                got = f"{getattr(self, name)}"
                raise InputError("decoding", f"{name} {expected}", got, f"change {name}")


PLAIN = Decoding()
