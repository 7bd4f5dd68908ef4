"""Sweeps: typos refused, interruptions harmless, the same bytes whoever does the work."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tailguard.errors import InputError
from tailguard.lab import sweep as sweep_module
from tailguard.lab.settings import canonical, identifier
from tailguard.lab.simulate import Setting, simulate
from tailguard.lab.store import RunError, StoredRun, load_run, save_run
from tailguard.lab.sweep import CELLS, SWEEP, load_sweep, run_cell, run_sweep
from tailguard.lab.sweep_file import Sweep, SweepError, assigned, parsed_pair, read_sweep

FILE = """\
base: {family: gaussian, regime: fixed-real, generations: 4, replicates: 40}
axes:
  real_frac: [0, 0.5, 1]
  n: [10, 20]
target: tail_mass_lost<50%
"""
SWEEP_OF_MANY = Sweep(
    Setting(replicates=30, generations=3, measurements=("var",)),
    (("n", tuple(range(10, 16))), ("regime", ("replace", "accumulate"))),
)


def written(folder: Path, text: str = FILE) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted sweep."""
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    run_sweep(SWEEP_OF_MANY, folder, engine="serial")
    return folder


def test_a_sweep_file_is_every_combination_of_its_axes(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path))
    cells = sweep.cells()
    assert [(c.regime_settings["real_frac"], c.n) for c in cells] == [
        (f, n) for f in (0.0, 0.5, 1.0) for n in (10, 20)
    ]
    assert all(c.regime == "fixed-real" and c.generations == 4 for c in cells)
    assert "tail_mass_lost" in cells[0].measurements and "var" in cells[0].measurements


def test_a_cell_is_the_run_of_its_setting(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path))
    stored = run_sweep(sweep, tmp_path / "out", engine="serial")
    cell = sweep.cells()[3]
    alone = save_run(simulate(cell, engine="serial"), tmp_path / "alone")
    assert tree(tmp_path / "out" / CELLS / identifier(cell)) == tree(alone)
    assert stored.done == 6 and stored.runs[3] is not None
    assert stored.runs[3].setting == load_run(alone).setting == cell
    assert load_sweep(tmp_path / "out").runs[3] is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: {regim: replace}", "did you mean 'regime'"),
        ("bsae: {n: 10}", "expected a known key, got 'bsae'; did you mean 'base'"),
        ("base: {regime: fixed-real, real_fraq: 0.1}", "did you mean 'real_frac'"),
        ("axes: {family: [gausian]}", "did you mean 'gaussian'"),
        ("base: {measurements: [vra]}", "did you mean 'var'"),
        ("target: vra<1", "did you mean 'var'"),
        ("target: 5", "target as text"),
        ("target: var is large", "measurement<number"),
        ("base: {n: 1}", "n: a whole number from 2, got 1"),
        ("base: {n: many}", "n: a whole number from 2, got 'many'"),
        ("base: {regime: fixed-real}\naxes: {real_frac: [0.1, -0.1]}", r"in \[0, 1\], got -0.1"),
        ("axes: {n: 10}", "axis n: expected a list of values, got 10"),
        ("axes: {n: []}", "axis n: expected a list"),
        ("axes: {n: [10, 20, 10]}", "other settings in every cell"),
        ("axes: {n: [10], n: [20]}", "the key 'n' twice"),
        ("axes: {1: [2]}", "which is no text"),
        ("base: &a {n: 10}\naxes: {n: *a}", "alias"),
        ("base: [[[[[[[[[[1]]]]]]]]]]", "more than 8 levels"),
        ("base: 3", "base: keys and values, got int"),
        ("- 1", "got a list"),
        ("", "got nothing"),
        ("base: {", "valid YAML"),
        ("base: !!python/object/apply:os.system [ls]", "valid YAML"),
        ("\x00", "valid YAML"),
        ("axes: {n: [" + ", ".join(map(str, range(2, 400))) + "], seed: ["
         + ", ".join(map(str, range(400))) + "]}", "at most 100,000 cells"),
    ],
)  # fmt: skip
def test_a_slip_in_a_sweep_file_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SweepError, match=message) as refused:
        read_sweep(written(tmp_path, text))
    assert "\n" not in str(refused.value) and str(refused.value).startswith(str(tmp_path))


def test_a_missing_or_huge_sweep_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="no such file"):
        read_sweep(tmp_path / "nothing.yaml")
    with pytest.raises(SweepError, match="a larger file"):
        read_sweep(written(tmp_path, "# " + "x" * 1_000_001))


