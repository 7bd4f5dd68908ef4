"""Policies compose: pools, decodings, filters and weights, nested and together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from mix_stubs import StubPast, StubReal, held

from tailguard.errors import InputError
from tailguard.lab.families.gaussian import Gaussian
from tailguard.lab.recursion import recurse
from tailguard.mix.base import Block, Real, TrainingSet
from tailguard.mix.decoding import PLAIN, Decoding
from tailguard.mix.filters import Draw, curate, edit, verify
from tailguard.mix.policy import Policy, Promise, promise_of
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays, Rows
from tailguard.mix.weights import real_weight

COLD, NARROW = Decoding(temperature=0.5), Decoding(bias=0.5)


def write(n: int, rng: np.random.Generator) -> Any:
    return rng.standard_normal((4, n))


def first(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
    """The n smallest of 2n candidates."""
    block = draw(2 * n)
    return block.take(np.argsort(block.samples.values, axis=1)[:, :n])


def step(regime: Any, past: StubPast | None = None, n: int = 10) -> TrainingSet:
    made: TrainingSet = regime(
        StubReal(write), [past or StubPast(write)], n=n, rng=np.random.default_rng(0)
    )
    return made


def test_a_decoding_reaches_the_model_through_policies_around_it() -> None:
    for regime in (
        REGIMES.make("temperature", temperature=0.5),
        Policy(REGIMES.make("temperature", temperature=0.5)),
        Policy(REGIMES.make("replace"), COLD),
        Policy(Policy(Policy(REGIMES.make("replace"), COLD), keep=first)),
        Policy(Policy(REGIMES.make("fixed-real"), keep=first), COLD),
    ):
        past = StubPast(write)
        step(regime, past)
        assert past.decodings == [COLD]


def test_a_model_that_is_sampled_plainly_is_told_nothing_of_decoding() -> None:
    past = StubPast(write)
    step(REGIMES.make("replace"), past)
    assert past.decodings == [None] or past.decodings == [PLAIN]


def test_two_decodings_one_inside_the_other_are_refused_in_one_line() -> None:
    inner = Policy(REGIMES.make("replace"), COLD)
    with pytest.raises(InputError, match="one decoding") as caught:
        step(Policy(inner, NARROW))
    assert "\n" not in str(caught.value)
    step(Policy(inner, COLD))


def test_filters_of_nested_policies_act_one_after_the_other() -> None:
    once = step(Policy(REGIMES.make("replace"), keep=first)).data
    twice = step(Policy(Policy(REGIMES.make("replace"), keep=first), keep=first)).data
    assert once.shape == twice.shape == (4, 10)
    # Half of the draws, then a quarter of them: the means of the lowest parts of a normal.
    assert twice.mean() < once.mean() - 0.3


def test_a_slow_verifier_may_judge_what_an_editor_has_made_partly_real() -> None:
    # Some batches have real samples in some replicates, others have none: depths of both shapes.
    slow = verify(lambda values: values > 2.0, accept_correct=1.0, accept_wrong=0.0)
    editor = edit(0.005)
    shapes = []

    def noting(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        block = editor(draw, real, n=n, rng=rng)
        shapes.append(block.depth.ndim)
        return block

    # The outer policy's filter acts first.
    made = step(Policy(Policy(REGIMES.make("replace"), keep=slow), keep=noting), n=8)
    assert set(shapes) == {1, 2}
    assert made.data.shape == (4, 8) and (made.data > 2.0).all()


def test_a_filter_that_keeps_too_few_is_refused_in_one_line() -> None:
    def short(draw: Draw, real: Real, *, n: int, rng: np.random.Generator) -> Block:
        return draw(n - 1)

    with pytest.raises(InputError, match="10 samples kept, got 9") as caught:
        step(Policy(REGIMES.make("replace"), keep=short))
    assert "\n" not in str(caught.value)


def test_a_filter_sees_only_what_the_model_writes() -> None:
    zeros = StubReal(lambda n, rng: np.zeros((4, n)))
    made = Policy(REGIMES.make("fixed-real", real_frac=0.5), keep=first)(
        zeros,
        [StubPast(lambda n, rng: -1 - rng.random((4, n)))],
        n=10,
        rng=np.random.default_rng(0),
    )
    assert (made.data[:, :5] == 0).all() and (made.data[:, 5:] < -1).all()
    assert made.real_frac == 0.5 and made.depth.tolist() == [0] * 5 + [1] * 5


@pytest.mark.parametrize(
    "name", ["accumulate", "window", "contaminated-stream", "accumulate-subsample"]
)
def test_weights_are_set_anew_when_a_pool_keeps_old_data(name: str) -> None:
    family = Gaussian()
    regime = Policy(REGIMES.make(name), weigh=real_weight(0.8))
    runs = list(
        recurse(family.truth(50), family, regime, generations=4, n=8, seed=1, path="samples")
    )
    for run in runs[1:]:
        depth = np.broadcast_to(run.training.depth, (50, run.training.n))
        weights = np.concatenate(
            [
                np.broadcast_to(b.weights, (50, b.samples.n))
                for b in run.training.blocks
                if b.weights is not None
            ],
            axis=1,
        )
        both = ((depth == 0).any(axis=1)) & (depth > 0).any(axis=1)
        real = np.where(depth == 0, weights, 0).sum(axis=1) / weights.sum(axis=1)
        assert np.allclose(real[both], 0.8)
        assert np.allclose(weights.mean(axis=1), 1.0)


def test_curation_of_an_accumulating_pool_keeps_old_data_as_they_were() -> None:
    family = Gaussian()
    regime = Policy(REGIMES.make("accumulate"), keep=curate(candidates=4))
    runs = list(recurse(family.truth(200), family, regime, generations=3, n=30, seed=2))
    for before, after in pairwise(runs):
        old = before.data.shape[1]
        assert np.array_equal(after.data[:, :old], before.data)
        assert after.data[:, old:].mean() > before.data.mean() + 0.2
    assert runs[3].real_frac == 0.25


def test_the_promise_of_a_policy_is_its_own_or_that_of_its_pool() -> None:
    pool = REGIMES.make("anchor", m=3)
    promise = promise_of(Policy(Policy(pool), keep=first))
    assert promise is not None and promise.real is not None
    assert (promise.size(4, 10), promise.real(0, 10), promise.real(4, 10)) == (10, 10, 3)
    own = Promise(group=2)
    assert promise_of(Policy(pool, promise=own)) is own
    assert promise_of(lambda real, history, *, n, rng: real.start(n)) is None


def weighed(made: TrainingSet, weight: float = 0.75) -> list[Any]:
    blocks = real_weight(weight)(made).blocks
    return [None if block.weights is None else block.weights.tolist() for block in blocks]


def test_real_weight_is_a_number_where_blocks_are_of_one_kind() -> None:
    real, written = held([[1.0, 2.0]]), held([[3.0] * 6], depth=2)
    assert weighed(TrainingSet((real, written))) == [0.75 * 8 / 2, 0.25 * 8 / 6]
    assert weighed(TrainingSet((real,))) == [1.0]
    assert weighed(TrainingSet((written, written))) == [1.0, 1.0]


def test_real_weight_follows_depths_where_kinds_are_mixed() -> None:
    mixed = Block(Rows(["a", "b", "c", "d"]), np.array([0, 1, 1, 1]))
    assert weighed(TrainingSet((mixed,))) == [[3.0, 1 / 3, 1 / 3, 1 / 3]]
    depth = np.array([[0, 1, 1, 2], [0, 0, 0, 1], [1, 1, 1, 1]])
    by_replicate = Block(Arrays(np.zeros((3, 4))), depth)
    assert np.allclose(
        weighed(TrainingSet((by_replicate,)))[0],
        [[3.0, 1 / 3, 1 / 3, 1 / 3], [1.0, 1.0, 1.0, 1.0], [1.0] * 4],
    )


def test_weights_are_refused_twice_and_on_statistics_of_both_kinds() -> None:
    family = Gaussian()
    made = real_weight(0.5)(TrainingSet((held([[1.0]]),)))
    with pytest.raises(InputError, match="weigh them once"):
        real_weight(0.5)(made)
    regime = Policy(REGIMES.make("accumulate"), weigh=real_weight(0.5))
    with pytest.raises(InputError, match="statistics of both together") as caught:
        list(recurse(family.truth(3), family, regime, generations=2, n=5, seed=0,
                     path="statistics"))  # fmt: skip
    assert "\n" not in str(caught.value)


def test_weights_keep_the_pool_that_the_next_generation_draws_from() -> None:
    block = held([[1.0, 2.0]])
    assert real_weight(0.5)(TrainingSet((block,), pool=(block,))).pool == (block,)
