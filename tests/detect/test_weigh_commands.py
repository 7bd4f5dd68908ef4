"""Weighing a corpus: what gets a weight, what does not, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from detect_texts import texts, write_jsonl

from tailguard.cli.detect_tails import run_weigh
from tailguard.corpus import open_corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.fitting import calibrate_detector, fit_detector
from tailguard.detect.laws import Laws
from tailguard.detect.store import SavedDetector, save_detector
from tailguard.detect.tails.weighing import Weigher, held_out_law
from tailguard.errors import InputError


@pytest.fixture(scope="module")
def saved() -> SavedDetector:
    """A detector of the two small languages, calibrated on one source."""
    rng = np.random.default_rng(9)
    found, _ = fit_detector(open_corpus(texts("human", 200, rng)),
                            open_corpus(texts("machine", 200, rng)))  # fmt: skip
    gold = open_corpus(pa.table({"text": texts("human", 200, rng), "source": ["news"] * 200}))
    return calibrate_detector(found, gold, Target(0.05))[0]


@pytest.fixture(scope="module")
def folder(saved: SavedDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file, held-out synthetic texts, and slices to weigh."""
    at = tmp_path_factory.mktemp("weigh")
    rng = np.random.default_rng(10)
    save_detector(saved, at / "chat.detector")
    write_jsonl(at / "held.jsonl", texts("machine", 200, rng))
    rows = [*texts("human", 280, rng), *texts("machine", 120, rng), "", *texts("foreign", 60, rng)]
    write_jsonl(at / "new.jsonl", rows, source=["news"] * 401 + ["court"] * 60)
    return at


def weigh(folder: Path, capsys: pytest.CaptureFixture[str], **more: object) -> dict[str, object]:
    given = {"cap": None, "share": None, "output": "out.parquet"} | more
    given = {"synthetic": [str(folder / "held.jsonl")]} | given
    run_weigh([str(folder / "new.jsonl")], folder / "chat.detector", given["synthetic"],  # type: ignore[arg-type]
              folder / str(given["output"]), (given["cap"], given["share"]), 0, None,
              as_json=True)  # fmt: skip
    return dict(json.loads(capsys.readouterr().out))


def test_the_command_weighs_what_the_gate_lets_by(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = weigh(folder, capsys)
    table = pq.read_table(folder / "out.parquet").to_pydict()
    w = np.array(table["importance_weight"], float)
    assert np.isnan(w[400:]).all() and not np.isnan(w[:400]).any()
    assert told["unweighed"] == {"without a score": 1, "drift": 60, "unchecked": 0}
    assert told["records"] == 461 and told["weighed"] == 400
    assert told["lo"] <= 0.3 <= told["hi"]  # type: ignore[operator]
    assert w[:400].mean() == pytest.approx(1.0)
    size = w[:400].sum() ** 2 / (w[:400] ** 2).sum()
    assert told["effective_size"] == pytest.approx(size)
    # The synthetic share of the weighted corpus is below that of the records.
    assert w[280:400].sum() / w[:400].sum() < 0.5 * 0.3
    assert told["sources"] == [{"source": "news", "n": 400, "mean_weight": pytest.approx(1.0)}]


def test_weighing_twice_gives_the_same_bytes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = weigh(folder, capsys, output="a.parquet"), weigh(folder, capsys, output="b.parquet")
    assert (folder / "a.parquet").read_bytes() == (folder / "b.parquet").read_bytes()
    assert first[0]["share"] == first[1]["share"]


def test_a_cap_is_kept_and_its_cost_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free, told = weigh(folder, capsys), weigh(folder, capsys, cap=1.1)
    assert told["clipped"] > 0 and told["bias_bound"] > 0  # type: ignore[operator]
    assert free["clipped"] == 0 and free["bias_bound"] == 0.0
    assert told["effective_size"] > free["effective_size"]  # type: ignore[operator]
    run_weigh([str(folder / "new.jsonl")], folder / "chat.detector", [str(folder / "held.jsonl")],
              folder / "out.jsonl", (1.1, None), 0, None, as_json=False)  # fmt: skip
    shown = capsys.readouterr().out
    assert "court: no weights" in shown and "effective size" in shown and "without a score" in shown


def test_scores_kept_in_the_detector_file_stand_for_other_synthetic_texts(
    folder: Path, saved: SavedDetector
) -> None:
    held = open_corpus(str(folder / "held.jsonl"))
    law = held_out_law(saved, {"held": held})
    kept = dataclasses.replace(saved, made=Laws({"maker": np.sort(law.synthetic["held"])}))
    assert np.array_equal(held_out_law(kept, {}).ratio.ratios, law.ratio.ratios)
    for bare, match in (
        (dataclasses.replace(saved, made=Laws()), "pass --synthetic"),
        (dataclasses.replace(saved, calibration=None), "calibrate first"),
    ):
        with pytest.raises(DetectorError, match=match):
            held_out_law(bare, {})


def test_scores_that_no_mixture_explains_get_no_weights_unless_the_share_is_known(
    folder: Path, saved: SavedDetector
) -> None:
    rng = np.random.default_rng(14)
    corpus = open_corpus(str(folder / "new.jsonl"))
    law = held_out_law(saved, {"held": open_corpus(str(folder / "held.jsonl"))})
    # Held-out humans unlike those of the corpus: in its scores, though the gate saw no drift.
    wide = dataclasses.replace(law, human=law.human - 3.0)
    with pytest.raises(DetectorError, match="a mixture of the held-out laws explains"):
        Weigher(saved, wide).look(corpus, rng=rng)
    told = Weigher(saved, wide, share=0.5).look(corpus, rng=rng)
    assert told.share.share == told.share.lo == 0.5 and told.size_lo == told.clipped.size


def test_weighing_refuses_what_it_cannot_weigh(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = write_jsonl(tmp_path / "few.jsonl", texts("machine", 9, np.random.default_rng(11)))
    weigh(folder, capsys)
    again = ([str(folder / "out.parquet")], [str(folder / "held.jsonl")], (None, None))
    rng = np.random.default_rng(12)
    far = write_jsonl(tmp_path / "far.jsonl", texts("foreign", 200, rng))
    new = [str(folder / "new.jsonl")]
    for sources, made, limits in (
        again,
        (new, [few], (None, None)),
        (new, again[1], (0.2, None)),
        (new, again[1], (float("nan"), None)),
        (new, again[1], (None, 1.2)),
        ([far], again[1], (None, None)),
    ):
        with pytest.raises(InputError) as caught:
            run_weigh(sources, folder / "chat.detector", made, tmp_path / "x.parquet", limits,
                      0, None, as_json=False)  # fmt: skip
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "x.parquet").exists()
