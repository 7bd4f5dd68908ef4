"""Runs on disk: same setting, same bytes; what is read back is what was written, or refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.lab.settings import canonical, identifier, setting_from, setting_json
from tailguard.lab.simulate import CHUNK, SAMPLES, Run, Setting, planned, simulate
from tailguard.lab.store import (
    FORMAT,
    MANIFEST,
    RunError,
    StoredRun,
    appearing,
    kept_run,
    load_run,
    save_run,
    summarised,
)
from tailguard.lab.trajectory import Trajectory

SETTING = Setting(
    regime="fixed-real", regime_settings={"real_frac": 0.2}, n=10, generations=4, replicates=60
)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(SETTING, engine="serial")


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    return save_run(run, tmp_path / "runs" / "one")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(one: StoredRun, other: StoredRun) -> bool:
    fields = ("count", "mean", "se", "skewness", "quantiles")
    return one.setting == other.setting and all(
        np.array_equal(getattr(one.summaries[m], f), getattr(other.summaries[m], f), equal_nan=True)
        for m in one.setting.measurements
        for f in fields
    )


def sign(folder: Path) -> None:
    """Make the manifest fit what the folder holds, as a forger would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_saved_run_is_read_back_as_it_was(run: Run, folder: Path) -> None:
    stored = load_run(folder)
    assert same(stored, summarised(run))
    assert stored.path == "statistics" and stored.kept == 60
    assert sorted(contents(folder)) == ["manifest.json", "setting.json", "trajectories.parquet"]


def test_the_table_of_a_run_has_the_columns_that_the_page_states(folder: Path) -> None:
    table = pq.read_table(folder / "trajectories.parquet")
    assert table.column_names == ["measurement", "generation", "count", "mean", "se", "skewness",
                                  "q05", "q25", "q50", "q75", "q95"]  # fmt: skip
    assert table.num_rows == 5 * 3
    assert table["generation"].to_pylist()[:6] == [0, 1, 2, 3, 4, 0]


def test_the_same_setting_gives_the_same_bytes_twice(folder: Path, tmp_path: Path) -> None:
    again = kept_run(replace(SETTING, regime="fixed_real"), tmp_path / "again", engine="serial")
    assert contents(tmp_path / "again") == contents(folder)
    assert same(again, load_run(folder))


@given(
    st.permutations(["real_frac", "unbiased", "var", "mean"]),
    st.sampled_from([1, 1.0, np.float64(1.0)]),
)
def test_settings_that_mean_the_same_have_one_name(order: list[str], one: float) -> None:
    values = {"real_frac": one, "unbiased": False, "var": one, "mean": 0}
    held = {key: values[key] for key in order}
    wordy = Setting(
        regime="fixed_real",
        regime_settings={k: v for k, v in held.items() if k == "real_frac"},
        family_settings={k: v for k, v in held.items() if k == "unbiased"},
        truth_settings={k: v for k, v in held.items() if k in ("var", "mean")},
    )
    short = Setting(regime="fixed-real", regime_settings={"real_frac": 1.0})
    assert identifier(wordy) == identifier(short)
    assert setting_json(wordy) == setting_json(short)


def test_whatever_changes_the_numbers_changes_the_name() -> None:
    changed = [
        replace(SETTING, **{key: value})  # type: ignore[arg-type]
        for key, value in {
            "n": 11,
            "generations": 5,
            "replicates": 61,
            "seed": 1,
            "path": "samples",
            "measurements": ("var",),
            "regime_settings": {"real_frac": 0.3},
            "family_settings": {"unbiased": True},
            "truth_settings": {"var": 2.0},
            "truth": "exponential",
        }.items()
    ]
    names = [identifier(setting) for setting in (SETTING, *changed)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("gaussian-fixed-real-n1") for name in names)


def test_a_canonical_setting_survives_its_own_json() -> None:
    setting = canonical(SETTING)
    assert setting_from("here", setting_json(SETTING)) == setting
    assert canonical(setting) == setting


def damage(name: str, change: Callable[[bytes], bytes], *, signed: bool = False) -> object:
    return pytest.param(name, change, signed, id=f"{name}-{change.__name__}")


def flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


def cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def too_large(data: bytes) -> bytes:
    return data + b" " * 2_000_000


def not_a_number(data: bytes) -> bytes:
    return data.replace(b'"n":10', b'"n":NaN')


def infinite(data: bytes) -> bytes:
    return data.replace(b"0.2", b"1e999")


def deep(data: bytes) -> bytes:
    return b'{"a":' + b"[" * 300_000 + b"]" * 300_000 + b"}"


def nested(data: bytes) -> bytes:
    return data.replace(b"0.2", b"[" * 400 + b"]" * 400)


def twice(data: bytes) -> bytes:
    return data.replace(b'"n":10', b'"n":10,"n":11')


def many_generations(data: bytes) -> bytes:
    return data.replace(b'"generations":4', b'"generations":999999999')


def more_rows(data: bytes) -> bytes:
    return data.replace(b'"generations":4', b'"generations":5')


def other_name(data: bytes) -> bytes:
    return data.replace(b"log_var", b"log_vax")


def compressed(data: bytes) -> bytes:
    return rewritten(data, lambda table: table, "zstd")


def without_column(data: bytes) -> bytes:
    return rewritten(data, lambda table: table.drop_columns(["se"]))


def reordered(data: bytes) -> bytes:
    return rewritten(data, lambda table: table.take(list(reversed(range(table.num_rows)))))


def no_parquet(data: bytes) -> bytes:
    return b"PAR1" + data[4:50] + b"PAR1"


