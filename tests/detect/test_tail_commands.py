"""The tail report on corpora: what is looked at, what is left out, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detect_texts import texts, write_jsonl
from scipy.stats import binom

from tailguard.cli.detect_tails import run_tails
from tailguard.corpus import Quarantine, open_corpus
from tailguard.detect.calibration import Target
from tailguard.detect.fitting import calibrate_detector, fit_detector
from tailguard.detect.store import save_detector
from tailguard.detect.tails import corpus as tail_corpus
from tailguard.detect.tails.corpus import filter_tails
from tailguard.detect.tails.report import ALPHA
from tailguard.errors import InputError


def human(n: int, seed: int = 0, words: int = 60) -> list[str]:
    return texts("human", n, np.random.default_rng(seed), words=words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated detector, and human records of two kinds of writers, one like a machine."""
    at = tmp_path_factory.mktemp("tails")
    rng = np.random.default_rng(10)
    fitted = texts("human", 200, rng)
    saved, _ = fit_detector(open_corpus(fitted), open_corpus(texts("machine", 200, rng)))
    native = texts("human", 600, rng)
    learner = texts("machine", 80, rng, own=0.03)
    gold = pa.table({"text": native + learner, "source": ["news"] * 680})
    save_detector(calibrate_detector(saved, open_corpus(gold), Target(0.1))[0], at / "d.detector")
    rows = [*native, *learner, fitted[0], native[1], "", *texts("machine", 5, rng)]
    writer = ["native"] * 600 + ["learner"] * 80 + ["x\x1b[31m"] * 8
    kind = ["human"] * 683 + ["synthetic"] * 5
    write_jsonl(at / "gold.jsonl", rows, source=["news"] * 688, writer=writer, kind=kind)
    write_jsonl(at / "held.jsonl", texts("machine", 150, rng))
    decision = ["synthetic" if i % 10 == 0 else "abstain" for i in range(688)]
    write_jsonl(at / "decided.jsonl", rows, decision=decision, kind=kind)
    return at


def tails(folder: Path, capsys: pytest.CaptureFixture[str], **more: object) -> dict[str, object]:
    given = {"path": folder / "d.detector", "by": ["writer"], "made": [], "file": "gold.jsonl",
             "share": None} | more  # fmt: skip
    run_tails([str(folder / str(given["file"]))], given["path"], (given["by"], None), (0.1, 0.95),  # type: ignore[arg-type]
              (given["made"], given["share"]), 0, None, as_json=True)  # type: ignore[arg-type]  # fmt: skip
    return dict(json.loads(capsys.readouterr().out))


def test_the_command_names_the_writers_that_a_detector_would_delete(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tails(folder, capsys, made=[str(folder / "held.jsonl")], share=0.4)
    rows = {row["name"]: row for row in told["tails"]}  # type: ignore[attr-defined]
    assert rows["learner"]["flagged"] and not rows["native"]["flagged"]
    assert rows["learner"]["n"] == 80 and rows["learner"]["rate"] > 0.1
    assert rows["learner"]["lo"] > 2 * rows["learner"]["rest"]
    assert rows["learner"]["mass_deletion"] < 1 and rows["learner"]["mass_weighting"] < 1
    assert told["n"] == 680 and told["withheld"] == 0
    expected = {"not human": 5, "without words": 1, "copies": 1, "fitted on": 1, "of a cluster": 0,
                "not drawn": 0, "quarantined": 0}  # fmt: skip
    assert told["left_out"] == expected
    run_tails([str(folder / "gold.jsonl")], folder / "d.detector", (["writer"], None), (0.1, 0.95),
              ([], None), 0, None, as_json=False)  # fmt: skip
    shown = capsys.readouterr().out
    assert "LOST writer: learner" in shown and "left out: 5 not human" in shown
    assert "\x1b" not in shown


def test_decisions_that_a_file_brings_need_no_detector(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tails(folder, capsys, path=None, file="decided.jsonl", by=["source"] * 0)
    assert told["n"] == 681 and not any(row["flagged"] for row in told["tails"])  # type: ignore[attr-defined]
    assert told["deleted"] == 69 and told["withheld"] == 0
    drift = ["match", "drift", "unchecked"] * 10
    write_jsonl(folder / "drifted.jsonl", human(30), decision=["abstain"] * 30, drift=drift,
                detector_score=["high"] * 30)  # fmt: skip
    told = tails(folder, capsys, path=None, file="drifted.jsonl", by=["drift"])
    assert told["withheld"] == 20 and told["n"] == 30


def test_a_corpus_too_large_is_looked_at_in_part_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_corpus, "MOST_TEXTS", 100)
    corpus = open_corpus(str(folder / "decided.jsonl"))
    parts = [
        filter_tails(corpus, saved=None, target=Target(0.1), rng=np.random.default_rng(seed),
                     quarantine=Quarantine())
        for seed in (1, 1, 2)
    ]  # fmt: skip
    assert all(p.report.n == 100 and p.left_out["not drawn"] == 581 for p in parts)
    told = [json.dumps(p.report.as_dict()) for p in parts]
    assert told[0] == told[1] != told[2]


def test_records_that_belong_together_are_no_evidence_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    alarms = {"writer_id": 0, None: 0}
    for seed in range(12):
        # 60 authors of 10 texts each, whom an even filter deletes or keeps whole.
        docs, dead = human(600, seed, words=12), np.repeat(rng.random(60) < 0.2, 10)
        area = np.repeat(rng.choice(["north", "south"], 60, p=[0.2, 0.8]), 10).tolist()
        path = write_jsonl(tmp_path / f"{seed}.jsonl", docs, area=area,
                           writer_id=np.repeat([f"a{i}" for i in range(60)], 10).tolist(),
                           decision=np.where(dead, "synthetic", "abstain").tolist())  # fmt: skip
        for cluster in alarms:
            found = filter_tails(open_corpus(path), ["area"], saved=None, target=Target(),
                                 rng=rng, quarantine=Quarantine(), cluster=cluster)  # fmt: skip
            alarms[cluster] += any(tail.by == "area" for tail in found.report.flagged)
            if cluster:
                assert found.report.n == 60 and found.left_out["of a cluster"] == 540
    assert alarms["writer_id"] <= binom.ppf(0.999, 12, ALPHA)
    assert alarms[None] >= 4  # the negative control: taken one by one they are false evidence


def test_the_command_refuses_what_it_cannot_read_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(folder / "few.jsonl", human(5), decision=["abstain"] * 5)
    write_jsonl(folder / "odd.jsonl", human(30), decision=["yes"] * 30)
    write_jsonl(folder / "made.jsonl", human(30), decision=["abstain"] * 30, kind=["unknown"] * 30)
    for more, match in (
        ({"by": ["country"]}, "column 'country'"),
        ({"path": None, "by": []}, "--detector"),
        ({"path": None, "by": [], "file": "few.jsonl"}, "20 human documents"),
        ({"path": None, "by": [], "file": "odd.jsonl"}, "'yes'"),
        ({"path": None, "by": [], "file": "made.jsonl"}, "30 not human"),
        ({"path": None, "share": 0.4}, "pass --detector"),
        ({"made": ["x"]}, "--share"),
        ({"made": ["x"], "share": 1.5}, "from 0 to 1"),
        ({"path": folder / "nothing.detector"}, "detector file"),
    ):
        with pytest.raises(InputError, match=match) as caught:
            tails(folder, capsys, **more)
        assert "\n" not in str(caught.value)
