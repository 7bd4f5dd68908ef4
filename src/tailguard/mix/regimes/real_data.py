"""Regimes that go back to real data: the same or new ones, few or many, always or sometimes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.policy import Count, Policy, Promise
from tailguard.mix.regimes import bare, finite, from_real, least, share, together, writer
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays, Rows, unseen
from tailguard.mix.weights import real_weight

GOLDEN = (5**0.5 - 1) / 2


def rounded(real_frac: float) -> Count:
    """round(real_frac·n) real samples in every generation but the first, which is real.

    >>> rounded(0.25)(0, 10), rounded(0.25)(1, 10)
    (10, 2)
    """
    return lambda generation, n: round(real_frac * n) if generation else n


def fixed_pool(real_frac: float) -> Regime:
    """The same round(real_frac·n) real samples every generation; the model writes the rest."""
    share("real_frac", real_frac)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        kept = round(real_frac * n)
        return together((kept, real.fixed), (n - kept, writer(newest, rng=rng)))

    return from_real(step, fixed=lambda n: round(real_frac * n))


def fresh_pool(real_frac: float) -> Regime:
    """round(real_frac·n) new real samples every generation; the model writes the rest."""
    share("real_frac", real_frac)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        return fresh_batch(real, newest, real_frac, n, rng=rng)

    return from_real(step)


def fresh_batch(
    real: Real, newest: Past, real_frac: float, n: int, *, rng: np.random.Generator
) -> TrainingSet:
    """round(real_frac·n) new real samples, then what the newest model writes."""
    return _fresh(real, newest, round(real_frac * n), n, rng=rng)


def _fresh(real: Real, newest: Past, kept: int, n: int, *, rng: np.random.Generator) -> TrainingSet:
    return together((kept, lambda m: real.fresh(m, rng=rng)), (n - kept, writer(newest, rng=rng)))


@REGIMES.register("fixed-real", cite="Alemohammad et al. 2023, arXiv:2307.01850")
def fixed_real(*, real_frac: float = 0.1) -> Regime:
    """The same round(real_frac·n) real samples every generation; the model writes the rest."""
    return Policy(fixed_pool(real_frac), promise=Promise(real=rounded(real_frac)))


@REGIMES.register("fresh-real", cite="Alemohammad et al. 2023, arXiv:2307.01850")
def fresh_real(*, real_frac: float = 0.1) -> Regime:
    """round(real_frac·n) new real samples every generation; the model writes the rest."""
    return Policy(fresh_pool(real_frac), promise=Promise(real=rounded(real_frac)))


@REGIMES.register("anchor", cite="Jangjoo, Marsili & Roudi 2026, PRL 136:197301")
def anchor(*, m: int = 1, fixed: bool = False) -> Regime:
    """m real points every generation; the model writes the other n - m.

    The points are new each time or, if ``fixed``, m of generation 0 again and again.
    """
    least("m", m, 0)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        if not fixed:
            return _fresh(real, newest, _of(m, n), n, rng=rng)
        return together((_of(m, n), real.fixed), (n - m, writer(newest, rng=rng)))

    return Policy(
        from_real(step, fixed=lambda n: _of(m, n) if fixed else 0),
        promise=Promise(real=lambda g, n: m if g else n),
    )


def _of(m: int, n: int) -> int:
    if m > n:
        raise InputError("regime anchor", f"n of at least m = {m}", f"{n}", "change m or n")
    return m


@REGIMES.register("weighted", cite="He, Xu & Cheng 2025, arXiv:2502.18049")
def weighted(*, real_frac: float = 0.5, weight: float = GOLDEN) -> Regime:
    """Fresh real samples with a weight of their own in the loss; the model writes the rest.

    ``real_frac`` counts samples, ``weight`` is their part in the loss. For equal numbers of both
    the best weight is 1/φ, the default; others: `tailguard.theory.weighting.optimal_weight`.
    """
    share("weight", weight)
    return Policy(
        fresh_pool(real_frac),
        weigh=real_weight(weight),
        promise=Promise(real=rounded(real_frac)),
    )


@REGIMES.register("contaminated", cite="Wang, Niu & Li 2026, arXiv:2602.16065")
def contaminated(*, real_frac: float = 0.5, counts: bool = False) -> Regime:
    """The newest batch of a stream in which a sample is real with chance real_frac.

    The rest was written by the newest model. With ``counts`` exactly round(real_frac·n) samples
    are real, which is fresh-real.
    """
    share("real_frac", real_frac)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        return _batch(real, newest, real_frac, counts, n, rng=rng)

    return Policy(from_real(step), promise=Promise(real=rounded(real_frac) if counts else None))


@REGIMES.register("contaminated-stream", cite="Wang, Niu & Li 2026, arXiv:2602.16065")
def contaminated_stream(*, real_frac: float = 0.5, counts: bool = False) -> Regime:
    """All of a contaminated stream so far: n real samples, then n in each generation.

    ``real_frac`` and ``counts`` as in contaminated.
    """
    share("real_frac", real_frac)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        batch = _batch(real, newest, real_frac, counts, n, rng=rng)
        return TrainingSet((*bare(newest.training.blocks), *batch.blocks))

    def kept(generation: int, n: int) -> int:
        return n + generation * round(real_frac * n)

    return Policy(
        from_real(step),
        promise=Promise(size=lambda g, n: n * (g + 1), real=kept if counts else None),
    )


def _batch(
    real: Real, newest: Past, real_frac: float, counts: bool, n: int, *, rng: np.random.Generator
) -> TrainingSet:
    """n samples of a contaminated stream; by chance, replicates differ in how many are real."""
    if counts:
        return fresh_batch(real, newest, real_frac, n, rng=rng)
    like = newest.training.blocks[0].samples
    if isinstance(like, Arrays):
        shape: tuple[int, ...] = (len(like.values), n)
    elif isinstance(like, Rows):
        shape = (n,)
    else:
        raise unseen("contamination by chance")
    is_real = rng.random(shape) < real_frac
    most_real, most_written = (int(kind.sum(axis=-1).max()) for kind in (is_real, ~is_real))
    both = _fresh(real, newest, most_real, most_real + most_written, rng=rng).merged().blocks[0]
    nth_real, nth_written = (np.cumsum(kind, axis=-1) - 1 for kind in (is_real, ~is_real))
    return TrainingSet((both.take(np.where(is_real, nth_real, most_real + nth_written)),))


@REGIMES.register("prior", cite="Jangjoo, Marsili & Roudi 2026, PRL 136:197301 (MAP)")
def prior(*, strength: float = 1.0, points: int = 1000) -> Regime:
    """Maximum a posteriori: n samples, and pseudo-data that weigh as much as a few of them.

    The pseudo-data weigh as much as ``strength`` samples. They are ``points`` real samples, the
    same in every generation, and in generation 0 beside its n. For an exponential family this is
    the conjugate prior at the mean of those points, with ``strength`` pseudo-counts; the more
    points, the nearer to the truth. Sets have n + points samples, and their real share counts
    samples, not weights. (For ridge regression, set the family's penalty.)
    """
    finite("strength", strength, 0.0, open_=True)
    least("points", points, 1)

    def pseudo(real: Real) -> Block:
        block = real.fixed(points)
        return Block(block.samples, block.depth, np.asarray(strength / points))

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        return TrainingSet((newest.draw(n, rng=rng), pseudo(real)))

    start = from_real(step)

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        made = start(real, history, n=n, rng=rng)
        return made if history else TrainingSet((*made.blocks, pseudo(real)))

    return Policy(
        pool,
        promise=Promise(
            size=lambda g, n: n + points, real=lambda g, n: points if g else n + points
        ),
    )


@REGIMES.register("refresh", cite="derived from Alemohammad et al. 2023, arXiv:2307.01850")
def refresh(*, every: int = 5, real_frac: float = 1.0) -> Regime:
    """Replace, but every k-th generation has round(real_frac·n) new real samples.

    k is ``every``; with ``real_frac`` 1 that generation starts afresh.
    """
    least("every", every, 1)
    share("real_frac", real_frac)

    def kept(generation: int, n: int) -> int:
        if generation == 0:
            return n
        return 0 if generation % every else round(real_frac * n)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        return _fresh(real, newest, kept(newest.generation, n), n, rng=rng)

    return Policy(from_real(step), promise=Promise(real=kept))
