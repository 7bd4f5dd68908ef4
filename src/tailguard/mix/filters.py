"""Filters: what is kept of the samples a model can write, or made out of them.

A filter draws candidates and returns n samples, choosing anew in each replicate. Functions given
to a filter see values as they are held: an array (R, m, ...), or of one replicate the rows
(m, ...) or a list of texts; they return one number for each sample, (R, m) or (m,). Sufficient
statistics have no single samples and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.mix.base import Block, Real, TrainingSet
from tailguard.mix.policy import Filter
from tailguard.mix.samples import Arrays, Floats, Ints, Rows, unseen

Draw = Callable[[int], Block]
Rule = Callable[[Any], Any]
Bools = NDArray[np.bool_]

# A verifier that has accepted too few of so many candidates for each sample would never be done.
PATIENCE, BATCH = 1_000, 16
_STEPS, _REACH = 12, 3.0
_PIECE = re.compile(r"\s+|\S+")


def verify(correct: Rule | None = None, *, accept_correct: float, accept_wrong: float) -> Filter:
    """A verifier accepts correct samples with chance φ and wrong ones with chance ψ.

    ``correct(values)`` says which samples are correct; by default those whose value (of vectors,
    the last coordinate) is above 0. The first n accepted candidates are kept, so a share p of
    correct ones becomes pφ/(pφ + (1 - p)ψ). Raises InputError when almost nothing is accepted.

    Source: Feng et al. 2024, arXiv:2406.07515.
    """

    def keep(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        candidates = draw(2 * n)
        accepted, seen = judged(candidates, rng=rng), 2 * n
        while True:
            # A stable sort brings the accepted ones to the front, in the order they came.
            first = np.argsort(~accepted, axis=-1, kind="stable")[..., :n]
            candidates = candidates.take(first)
            accepted = np.take_along_axis(accepted, first, axis=-1)
            least = int(accepted.sum(axis=-1).min())
            if least == n:
                return candidates
            if seen >= PATIENCE * n:
                got = f"{least} of {seen} candidates in a replicate"
                raise InputError("verifier", f"{n} samples accepted", got, "accept more")
            more = draw(min(seen, BATCH * n))
            accepted = np.concatenate([accepted, judged(more, rng=rng)], axis=-1)
            candidates = TrainingSet((candidates, more)).merged().blocks[0]
            seen += more.samples.n

    def judged(block: Block, *, rng: np.random.Generator) -> Bools:
        shape = _grid(block, "a verifier")
        if correct is None:
            right = _coordinates(block, "correct")[..., -1] > 0
        else:
            right = _per_sample(correct(_values(block)), shape, "correct").astype(bool)
        return rng.random(shape) < np.where(right, accept_correct, accept_wrong)

    return keep


def curate(reward: Rule | None = None, *, candidates: int, scale: float = 1.0) -> Filter:
    """Of every K candidates one is kept, x with chance exp(r(x))/Σ exp(r): Bradley–Terry.

    r is ``reward(values)``, by default the value itself (of vectors, the first coordinate), times
    ``scale``. K = ``candidates``.

    Source: Ferbach et al. 2024, arXiv:2407.09499.
    """

    def keep(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        block = draw(candidates * n)
        shape = _grid(block, "curation")
        if reward is None:
            worth = _coordinates(block, "reward")[..., 0]
        else:
            worth = _per_sample(reward(_values(block)), shape, "reward")
        # The largest of r + Gumbel noise is x with chance exp(r(x))/Σ exp(r).
        noisy = (scale * worth + rng.gumbel(size=shape)).reshape(*shape[:-1], n, candidates)
        return block.take(noisy.argmax(axis=-1) + candidates * np.arange(n))

    return keep


def correct(move: Callable[[Any, Any], Any] | None = None, *, strength: float) -> Filter:
    """Samples are moved towards the truth: x becomes (x + γ·y)/(1 + γ), γ = ``strength``.

    y is the real sample assigned to x when n fixed real samples are matched with the n written
    ones at the least total distance; ``move(values, real_values)`` replaces all of this. Depths
    stay. The matching of vectors costs O(n³) in each replicate. Numbers must be continuous.

    Source: Gillman et al. 2024, arXiv:2402.07087.
    """

    def keep(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        block = draw(n)
        _grid(block, "a correction")
        aims = real.fixed(n)
        values = _values(block)
        if move is None:
            matched = _matched(_coordinates(block, "move"), _coordinates(aims, "move"))
            moved = (values + strength * matched.reshape(values.shape)) / (1.0 + strength)
        else:
            moved = move(values, _values(aims))
        if np.shape(moved)[:2] != np.shape(values)[:2]:
            got, expected = f"shape {np.shape(moved)}", f"shape {np.shape(values)}"
            raise InputError("move", expected, got, "return as many samples as came")
        return Block(_like(block, moved), block.depth)

    return keep


def edit(share: float) -> Filter:
    """A ``share`` of the parts of every sample is replaced by those of a real sample.

    Parts are coordinates, or the words of a text. Which ones, and which of n fixed real samples
    gives them, is drawn for each sample; share·parts is rounded up or down by chance. A sample
    whose parts were all replaced is that real sample and has depth 0. Zhu et al. choose the
    tokens of which the model is surest; here they are drawn at random.

    Source: Zhu et al. 2024, arXiv:2412.14689.
    """

    def keep(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        block = draw(n)
        shape = _grid(block, "editing")
        donors = real.fixed(n).take(np.argsort(rng.random(shape), axis=-1))
        values = _values(block)
        if not isinstance(values, np.ndarray):
            given = _values(donors)
            texts = _edited(values, given, share, rng=rng)
            same = np.array([text == whole for text, whole in zip(texts, given, strict=True)])
            return Block(Rows(texts), np.where(same, 0, block.depth))
        own, parts = values.reshape(*shape, -1), _values(donors).reshape(*shape, -1)
        taken = _parts(own.shape, share, rng=rng)
        whole = taken.all(axis=-1)
        depth = np.where(whole, 0, block.depth) if whole.any() else block.depth
        return Block(_like(block, np.where(taken, parts, own).reshape(values.shape)), depth)

    return keep


def keep_human(detector: Callable[[Any, Any], Any] | None = None, *, oversample: float) -> Filter:
    """The n of ``oversample``·n candidates that look least synthetic.

    ``detector(real_values, candidates)`` scores candidates, higher is more likely synthetic; it
    sees n fixed real samples. By default `quadratic_scores`, for numbers.

    Source: Drayson, Yilmaz & Lampos 2025, EMNLP, arXiv:2502.15654 (the detector).
    """

    def keep(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        candidates, scores = _scored(draw, real, detector, oversample, n)
        best = np.argsort(scores, axis=-1, kind="stable")[..., :n]
        return candidates.take(np.sort(best, axis=-1))

    return keep


def resample_human(
    detector: Callable[[Any, Any], Any] | None = None, *, oversample: float
) -> Filter:
    """n samples drawn with replacement from ``oversample``·n candidates, weighted like real ones.

    The weight is exp(-score). Where the score is the log-odds of a detector that tells real data
    from candidates, this is importance sampling of the real distribution. ``detector`` as in
    `keep_human`.

    Source: Drayson, Yilmaz & Lampos 2025, EMNLP, arXiv:2502.15654.
    """

    def keep(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        candidates, scores = _scored(draw, real, detector, oversample, n)
        weights = np.exp(scores.min(axis=-1, keepdims=True) - scores)
        return candidates.take(_with_replacement(weights, n, rng=rng))

    return keep


def quadratic_scores(real: Floats, candidates: Floats) -> Floats:
    """Log-odds that a sample is one of the candidates, by logistic regression on x and x².

    ``real`` (..., n, d) and ``candidates`` (..., m, d), replicates in front; shape (..., m). Both
    sides weigh the same, coordinates are standardised, coefficients other than the constant have
    a ridge of 1. For two Gaussians without correlations the true log-odds have this form.

    >>> real, narrow = np.array([[-1.0], [1.0]] * 50), np.array([[0.1], [-0.1]] * 50)
    >>> bool(quadratic_scores(real, narrow).min() > 0)
    True

    Source: logistic regression by Newton's method with short steps; McCullagh & Nelder 1989.
    """
    n, m = real.shape[-2], candidates.shape[-2]
    both = np.concatenate([real, candidates], axis=-2).astype(np.float64)
    # Coordinates before samples: sums over samples then run along memory.
    x = np.ascontiguousarray(np.swapaxes(both, -1, -2))
    spread = x.std(axis=-1, keepdims=True)
    z = (x - x.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    terms = np.concatenate([np.ones_like(z[..., :1, :]), z, z**2], axis=-2)
    turned = np.swapaxes(terms, -1, -2)
    label = np.repeat([0.0, 1.0], [n, m])
    weight = np.repeat([(n + m) / (2 * n), (n + m) / (2 * m)], [n, m])
    ridge = np.diag([0.0] + [1.0] * (terms.shape[-2] - 1))
    slope = np.zeros((*terms.shape[:-1], 1))
    odds = np.zeros((*terms.shape[:-2], 1, n + m))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        pull = terms @ np.swapaxes(weight * (label - chance), -1, -2) - ridge @ slope
        # Never flat: where the sides are separated, a step must not divide by zero.
        flat = np.maximum(weight * chance * (1 - chance), 1e-9)
        step = np.linalg.solve((flat * terms) @ turned + ridge, pull)
        # Nor too long: a logistic curve is nearly quadratic only so far.
        move = np.swapaxes(step, -1, -2) @ terms
        short = _REACH / np.maximum(np.abs(move).max(axis=-1, keepdims=True), _REACH)
        slope, odds = slope + short * step, odds + short * move
    return np.asarray(odds[..., 0, n:])


def _scored(
    draw: Draw, real: Real, detector: Callable[[Any, Any], Any] | None, oversample: float, n: int
) -> tuple[Block, Floats]:
    block = draw(max(n, round(oversample * n)))
    shape = _grid(block, "a detector")
    known = real.fixed(n)
    if detector is not None:
        found = detector(_values(known), _values(block))
        return block, _per_sample(found, shape, "detector")
    pair = _coordinates(known, "detector"), _coordinates(block, "detector")
    return block, quadratic_scores(*pair)


def _with_replacement(weights: Floats, n: int, *, rng: np.random.Generator) -> Ints:
    """n positions in each replicate, each with a chance as its weight."""
    rows = np.atleast_2d(weights)
    running = np.cumsum(rows, axis=1)
    running /= running[:, -1:]
    # One search for all replicates: replicate r's shares lie in (r, r + 1].
    offset = np.arange(len(rows))[:, None]
    wanted = rng.random((len(rows), n)) + offset
    found = np.searchsorted((running + offset).ravel(), wanted.ravel(), side="right")
    inside = found.reshape(wanted.shape) - offset * rows.shape[1]
    return np.clip(inside, 0, rows.shape[1] - 1).reshape(*weights.shape[:-1], n)


def _matched(values: Floats, aims: Floats) -> Floats:
    """The aims (..., n, d), in the order that matches the values at the least total distance."""
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError("correction", "continuous numbers", "counts or labels", "give move=")
    if values.shape[-1] == 1:
        rank = np.argsort(np.argsort(values, axis=-2, kind="stable"), axis=-2)
        return np.take_along_axis(np.sort(aims, axis=-2), rank, axis=-2)
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    flat, targets = (side.reshape(-1, *side.shape[-2:]) for side in (values, aims))
    pairs = zip(flat, targets, strict=True)
    chosen = [b[linear_sum_assignment(cdist(a, b))[1]] for a, b in pairs]
    return np.stack(chosen).reshape(values.shape)


def _parts(shape: tuple[int, ...], share: float, *, rng: np.random.Generator) -> Bools:
    """Which parts of each sample are replaced: share·d of them, rounded up or down by chance."""
    wanted = np.floor(share * shape[-1] + rng.random((*shape[:-1], 1)))
    rank = np.argsort(np.argsort(rng.random(shape), axis=-1), axis=-1)
    return np.asarray(rank < wanted)


def _edited(texts: Any, donors: Any, share: float, *, rng: np.random.Generator) -> list[str]:
    """Texts with a share of their words replaced by a donor's word at the same place."""
    pieces = [_PIECE.findall(text) for text in texts]
    flat = np.array([piece for text in pieces for piece in text], dtype=object)
    owner = np.repeat(np.arange(len(pieces)), [len(text) for text in pieces])
    at = np.flatnonzero([not piece.isspace() for piece in flat])
    text = owner[at]
    sizes = np.bincount(text, minlength=len(pieces))
    place = np.arange(len(at)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Within each text, words in a random order: the first share·words of them are replaced.
    order = np.lexsort((rng.random(len(at)), text))
    rank = np.empty_like(order)
    rank[order] = place
    given = [donor.split() for donor in donors]
    others = np.array([word for words in given for word in words], dtype=object)
    lengths = np.array([len(words) for words in given], np.int64)
    wanted = np.floor(share * sizes + rng.random(len(pieces)))
    taken = (rank < wanted[text]) & (lengths[text] > 0)
    source = (np.cumsum(lengths) - lengths)[text] + place % np.maximum(lengths, 1)[text]
    flat[at[taken]] = others[source[taken]]
    ends = np.searchsorted(owner, np.arange(len(pieces) + 1)).tolist()
    return ["".join(flat[i:j]) for i, j in pairwise(ends)]


def _grid(block: Block, who: str) -> tuple[int, ...]:
    """(R, m) or (m,): the shape of one number for each sample."""
    if isinstance(block.samples, Arrays):
        return block.samples.values.shape[:2]
    if isinstance(block.samples, Rows):
        return (block.samples.n,)
    raise unseen(who)


def _values(block: Block) -> Any:
    """Values as they are held; what only stands for an array becomes one."""
    values = block.samples.values
    return np.asarray(values) if isinstance(block.samples, Arrays) else values


def _coordinates(block: Block, who: str) -> NDArray[Any]:
    """Numbers as (..., samples, coordinates)."""
    values = _values(block)
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.number):
        raise InputError(f"regime without {who}", "numbers", "other data", f"give {who}=")
    return values.reshape(*_grid(block, who), -1)


def _per_sample(found: Any, shape: tuple[int, ...], who: str) -> NDArray[Any]:
    numbers = np.asarray(found)
    if numbers.shape != shape or numbers.dtype.kind not in "bif" or np.isnan(numbers).any():
        got = f"shape {numbers.shape} of {numbers.dtype}"
        raise InputError(who, f"a number for each sample, shape {shape}", got, f"mend {who}")
    return numbers


def _like(block: Block, values: Any) -> Arrays | Rows:
    return Arrays(values) if isinstance(block.samples, Arrays) else Rows(values)
