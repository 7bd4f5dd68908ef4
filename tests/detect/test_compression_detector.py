"""The compression detector: sizes after dictionaries, what it learns, and its file."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import zstandard
from detect_texts import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Prepared, Stored, logistic
from tailguard.detect.detectors.compression import PIECE, CompressionDetector, Sizes
from tailguard.detect.leaks import auroc
from tailguard.measure.store import Container, pack


def sample(kind: str, n: int, rng: np.random.Generator) -> list[str]:
    return texts(kind, n, rng, words=100, own=0.15)


@pytest.fixture(scope="module")
def fitted() -> CompressionDetector:
    rng = np.random.default_rng(1)
    return CompressionDetector().fit(sample("human", 200, rng), sample("machine", 200, rng))


@pytest.fixture(scope="module")
def grouped() -> CompressionDetector:
    rng = np.random.default_rng(1)
    groups = np.arange(200) // 2, np.arange(200) // 2
    human, machine = sample("human", 200, rng), sample("machine", 200, rng)
    return CompressionDetector().fit(human, machine, groups=groups)


def test_held_out_synthetic_texts_score_higher(
    fitted: CompressionDetector, grouped: CompressionDetector
) -> None:
    rng = np.random.default_rng(2)
    held = sample("human", 200, rng), sample("machine", 200, rng)
    for detector in (fitted, grouped):
        human, machine = (detector.score(side) for side in held)
        assert auroc(human, machine) > 0.8
        assert np.median(human) < 0 < np.median(machine)


def test_sizes_are_those_of_the_library_piece_by_piece() -> None:
    rng = np.random.default_rng(3)
    some = [*sample("human", 3, rng), "", " ".join(sample("machine", 30, rng))]
    found = Prepared.of(some)
    dictionary = " ".join(sample("human", 50, rng)).encode()
    raw = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    for used, sizes in ((raw, Sizes(dictionary)), (None, Sizes(b""))):
        wanted = []
        for text in some:
            data = text.encode()
            pieces = [data[i : i + PIECE] for i in range(0, len(data), PIECE)]
            wanted.append(sum(
                len(zstandard.ZstdCompressor(
                    level=9, dict_data=used, write_content_size=False).compress(piece))
                for piece in pieces
            ))  # fmt: skip
        got = sizes.of(found.data, found.offsets)
        assert got[3] == 0 and len(some[4]) > 3 * PIECE
        assert np.abs(got - wanted).max() <= 0.01 * max(wanted)
        assert np.array_equal(got, sizes.of(found.data, found.offsets))


def test_the_score_is_its_formula(grouped: CompressionDetector) -> None:
    rng = np.random.default_rng(4)
    some = sample("machine", 20, rng)
    found = Prepared.of(some)
    assert grouped.human is not None and grouped.synthetic is not None
    h, s, a = (
        8 * sizes.of(found.data, found.offsets) / np.diff(found.offsets)
        for sizes in (grouped.human, grouped.synthetic, Sizes(b""))
    )
    wanted = np.column_stack([h - s, np.maximum(h, s), a]) @ grouped.weights + grouped.bias
    assert np.allclose(grouped.score(some), wanted)
    assert grouped.weights[0] > 0 and grouped.weights[1:].any()


def test_repetition_tells_only_where_it_was_learnt() -> None:
    # Both languages have one vocabulary; synthetic texts say their own words again.
    rng = np.random.default_rng(5)

    def say(n: int, distinct: int) -> list[str]:
        own = rng.integers(0, 2_000, (n, distinct))
        return [" ".join(f"w{k}" for k in rng.choice(row, 80).tolist()) for row in own]

    human, machine = say(150, 2_000), say(150, 40)
    held = say(150, 2_000), say(150, 40)
    groups = np.arange(150) // 2, np.arange(150) // 2
    plain = CompressionDetector().fit(human, machine)
    learnt = CompressionDetector().fit(human, machine, groups=groups)
    assert auroc(*map(plain.score, held)) < 0.7
    assert auroc(*map(learnt.score, held)) > 0.9


def test_learnt_scores_are_near_log_odds_on_new_texts(grouped: CompressionDetector) -> None:
    # Weights learnt from texts that stand in the dictionaries are some ten times too small for
    # others; those of halves are somewhat small, for a half's dictionary tells less than the whole.
    rng = np.random.default_rng(12)
    sides = [grouped.score(sample(kind, 400, rng)) for kind in ("human", "machine")]
    labels = np.repeat([False, True], 400)
    slope = float(logistic(np.concatenate(sides)[:, None], labels, 100.0)[0][0])
    assert 0.5 < slope < 5.0


def test_a_copy_of_a_training_text_scores_as_its_class(grouped: CompressionDetector) -> None:
    rng = np.random.default_rng(1)
    human, machine = sample("human", 200, rng), sample("machine", 200, rng)
    assert auroc(grouped.score(human), grouped.score(machine)) > 0.95


def test_dictionaries_are_bounded_equal_and_free_of_order() -> None:
    rng = np.random.default_rng(6)
    human, machine = sample("human", 60, rng), ["x" + "y z " * 50_000, *sample("machine", 40, rng)]
    made = []
    for order in (slice(None), slice(None, None, -1)):
        detector = CompressionDetector(Window(0), size=10_000)
        detector.fit([*human[order], human[0]], machine[order])
        assert detector.human is not None and detector.synthetic is not None
        made.append((detector.human.dictionary, detector.synthetic.dictionary))
    assert made[0] == made[1]
    assert len(made[0][0]) == len(made[0][1]) == 10_000
    whole = CompressionDetector(Window(0)).fit(human, machine)
    assert whole.synthetic is not None
    # One long text gives 4,096 bytes, not all that there is room for.
    assert 400 < whole.synthetic.dictionary.count(b"y z y z ") <= 512


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), max_size=5))
def test_any_text_gets_a_number_that_is_its_own(
    fitted: CompressionDetector, some: list[str]
) -> None:
    together = fitted.score(some)
    alone = [float(fitted.score([text])[0]) for text in some]
    assert np.array_equal(together, np.array(alone), equal_nan=True)
    usable = Prepared.of(some).usable if some else np.zeros(0, np.bool_)
    assert np.array_equal(np.isfinite(together), usable)


def test_a_score_does_not_depend_on_its_neighbours(grouped: CompressionDetector) -> None:
    rng = np.random.default_rng(8)
    batch = [*sample("human", 30, rng), "", "y" * 300_000, *sample("machine", 30, rng)]
    alone = np.concatenate([grouped.score([text]) for text in batch])
    assert np.array_equal(grouped.score(batch), alone, equal_nan=True)
    assert np.array_equal(grouped.score(batch[::-1]), alone[::-1], equal_nan=True)


def test_fitting_twice_gives_the_same_file(grouped: CompressionDetector) -> None:
    rng = np.random.default_rng(1)
    groups = np.arange(200) // 2, np.arange(200) // 2
    human, machine = sample("human", 200, rng), sample("machine", 200, rng)
    again = CompressionDetector().fit(human, machine, groups=groups)
    assert as_bytes(again) == as_bytes(grouped)


def test_a_fitted_detector_can_be_copied(grouped: CompressionDetector) -> None:
    rng = np.random.default_rng(9)
    some = sample("machine", 5, rng)
    assert np.array_equal(copy.deepcopy(grouped).score(some), grouped.score(some))


def test_evidence_and_bias_sum_to_the_score(
    fitted: CompressionDetector, grouped: CompressionDetector
) -> None:
    text = " ".join(["delve1 delve2 delve3 word1 word2"] * 10)
    for detector in (fitted, grouped):
        shown = detector.evidence(text)
        total = sum(value for _, value in shown) + detector.bias
        assert total == pytest.approx(float(detector.score([text])[0]))
    assert fitted.evidence(" \n") == []


def as_bytes(detector: CompressionDetector, **changed: Any) -> bytes:
    state, found = detector.state()
    state |= {name: value for name, value in changed.items() if name in state}
    found |= {name: value for name, value in changed.items() if name not in state}
    return pack(b"TGTEST\x00\x01", {"detector": state}, found)


def read(data: bytes) -> CompressionDetector:
    size = int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + size])
    stored = Stored(Container(header, data[16 + size : -32]))
    return CompressionDetector.restore(Window(), header["detector"], stored)


def test_a_file_gives_back_the_same_detector(grouped: CompressionDetector) -> None:
    rng = np.random.default_rng(10)
    some = sample("machine", 20, rng)
    back = read(as_bytes(grouped))
    assert np.array_equal(back.score(some), grouped.score(some))
    assert as_bytes(back) == as_bytes(grouped)


def hostile() -> list[tuple[str, Any]]:
    return [
        ("size", lambda a: 63), ("size", lambda a: 1 << 40), ("size", lambda a: True),
        ("size", lambda a: 100), ("bias", lambda a: float("nan")), ("bias", lambda a: "0"),
        ("weights", lambda a: a["weights"][:2]), ("weights", lambda a: -a["weights"]),
        ("weights", lambda a: a["weights"] * 1e300),
        ("weights", lambda a: a["weights"].astype(np.uint64)),
        ("human", lambda a: a["human"][1:]), ("human", lambda a: a["human"][::-1]),
        ("synthetic", lambda a: a["synthetic"][:0]), ("probes", lambda a: a["probes"] + 1),
        ("probes", lambda a: a["probes"][:, 1:]),
    ]  # fmt: skip


@pytest.mark.parametrize("case", range(len(hostile())))
def test_a_hostile_file_is_refused(grouped: CompressionDetector, case: int) -> None:
    name, change = hostile()[case]
    data = as_bytes(grouped, **{name: change(grouped.state()[1])})
    with pytest.raises((ValueError, KeyError, TypeError)):
        read(data)


def test_the_least_training_texts_make_a_detector() -> None:
    detector = CompressionDetector().fit(["a"] * 20, ["b"] * 20)
    assert np.isfinite(detector.score(["a", "b", "c " * 10_000])).all()
    assert as_bytes(read(as_bytes(detector))) == as_bytes(detector)


def test_bad_settings_and_unfitted_detectors_are_one_clear_line() -> None:
    rng = np.random.default_rng(11)
    human, machine = sample("human", 25, rng), sample("machine", 25, rng)
    for size in (0, 1 << 30):
        with pytest.raises(DetectorError, match="size"):
            CompressionDetector(size=size).fit(human, machine)
    fresh = CompressionDetector()
    for use in (lambda: fresh.score(["a"]), lambda: fresh.evidence("a"), fresh.state):
        with pytest.raises(DetectorError, match="fitted"):
            use()
