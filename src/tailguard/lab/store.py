"""Runs on disk: a folder with the setting, the trajectories, and a manifest written last.

``setting.json`` is canonical (sorted keys, defaults filled in), ``trajectories.parquet`` has a row
for each measurement and generation, ``manifest.json`` the digests of both. A folder appears whole,
under its name, or not at all. Reading is strict: nothing in a folder is believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.settings import (
    RunError,
    as_bytes,
    canonical,
    json_object,
    setting_from,
    setting_json,
)
from tailguard.lab.simulate import PATHS, Run, Setting, simulate
from tailguard.lab.trajectory import KEPT
from tailguard.mix.samples import Floats, Ints

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "tailguard-run/1"
FILES = ("setting.json", "trajectories.parquet")
MANIFEST = "manifest.json"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NUMBERS = ("mean", "se", "skewness", *(f"q{round(100 * q):02d}" for q in QUANTILES))
MAX_JSON_BYTES = 1_000_000
_ROW_BYTES = 200  # a generous bound on what a row takes in the file
_PART = re.compile(r"^\.[^/]*\.tmp$")


@dataclass(frozen=True, slots=True)
class Summary:
    """One measurement over generations 0 … T, summed up over replicates.

    ``count``, ``mean``, ``se`` (Monte-Carlo standard error), ``skewness``: shape (T+1,), over the
    replicates where it is finite. ``quantiles``: shape (5, T+1), at 5, 25, 50, 75 and 95%, over
    the first 10,000 replicates, infinities included.
    """

    count: Ints
    mean: Floats
    se: Floats
    skewness: Floats
    quantiles: Floats

    def quantile(self, q: float) -> Floats:
        """One of the five quantiles, shape (T+1,)."""
        return self.quantiles[QUANTILES.index(q)]

    @property
    def median(self) -> Floats:
        """Median over replicates, shape (T+1,)."""
        return self.quantile(0.5)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A setting and what came of it, as it is kept on disk."""

    setting: Setting
    path: str
    summaries: dict[str, Summary]

    @property
    def kept(self) -> int:
        """Replicates behind the quantiles."""
        return min(self.setting.replicates, KEPT)


def summarised(run: Run) -> StoredRun:
    """A run as it is kept: its setting canonical, its trajectories summed up."""
    summaries = {
        name: Summary(
            t.count, t.mean, t.error, t.skewness, np.stack([t.quantile(q) for q in QUANTILES])
        )
        for name, t in run.trajectories.items()
    }
    return StoredRun(canonical(run.setting), run.path, summaries)


def save_run(run: Run | StoredRun, folder: str | Path) -> Path:
    """Write a run to ``folder``, which must not exist, be empty, or hold the same setting.

    Raises InputError where another thing is in the way or the system refuses to write.
    """
    stored = summarised(run) if isinstance(run, Run) else run
    target = check_folder(folder, stored.setting)
    if (target / MANIFEST).exists():
        return target
    setting, table = setting_json(stored.setting), _encoded(stored)
    contents = dict(zip(FILES, (setting, table), strict=True))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    manifest = {"files": digests, "format": FORMAT, "path": stored.path}
    with appearing(target) as temporary:
        for name, data in (*contents.items(), (MANIFEST, as_bytes(manifest))):
            write_synced(temporary / name, data)
    return target


def kept_run(
    setting: Setting,
    folder: str | Path | None,
    *,
    engine: str = "local",
    workers: int | None = None,
) -> StoredRun:
    """The run of a setting: from ``folder`` if it is there, else simulated and saved in it.

    Without a folder it is simulated only. Raises InputError, before any work, for a folder that
    holds anything else or cannot be written to.
    """
    if folder is not None and (check_folder(folder, setting) / MANIFEST).exists():
        return load_run(folder)
    run = summarised(simulate(setting, engine=engine, workers=workers))
    if folder is not None:
        save_run(run, folder)
    return run


def check_folder(folder: str | Path, setting: Setting) -> Path:
    """Refuse, before any work, a folder that cannot become the run of this setting."""
    target = creatable(folder)
    if target.is_dir() and any(target.iterdir()):
        if not (target / MANIFEST).exists():
            raise InputError(str(target), "a new or empty folder", "other files", "choose another")
        if setting_json(load_run(target).setting) != setting_json(setting):
            raise InputError(
                str(target), "a new folder", "a run of another setting", "choose another folder"
            )
    return target


