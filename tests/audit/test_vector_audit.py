"""The audit of tables, embeddings and images, from the call to the report and the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tailguard
from tailguard.cli import run
from tailguard.corpus import Columns
from tailguard.errors import InputError
from tailguard.measure.vectors.summary import profile_vectors
from tailguard.report.render import write_report

RNG = np.random.default_rng(0)
GOLD, HUMAN = RNG.standard_normal((1500, 12)), RNG.standard_normal((1500, 12))


def table(values: np.ndarray) -> pa.Table:
    texts = [f"text {i}" for i in range(len(values))]
    return pa.table({"text": texts, "embedding": pa.array(values.tolist())})


def audit(batch: object, gold: object = GOLD, **options: object) -> tailguard.Verdict:
    return tailguard.audit(batch, gold, engine="serial", **options)


def test_more_of_the_same_embeddings_pass() -> None:
    verdict = audit(HUMAN)
    assert (verdict.status, verdict.stage) == ("pass", "healthy")
    assert verdict.batch.documents == 1500 and verdict.batch.tokens == 18_000
    assert {reading.metric for reading in verdict.readings} >= {"vendi", "mmd2", "spread"}


def test_embeddings_of_a_sharper_model_fail_and_say_where() -> None:
    verdict = audit(0.9 * HUMAN)
    assert (verdict.status, verdict.stage) == ("fail", "early")
    examples = [e for f in verdict.findings if f.section == "sharpening" for e in f.examples]
    assert examples and "99% of values from" in examples[0]


def test_copies_in_a_table_fail_as_late() -> None:
    copied = HUMAN.copy()
    copied[:90] = copied[500:590]
    verdict = audit(copied)
    assert (verdict.status, verdict.stage) == ("fail", "late")


def test_gold_rows_in_the_batch_are_told() -> None:
    verdict = audit(np.vstack([HUMAN[:1000], GOLD[:200]]))
    assert any(finding.section == "overlap" for finding in verdict.findings)


def test_the_verdict_does_not_depend_on_how_rows_are_held(tmp_path: Path) -> None:
    pq.write_table(table(0.9 * HUMAN), tmp_path / "b.parquet")
    columns = Columns(vector="embedding")
    by_file = tailguard.audit(
        tmp_path / "b.parquet", table(GOLD), columns=columns, engine="local", workers=2
    )
    by_table = audit(table(0.9 * HUMAN), table(GOLD), columns=columns)
    assert by_file.batch.fingerprint == by_table.batch.fingerprint
    assert by_file.stage == by_table.stage == "early"


def test_the_same_data_under_two_forms_is_gold_itself() -> None:
    with pytest.raises(InputError, match="gold itself"):
        audit(table(GOLD).drop(["text"]))


@pytest.mark.parametrize(
    ("batch", "options", "told"),
    [
        (HUMAN[:, :5], {}, "the same columns"),
        (["some", "texts"], {}, "name the vector column"),
        (HUMAN, {"by": ["source"]}, "leave it out"),
        (profile_vectors(HUMAN, [f"c{i}" for i in range(12)]), {}, "the same columns"),
    ],
)
def test_sides_that_do_not_fit_are_refused_in_one_line(
    batch: object, options: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told) as error:
        audit(batch, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ["html", "json", "md", "xml", "sarif"])
def test_every_report_can_be_written(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"report.{ending}"
    write_report(audit(0.8 * HUMAN), path)
    assert "nan" not in path.read_text().lower().split()


def test_many_unreadable_vectors_fail_by_policy() -> None:
    rows = [*HUMAN.tolist(), *([[1.0]] * 60)]
    batch = pa.table({"embedding": pa.array(rows)})
    verdict = audit(batch, pa.table({"embedding": pa.array(GOLD.tolist())}))
    assert verdict.batch.quarantined == 60
    assert verdict.rule == "finding: max_quarantined_frac"


def picture(rng: np.random.Generator, contrast: float) -> bytes:
    pixels = 128 + contrast * rng.standard_normal((8, 8, 3)) * 40
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((24, 24)).save(file, "PNG")
    return file.getvalue()


def folder(path: Path, n: int, contrast: float, seed: int) -> Path:
    path.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(n):
        (path / f"{number}.png").write_bytes(picture(rng, contrast))
    return path


def test_folders_of_images_are_audited_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = folder(tmp_path / "gold", 350, 1.0, 1)
    good, flat = folder(tmp_path / "good", 350, 1.0, 2), folder(tmp_path / "flat", 350, 0.7, 3)
    serial = ["--engine", "serial", "--json"]
    assert run(["audit", str(good), "--gold", str(gold), *serial]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "pass"
    assert run(["profile", str(gold), "-o", str(tmp_path / "gold.profile"), *serial]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 350
    assert run(["audit", str(flat), "--gold", str(tmp_path / "gold.profile"), *serial]) == 1
    assert json.loads(capsys.readouterr().out)["stage"] in ("early", "mid")


def test_tables_are_profiled_measured_and_audited_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold, batch = str(tmp_path / "gold.parquet"), str(tmp_path / "batch.parquet")
    pq.write_table(table(GOLD), gold)
    pq.write_table(table(0.8 * HUMAN), batch)
    named = ["--vector-column", "embedding", "--engine", "serial"]
    assert run(["profile", gold, "-o", str(tmp_path / "g"), *named]) == 0
    assert "vector[0]" in capsys.readouterr().out
    assert run(["audit", batch, "--gold", str(tmp_path / "g"), *named]) == 1
    assert "extreme values" in capsys.readouterr().out
    assert run(["measure", batch, gold, "--json", *named]) == 0
    readings = {r["metric"]: r for r in json.loads(capsys.readouterr().out)}
    ratio = readings["total_variance"]["value"] / readings["total_variance"]["gold"]
    assert ratio == pytest.approx(0.64, rel=0.1)
    assert run(["measure", batch, "--metrics", "vendy", *named]) == 2
    assert "did you mean 'vendi'" in capsys.readouterr().err
    assert run(["audit", batch, "--gold", gold, "--vector-column", "embeding"]) == 2
    assert "did you mean 'embedding'" in capsys.readouterr().err
