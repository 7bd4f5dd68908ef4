"""The noun of this package: a scheme, its settings, and its keys' words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from tailguard.errors import InputError

Name = Literal["kgw", "kgw-self", "unigram", "exp", "synthid"]
SCHEMES: tuple[Name, ...] = get_args(Name)
GREEN = ("kgw", "kgw-self", "unigram")
"""Schemes that favour a keyed share of the vocabulary; the others leave a draw's law as it is."""

WIDTHS: dict[str, int] = {"kgw": 1, "kgw-self": 3, "unigram": 0, "exp": 4, "synthid": 4}
"""Tokens of context that decide a draw, where nothing else is asked for."""

MOST_WIDTH, MOST_LAYERS, MOST_DELTA = 16, 64, 50.0


class WatermarkError(InputError):
    """A watermark's key, scheme or input cannot be used."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How tokens are marked: ``name``, its settings, and an ``id`` of what detection needs.

    ``width`` tokens before a token are its context (None: the scheme's usual one). ``gamma``, in
    (0, 1), is the green share and ``delta`` ≥ 0 (nats) the logit bonus of green tokens (kgw,
    kgw-self, unigram). ``layers``, 1 … 64, is the depth of the tournament (synthid). Settings that
    a scheme does not have are ignored, and are not in its id. ``delta`` is not in the id either:
    detection does not need it. Raises :class:`WatermarkError` for settings out of range.

    >>> Scheme("kgw").id, Scheme("synthid").id
    ('kgw/v1/width=1/gamma=0.25', 'synthid/v1/width=4/layers=30')

    Sources: kgw, Kirchenbauer et al. 2023 (2301.10226) and kgw-self 2024 (2306.04634); unigram,
    Zhao et al. 2023 (2306.17439); exp, Aaronson 2022 and Kuditipudi et al. 2023 (2307.15593);
    synthid, Dathathri et al. 2024 (Nature 634:818).
    """

    name: Name
    width: int | None = None
    gamma: float = 0.25
    delta: float = 2.0
    layers: int = 30

    def __post_init__(self) -> None:
        if self.name not in SCHEMES:
            raise WatermarkError(
                "watermark", "one of " + ", ".join(SCHEMES), repr(self.name), "name a scheme"
            )
        least = {"unigram": 0, "kgw-self": 1}.get(self.name, 1)
        most = 0 if self.name == "unigram" else MOST_WIDTH
        for setting, ok, expected in (
            ("width", self.width is None or least <= self.width <= most, f"{least} … {most}"),
            ("gamma", 0.0 < self.gamma < 1.0, "above 0 and below 1"),
            ("delta", math.isfinite(self.delta) and 0.0 <= self.delta <= MOST_DELTA, "0 … 50"),
            ("layers", 1 <= self.layers <= MOST_LAYERS, f"1 … {MOST_LAYERS}"),
        ):
            if not ok:
                got = f"{getattr(self, setting)}"
                who = f"watermark {self.name}"
                raise WatermarkError(who, f"{setting} {expected}", got, f"change {setting}")

    @property
    def context(self) -> int:
        """Tokens of context in use."""
        return WIDTHS[self.name] if self.width is None else self.width

    @property
    def id(self) -> str:
        """The scheme with every setting that changes what detection computes."""
        own = f"layers={self.layers}" if self.name == "synthid" else f"gamma={self.gamma!r}"
        own = "" if self.name == "exp" else f"/{own}"
        return f"{self.name}/v1/width={self.context}{own}"
