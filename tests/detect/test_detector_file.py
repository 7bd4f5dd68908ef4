"""Detector files come back as they were, and hostile ones are one clear line."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detect_texts import texts

from tailguard.corpus import open_corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.fitting import calibrate_detector, fit_detector
from tailguard.detect.laws import Laws
from tailguard.detect.store import (
    DETECTOR,
    MAGIC,
    SavedDetector,
    dump_detector,
    load_detector,
    parse_detector,
    save_detector,
)


@pytest.fixture(scope="module")
def saved() -> SavedDetector:
    rng = np.random.default_rng(1)
    human, machine = texts("human", 100, rng), texts("machine", 100, rng)
    fitted, _ = fit_detector(
        open_corpus(human), open_corpus(machine), detector=LinearDetector(bits=10)
    )
    return calibrate_detector(fitted, open_corpus(texts("human", 80, rng)), Target(0.05))[0]


def test_a_detector_file_gives_back_the_same_detector(saved: SavedDetector, tmp_path: Path) -> None:
    save_detector(saved, tmp_path / "a.detector")
    back = load_detector(tmp_path / "a.detector")
    batch = texts("machine", 40, np.random.default_rng(2))
    assert np.array_equal(back.detector.score(batch), saved.detector.score(batch))
    assert dump_detector(back) == dump_detector(saved)
    assert back.gate.check(batch) == saved.gate.check(batch)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.detector"]


def test_any_damaged_byte_or_cut_is_refused(saved: SavedDetector) -> None:
    data = dump_detector(saved)
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(data), 40).tolist():
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(DetectorError):
            parse_detector(bytes(changed))
        with pytest.raises(DetectorError):
            parse_detector(data[:at])


def test_other_versions_and_kinds_are_named(saved: SavedDetector, tmp_path: Path) -> None:
    data = dump_detector(saved)
    with pytest.raises(DetectorError, match="version 3"):
        parse_detector(MAGIC[:7] + b"\x03" + data[8:])
    with pytest.raises(DetectorError, match="another kind"):
        parse_detector(b"PAR1" + data)
    for path in (tmp_path, tmp_path / "none", "\0"):
        with pytest.raises(DetectorError):
            load_detector(path)


def forged(data: bytes, change: dict[str, object]) -> bytes:
    """The file with its header changed and its checksum made right again."""
    size = int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + size])
    settings = header[DETECTOR] | {k: v for k, v in change.items() if k in header[DETECTOR]}
    header |= {k: v for k, v in change.items() if k in header} | {DETECTOR: settings}
    text = json.dumps(header).encode()
    body = MAGIC + len(text).to_bytes(8, "little") + text + data[16 + size : -32]
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 11},
        {"bits": 10**9},
        {"bits": "10"},
        {"window": [-5, "last"]},
        {"window": [5, "middle"]},
        {"bias": float("nan")},
        {"kind": "pickle"},
        {"sources": ["a", "a"]},
        {"sources": 7},
        {"gate": ["", "more"]},
        {"arrays": [["weights", "|O", [3]]]},
        {"arrays": [["weights", "<f8", [1 << 60]]]},
        {"counts": []},
    ],
)
def test_a_forged_header_is_one_clear_line(saved: SavedDetector, change: dict[str, object]) -> None:
    data = dump_detector(saved)
    parse_detector(forged(data, {}))
    with pytest.raises(DetectorError) as caught:
        parse_detector(forged(data, change))
    assert "\n" not in str(caught.value)


def test_a_detector_keeps_the_promise_that_it_was_calibrated_for(saved: SavedDetector) -> None:
    assert saved.target() == parse_detector(dump_detector(saved)).target() == Target(0.05)
    assert saved.target(max_fpr=0.1) == Target(0.1)


@pytest.mark.parametrize(
    ("name", "told"),
    [("weights", "beyond reason"), ("gate", "no reference of all humans"), ("law", "a short law")],
)
def test_forged_numbers_are_one_clear_line_and_never_a_score(
    saved: SavedDetector, name: str, told: str
) -> None:
    detector = copy.deepcopy(saved.detector)
    assert isinstance(detector, LinearDetector) and detector.weights is not None
    detector.weights[np.flatnonzero(detector.weights)[0]] = 1e300
    humans = {"news": saved.gate.humans[""]}
    forged_ones = {
        "weights": replace(saved, detector=detector),
        "gate": replace(saved, gate=replace(saved.gate, humans=humans)),
        "law": replace(saved, made=Laws({"maker": np.zeros(3)})),
    }
    with pytest.raises(DetectorError, match=told):
        parse_detector(dump_detector(forged_ones[name]))