def test_a_key_of_two_parts_must_say_which() -> None:
    setting = Setting(family="multivariate", regime="fixed-real")
    assert assigned(setting, "family.shape", "diagonal").family_settings == {"shape": "diagonal"}
    with pytest.raises(InputError, match=r"did you mean 'regime\.real_frac'"):
        assigned(setting, "regime.real_fra", 1)
    both = assigned(Setting(family="bernoulli", regime="temperature"), "temperature", 0.5)
    assert both.regime_settings == {"temperature": 0.5}
    ngram = Setting(family="ngram", regime="temperature")
    with pytest.raises(InputError, match=r"regime\.temperature or family\.temperature"):
        assigned(ngram, "temperature", 0.5)


def test_numbers_may_be_written_as_people_write_them() -> None:
    setting = assigned(Setting(regime="fixed-real"), "real_frac", "1e-3")
    assert setting.regime_settings == {"real_frac": 0.001}
    assert assigned(setting, "replicates", "1e4").replicates == 10_000
    assert parsed_pair("p=[0.5, 0.5]") == ("p", (0.5, 0.5))
    for text in ("real_frac", "=1", "real_frac=", "a={b: 1}", "a=*b"):
        with pytest.raises(InputError):
            parsed_pair(text)


def test_a_cell_that_cannot_run_stops_all_before_anything_is_written(tmp_path: Path) -> None:
    sweep = Sweep(Setting(replicates=10, generations=2), (("regime", ("replace", "top-k")),))
    with pytest.raises(InputError, match="top-k"):
        run_sweep(sweep, tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_nothing_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="engine"):
        run_sweep(SWEEP_OF_MANY, tmp_path / "a" / "b", engine="lokal")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_sweep_is_refused_and_left_alone(whole: Path) -> None:
    before = tree(whole)
    for other in (
        replace(SWEEP_OF_MANY, base=replace(SWEEP_OF_MANY.base, seed=1)),
        replace(SWEEP_OF_MANY, axes=SWEEP_OF_MANY.axes[:1]),
    ):
        with pytest.raises(InputError, match="expected a new folder, got another sweep"):
            run_sweep(other, whole, engine="serial")
    assert tree(whole) == before


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="a new or empty folder"):
        run_sweep(SWEEP_OF_MANY, tmp_path, engine="serial")
    assert tree(tmp_path) == {"mine.txt": b"mine"}


def _run(folder: Path, engine: str = "serial") -> None:
    run_sweep(SWEEP_OF_MANY, folder, engine=engine, workers=2)


def finished(folder: Path) -> dict[str, int]:
    cells = folder / CELLS
    if not cells.exists():
        return {}
    return {p.name: p.stat().st_mtime_ns for p in cells.iterdir() if not p.name.endswith(".tmp")}


def killed(folder: Path, cells: int, later_s: float) -> None:
    """Start the sweep in a process of its own; kill it some time after so many cells are there."""
    process = multiprocessing.get_context("fork").Process(target=_run, args=(folder,))
    process.start()
    while len(finished(folder)) < cells and process.is_alive():
        time.sleep(0.0005)
    process.join(later_s)
    process.kill()
    process.join()


