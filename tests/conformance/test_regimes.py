"""Every registered regime keeps the public laws, and regimes that break one are caught."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tailguard.checks import check_regime
from tailguard.errors import InputError
from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.policy import Policy, Promise
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((sheet.name, {}) for sheet in REGIMES if sheet.name != "prior"),
    ("anchor", {"m": 3, "fixed": True}),
    ("anchor", {"m": 0}),
    ("contaminated", {"counts": True, "real_frac": 0.3}),
    ("contaminated", {"real_frac": 1.0}),
    ("contaminated", {"real_frac": 0.0}),
    ("contaminated-stream", {"counts": True, "real_frac": 0.7}),
    ("corrected", {"strength": 0.0, "real_frac": 0.25}),
    ("curated", {"candidates": 1, "real_frac": 1.0}),
    ("detector-filtered", {"oversample": 1.0, "real_frac": 0.5}),
    ("detector-resampled", {"oversample": 3.0, "real_frac": 0.5}),
    ("ecosystem", {"models": 3, "others": 1.0, "real_frac": 0.25}),
    ("ecosystem", {"models": 5, "others": 0.3}),
    ("fixed-real", {"real_frac": 0.0}),
    ("fixed-real", {"real_frac": 1.0}),
    ("fresh-real", {"real_frac": 0.55}),
    ("growing", {"growth": 0.0, "ratio": 1.2}),
    ("growing", {"growth": -0.5}),
    ("prior", {"points": 12, "strength": 2.5}),
    ("refresh", {"every": 1}),
    ("refresh", {"every": 2, "real_frac": 0.4}),
    ("token-edited", {"edited": 1.0}),
    ("token-edited", {"edited": 0.1, "real_frac": 0.5}),
    ("verified", {"accept_wrong": 0.0}),
    ("weighted", {"weight": 1.0, "real_frac": 0.3}),
    ("weighted", {"weight": 0.0}),
    ("window", {"width": 1}),
    ("window", {"width": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_a_registered_regime_keeps_the_laws(name: str, settings: dict[str, Any]) -> None:
    check_regime(REGIMES.make(name, **settings))


def test_every_registered_regime_is_among_those_checked() -> None:
    assert {name for name, _ in SETTINGS} == {sheet.name for sheet in REGIMES}


Rng = np.random.Generator
Make = Callable[[Real, Past, int, Rng], TrainingSet]
HALF = Promise(real=lambda g, n: n // 2 if g else n)
NONE = Promise(real=lambda g, n: 0 if g else n)


def then(make: Make, promise: Promise | None = None) -> Regime:
    """A regime that starts as it should and goes on as ``make`` says."""

    def rule(real: Real, history: Sequence[Past], *, n: int, rng: Rng) -> TrainingSet:
        return make(real, history[-1], n, rng) if history else real.start(n)

    return rule if promise is None else Policy(rule, promise=promise)


def constant() -> Rng:
    return np.random.default_rng(0)


def dice() -> int:
    return int(np.random.randint(9))  # noqa: NPY002


def half(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    """What broken regimes should have done: half fixed real, half written."""
    return TrainingSet((real.fixed(n // 2), newest.draw(n - n // 2, rng=rng)))


def written(block: Block, **changes: Any) -> TrainingSet:
    return TrainingSet((dataclasses.replace(block, **changes),))


class Remembers:
    """Keeps what it has seen for another time."""

    def __init__(self, use: str) -> None:
        self.use, self.kept, self.calls = use, [], 0  # type: ignore[var-annotated]

    def __call__(self, real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
        self.calls += 1
        block = newest.draw(n, rng=rng)
        self.kept.append(block)
        if self.use == "future":
            # The longest training that was ever made, whenever that was.
            return TrainingSet((max(self.kept, key=lambda kept: int(kept.depth.max())),))
        if self.use == "first":
            return TrainingSet((self.kept[0],))
        if self.use == "count" and self.calls % 2:
            return TrainingSet((newest.draw(n, rng=rng),))
        return TrainingSet((block,))


def mixes_replicates(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    block = newest.draw(n, rng=rng)
    if not isinstance(block.samples, Arrays):
        return TrainingSet((block,))
    values = block.samples.values
    return written(block, samples=Arrays(values[rng.permutation(len(values))]))


def swaps_axes(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    block = newest.draw(n, rng=rng)
    if not isinstance(block.samples, Arrays):
        return TrainingSet((block,))
    return written(block, samples=Arrays(np.swapaxes(block.samples.values, 0, 1).copy()))


def choosing(rows: Callable[[int, int, Rng], Any]) -> Make:
    """Chooses n of 2n that the model writes."""

    def make(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
        block = newest.draw(2 * n, rng=rng)
        if not isinstance(block.samples, Arrays):
            return TrainingSet((block.take(np.sort(rng.choice(2 * n, n, replace=False))),))
        return TrainingSet((block.take(rows(len(block.samples.values), n, rng)),))

    return make


def changes_its_input(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    old = newest.training.blocks[0].samples.values
    if isinstance(old, np.ndarray):
        old.sort(axis=1)
    elif isinstance(old, list):
        old.reverse()
    return TrainingSet((newest.draw(n, rng=rng),))


def changes_real_data(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    values = real.fixed(4).samples.values
    if isinstance(values, np.ndarray):
        values[:] = values[:, ::-1].copy()
    return TrainingSet((newest.draw(n, rng=rng),))


def changes_depths(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    newest.training.blocks[0].depth[...] += 1
    return TrainingSet((newest.draw(n, rng=rng),))


def shifts_across(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    """Moves samples, by the mean of all replicates instead of their own."""
    block = newest.draw(n, rng=rng)
    if not isinstance(block.samples, Arrays):
        raise InputError("regime", "numbers", "others", "give numbers")
    values = block.samples.values
    return written(block, samples=Arrays(values - values.mean()))


def refuses_late(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    if newest.generation > 3:
        raise InputError("regime", "few generations", "more", "stop")
    return half(real, newest, n, rng)


def refuses_all(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    raise InputError("regime", "something else", "this", "give up")


def fresh_by_constant(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    return TrainingSet((real.fresh(n, rng=np.random.default_rng(5)),))


def draw(n: int, newest: Past, rng: Rng) -> TrainingSet:
    return TrainingSet((newest.draw(n, rng=rng),))


def rounds_down(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
    kept = n // 2
    return TrainingSet((real.fixed(kept), newest.draw(kept, rng=rng)))


def labels(depth: Callable[[Block], Any]) -> Make:
    def make(real: Real, newest: Past, n: int, rng: Rng) -> TrainingSet:
        block = newest.draw(n, rng=rng)
        return written(block, depth=depth(block))

    return make


def with_weights(weights: Any) -> Make:
    return lambda real, p, n, rng: written(p.draw(n, rng=rng), weights=np.asarray(weights(n)))


def starts_written(real: Real, history: Sequence[Past], *, n: int, rng: Rng) -> TrainingSet:
    made = real.start(n)
    return TrainingSet(tuple(Block(b.samples, b.depth + 1) for b in made.blocks))


def starts_short(real: Real, history: Sequence[Past], *, n: int, rng: Rng) -> TrainingSet:
    return real.start(n) if history else real.start(n - 1)


BROKEN: list[tuple[str, Regime, str]] = [
    # Chance from elsewhere.
    ("constant generator", then(lambda r, p, n, g: draw(n, p, constant())),
     "draws the same arrays in generation 1 with another generator"),
    ("constant fresh data", then(fresh_by_constant), "draws the same"),
    ("generator of the clock", then(lambda r, p, n, g: draw(n, p, np.random.default_rng())),
     "other sets|remembers"),
    ("global state", then(lambda r, p, n, g: draw(n, p, np.random.default_rng(dice()))),
     "global generator"),
    ("constant choice", then(choosing(lambda R, n, g: constant().permutation(2 * n)[:n])),
     "chooses without its generator"),
    ("constant choice in each", then(choosing(
        lambda R, n, g: np.argsort(constant().random((R, 2 * n)), axis=1)[:, :n])),
     "chooses without its generator"),
    ("one choice for all", then(choosing(lambda R, n, g: g.permutation(2 * n)[:n])),
     "chooses the same places in all replicates"),
    # Sizes.
    ("n - 1 samples", then(lambda r, p, n, g: draw(n - 1, p, g)), "makes 11 samples, not 12"),
    ("n + 1 samples", then(lambda r, p, n, g: draw(n + 1, p, g)), "makes 13 samples, not 12"),
    ("rounds odd n down", then(rounds_down), "makes 16 samples, not 17"),
    ("starts with n - 1", starts_short, "makes 11 samples, not 12, in generation 0"),
    # Real data.
    ("drops real data it promised", then(lambda r, p, n, g: draw(n, p, g), HALF),
     "holds 0 real samples, not 6"),
    ("drops real data it asked for", then(lambda r, p, n, g: (r.fixed(4), draw(n, p, g))[1]),
     "drops 4 real samples"),
    ("keeps more than promised", then(half, NONE), "holds 6 real samples, not 0"),
    ("calls the written real", then(labels(lambda b: np.zeros_like(b.depth))),
     "labels a sample of depth 1 as real"),
    ("calls the written real, as promised", then(lambda r, p, n, g: written(
        p.draw(n, rng=g), depth=np.repeat([0, p.generation], [n // 2, n - n // 2])), HALF),
     "labels a sample of depth 1 as real"),
    ("calls real data written", then(lambda r, p, n, g: written(
        r.fixed(n), depth=np.ones(n, np.int64))), "labels a sample real as depth 1"),
    ("starts on the written", starts_written, "labels a sample real as depth 1 in generation 0"),
    # Depths.
    ("depth of its data", then(labels(lambda b: np.maximum(b.depth - 1, 1))),
     "labels a sample of depth 2 as depth 1 in generation 2"),
    ("depth 1 for ever", then(labels(lambda b: np.ones_like(b.depth))), "of depth 2 as depth 1"),
    ("too few depths", then(labels(lambda b: b.depth[..., 1:])), "depths of shape"),
    ("depths that are no whole numbers", then(labels(lambda b: b.depth * 1.0)), "float64 depths"),
    # Leaks.
    ("the future", then(Remembers("future")), "leaks the future: a sample of generation 6"),
    ("another run", then(Remembers("first")), "nobody in this run has written|remembers"),
    ("counts calls", then(Remembers("count")), "remembers earlier calls|other sets"),
    ("another replicate", then(mixes_replicates), "trains replicate . on samples of replicate"),
    ("another replicate, changed", then(shifts_across, Promise(alters=True)), "mixes replicates"),
    ("changed without saying so", then(shifts_across), "nobody in this run has written"),
    ("wrong axis", then(swaps_axes), "axis 0 counts replicates"),
    # What it is given.
    ("sorts the past", then(changes_its_input), "changes the past that it is given"),
    ("relabels the past", then(changes_depths), "changes the past that it is given"),
    ("reverses real data", then(changes_real_data, NONE), "changes the real data"),
    ("popped history", lambda r, h, *, n, rng: r.start(n) if not h else draw(n, h.pop(), rng),
     "changes the past that it is given"),
    # The rest.
    ("weights of another shape", then(with_weights(lambda n: np.ones(n - 1))), "weights of shape"),
    ("negative weights", then(with_weights(lambda n: -np.ones(n))), "negative or not finite"),
    ("nan as a weight", then(with_weights(lambda n: np.nan)), "negative or not finite"),
    ("refuses late", then(refuses_late), "refuses on arrays in generation 4, but not before"),
    ("refuses everything", then(refuses_all), "refuses all samples: regime: expected something"),
    ("no blocks", then(lambda r, p, n, g: TrainingSet(())), "makes no set in generation 1"),
    ("a bug", then(lambda r, p, n, g: draw(n // 0, p, g)), "raises ZeroDivisionError on arrays"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("regime", "said"), [(rule, said) for _, rule, said in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_regime_that_breaks_a_law_is_caught_in_one_sentence(regime: Regime, said: str) -> None:
    with pytest.raises(AssertionError, match=said) as caught:
        check_regime(regime)
    assert "\n" not in str(caught.value).split("\nassert ")[0]


def test_sound_regimes_of_ones_own_pass_without_a_promise() -> None:
    check_regime(then(half))
    check_regime(then(choosing(lambda R, n, g: np.argsort(g.random((R, 2 * n)), axis=1)[:, :n])))
    check_regime(then(lambda r, p, n, g: draw(n, p, g)))


def test_a_promise_given_to_the_check_counts_before_that_of_the_regime() -> None:
    replace = REGIMES.make("replace")
    with pytest.raises(AssertionError, match="holds 0 real samples, not 6"):
        check_regime(replace, promise=HALF)
    check_regime(then(half), promise=HALF)
