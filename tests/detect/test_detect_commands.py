"""The commands from files to files, and their refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from detect_texts import texts, write_jsonl
from typer.testing import CliRunner

from tailguard.cli.detect import app
from tailguard.errors import InputError


def run(*words: str) -> str:
    """What a command prints; its error is raised here."""
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated detector, and slices to score."""
    at = tmp_path_factory.mktemp("detect")
    rng = np.random.default_rng(1)
    human = texts("human", 200, rng)
    write_jsonl(at / "human.jsonl", human)
    write_jsonl(at / "machine.jsonl", texts("machine", 200, rng))
    gold = [*texts("human", 120, rng), *human[:30], "", "   "]
    write_jsonl(at / "gold.jsonl", gold, source=["news"] * len(gold))
    mixed = [*texts("human", 40, rng), *texts("machine", 40, rng), ""]
    far = texts("foreign", 60, rng)
    lone = texts("machine", 5, rng)
    names = ["news"] * len(mixed) + ["court"] * len(far) + ["few"] * 5
    write_jsonl(at / "new.jsonl", [*mixed, *far, *lone], source=names)
    run("fit", str(at / "human.jsonl"), str(at / "machine.jsonl"), "-o", str(at / "bare.detector"))
    told = run("calibrate", str(at / "bare.detector"), "--human", str(at / "gold.jsonl"),
               "--max-fpr", "0.05", "-o", str(at / "full.detector"), "--json")  # fmt: skip
    left = json.loads(told)["left_out"]
    assert left["fitted on"] == 30 and left["without words"] == 2
    return at


def score(folder: Path, *more: str, rate: str = "0.05") -> dict[str, list[object]]:
    """The scored records as columns."""
    out = folder / "scored.parquet"
    run("score", str(folder / "new.jsonl"), "-d", str(folder / "full.detector"), "-o", str(out),
        "--max-fpr", rate, *more)  # fmt: skip
    table = pq.read_table(out).to_pydict()
    return dict(table)


def test_score_decides_where_the_slice_matches_and_abstains_elsewhere(folder: Path) -> None:
    table = score(folder)
    source, decision = np.array(table["source"]), np.array(table["decision"])
    drift = {name: set(np.array(table["drift"])[source == name]) for name in set(source)}
    assert drift == {"news": {"match"}, "court": {"drift"}, "few": {"unchecked"}}
    assert set(decision[source != "news"]) == {"abstain"}
    assert (decision[:40] == "synthetic").sum() <= 6
    assert (decision[40:80] == "synthetic").sum() >= 15
    assert decision[80] == "abstain" and table["detector_score"][80] is None
    told = [
        e for e, d in zip(table["detector_evidence"], decision, strict=True) if d == "synthetic"
    ]
    assert all(isinstance(json.loads(str(e)), list) for e in told)


def test_scoring_twice_gives_the_same_bytes(folder: Path) -> None:
    score(folder)
    first = (folder / "scored.parquet").read_bytes()
    score(folder)
    assert (folder / "scored.parquet").read_bytes() == first


def test_a_false_discovery_rate_decides_many_documents_together(folder: Path) -> None:
    table = score(folder, "--fdr", "0.1")
    decision = np.array(table["decision"])
    found = np.flatnonzero(decision == "synthetic")
    assert len(found) >= 10 and (found < 40).sum() <= 0.3 * len(found)
    with pytest.raises(InputError, match="fdr"):
        score(folder, "--fdr", "2")


def test_a_stricter_rate_than_the_humans_carry_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"299 human documents.*got 120; add 179"):
        score(folder, rate="0.01")
    assert not list(folder.glob(".*tmp"))


def test_commands_refuse_bad_input_in_one_line(folder: Path, tmp_path: Path) -> None:
    new, out = str(folder / "new.jsonl"), str(tmp_path / "out.parquet")
    with pytest.raises(InputError, match="calibrate first"):
        run("score", new, "-d", str(folder / "bare.detector"), "-o", out)
    cut = tmp_path / "cut.detector"
    cut.write_bytes((folder / "full.detector").read_bytes()[:-100])
    with pytest.raises(InputError, match="checksum"):
        run("score", new, "-d", str(cut), "-o", out)
    human = str(folder / "human.jsonl")
    for one in (human, write_jsonl(tmp_path / "three.jsonl", ["a", "b", "c"]),
                write_jsonl(tmp_path / "empty.jsonl", ["", " "])):  # fmt: skip
        with pytest.raises(InputError) as caught:
            run("fit", human, one, "-o", str(tmp_path / "x.detector"))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="59 human documents"):
        run("calibrate", str(folder / "bare.detector"), "--human",
            str(tmp_path / "three.jsonl"), "--max-fpr", "0.05")  # fmt: skip
    again = str(folder / "scored.parquet")
    score(folder)
    with pytest.raises(InputError, match="no column"):
        run("score", again, "-d", str(folder / "full.detector"), "-o", out, "--max-fpr", "0.05")
    assert {path.name for path in tmp_path.iterdir()} == {
        "cut.detector", "three.jsonl", "empty.jsonl"
    }  # fmt: skip


