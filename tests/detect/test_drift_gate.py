"""The gate lets what matches through, whatever its synthetic share, and stops what does not."""

from __future__ import annotations

import numpy as np
import pytest
from detect_texts import texts

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.drift import DriftGate


@pytest.fixture(scope="module")
def gate() -> DriftGate:
    rng = np.random.default_rng(1)
    made = DriftGate.fit(texts("human", 300, rng), texts("machine", 300, rng), Window(0))
    humans = [*texts("human", 300, rng), *texts("foreign", 200, rng)[:100]]
    return made.calibrate(humans[:300], ["news"] * 300)


def test_false_gates_are_rare_on_matching_slices(gate: DriftGate) -> None:
    rng = np.random.default_rng(2)
    found = [gate.check(texts("human", 60, rng)) for _ in range(60)]
    assert all(drift.state == "match" for drift in found)
    p = np.array([drift.p for drift in found])
    assert np.mean(p < 0.05) < 0.2


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_synthetic_share_is_no_drift(gate: DriftGate, share: float) -> None:
    rng = np.random.default_rng(3)
    n = int(200 * share)
    mixed = [*texts("machine", n, rng), *texts("human", 200 - n, rng)]
    assert gate.check(mixed).state == "match"


def test_another_domain_is_stopped_even_mixed_with_a_known_one(gate: DriftGate) -> None:
    rng = np.random.default_rng(4)
    foreign = texts("foreign", 100, rng)
    assert gate.check(foreign).state == "drift"
    assert "calibrate on humans like these" in gate.check(foreign).line
    assert gate.check([*foreign, *texts("human", 100, rng)]).state == "drift"


def test_a_known_source_is_compared_with_its_own_humans(gate: DriftGate) -> None:
    rng = np.random.default_rng(5)
    humans = [*texts("human", 200, rng), *texts("foreign", 200, rng)]
    both = gate.calibrate(humans, ["news"] * 200 + ["law"] * 200)
    law = texts("foreign", 100, rng)
    assert both.check(law, "law").state == "match"
    assert both.check(law, "news").state == "drift"
    assert both.check(law, "unheard of").against == ""


def test_small_slices_are_unchecked_and_say_so(gate: DriftGate) -> None:
    rng = np.random.default_rng(6)
    drift = gate.check([*texts("human", 29, rng), "", ""])
    assert (
        drift.state == "unchecked"
        and "documents are needed to compare with the calibration, got 29" in drift.line
    )
    uncalibrated = DriftGate.fit(texts("human", 40, rng), texts("machine", 40, rng), Window(0))
    with pytest.raises(DetectorError, match="calibrated"):
        uncalibrated.check(["text"])
    with pytest.raises(DetectorError, match="at least 30"):
        uncalibrated.calibrate(["text"], ["a"])


def test_copies_count_once_so_that_repeats_are_no_evidence_of_drift() -> None:
    rng = np.random.default_rng(8)
    gate = DriftGate.fit(texts("human", 200, rng), texts("machine", 200, rng), Window(0))
    gate = gate.calibrate(texts("human", 300, rng), [""] * 300)
    new = texts("human", 60, rng)
    assert gate.check(new * 8) == gate.check(new)
