"""``tailguard lab``: tables and JSON, one line for each slip, nothing left over."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Capture, parsed, printed, refused

from tailguard.lab.measurements import measurements
from tailguard.mix.registry import REGIMES

ROOT = Path(__file__).parents[2]
QUICK = ("--n", "20", "--generations", "4", "--replicates", "200")
FILE = """\
base: {regime: fixed-real, generations: 3, replicates: 100, measurements: [var]}
axes: {real_frac: [0, 0.5, 1], n: [10, 20]}
target: var>90%
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_list_names_everything_on_a_line_each(capsys: Capture) -> None:
    text = printed(capsys, "lab", "list")
    found = parsed(capsys, "lab", "list")
    assert list(found) == ["families", "regimes", "measurements", "reproductions"]
    assert {row["name"] for row in found["regimes"]} == {sheet.name for sheet in REGIMES}
    assert {row["name"] for row in found["measurements"]} == set(measurements())
    for row in [row for rows in found.values() for row in rows]:
        assert row["meaning"] and row["cite"] is not None
        assert sum(line.split()[:1] == [row["name"]] for line in text.splitlines()) >= 1
    assert "real_frac=0.1" in text and "unbiased=False" in text


def test_a_run_is_kept_compared_and_drawn(capsys: Capture, here: Path) -> None:
    text = printed(capsys, "lab", "run", *QUICK, "-o", "runs/g1", "--measurements", "var,log_var")
    assert "✔ replace: variance, exact" in text and "next: tailguard lab report runs/g1" in text
    assert left(here) == [
        "runs", "runs/g1", "runs/g1/manifest.json", "runs/g1/setting.json",
        "runs/g1/trajectories.parquet",
    ]  # fmt: skip
    text = printed(capsys, "lab", "report", "runs/g1")
    assert "Agrees with theory" in text
    page = (here / "runs" / "g1.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "replace: variance" in page


def test_settings_reach_the_run_and_come_back_as_json(capsys: Capture) -> None:
    found = parsed(
        capsys, "lab", "run", *QUICK, "--regime", "fixed_real", "--set", "real_frac=5e-1",
        "--family-set", "unbiased=true", "--truth-set", "var=4", "--truth-set", "mean=1",
        "--seed", "3", "--path", "samples", "--measurements", "var",
    )  # fmt: skip
    setting = found["setting"]
    assert setting["regime"] == "fixed-real" and setting["regime_settings"] == {"real_frac": 0.5}
    assert setting["family_settings"] == {"unbiased": True} and setting["seed"] == 3
    assert setting["truth_settings"] == {"mean": 1.0, "var": 4.0}
    assert found["path"] == "samples" and found["folder"] is None
    assert found["id"].startswith("gaussian-fixed-real-n20-g4-")
    assert abs(found["last"]["var"]["mean"] - 4) < 1
    (theory,) = found["theory"]
    assert theory["flagged"] is False and theory["outside"] == []
    assert theory["measurement"] == "var" and abs(theory["value"] - 4) < 0.5


def test_the_command_on_the_page_makes_the_same_run(capsys: Capture, here: Path) -> None:
    printed(
        capsys, "lab", "run", *QUICK, "--regime", "anchor", "--set", "m=2", "--set", "fixed=true",
        "--truth-set", "var=4", "-o", "one",
    )  # fmt: skip
    printed(capsys, "lab", "report", "one", "-o", "page.html")
    page = (here / "page.html").read_text()
    command = page.split('<code class="command">')[1].split("</code>")[0]
    assert command.startswith("tailguard lab run --family gaussian --regime anchor")
    printed(capsys, *command.split()[1:], "-o", "two")
    for path in (here / "one").iterdir():
        assert path.read_bytes() == (here / "two" / path.name).read_bytes()


def test_usual_measurements_are_those_that_the_family_has(capsys: Capture) -> None:
    found = parsed(capsys, "lab", "run", "--family", "bernoulli", *QUICK)
    assert {"survivors", "heterozygosity"} <= set(found["last"])
    assert "w2_sq" not in found["last"]


def test_a_sweep_is_run_resumed_and_drawn(capsys: Capture, here: Path) -> None:
    (here / "sweep.yaml").write_text(FILE)
    command = ("lab", "sweep", "sweep.yaml", "-o", "runs/phase", "--engine", "serial")
    text = printed(capsys, *command)
    assert "6 cells: real_frac (3) × n (2)" in text and "least real share" in text
    before = {p: p.stat().st_mtime_ns for p in (here / "runs" / "phase" / "cells").iterdir()}
    shutil.rmtree(next(iter(before)))
    found = parsed(capsys, *command)
    after = {p: p.stat().st_mtime_ns for p in (here / "runs" / "phase" / "cells").iterdir()}
    assert len(after) == 6 and sum(before[p] != after[p] for p in before) == 1
    assert len(found["cells"]) == 6 and {row["row"] for row in found["edges"]} == {10, 20}
    text = printed(capsys, "lab", "report", "runs/phase", "--target", "var>80%")
    page = (here / "runs" / "phase.html").read_text()
    assert "var &gt; 0.8" in page and "Phase diagram" in page


def test_several_runs_share_a_page_of_their_own_name(capsys: Capture, here: Path) -> None:
    for regime in ("replace", "accumulate"):
        printed(capsys, "lab", "run", *QUICK, "--regime", regime, "-o", regime)
    line = refused(capsys, "lab", "report", "replace", "accumulate")
    assert "-o" in line
    found = parsed(capsys, "lab", "report", "replace", "accumulate", "-o", "both.html")
    assert found["runs"] == 2 and found["leaves_theory"] == [] and found["report"] == "both.html"


def test_an_inverse_query_answers_from_theory_or_by_simulation(capsys: Capture) -> None:
    options = ("--regime", "fixed-real", "--generations", "20", "--target", "var>95%")
    text = printed(capsys, "lab", "solve", *options)
    assert text.startswith("real_frac = 0.28 is the least that meets var > 0.95")
    assert "28 of 100 samples" in text and "exact, from theory" in text
    found = parsed(
        capsys, "lab", "solve", *options, "--method", "simulation", "--statistic", "mean",
        "--width", "0.5",
    )  # fmt: skip
    assert found["method"] == "simulation" and found["lo"] <= 0.28 <= found["hi"]
    assert found["total_replicates"] >= found["replicates"] >= 1_000


def test_an_inverse_query_says_when_nothing_helps_or_it_cannot_tell(capsys: Capture) -> None:
    base = ("lab", "solve", "--regime", "fixed-real", "--n", "20")
    assert "even real_frac = 1 does not" in printed(capsys, *base, "--target", "var>0.99")
    assert "real_frac = 0 suffices" in printed(capsys, *base, "--target", "var>0.1")
    real = math.log(1 - 1 / 20) - 0.03
    found = parsed(
        capsys, *base, "--target", f"log_var>{real}", "--replicates", "100", code=3
    )  # fmt: skip
    assert found["status"] == "undecided" and found["hi"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--n", "1"), "n: a whole number from 2, got 1"),
        (("run", "--family", "gausian"), "did you mean 'gaussian'?"),
        (("run", "--regime", "fixd-real"), "did you mean 'fixed-real'?"),
        (("run", "--regime", "fixed-real", "--set", "real_frac=-0.1"), "in [0, 1], got -0.1"),
        (("run", "--regime", "fixed-real", "--set", "real_frac=nan"), "real_frac"),
        (("run", "--regime", "fixed-real", "--set", "real_frc=0.1"), "did you mean 'regime.real_"),
        (("run", "--set", "real_frac"), "key=value"),
        (("run", "--family-set", "unbiased=maybe"), "unbiased as bool"),
        (("run", "--truth-set", "vra=2"), "did you mean 'truth.var'?"),
        (("run", "--truth", "gausian"), "did you mean 'gaussian'?"),
        (("run", "--measurements", "var,vra"), "did you mean 'var'?"),
        (("run", "--measurements", "survivors"), "choose other measurements"),
        (("run", "--generations", "-1"), "generations: a whole number from 1, got -1"),
        (("run", "--replicates", "0"), "replicates: a whole number from 1"),
        (("run", "--seed", "-1"), "seed: a whole number from 0"),
        (("run", "--path", "magic"), "path auto"),
        (("run", "--engine", "lokal"), "did you mean 'local'?"),
        (("run", "--regime", "anchor", "--set", "m=1", "--set", "m=2"), "'m' twice"),
        (("sweep", "nothing.yaml"), "no such file"),
        (("sweep", "typo.yaml"), "did you mean 'regime'?"),
        (("report", "nothing"), "the folder of a run"),
        (("report", "nothing", "-o", "x.pdf"), "ending in .html"),
        (("report", "nothing", "-o", "nowhere/x.html"), "an existing folder"),
        (("solve", "--target", "vra<1"), "did you mean 'var'?"),
        (("solve", "--target", "var is small"), "measurement<number"),
        (("solve", "--target", "var>1", "--parameter", "m"), "a parameter of regime fixed-real"),
        (("solve", "--target", "var>1", "--level", "2"), "a level in"),
        (("solve", "--target", "survivors>1"), "measurement survivors"),
    ],
)
def test_a_slip_gets_one_line_and_leaves_nothing_behind(
    capsys: Capture, here: Path, arguments: tuple[str, ...], message: str
) -> None:
    (here / "typo.yaml").write_text("base: {regim: replace}")
    needs = arguments[0] in ("run", "sweep")
    line = refused(capsys, "lab", *arguments, *(("-o", "runs/out") if needs else ()))
    assert message in line
    assert left(here) == ["typo.yaml"]


