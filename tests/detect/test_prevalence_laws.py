"""By which laws a share is estimated, and which texts have no part in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from detect_texts import texts, write_jsonl

from tailguard.corpus import Corpus, Quarantine, open_corpus
from tailguard.detect.calibration import Target
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.fitting import calibrate_detector, fit_detector
from tailguard.detect.prevalence.slices import shares_by


def test_a_source_is_estimated_by_its_own_laws_where_they_are_known(tmp_path: Path) -> None:
    """Two sources whose scores lie apart: laws of both together would shift each of them."""
    rng = np.random.default_rng(31)

    def site(kind: str, name: str, n: int) -> list[str]:
        # Words of the machine's vocabulary are ordinary in humans of the second site.
        own = 0.03 if (kind, name) == ("human", "b") else 0.0
        drawn = texts(kind, n, rng)
        extra = rng.random((n, 30)) < own
        words = rng.choice([f"delve{i}" for i in range(60)], (n, 30))
        return [f"{t} " + " ".join(w[m]) for t, w, m in zip(drawn, words, extra, strict=True)]

    def written(path: str, counts: dict[tuple[str, str], int]) -> Corpus:
        rows, names = [], []
        for (kind, name), n in counts.items():
            rows += site(kind, name, n)
            names += [name] * n
        return open_corpus(write_jsonl(tmp_path / path, rows, source=names))

    fitted, _ = fit_detector(
        written("h.jsonl", {("human", "a"): 300, ("human", "b"): 300}),
        written("s.jsonl", {("machine", "a"): 400, ("machine", "b"): 400}),
    )  # fmt: skip
    gold = written("gold.jsonl", {("human", "a"): 250, ("human", "b"): 250})
    saved, _ = calibrate_detector(fitted, gold, Target(0.05))
    assert set(saved.made.by_source) == {"a", "b"}
    new = written("new.jsonl", {("human", "a"): 200, ("machine", "a"): 100,
                                ("human", "b"): 200, ("machine", "b"): 100})  # fmt: skip
    found = shares_by(saved, new, {}, rng=rng, quarantine=Quarantine())
    for part in found.slices:
        assert part.found is not None
        assert part.found.lo <= 1 / 3 <= part.found.hi
        assert f"those of {part.source}" in part.reason


def test_texts_that_were_fitted_on_are_no_part_of_a_share(tmp_path: Path) -> None:
    rng = np.random.default_rng(33)
    known = texts("machine", 300, rng)
    fitted, _ = fit_detector(
        open_corpus(texts("human", 300, rng)), open_corpus(known),
        detector=LinearDetector(bits=10),
    )  # fmt: skip
    saved, _ = calibrate_detector(fitted, open_corpus(texts("human", 200, rng)), Target(0.05))
    batch = open_corpus(texts("human", 150, rng) + known[:120])
    found = shares_by(saved, batch, {}, rng=rng, quarantine=Quarantine())
    (part,) = found.slices
    assert found.fitted_on == 120 and part.found is not None
    assert part.found.n == 150 and part.found.lo == 0.0
