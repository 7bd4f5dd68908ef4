"""Sweeps: every cell of a sweep file is run; resumable, with the same bytes anywhere.

The folder holds ``sweep.json`` (written first), ``cells/`` with a run's folder for each cell, and
``manifest.json`` (written last). A cell appears whole or not at all; only the process that was
started writes, so a killed one leaves no other that writes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailguard.corpus.atomic import replacing
from tailguard.engine import map_shards
from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.lab.settings import RunError, as_bytes, given_dict, identifier, setting_from
from tailguard.lab.simulate import Setting, planned, simulate_here
from tailguard.lab.store import (
    MANIFEST,
    StoredRun,
    creatable,
    leftovers,
    load_run,
    read_bytes,
    read_json,
    save_run,
    summarised,
    versioned,
)
from tailguard.lab.sweep_file import MAX_CELLS, Sweep

FORMAT = "tailguard-sweep/1"
SWEEP = "sweep.json"
CELLS = "cells"


@dataclass(frozen=True, slots=True)
class StoredSweep:
    """A sweep and its cells as far as they are done, in the order of `Sweep.cells`."""

    sweep: Sweep
    runs: tuple[StoredRun | None, ...]

    @property
    def done(self) -> int:
        """Number of finished cells."""
        return sum(run is not None for run in self.runs)


def run_sweep(
    sweep: Sweep, folder: str | Path, *, engine: str = "local", workers: int | None = None
) -> StoredSweep:
    """Run the cells that ``folder`` does not hold yet, and return all of them.

    The bytes on disk depend on neither engine, workers, nor interruptions. Raises InputError,
    before anything is written, for a cell that cannot run or a folder that holds something else
    or is being written to; RunError for a damaged cell.
    """
    cells = sweep.cells()
    with progress("checking cells", len(cells), in_bytes=False) as advance:
        for cell in cells:
            planned(cell)
            advance(1)
    with _claimed(creatable(folder), sweep) as home:
        for path in (*leftovers(home), *leftovers(home / CELLS)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        runs = {i: _stored(home, cell) for i, cell in enumerate(cells)}
        missing = [i for i, run in runs.items() if run is None]
        shards = [cells[i] for i in missing]
        results = map_shards(run_cell, shards, engine=engine, workers=workers, label="cells")
        with closing(results):
            for i, run in zip(missing, results, strict=True):
                save_run(run, home / CELLS / identifier(cells[i]))
                runs[i] = run
        _write(home / MANIFEST, _manifest(home, cells))
    return StoredSweep(sweep, tuple(runs[i] for i in range(len(cells))))


def run_cell(setting: Setting) -> StoredRun:
    """One cell, in this process and without a progress bar."""
    return summarised(simulate_here(setting))


def load_sweep(folder: str | Path) -> StoredSweep:
    """The sweep in a folder, finished or not. RunError where it is damaged or something else."""
    home, who = Path(folder), str(folder)
    if not is_sweep(home):
        raise RunError(who, "the folder of a sweep", f"no {SWEEP}", "check the path")
    found = read_json(home / SWEEP)
    versioned(str(home / SWEEP), found, FORMAT)
    sweep = _sweep_from(str(home / SWEEP), found)
    cells = sweep.cells()
    if (home / MANIFEST).exists() and read_json(home / MANIFEST) != _manifest(home, cells):
        raise RunError(who, "the cells of its manifest", "others", "run the sweep again")
    with progress("reading cells", len(cells), in_bytes=False) as advance:
        runs = []
        for cell in cells:
            runs.append(_stored(home, cell))
            advance(1)
    return StoredSweep(sweep, tuple(runs))


def is_sweep(folder: str | Path) -> bool:
    """Whether a folder claims to hold a sweep."""
    return (Path(folder) / SWEEP).is_file()


def _stored(home: Path, cell: Setting) -> StoredRun | None:
    place = home / CELLS / identifier(cell)
    if not place.exists():
        return None
    run = load_run(place)
    if run.setting != cell:
        raise RunError(str(place), "the cell of its name", "another", "delete it and run it again")
    return run


def _manifest(home: Path, cells: list[Setting]) -> dict[str, Any]:
    digests = {}
    for cell in cells:
        data = read_bytes(home / CELLS / identifier(cell) / MANIFEST, 65_536)
        digests[identifier(cell)] = hashlib.sha256(data).hexdigest()
    return {"cells": digests, "format": FORMAT}


def _sweep_json(sweep: Sweep) -> bytes:
    axes = [[key, list(values)] for key, values in sweep.axes]
    # As it was given: a default filled in here could be foreign to the regime of another cell.
    base = given_dict(sweep.base)
    return as_bytes({"axes": axes, "base": base, "format": FORMAT, "target": sweep.target})


def _sweep_from(who: str, found: dict[str, Any]) -> Sweep:
    axes, base, target = found.get("axes"), found.get("base"), found.get("target")
    pairs = isinstance(axes, list) and all(
        isinstance(a, list) and len(a) == 2 and isinstance(a[0], str) and isinstance(a[1], list)
        for a in axes
    )
    if not pairs or not isinstance(base, dict) or not isinstance(target, str):
        raise RunError(who, "base, axes and target", "other keys", "run the sweep again")
    made, cells = [], 1
    for key, values in axes or []:
        made.append((key, tuple(tuple(v) if isinstance(v, list) else v for v in values)))
        cells *= len(values)
    if not 0 < cells <= MAX_CELLS:
        raise RunError(who, f"1 to {MAX_CELLS:,} cells", f"{cells:,}", "run the sweep again")
    return Sweep(setting_from(who, base), tuple(made), target)


@contextmanager
def _claimed(home: Path, sweep: Sweep) -> Iterator[Path]:
    """The folder, made if need be, held by this process alone, with this sweep's description."""
    made = [path for path in (home, *home.parents) if not path.exists()]
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            str(home), "to make the folder", error.strerror or str(error), "choose another place"
        ) from error
    mine = False
    try:
        _lock(lock, home)
        mine = _describe(home, sweep)
        (home / CELLS).mkdir(exist_ok=True)
        yield home
    except BaseException:
        if mine or home in made:
            _leave_nothing(home, made)
        raise
    finally:
        os.close(lock)


def _lock(folder: int, home: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(
            str(home), "a folder nobody writes to", "another sweep at work", "wait for it"
        ) from None


def _leave_nothing(home: Path, made: list[Path]) -> None:
    """Remove what was begun, unless a cell is finished."""
    cells = home / CELLS
    if cells.is_dir() and set(cells.iterdir()) - set(leftovers(cells)):
        return
    shutil.rmtree(cells, ignore_errors=True)
    (home / SWEEP).unlink(missing_ok=True)
    for path in made:
        with suppress(OSError):
            path.rmdir()


def _describe(home: Path, sweep: Sweep) -> bool:
    """Write what the folder is for, or see that it is for this sweep; always True."""
    data = _sweep_json(sweep)
    if (home / SWEEP).exists():
        if read_bytes(home / SWEEP, len(data) + 1_000_000) != data:
            raise InputError(str(home), "a new folder", "another sweep", "choose another folder")
        return True
    if set(home.iterdir()) - set(leftovers(home)):
        raise InputError(str(home), "a new or empty folder", "other files", "choose another folder")
    _write(home / SWEEP, data)
    return True


def _write(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(value if isinstance(value, bytes) else as_bytes(value))
