"""``tailguard lab``: run recursions, sweep their settings, draw them, ask for safe mixes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

# `lab reproduce` is a command of its own module; it is added to this app where both are known.
app = typer.Typer(
    help="When does a model collapse, and what stops it? Simulated, beside theory.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Family = Annotated[str, typer.Option(help="Family of models; see: tailguard lab list.")]
Regime = Annotated[str, typer.Option(help="Rule that makes each training set.")]
Size = Annotated[int, typer.Option("-n", "--n", help="Samples in each generation.")]
Generations = Annotated[int, typer.Option(help="Generations after the real one.")]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Setting of the regime, as in real_frac=0.1."),
]
FamilySet = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--family-set", help="Setting of the family, as in unbiased=true."),
]
TruthName = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--truth", help="Family the true distribution is of; default: the same."),
]
TruthSet = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--truth-set", help="Setting of the true distribution, as in var=4."),
]
Seed = Annotated[int, typer.Option(help="Seed of all that is random.")]
Path_ = Annotated[str, typer.Option("--path", help="auto, statistics or samples.")]
Engine = Annotated[str, typer.Option(help="Where the work runs: local, serial or ray.")]
Workers = Annotated[Optional[int], typer.Option(help="Worker processes; default: all cores.")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_all(json: Json = False) -> None:
    """List families, regimes, measurements and reproductions, one line each."""
    from tailguard.cli.lab_show import show_list

    show_list(as_json=json)


@app.command()
def run(
    family: Family = "gaussian",
    regime: Regime = "replace",
    n: Size = 100,
    generations: Generations = 100,
    replicates: Annotated[int, typer.Option(help="Independent repetitions.")] = 1_000,
    measurements: Annotated[
        str, typer.Option(help="Names, comma-separated; default: the usual of the family.")
    ] = "",
    regime_set: Set = None,
    family_set: FamilySet = None,
    truth: TruthName = None,
    truth_set: TruthSet = None,
    seed: Seed = 0,
    path: Path_ = "auto",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Folder for the run."),
    ] = None,
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Run one setting, compare it with theory, and keep it in a folder."""
    from tailguard.cli.lab_settings import setting_of
    from tailguard.cli.lab_show import show_run
    from tailguard.lab.store import kept_run

    setting = setting_of(
        {"family": family, "regime": regime, "truth": truth, "n": n, "generations": generations,
         "replicates": replicates, "seed": seed, "path": path},
        regime=regime_set, family=family_set, truth=truth_set, measurements=measurements,
    )  # fmt: skip
    kept = kept_run(setting, output, engine=engine, workers=workers)
    show_run(kept, output, as_json=json)


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="YAML file with base, axes and target.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the cells.")],
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Run every combination of settings; a second start goes on where the first was stopped."""
    from tailguard.cli.lab_show import show_sweep
    from tailguard.lab.sweep import run_sweep
    from tailguard.lab.sweep_file import read_sweep

    stored = run_sweep(read_sweep(file), output, engine=engine, workers=workers)
    show_sweep(stored, output, as_json=json)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs, or of one sweep.")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Page to write; default: beside the folder."),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Line of the phase diagram, as in 'tail_mass_lost<5%'.")
    ] = "",
    json: Json = False,
) -> None:
    """Draw runs or a sweep beside theory, on one HTML page."""
    from tailguard.cli.lab_settings import page_of
    from tailguard.cli.lab_show import show_page
    from tailguard.report.lab.page import write_page
    from tailguard.report.lab.study import open_study

    page = page_of(folders, output)
    study = open_study(folders, target=target)
    write_page(study, page)
    show_page(study, page, as_json=json)


@app.command()
def solve(
    target: Annotated[str, typer.Option(help="What is wanted, as in 'tail_mass_lost<5%'.")],
    family: Family = "gaussian",
    regime: Regime = "fixed-real",
    n: Size = 100,
    generations: Generations = 10,
    parameter: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="real_frac, m, width or n; default: the first that the regime has."),
    ] = None,
    regime_set: Set = None,
    family_set: FamilySet = None,
    truth: TruthName = None,
    truth_set: TruthSet = None,
    method: Annotated[str, typer.Option(help="auto, theory or simulation.")] = "auto",
    statistic: Annotated[str, typer.Option(help="auto, mean or median over replicates.")] = "auto",
    level: Annotated[float, typer.Option(help="Confidence of the interval.")] = 0.95,
    width: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Interval that is narrow enough: of a share, or relative."),
    ] = None,
    largest: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="The largest n to look at."),
    ] = None,
    replicates: Annotated[int, typer.Option(help="Most replicates behind one decision.")] = 64_000,
    seed: Seed = 0,
    path: Path_ = "auto",
    json: Json = False,
) -> int:
    """Find the smallest real share, m or n that meets a target at the last generation."""
    from tailguard.cli.lab_settings import setting_of
    from tailguard.cli.lab_show import show_answer
    from tailguard.lab.solve import solve as find
    from tailguard.lab.target import parse_target

    aim = parse_target(target)
    setting = setting_of(
        {"family": family, "regime": regime, "truth": truth, "n": n, "generations": generations,
         "seed": seed, "path": path},
        regime=regime_set, family=family_set, truth=truth_set, measurements=aim.measurement,
    )  # fmt: skip
    options: dict[str, Any] = {"replicates": min(1_000, replicates), "most_replicates": replicates}
    answer = find(
        setting, aim, parameter=parameter, method=method, statistic=statistic, level=level,
        width=width, largest=largest, **options,
    )  # fmt: skip
    return show_answer(answer, setting, as_json=json)