@pytest.mark.parametrize("command", ["run", "sweep"])
@pytest.mark.parametrize("place", ["taken", "taken/under", "full", "a" * 300, "other"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    capsys: Capture, here: Path, command: str, place: str
) -> None:
    (here / "sweep.yaml").write_text(FILE)
    (here / "taken").write_text("mine")
    (here / "full").mkdir()
    (here / "full" / "mine").write_text("mine")
    printed(capsys, "lab", "run", *QUICK, "-o", "other", "--measurements", "var")
    before = left(here)
    what: Any = ("sweep.yaml",) if command == "sweep" else ("--replicates", "1000000000")
    assert refused(capsys, "lab", command, *what, "-o", place)
    assert left(here) == before


def test_a_run_of_another_setting_is_never_overwritten(capsys: Capture, here: Path) -> None:
    printed(capsys, "lab", "run", *QUICK, "-o", "one")
    data = (here / "one" / "setting.json").read_bytes()
    assert "another setting" in refused(capsys, "lab", "run", *QUICK, "--seed", "1", "-o", "one")
    assert (here / "one" / "setting.json").read_bytes() == data


def test_help_of_the_laboratory_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom tailguard.cli import run\n"
        "run(['lab', 'run', '--help'])\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--family-set" in done.stdout
    assert not {"numpy", "numba", "scipy", "pyarrow", "matplotlib"} & set(done.stderr.split())


def test_the_examples_run_and_their_family_is_known_to_the_command_line(here: Path) -> None:
    examples = [ROOT / "examples/lab_family.py", ROOT / "examples/lab_any_model.py"]
    assert examples[0].read_text().count("\n") < 60
    (here / "families").mkdir()
    shutil.copy(examples[0], here / "families" / "uniform.py")
    code = (
        "import runpy, tailguard.lab.families as home\n"
        "from tailguard.cli import run\n"
        f"home.__path__.append({str(here / 'families')!r})\n"
        "assert not run('lab run --family uniform --n 50 --truth-set top=2'.split())\n"
        f"for name in {list(map(str, examples))!r}: runpy.run_path(name, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for text in ("uniform, replace: n = 50", "keeps to theory", "real share 0.5"):
        assert text in done.stdout