def rewritten(data: bytes, change: Callable[[pa.Table], pa.Table], codec: str = "none") -> bytes:
    table = change(pq.read_table(pa.BufferReader(data), read_dictionary=["measurement"]))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=codec)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "change", "signed"),
    [
        *(damage(n, c) for n in ("setting.json", "trajectories.parquet", MANIFEST)
          for c in (flipped, cut_short, too_large)),
        *(damage("setting.json", c, signed=True)
          for c in (not_a_number, infinite, deep, nested, twice, many_generations, more_rows,
                    other_name, cut_short, too_large)),
        *(damage("trajectories.parquet", c, signed=True)
          for c in (compressed, without_column, reordered, no_parquet, cut_short, too_large)),
    ],
)  # fmt: skip
def test_a_damaged_or_forged_run_is_refused_in_one_line(
    folder: Path, name: str, change: Callable[[bytes], bytes], signed: bool
) -> None:
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    if signed:
        sign(folder)
    with pytest.raises(InputError) as refused:
        load_run(folder)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_a_run_of_another_version_says_so_in_one_line(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text().replace(FORMAT, "tailguard-run/7"))
    with pytest.raises(RunError, match="expected format 1, got 7; use the version that wrote it"):
        load_run(folder)


@pytest.mark.parametrize("missing", ["setting.json", "trajectories.parquet", MANIFEST, ""])
def test_a_folder_that_lacks_a_file_is_no_run(folder: Path, missing: str) -> None:
    if missing:
        (folder / missing).unlink()
    with pytest.raises(RunError):
        load_run(folder if missing else folder / "nothing")


def test_a_link_in_place_of_a_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (folder / "setting.json").rename(elsewhere)
    (folder / "setting.json").symlink_to(elsewhere)
    with pytest.raises(RunError):
        load_run(folder)


def test_a_folder_with_anything_else_is_never_written_to(run: Run, tmp_path: Path) -> None:
    for name in ("full", "file"):
        (tmp_path / name).mkdir() if name == "full" else (tmp_path / name).write_text("mine")
    (tmp_path / "full" / "mine.txt").write_text("mine")
    save_run(simulate(replace(SETTING, n=11), engine="serial"), tmp_path / "other")
    before = sorted(tmp_path.rglob("*"))
    for name in ("full", "file", "file/under", "other", "bad\0name", "a" * 300):
        with pytest.raises(InputError):
            save_run(run, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_the_same_run_is_read_and_left_alone(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    kept_run(SETTING, folder, engine="serial")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_an_empty_folder_and_missing_parents_become_a_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/b/c"):
        assert load_run(save_run(run, tmp_path / name)).setting == canonical(SETTING)


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with appearing(tmp_path / "a" / "b") as temporary:
            (temporary / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_an_unwritable_place_is_refused_before_any_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        kept_run(SETTING, tmp_path / "run")


@given(st.integers(0, 2**32), st.integers(1, 29))
def test_moments_of_parts_merge_to_those_of_the_whole(seed: int, cut: int) -> None:
    values = np.random.default_rng(seed).lognormal(size=(30, 2))
    values[0, 1] = np.inf
    whole, parts = Trajectory.of(values), (Trajectory.of(values[:cut]), Trajectory.of(values[cut:]))
    merged = parts[0].merge(parts[1])
    for name in ("count", "mean", "error", "skewness", "kept"):
        assert np.allclose(getattr(merged, name), getattr(whole, name)), name
    finite = values[1:, 1]
    expected = ((finite - finite.mean()) ** 3).mean() / finite.std() ** 3
    assert np.isclose(whole.skewness[1], expected)


def test_chunks_bound_what_a_run_holds_and_keep_groups_whole() -> None:
    path, size = planned(Setting(generations=500, replicates=10**6))
    assert path == "statistics" and size % 840 == 0
    assert size <= CHUNK
    path, size = planned(replace(SETTING, n=1000, path="samples", replicates=10**6))
    assert path == "samples" and size * 1000 <= SAMPLES
    path, grown = planned(
        Setting(regime="accumulate", n=1000, generations=9, path="samples", replicates=10**6)
    )
    assert grown * 1000 * 10 <= SAMPLES


def test_chunks_are_drawn_independently_of_each_other() -> None:
    setting = Setting(n=2_000, generations=1, replicates=600, path="samples")
    size = planned(setting)[1]
    kept = simulate(setting, engine="serial").trajectories["var"].kept
    assert kept.shape == (600, 2) and size < 300
    assert len(np.unique(kept[:, 1])) == 600


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 1}, "n: a whole number from 2, got 1"),
        ({"generations": 0}, "generations: a whole number from 1"),
        ({"replicates": 2.5}, "replicates: a whole number from 1, got 2.5"),
        ({"seed": -1}, "seed"),
        ({"path": "sideways"}, "path auto, "),
        ({"family": "gausian"}, "did you mean 'gaussian'"),
        ({"regime": "fixed-reel"}, "did you mean 'fixed-real'"),
        ({"measurements": ("vra",)}, "did you mean 'var'"),
        ({"measurements": ("survivors",)}, "choose other measurements"),
        ({"regime_settings": {"real_frc": 0.1}}, "did you mean 'real_frac'"),
        ({"regime_settings": {"real_frac": -0.1}}, r"real_frac in \[0, 1\], got -0.1"),
        ({"family_settings": {"unbiased": 3}}, "unbiased as bool"),
        ({"truth_settings": {"vra": 2.0}}, "did you mean 'var'"),
        ({"truth_settings": {"var": "wide"}}, "var as a number"),
        ({"truth": "gausian"}, "did you mean 'gaussian'"),
        ({"family": "ngram"}, "a family of many replicates"),
    ],
)
def test_a_setting_that_cannot_run_is_refused_in_one_line(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        simulate(replace(SETTING, **change), engine="serial")  # type: ignore[arg-type]
