"""The permutation test keeps its level, sees damage, and survives what text can be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sample_words import units_of, zipf_documents

from tailguard.measure.contrast import Contrast, contrast
from tailguard.measure.profile import profile_texts
from tailguard.measure.stage import degenerate_evidence, diagnose
from tailguard.measure.units import SCORES, make_units

Documents = list[np.ndarray]


def run(gold: Documents, batch: Documents, *, seed: int = 0, permutations: int = 199) -> Contrast:
    rng = np.random.default_rng(seed)
    return contrast(units_of(gold, batch), alpha=0.05, rng=rng, permutations=permutations)


def smallest(found: Contrast) -> float:
    return min(e.p for e in found.evidence)


def test_p_values_are_uniform_when_labels_are_exchangeable() -> None:
    rng = np.random.default_rng(1)
    p = []
    for number in range(200):
        documents = zipf_documents(28, rng=rng, longest=600)
        p.append(smallest(run(documents[:16], documents[16:], seed=number, permutations=99)))
    found = np.array(p)
    assert (found <= 0.05).mean() <= 0.08
    assert (found <= 0.2).mean() <= 0.27
    # Nor is it afraid of its own shadow: a test that never fires keeps every level.
    assert (found <= 0.5).mean() >= 0.38


def likeliest_next(documents: Documents, share: float, rng: np.random.Generator) -> Documents:
    """Words replaced by 1, the likeliest word everywhere."""
    return [np.where(rng.random(len(d)) < share, 1, d) for d in documents]


def without_rare(documents: Documents, share: float, rng: np.random.Generator) -> Documents:
    return [d[(d < 500) | (d >= 20_000) | (rng.random(len(d)) > share)] for d in documents]


def with_phrase(documents: Documents, share: float, rng: np.random.Generator) -> Documents:
    phrase = np.arange(30_000, 30_020)
    return [
        np.concatenate([phrase, d]) if i < share * len(documents) else d
        for i, d in enumerate(documents)
    ]


def with_loops(documents: Documents, share: float, rng: np.random.Generator) -> Documents:
    loop = np.tile(np.arange(31_000, 31_005), 100)
    return [
        np.concatenate([d, loop]) if i < share * len(documents) else d
        for i, d in enumerate(documents)
    ]


def with_copies(documents: Documents, share: float, rng: np.random.Generator) -> Documents:
    copied = int(share * len(documents))
    return [*documents[copied:], *documents[-copied:]]


DAMAGE = {
    "likeliest word": (likeliest_next, 0.2, {"S"}),
    "rare words lost": (without_rare, 0.6, {"T"}),
    "a phrase": (with_phrase, 0.5, {"N"}),
    "loops": (with_loops, 0.3, {"R"}),
    "copies": (with_copies, 0.3, {"R"}),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_planted_damage_is_seen_on_its_axis(kind: str) -> None:
    damage, share, axes = DAMAGE[kind]
    rng = np.random.default_rng(2)
    documents = zipf_documents(120, rng=rng)
    found = run(documents[:60], damage(documents[60:], share, rng))
    fired = {e.axis for e in found.evidence if e.p <= 0.05 and e.z < 0}
    assert axes <= fired
    worst = min((e for e in found.evidence if e.axis in axes), key=lambda e: e.hi)
    assert worst.p <= 0.05 and worst.hi < 0.98


def test_the_same_seed_gives_the_same_bytes_and_another_one_may_not() -> None:
    documents = zipf_documents(50, rng=np.random.default_rng(3))
    first, again, other = (run(documents[:25], documents[25:], seed=s) for s in (5, 5, 6))
    assert repr(first) == repr(again)
    assert repr(first) != repr(other)


def test_alpha_moves_the_critical_value_and_no_corrected_p() -> None:
    documents = zipf_documents(50, rng=np.random.default_rng(4))
    units = units_of(documents[:25], documents[25:])
    loose, strict = (
        contrast(units, alpha=a, rng=np.random.default_rng(0), permutations=199)
        for a in (0.1, 0.01)
    )
    assert [e.p for e in loose.evidence] == [e.p for e in strict.evidence]
    assert strict.critical > loose.critical


def test_order_of_documents_leaves_the_evidence_alone() -> None:
    documents = zipf_documents(50, rng=np.random.default_rng(5))
    first = run(documents[:25], documents[25:])
    assert repr(run(documents[:25][::-1], documents[25:][::-1])) == repr(first)


@pytest.mark.parametrize("few", [1, 2])
def test_fewer_than_three_units_on_a_side_are_no_evidence(few: int) -> None:
    rng = np.random.default_rng(6)
    gold, batch = zipf_documents(30, rng=rng), zipf_documents(few, rng=rng, shortest=600)
    for found in (run(gold, batch), run(batch, gold)):
        assert found.evidence == () and found.critical == math.inf


def test_three_units_on_a_side_are_evidence() -> None:
    rng = np.random.default_rng(6)
    gold, batch = zipf_documents(30, rng=rng), zipf_documents(3, rng=rng, shortest=600)
    assert len(run(gold, batch).evidence) >= len(SCORES)


WORDS = " ".join(f"word{i % 37} other{i % 101}" for i in range(300))
ODD: dict[str, Callable[[], list[str]]] = {
    "one document": lambda: [WORDS],
    "one document many times": lambda: [WORDS] * 40,
    "one word repeated": lambda: ["cat " * 600] * 20,
    "one word": lambda: ["cat"],
    "empty documents": lambda: [""] * 30,
    "punctuation": lambda: ["... !?"] * 30,
    "a thousand short documents": lambda: [f"number {i}" for i in range(1_000)],
}


@pytest.mark.parametrize("batch", ODD)
@pytest.mark.parametrize("gold", [*ODD, "text"])
def test_odd_corpora_raise_nothing_and_give_a_stage(batch: str, gold: str) -> None:
    def sample(name: str):  # type: ignore[no-untyped-def]
        texts = [f"{WORDS} {i}" for i in range(30)] if name == "text" else ODD[name]()
        return profile_texts(texts).documents

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        units = make_units(sample(gold), sample(batch))
        found = contrast(units, alpha=0.01, rng=np.random.default_rng(0), permutations=99)
        state = diagnose(
            found, degenerate_evidence((0, 1), (0, 1)),
            alpha=0.01, margin=0.02, resolution=0.25, documents=1,
        )  # fmt: skip
    assert all(0 < e.p <= 1 and math.isfinite(e.z) for e in found.evidence)
    if "empty documents" in (gold, batch) or "one word" in (gold, batch):
        assert state.stage == "insufficient"


def test_forty_copies_of_one_document_have_lost_nearly_everything() -> None:
    rng = np.random.default_rng(8)
    gold = zipf_documents(60, rng=rng)
    found = run(gold, [gold[0][::-1].copy()] * 40)
    by_name = {e.name: e for e in found.evidence}
    for name in ("own_phrases", "not_a_copy"):
        assert by_name[name].p <= 0.05 and by_name[name].hi < 0.5, name


def test_intervals_hold_their_retention_and_unit_scores_are_finite() -> None:
    documents = zipf_documents(60, rng=np.random.default_rng(9))
    units = units_of(documents[:30], documents[30:])
    assert np.isfinite(units.scores).all()
    for e in run(documents[:30], documents[30:]).evidence:
        if e.name != "same_topics":
            assert e.lo <= e.retention <= e.hi and e.se >= 0, e.name
