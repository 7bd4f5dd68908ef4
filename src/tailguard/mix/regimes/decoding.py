"""Regimes that sample the model otherwise than it is: sharper, or only where it is surest."""

from __future__ import annotations

from tailguard.mix.base import Regime
from tailguard.mix.decoding import Decoding
from tailguard.mix.policy import Policy
from tailguard.mix.regimes.pools import replace
from tailguard.mix.registry import REGIMES


@REGIMES.register("bias", cite="Alemohammad et al. 2023, arXiv:2307.01850")
def bias(*, sampling_bias: float = 0.9) -> Regime:
    """Replace, where the variance of what is drawn is λ times the model's.

    λ is ``sampling_bias``; 1 is unbiased. Generation 0 is real, so the t-th fit has seen t - 1
    biased draws.
    """
    return Policy(replace(), Decoding(bias=sampling_bias))


@REGIMES.register("temperature", cite="Ackley, Hinton & Sejnowski 1985, Cognitive Science 9:147")
def temperature(*, temperature: float = 0.8) -> Regime:
    """Replace, where samples are drawn from the model's density to the power 1/temperature."""
    return Policy(replace(), Decoding(temperature=temperature))


@REGIMES.register("top-k", cite="Fan, Lewis & Dauphin 2018, arXiv:1805.04833")
def top_k(*, top_k: int = 10) -> Regime:
    """Replace, where only the k likeliest outcomes are drawn.

    k is ``top_k``.
    """
    return Policy(replace(), Decoding(top_k=top_k))


@REGIMES.register("top-p", cite="Holtzman et al. 2020, arXiv:1904.09751")
def top_p(*, top_p: float = 0.9) -> Regime:
    """Replace, where only the fewest, likeliest outcomes that hold a share p are drawn.

    p is ``top_p``.
    """
    return Policy(replace(), Decoding(top_p=top_p))