def test_prevalence_covers_the_share_or_refuses_by_source(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    held = write_jsonl(tmp_path / "held.jsonl", texts("machine", 150, rng))
    mixed = [*texts("human", 210, rng), *texts("machine", 90, rng)]
    far, few = texts("foreign", 120, rng), texts("human", 40, rng)
    names = ["news"] * 300 + ["court"] * 120 + ["few"] * 40
    new = write_jsonl(tmp_path / "new.jsonl", [*mixed, *far, *few], source=names)
    told = ("prevalence", new, "-d", str(folder / "full.detector"), "--synthetic", held)
    rows = {row["source"]: row for row in json.loads(run(*told, "--json"))["slices"]}
    assert rows["news"]["status"] == "ok" and rows["news"]["lo"] <= 0.3 <= rows["news"]["hi"]
    assert rows["court"]["status"] == rows["few"]["status"] == "refused"
    assert rows["court"]["share"] is None and "calibrate on humans" in rows["court"]["note"]
    assert "at least 50" in rows["few"]["note"]
    assert "court: refused" in " ".join(run(*told).split())
    with pytest.raises(InputError, match=r"at least 50 synthetic texts not fitted on, got 0|texts"):
        run(*told[:-1], str(folder / "machine.jsonl"))


def test_leaks_are_shown_before_and_after_canonicalisation(folder: Path, tmp_path: Path) -> None:
    values = texts("human", 60, np.random.default_rng(5))
    human = write_jsonl(tmp_path / "h.jsonl", [v.replace(" ", "\n", 9) for v in values])
    found = json.loads(run("leaks", human, write_jsonl(tmp_path / "m.jsonl", values), "--json"))
    assert found["raw"][0]["leaks"] and not found["canonical"][0]["leaks"]
    shown = run("leaks", human, str(tmp_path / "m.jsonl"))
    assert "LEAKS" in shown and "after canonicalisation" in shown


def test_texts_that_were_fitted_on_are_abstained_on_and_counted(folder: Path) -> None:
    lines = (folder / "machine.jsonl").read_text().splitlines()[:60]
    batch = folder / "again.jsonl"
    batch.write_text("\n".join(lines) + "\n")
    out = folder / "again.parquet"
    told = json.loads(run("score", str(batch), "-d", str(folder / "full.detector"), "-o",
                          str(out), "--json"))  # fmt: skip
    assert told["fitted_on"] == 60 and told["decisions"]["abstain"] == 60
    assert set(pq.read_table(out)["compared_with"].to_pylist()) == {"fitted on"}


def test_sources_too_small_for_the_gate_are_looked_at_together(folder: Path) -> None:
    rng = np.random.default_rng(21)
    for kind, state in (("human", "match"), ("foreign", "drift")):
        sites = [f"site {i // 5}" for i in range(100)]
        batch = write_jsonl(folder / "sites.jsonl", texts(kind, 100, rng), source=sites)
        told = json.loads(run("score", batch, "-d", str(folder / "full.detector"), "-o",
                              str(folder / "sites.parquet"), "--json"))  # fmt: skip
        assert {(row["state"], row["n"]) for row in told["drift"]} == {(state, 100)}
        assert len(told["drift"]) == 20


def test_records_with_an_origin_column_evidence_are_scored_and_keep_it(folder: Path) -> None:
    rng = np.random.default_rng(22)
    graded = write_jsonl(folder / "graded.jsonl", texts("human", 60, rng),
                         evidence=["attested"] * 60)  # fmt: skip
    out = folder / "graded.parquet"
    run("score", graded, "-d", str(folder / "full.detector"), "-o", str(out))
    assert set(pq.read_table(out)["evidence"].to_pylist()) == {"attested"}


def test_names_from_data_cannot_forge_a_line(folder: Path) -> None:
    rng = np.random.default_rng(23)
    batch = write_jsonl(folder / "forged.jsonl", texts("human", 60, rng),
                        source=["x\n  y: all human\x1b[2J"] * 60)  # fmt: skip
    told = run("score", batch, "-d", str(folder / "full.detector"), "-o",
               str(folder / "forged.parquet"))  # fmt: skip
    assert "\x1b" not in told and len(told.splitlines()) == 2


def test_options_of_a_model_without_a_model_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="--model: expected a folder"):
        run("fit", str(folder / "human.jsonl"), str(folder / "machine.jsonl"), "-o",
            str(folder / "x.detector"), "--kind", "linear", "--label", "fake")  # fmt: skip
