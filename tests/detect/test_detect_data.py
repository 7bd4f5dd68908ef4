"""On published pairs: above chance at home, and withheld away from home."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from tailguard.detect.calibration import Target, threshold
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.drift import DriftGate
from tailguard.detect.leaks import auroc

FILE = Path(__file__).parents[3] / "shared/data/basemodel_pairs/gpt2xl_neo_opt.jsonl"
WINDOW = Window(120, "first")


def side(rows: list[dict[str, object]], domain: str, label: int, folds: set[int]) -> list[str]:
    """One text of each pair."""
    found = {}
    for row in rows:
        pair = str(row["pair"])
        if (row["domain"], row["label"]) == (domain, label) and zlib.crc32(
            pair.encode()
        ) % 5 in folds:
            found[pair] = str(row["text"])
    return list(found.values())


@pytest.mark.data
@pytest.mark.skipif(not FILE.is_file(), reason="the data sets beside the project are missing")
def test_humans_of_another_domain_are_withheld_though_the_detector_works_at_home() -> None:
    rows = [json.loads(line) for line in FILE.open()]
    human, machine = (side(rows, "squad", label, {0, 1, 4}) for label in (0, 1))
    detector = LinearDetector(WINDOW).fit(human, machine)
    calibration, new = side(rows, "squad", 0, {2}), side(rows, "squad", 0, {3})
    limit = threshold(detector.score(calibration), Target(0.05, 0.9))
    gate = DriftGate.fit(human, machine, WINDOW).calibrate(calibration, [""] * len(calibration))
    away = side(rows, "writing", 0, {0, 1, 2, 3, 4})
    assert auroc(detector.score(new), detector.score(side(rows, "squad", 1, {3}))) > 0.6
    assert np.mean(detector.score(away) > limit) > 0.1
    assert gate.check(new).state == "match"
    assert gate.check(away).state == "drift"