def test_a_sweep_killed_at_ten_moments_ends_as_if_never_stopped(
    whole: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    done = []
    for number in range(10):
        folder = tmp_path / str(number)
        killed(folder, int(rng.integers(0, 12)), rng.uniform(0.0, 0.01))
        before = finished(folder)
        done.append(len(before))
        _run(folder)
        after = finished(folder)
        assert before.items() <= after.items(), "a finished cell was run again"
        assert tree(folder) == tree(whole)
    assert len(set(done)) > 2, "all kills came at the same moment"


def test_a_sweep_stopped_again_and_again_still_arrives(whole: Path, tmp_path: Path) -> None:
    folder, counts = tmp_path / "out", [0]
    for cells in range(0, 12, 2):
        killed(folder, cells, 0.0)
        counts.append(len(finished(folder)))
    assert counts == sorted(counts) and counts[-1] > 0
    _run(folder)
    assert tree(folder) == tree(whole)


def test_what_a_kill_leaves_half_written_is_swept_away(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    killed(folder, 2, 0.0)
    (folder / CELLS / ".gaussian.1234.tmp").mkdir(parents=True, exist_ok=True)
    (folder / CELLS / ".gaussian.1234.tmp" / "setting.json").write_text("{")
    (folder / ".sweep.json.1234.tmp").write_text("{")
    _run(folder)
    assert tree(folder) == tree(whole)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".sweep.json.1234.tmp").write_text("{")
    _run(tmp_path / "new")
    assert tree(tmp_path / "new") == tree(whole)


def test_one_worker_two_workers_and_none_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    run_sweep(SWEEP_OF_MANY, tmp_path / "two", engine="local", workers=2)
    run_sweep(SWEEP_OF_MANY, tmp_path / "one", engine="local", workers=1)
    assert tree(tmp_path / "two") == tree(tmp_path / "one") == tree(whole)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is missing")
def test_ray_gives_the_same_bytes_as_this_process(whole: Path, tmp_path: Path) -> None:
    run_sweep(SWEEP_OF_MANY, tmp_path / "ray", engine="ray", workers=2)
    assert tree(tmp_path / "ray") == tree(whole)


def test_a_second_start_computes_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def counted(cell: Setting) -> StoredRun:
        computed.append(identifier(cell))
        return run_cell(cell)

    monkeypatch.setattr(sweep_module, "run_cell", counted)
    names = [identifier(cell) for cell in SWEEP_OF_MANY.cells()]
    _run(tmp_path / "out")
    assert computed == names
    for name in names[2:4]:
        shutil.rmtree(tmp_path / "out" / CELLS / name)
    _run(tmp_path / "out")
    assert computed == [*names, *names[2:4]]


def test_two_processes_never_write_to_one_folder(whole: Path) -> None:
    import fcntl
    import os

    folder = os.open(whole, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        with pytest.raises(InputError, match="another sweep at work"):
            run_sweep(SWEEP_OF_MANY, whole, engine="serial")
    finally:
        os.close(folder)


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A finished sweep that may be damaged."""
    for name, data in tree(whole).items():
        path = tmp_path / "copy" / name
        if (whole / name).is_dir():
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tmp_path / "copy"


def test_a_sweep_is_read_back_even_when_unfinished(copy: Path) -> None:
    cells = [canonical(cell) for cell in SWEEP_OF_MANY.cells()]
    assert [run.setting for run in load_sweep(copy).runs if run] == cells
    (copy / "manifest.json").unlink()
    for path in (copy / CELLS / identifier(cells[0])).iterdir():
        path.unlink()
    (copy / CELLS / identifier(cells[0])).rmdir()
    stored = load_sweep(copy)
    assert stored.runs[0] is None and stored.done == len(cells) - 1


def test_a_sweep_over_regimes_with_other_settings_is_read_back(tmp_path: Path) -> None:
    base = Setting(regime="fixed-real", n=10, generations=2, replicates=20, measurements=("var",))
    sweep = Sweep(base, (("regime", ("replace", "fixed-real", "window")),))
    run_sweep(sweep, tmp_path / "out", engine="serial")
    assert load_sweep(tmp_path / "out").sweep == sweep
    assert load_sweep(tmp_path / "out").done == 3


def test_a_damaged_cell_is_named_and_not_replaced(copy: Path) -> None:
    cell = next(iter((copy / CELLS).iterdir()))
    (cell / "setting.json").write_text("{}")
    for read in (load_sweep, _run):
        with pytest.raises(RunError, match=cell.name):
            read(copy)


def test_cells_that_were_exchanged_are_refused(copy: Path) -> None:
    one, other, *_ = sorted((copy / CELLS).iterdir())
    for name in ("setting.json", "trajectories.parquet", "manifest.json"):
        (one / name).write_bytes((other / name).read_bytes())
    (copy / "manifest.json").unlink()
    with pytest.raises(RunError, match="the cell of its name"):
        load_sweep(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "tailguard-sweep/9"},
        {"format": None},
        {"axes": [["n", []]]},
        {"axes": [["n"]]},
        {"axes": {"n": [1]}},
        {"axes": [["n", list(range(2, 400))], ["seed", list(range(400))]]},
        {"base": {}},
        {"target": 3},
    ],
)
def test_a_forged_description_of_a_sweep_is_refused(copy: Path, change: dict[str, object]) -> None:
    found = json.loads((copy / SWEEP).read_text())
    (copy / SWEEP).write_text(json.dumps(found | change))
    with pytest.raises(RunError):
        load_sweep(copy)
