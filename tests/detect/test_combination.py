"""The combination weighs detectors by what they say of texts that they did not see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from detect_texts import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Labels, Prepared, TextDetector
from tailguard.detect.detectors.combination import (
    CombinationDetector,
    _nonnegative,
    whole_folds,
)
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.leaks import auroc
from tailguard.measure.base import Floats, Ints


@dataclass
class Memory(TextDetector):
    """Knows by heart every text that it was fitted on, and nothing else."""

    kind: ClassVar[str] = "memory"
    window: Window = field(default_factory=Window)
    known: dict[str, float] = field(default_factory=dict)

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        labels = np.where(synthetic, 1.0, -1.0).tolist()
        self.known = dict(zip(texts.texts.to_pylist(), labels, strict=True))

    def _score(self, texts: Prepared) -> Floats:
        return np.array([self.known.get(text, 0.0) for text in texts.texts.to_pylist()])

    def state(self) -> Any:
        return {}, {}

    @classmethod
    def restore(cls, window: Window, settings: dict[str, Any], stored: Any) -> Memory:
        raise ValueError("never stored")


@dataclass
class Inverted(LinearDetector):
    """Says the opposite of what it has learnt."""

    kind: ClassVar[str] = "inverted"

    def _score(self, texts: Prepared) -> Floats:
        return -LinearDetector._score(self, texts)


@dataclass
class Grouped(Memory):
    """Remembers which groups it was fitted on."""

    kind: ClassVar[str] = "grouped"
    seen: list[set[int]] = field(default_factory=list)

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        self.seen.append(set(groups.tolist()))


def both(rng: np.random.Generator, n: int = 120) -> tuple[list[str], list[str]]:
    return texts("human", n, rng), texts("machine", n, rng)


def test_a_part_that_remembers_its_texts_gains_no_weight() -> None:
    rng = np.random.default_rng(0)
    human, machine = both(rng)
    found = CombinationDetector(parts=[LinearDetector(bits=10), Memory()]).fit(human, machine)
    assert found.weights is not None
    assert found.weights[0] > 0.5
    assert found.weights[1] < 1e-9


def test_a_part_that_says_the_opposite_gets_no_weight_but_never_a_negative_one() -> None:
    rng = np.random.default_rng(1)
    found = CombinationDetector(parts=[Inverted(bits=10), LinearDetector(bits=10)])
    found.fit(*both(rng))
    assert found.weights is not None
    assert found.weights[0] == 0.0
    assert found.weights[1] > 0.5


def test_two_parts_that_look_at_different_things_beat_each_of_them() -> None:
    @dataclass
    class Half(LinearDetector):
        """Sees only texts' words of one half of the vocabulary."""

        kind: ClassVar[str] = "half"
        odd: bool = False

        def _cut(self, texts: Prepared) -> Prepared:
            kept = [
                " ".join(w for w in t.split() if not w[-1].isdigit() or int(w[-1]) % 2 == self.odd)
                for t in texts.texts.to_pylist()
            ]
            return Prepared.of([t or "none" for t in kept])

        def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
            LinearDetector._fit(self, self._cut(texts), synthetic, groups)

        def _score(self, texts: Prepared) -> Floats:
            return LinearDetector._score(self, self._cut(texts))

    rng = np.random.default_rng(2)
    fit, held = (
        tuple(texts(kind, n, rng, words=40, own=0.03) for kind in ("human", "machine"))
        for n in (200, 400)
    )
    parts = [Half(bits=12), Half(bits=12, odd=True)]
    areas = [auroc(*(part.fit(*fit).score(side) for side in held)) for part in parts]
    found = CombinationDetector(parts=[Half(bits=12), Half(bits=12, odd=True)]).fit(*fit)
    area = auroc(*(found.score(side) for side in held))
    assert area > max(areas) + 0.02


def test_folds_never_part_a_group() -> None:
    part = Grouped()
    groups = (np.arange(60) // 3, np.arange(60) // 3)
    CombinationDetector(parts=[part]).fit(*both(np.random.default_rng(3), 60), groups=groups)
    everything = set(range(20))
    assert part.seen == [everything]  # the part itself is fitted on all, its copies on the folds
    folds = whole_folds(np.concatenate(groups), 5)
    for group in everything:
        assert len(set(folds[np.concatenate(groups) == group].tolist())) == 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(2, 6))
def test_folds_are_whole_all_used_and_nearly_even(numbers: list[int], folds: int) -> None:
    groups = np.array(numbers)
    if len(set(numbers)) < 2:
        with pytest.raises(DetectorError, match="one group"):
            whole_folds(groups, folds)
        return
    found = whole_folds(groups, folds)
    assert set(found.tolist()) == set(range(min(folds, len(set(numbers)))))
    for number in set(numbers):
        assert len(set(found[groups == number].tolist())) == 1
    sizes = np.bincount(found)
    largest = max(np.bincount(groups))
    assert sizes.max() - sizes.min() <= largest  # laid greedily, largest first


def test_weights_minimise_the_loss_under_the_bounds() -> None:
    rng = np.random.default_rng(4)
    synthetic = rng.random(500) < 0.3
    z = rng.normal(size=(500, 3)) + np.outer(synthetic, [1.0, 0.3, -0.5])
    weight = np.where(synthetic, 0.5 / synthetic.sum(), 0.5 / (~synthetic).sum()) * 500
    w, bias = _nonnegative(z, synthetic, weight)

    def loss(w: Floats, bias: float) -> float:
        margin = np.where(synthetic, 1, -1) * (z @ w + bias)
        return float(weight @ np.log1p(np.exp(-margin))) + 0.5 * float(w @ w)

    assert w[2] == 0.0  # its evidence points the other way
    least = loss(w, bias)
    for _ in range(300):
        step = rng.normal(size=4) * 0.02
        assert loss(np.maximum(w + step[:3], 0), bias + step[3]) >= least - 1e-6


def test_the_evidence_of_the_parts_sums_to_the_score() -> None:
    rng = np.random.default_rng(5)
    human, machine = both(rng)
    parts = [LinearDetector(bits=10), LinearDetector(bits=6)]
    found = CombinationDetector(parts=parts).fit(human, machine)
    for text in (human[0], machine[0]):
        share = sum(v for name, v in found.evidence(text) if name == "(linear)")
        assert share + found.bias == pytest.approx(found.score([text])[0])
    assert found.evidence("") == []


def test_a_class_that_fills_one_group_alone_is_refused() -> None:
    human, machine = both(np.random.default_rng(6), 40)
    groups = (np.zeros(40, int), np.ones(40, int))
    with pytest.raises(DetectorError, match="only one class is left"):
        CombinationDetector(parts=[LinearDetector(bits=10)]).fit(human, machine, groups=groups)
