"""What the commands do with rows of numbers: tables, embeddings, images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tailguard.cli.show import _table, console, figure, print_json, show_readings
from tailguard.errors import InputError
from tailguard.measure.vectors.metrics import choose, read_vectors
from tailguard.measure.vectors.store import save_vector_profile
from tailguard.measure.vectors.summary import VectorProfile
from tailguard.measure.vectors.survey import survey_vectors
from tailguard.report.words import clean

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
MOST_COLUMNS = 24
TOLD = ("column", "missing", "mean", "variance", "1%", "50%", "99%")
"""What the terminal shows of a column; JSON holds all."""


def profile_rows(
    source: Any, output: Path, by: Sequence[str], *, as_json: bool, **work: Any
) -> None:
    """Profile a corpus of rows, save it, and print its columns."""
    if by:
        raise InputError("by", "no slices of rows of numbers", ", ".join(by), "leave it out")
    profile = survey_vectors(source, **work).profile
    save_vector_profile(profile, output)
    show_rows(profile, str(output), as_json=as_json)


def measure_rows(
    sources: tuple[Any, Any], names: Sequence[str], *, as_json: bool, **work: Any
) -> None:
    """Read metrics of rows off a corpus, beside a second one where there is one."""
    chosen = choose(names, compared=sources[1] is not None)
    first = survey_vectors(sources[0], **work).profile
    second = None if sources[1] is None else survey_vectors(sources[1], **work).profile
    show_readings(read_vectors(chosen, first, second), as_json=as_json)


def show_rows(profile: VectorProfile, name: str, *, as_json: bool) -> None:
    """Counts of a corpus of rows, and moments and quantiles of its columns."""
    facts = {
        "name": name,
        "rows": profile.n_rows,
        "columns": len(profile.shape),
        "numbers in a row": profile.width,
        "quarantined": profile.quarantined,
        "fingerprint": profile.fingerprint(),
    }
    columns = [_column(profile, i, column) for i, column in enumerate(profile.names)]
    if as_json:
        print_json(facts | {"by_column": columns})
        return
    out = console()
    for key, value in facts.items():
        out.print(f"{key}: {clean(value) if isinstance(value, str) else f'{value:,}'}")
    table = _table(*TOLD)
    for column in columns[:MOST_COLUMNS]:
        table.add_row(clean(column["column"]), *(figure(column[key], 3) for key in TOLD[1:]))
    out.print(table)
    if len(columns) > MOST_COLUMNS:
        out.print(f"and {len(columns) - MOST_COLUMNS:,} more; --json lists all", style="dim")


def _column(profile: VectorProfile, i: int, name: str) -> dict[str, Any]:
    moments = profile.moments
    of = {
        "n": moments.n, "missing": moments.missing, "mean": moments.mean,
        "variance": moments.variance, "skewness": moments.skewness, "kurtosis": moments.kurtosis,
    }  # fmt: skip
    return (
        {"column": name}
        | {key: float(values[i]) for key, values in of.items()}
        | {f"{q:.0%}": profile.sketch.quantile(i, q) for q in QUANTILES}
    )