def creatable(folder: str | Path) -> Path:
    """``folder`` as a path that exists as a folder or can be made one; else InputError."""
    target, who = Path(folder), repr(str(folder))[1:-1][:200]
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(target)  # a name too long, or with a NUL
        there = next(p for p in (target, *target.parents, Path()) if os.path.lexists(p))
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise InputError(who, "the name of a folder", f"{got}", "choose another name") from None
    if not there.is_dir():
        raise InputError(who, "a folder", f"the file {there}", "choose another name")
    if not os.access(there, os.W_OK):
        raise InputError(who, "a folder to write to", "no permission", "choose another place")
    if not target.name:
        target = target.resolve()
    return target


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target``, renamed to it on success and removed on failure.

    ``target`` must not exist, or be an empty folder.
    """
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    made = [p for p in reversed(target.parents) if not p.exists()]
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.rename(temporary, target)
    except OSError as error:
        raise InputError(
            str(target),
            "to write the folder",
            error.strerror or str(error),
            "free some space or choose another place",
        ) from error
    finally:
        if temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()  # only what is empty


def leftovers(folder: Path) -> Iterator[Path]:
    """What a killed process left in a folder under a temporary name."""
    return (path for path in sorted(folder.iterdir()) if _PART.match(path.name))


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and see it on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_run(folder: str | Path) -> StoredRun:
    """The run in a folder; RunError where it is missing, damaged, unfinished or too new."""
    home = Path(folder)
    who = str(folder)
    if not home.is_dir():
        raise RunError(who, "the folder of a run", "none of that name", "check the path")
    if not (home / MANIFEST).is_file():
        next_step = "check the path, or run it again"
        raise RunError(who, "the folder of a finished run", f"no {MANIFEST}", next_step)
    manifest = read_json(home / MANIFEST)
    versioned(who, manifest, FORMAT)
    path, digests = manifest.get("path"), manifest.get("files")
    if path not in PATHS[1:] or not isinstance(digests, dict) or set(digests) != set(FILES):
        raise _damaged(home / MANIFEST, "other keys")
    setting = setting_from(who, _verified(home / FILES[0], digests, MAX_JSON_BYTES))
    rows = (setting.generations + 1) * len(setting.measurements)
    data = _verified(home / FILES[1], digests, rows * _ROW_BYTES + 65_536)
    return StoredRun(setting, path, _decoded(home / FILES[1], data, setting))


def versioned(who: str, found: Mapping[str, Any], expected: str) -> None:
    """Raise RunError unless ``found`` says that it has the ``expected`` format."""
    got = found.get("format")
    kind, _, version = expected.rpartition("/")
    if got == expected:
        return
    if isinstance(got, str) and got.startswith(kind + "/"):
        what = f"format {version}"
        raise RunError(who, what, got[len(kind) + 1 :][:20], "use the version that wrote it")
    raise RunError(who, f"a {kind.removeprefix('tailguard-')}", "another thing", "check the path")


def _damaged(path: Path, got: str) -> RunError:
    return RunError(str(path), "what Tailguard wrote", got, "delete the folder and run it again")


def read_bytes(path: Path, limit: int) -> bytes:
    """A file of at most ``limit`` bytes; RunError for a larger one, or none."""
    try:
        if path.is_symlink() or not path.is_file():
            raise _damaged(path, "no such file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    if len(data) > limit:
        raise _damaged(path, f"more than {limit:,} bytes")
    return data


def _verified(path: Path, digests: Mapping[str, Any], limit: int) -> bytes:
    data = read_bytes(path, limit)
    if hashlib.sha256(data).hexdigest() != digests[path.name]:
        raise _damaged(path, "bytes that do not fit the manifest")
    return data


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of at most 1 MB; RunError for anything else, and for numbers that are none."""
    return json_object(str(path), read_bytes(path, MAX_JSON_BYTES))


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    whole = [("generation", pa.int32()), ("count", pa.int64())]
    numbers = [(name, pa.float64()) for name in NUMBERS]
    return pa.schema([("measurement", text), *whole, *numbers])


def _encoded(run: StoredRun) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    steps, parts = run.setting.generations + 1, [run.summaries[m] for m in run.setting.measurements]
    names = np.repeat(np.arange(len(parts), dtype=np.int32), steps)
    columns: dict[str, Any] = {
        "measurement": pa.DictionaryArray.from_arrays(names, list(run.setting.measurements)),
        "generation": np.tile(np.arange(steps, dtype=np.int32), len(parts)),
        "count": np.concatenate([p.count for p in parts]),
    }
    stacked = [np.vstack([p.mean, p.se, p.skewness, p.quantiles]) for p in parts]
    columns |= dict(zip(NUMBERS, np.concatenate(stacked, axis=1), strict=True))
    sink = BytesIO()
    # Not compressed, so that no small file can unfold into a large one.
    pq.write_table(pa.table(columns, schema=_schema()), sink, compression="none")
    return sink.getvalue()


def _decoded(path: Path, data: bytes, setting: Setting) -> dict[str, Summary]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, steps = setting.measurements, setting.generations + 1
    rows = steps * len(names)
    try:
        file = pq.ParquetFile(BytesIO(data), read_dictionary=["measurement"])
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        chunks = [g.column(i) for g in groups for i in range(g.num_columns)]
        plain = all(c.compression == "UNCOMPRESSED" for c in chunks)
        if file.metadata.num_rows != rows or not plain or file.schema_arrow != _schema():
            raise _damaged(path, "other rows or columns")
        table = file.read()
        said = table["measurement"].combine_chunks().cast(pa.string()).to_pylist()
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise _damaged(path, " ".join(str(error).split())[:80]) from None
    columns = {name: table[name].to_numpy().reshape(-1, steps) for name in _schema().names[1:]}
    order = np.array_equal(columns["generation"], np.tile(np.arange(steps), (len(names), 1)))
    if said != [name for name in names for _ in range(steps)] or not order:
        raise _damaged(path, "rows in another order")
    return {
        name: Summary(
            count=columns["count"][i],
            mean=columns["mean"][i],
            se=columns["se"][i],
            skewness=columns["skewness"][i],
            quantiles=np.stack([columns[key][i] for key in NUMBERS[3:]]),
        )
        for i, name in enumerate(names)
    }
