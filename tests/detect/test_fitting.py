"""What is kept out of a fit stays out, and a fingerprint says from whom it can tell a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detect_texts import COMMON, texts, write_jsonl

from tailguard.corpus import Corpus, open_corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.fitting import calibrate_detector, fingerprint, fit_detector
from tailguard.detect.leaks import auroc


def corpus(path: Path, values: list[str], **columns: list[str]) -> Corpus:
    return open_corpus(write_jsonl(path, values, **columns))


def test_held_out_texts_are_scored_as_new_ones_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    human, machine = texts("human", 300, rng), texts("machine", 900, rng)
    fitted, left = fit_detector(
        corpus(tmp_path / "h.jsonl", human), corpus(tmp_path / "s.jsonl", machine),
        detector=LinearDetector(bits=10),
    )  # fmt: skip
    law = fitted.made.by_generator["synthetic"]
    assert left["synthetic"]["held out"] == len(law)
    assert 120 <= len(law) <= 250  # one in five of 900
    assert fitted.counts["synthetic"] == 900 - len(law)
    new = fitted.detector.score(texts("machine", 400, rng))
    spread = np.sqrt((1 / len(law) + 1 / 400) / 12)
    assert abs(auroc(law, new) - 0.5) < 4 * spread


def test_each_generator_with_enough_texts_has_its_own_law(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    machine = texts("machine", 1400, rng)
    makers = ["big"] * 700 + ["other"] * 650 + ["small"] * 50
    fitted, _ = fit_detector(
        corpus(tmp_path / "h.jsonl", texts("human", 100, rng)),
        corpus(tmp_path / "s.jsonl", machine, generator=makers), detector=LinearDetector(bits=10),
    )  # fmt: skip
    assert list(fitted.made.by_generator) == ["big", "other"]


def test_a_group_is_either_fitted_on_or_held_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    n = 1200
    prompts = [f"prompt {i // 4}" for i in range(n)]
    # Each prompt's texts carry a word of its own, by which their side would show.
    machine = [f"{t} own{i // 4}" for i, t in enumerate(texts("machine", n, rng))]
    fitted, left = fit_detector(
        corpus(tmp_path / "h.jsonl", texts("human", n, rng), prompt=prompts),
        corpus(tmp_path / "s.jsonl", machine, prompt=prompts),
        detector=LinearDetector(bits=16), group_by="prompt",
    )  # fmt: skip
    assert left["synthetic"]["held out"] % 4 == 0
    assert len(fitted.made.by_generator["synthetic"]) == left["synthetic"]["held out"] > 100


def test_held_out_groups_leave_with_their_human_texts(tmp_path: Path) -> None:
    """A word of each prompt in both its texts: a detector that saw the human one would misjudge."""
    rng = np.random.default_rng(7)
    n = 900
    prompts = [f"prompt {i}" for i in range(n)]

    def about(values: list[str], start: int) -> list[str]:
        return [f"{t} " + " ".join([f"topic{start + i}"] * 6) for i, t in enumerate(values)]

    fitted, _ = fit_detector(
        corpus(tmp_path / "h.jsonl", about(texts("human", n, rng), 0), prompt=prompts),
        corpus(tmp_path / "s.jsonl", about(texts("machine", n, rng), 0), prompt=prompts),
        detector=LinearDetector(bits=16), group_by="prompt",
    )  # fmt: skip
    law = fitted.made.by_generator["synthetic"]
    assert fitted.counts["human"] == n - len(law)
    new = fitted.detector.score(about(texts("machine", 400, rng), 10_000))
    assert abs(auroc(law, new) - 0.5) < 4 * np.sqrt((1 / len(law) + 1 / 400) / 12)


def test_one_text_of_each_cluster_is_calibrated_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    fitted, _ = fit_detector(
        open_corpus(texts("human", 60, rng)), open_corpus(texts("machine", 60, rng)),
        detector=LinearDetector(bits=10),
    )  # fmt: skip
    authors = [f"author {i // 3}" for i in range(300)]
    humans = corpus(tmp_path / "gold.jsonl", texts("human", 300, rng), author_name=authors)
    ready, left = calibrate_detector(fitted, humans, Target(0.05), cluster="author_name")
    assert ready.calibration is not None and len(ready.calibration.scores) == 100
    assert left["of a cluster seen"] == 200
    with pytest.raises(DetectorError, match="a column 'writer'"):
        calibrate_detector(fitted, humans, Target(0.05), cluster="writer")


def test_a_column_that_is_not_there_cannot_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(DetectorError, match="a column 'prompt'"):
        fit_detector(
            corpus(tmp_path / "h.jsonl", texts("human", 40, rng)),
            corpus(tmp_path / "s.jsonl", texts("machine", 40, rng)), group_by="prompt",
        )  # fmt: skip


def test_a_fingerprint_knows_its_model_from_humans_and_from_another(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    law = 1.0 / np.arange(1, 301)
    law /= law.sum()

    def other_model(n: int) -> list[str]:
        """As the model, but with favourite words of its own."""
        words = [f"weave{i}" for i in range(60)]
        out = []
        for _ in range(n):
            drawn = rng.choice(COMMON, 60, p=law)
            mine = rng.random(60) < 0.06
            out.append(" ".join(np.where(mine, rng.choice(words, 60), drawn).tolist()))
        return out

    saved, apart, _ = fingerprint(
        open_corpus(texts("machine", 800, rng)), open_corpus(texts("human", 800, rng)),
        {"other": open_corpus(other_model(800))}, model="mine", detector=LinearDetector(bits=12),
    )  # fmt: skip
    assert saved.model == "mine" and list(saved.made.by_generator) == ["mine"]
    assert {s.name: s.auroc > 0.9 for s in apart} == {"human": True, "other": True}
    assert all(s.lo <= s.auroc <= s.hi for s in apart)
    ready, _ = calibrate_detector(saved, open_corpus(texts("human", 200, rng)), Target(0.05))
    assert ready.model == "mine"


def test_a_model_like_another_is_reported_as_not_told_apart() -> None:
    rng = np.random.default_rng(5)
    _, apart, _ = fingerprint(
        open_corpus(texts("machine", 800, rng)), open_corpus(texts("human", 800, rng)),
        {"twin": open_corpus(texts("machine", 800, rng))}, model="mine",
        detector=LinearDetector(bits=12),
    )  # fmt: skip
    twin = next(s for s in apart if s.name == "twin")
    assert twin.lo <= 0.5 <= twin.hi


def test_few_samples_are_no_fingerprint() -> None:
    rng = np.random.default_rng(6)
    human = open_corpus(texts("human", 100, rng))
    with pytest.raises(DetectorError, match="samples: expected about 250 samples"):
        fingerprint(open_corpus(texts("machine", 120, rng)), human, {}, model="mine")
