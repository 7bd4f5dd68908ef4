"""Regimes that choose among what a model writes, or change it, before the next one reads it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tailguard.mix.base import Past, Real, Regime, TrainingSet
from tailguard.mix.filters import correct as moving
from tailguard.mix.filters import curate, edit, keep_human, resample_human, verify
from tailguard.mix.policy import Filter, Policy, Promise
from tailguard.mix.regimes import finite, from_real, least, share
from tailguard.mix.regimes.real_data import fixed_pool, fresh_batch, rounded
from tailguard.mix.registry import REGIMES


def sifted(keep: Filter, real_frac: float, *, alters: bool = False, real: bool = True) -> Regime:
    """fixed-real, where keep sifts what the model writes; real: it writes nothing real."""
    promise = Promise(real=rounded(real_frac) if real else None, alters=alters)
    return Policy(fixed_pool(real_frac), keep=keep, promise=promise)


@REGIMES.register("verified", cite="Feng et al. 2024, arXiv:2406.07515")
def verified(
    *,
    accept_correct: float = 1.0,
    accept_wrong: float = 0.5,
    real_frac: float = 0.0,
    correct: Callable[[Any], Any] | None = None,
) -> Regime:
    """A verifier passes correct samples with one chance, and wrong ones with another.

    The chances are ``accept_correct`` φ and ``accept_wrong`` ψ. ``correct(values)`` says which
    samples are correct: by default those with a value (of vectors, a last coordinate) above 0.
    round(real_frac·n) samples are real, the same every generation.
    """
    share("accept_correct", accept_correct)
    share("accept_wrong", accept_wrong)
    keep = verify(correct, accept_correct=accept_correct, accept_wrong=accept_wrong)
    return sifted(keep, real_frac)


@REGIMES.register("curated", cite="Ferbach et al. 2024, arXiv:2407.09499")
def curated(
    *,
    candidates: int = 2,
    scale: float = 1.0,
    real_frac: float = 0.0,
    reward: Callable[[Any], Any] | None = None,
) -> Regime:
    """Users keep one of every K candidates, x with odds exp(scale·reward(x)): Bradley–Terry.

    ``reward(values)`` is by default the value (of vectors, the first coordinate).
    round(real_frac·n) samples are real, the same every generation.
    """
    least("candidates", candidates, 1)
    finite("scale", scale)
    return sifted(curate(reward, candidates=candidates, scale=scale), real_frac)


@REGIMES.register("corrected", cite="Gillman et al. 2024, arXiv:2402.07087")
def corrected(
    *,
    strength: float = 1.0,
    real_frac: float = 0.0,
    move: Callable[[Any, Any], Any] | None = None,
) -> Regime:
    """Samples are moved towards real ones: x becomes (x + γ·y)/(1 + γ), γ = strength.

    y is the fixed real sample matched with x at the least total distance, unless
    ``move(values, real_values)`` is given. Moved samples still count as synthetic;
    round(real_frac·n) are real, the same every generation.
    """
    finite("strength", strength, 0.0)
    return sifted(moving(move, strength=strength), real_frac, alters=True)


@REGIMES.register("token-edited", cite="Zhu et al. 2024, arXiv:2412.14689")
def token_edited(*, edited: float = 0.5, real_frac: float = 0.0) -> Regime:
    """A share of each sample's words or coordinates comes from a real sample.

    The share is ``edited``. A sample that was replaced as a whole is real;
    round(real_frac·n) more samples are real, the same every generation.
    """
    share("edited", edited)
    return sifted(edit(edited), real_frac, alters=True, real=False)


@REGIMES.register("detector-filtered", cite="Drayson, Yilmaz & Lampos 2025, arXiv:2502.15654")
def detector_filtered(
    *,
    oversample: float = 2.0,
    real_frac: float = 0.0,
    detector: Callable[[Any, Any], Any] | None = None,
) -> Regime:
    """Of oversample·n samples of unknown origin, the n that a detector finds most human.

    A share ``real_frac`` of those found is new real data, the rest was written by the model; how
    many of the n are real is what comes of it. ``detector(real_values, values)`` scores, higher
    is more likely synthetic; by default logistic regression on x and x².
    """
    return _found(keep_human(detector, oversample=_over(oversample)), real_frac)


@REGIMES.register("detector-resampled", cite="Drayson, Yilmaz & Lampos 2025, arXiv:2502.15654")
def detector_resampled(
    *,
    oversample: float = 2.0,
    real_frac: float = 0.0,
    detector: Callable[[Any, Any], Any] | None = None,
) -> Regime:
    """n drawn from oversample·n samples of unknown origin, by a detector's odds of human.

    Importance resampling with replacement; ``real_frac`` and ``detector`` as in detector-filtered.
    """
    return _found(resample_human(detector, oversample=_over(oversample)), real_frac)


def _over(oversample: float) -> float:
    return finite("oversample", oversample, 1.0)


def _found(keep: Filter, real_frac: float) -> Regime:
    share("real_frac", real_frac)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        found = partial(fresh_batch, real, newest, real_frac, rng=rng)
        return TrainingSet((keep(lambda m: found(m).merged().blocks[0], real, n=n, rng=rng),))

    return Policy(from_real(step), promise=Promise())
