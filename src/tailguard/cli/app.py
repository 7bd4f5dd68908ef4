"""All commands of ``tailguard``. Each parses, calls one function of the library, and prints."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from tailguard import __version__
from tailguard.cli import corpus as corpus_commands
from tailguard.cli import credentials as credentials_commands
from tailguard.cli import detect as detect_commands
from tailguard.cli import gold as gold_commands
from tailguard.cli import lab as lab_commands
from tailguard.cli import lab_ablate, lab_collapse, lab_reproduce, standards
from tailguard.cli import ledger as ledger_commands
from tailguard.cli import lineage as lineage_commands
from tailguard.cli import watermark as watermark_commands

app = typer.Typer(
    name="tailguard",
    help="Keeps generative models from collapsing: audits training data against gold you trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
metrics = typer.Typer(help="What can be measured.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(corpus_commands.app, name="corpus")
app.add_typer(metrics, name="metrics")
app.add_typer(gold_commands.app, name="gold")
standards.add_commands(ledger_commands.app)
app.add_typer(ledger_commands.app, name="ledger")
credentials_commands.add_commands(lineage_commands.app)
app.add_typer(lineage_commands.app, name="lineage")
app.add_typer(detect_commands.app, name="detect")
app.add_typer(watermark_commands.app, name="watermark")
lab_reproduce.add_commands(lab_commands.app)
lab_ablate.add_commands(lab_commands.app)
lab_collapse.add_commands(lab_commands.app)
app.add_typer(lab_commands.app, name="lab")


class EngineName(StrEnum):
    """Where the work runs."""

    local = "local"
    serial = "serial"
    ray = "ray"


Sources = Annotated[list[str], typer.Argument(help="Files, globs, folders, or builtin:NAME.")]
Text = Annotated[Optional[str], typer.Option("--text-column", help="Column with the text.")]  # noqa: UP045
Source = Annotated[Optional[str], typer.Option("--source-column", help="Column with the source.")]  # noqa: UP045
Created = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--created-column", help="Column with the date of creation."),
]
Vector = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--vector-column", help="Column with embeddings, to be audited as such."),
]
Engine = Annotated[EngineName, typer.Option(help="Where the work runs.")]
Workers = Annotated[Optional[int], typer.Option(help="Worker processes; default: all cores.")]  # noqa: UP045
Seed = Annotated[int, typer.Option(help="Seed of all that is random.", min=0)]
Detector = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Detector file, to estimate how much is synthetic."),
]
Synthetic = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="Synthetic texts the detector was not fitted on; one per maker."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Quarantine = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="File for rows that cannot be read (JSON lines)."),
]


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def columns_of(
    text: str | None,
    source: str | None = None,
    created: str | None = None,
    vector: str | None = None,
) -> Any:
    """The column mapping that the options ask for."""
    from tailguard.corpus import Columns

    return Columns(text=text, source=source, created=created, vector=vector)


def one_or_many(sources: list[str]) -> Any:
    """What the library takes for these arguments: a path alone, or a list of paths.

    Paths are marked as such, so that a name with a space is never taken for a text.
    """
    if len(sources) == 1:
        return sources[0]
    plain = all(":" not in source for source in sources)
    return [Path(source) for source in sources] if plain else sources


@app.command()
def audit(
    batch: Sources,
    gold: Annotated[str, typer.Option("--gold", "-g", help="Trusted data, or its profile.")],
    output: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--output", "-o", help="Report: .html, .json, .md, .xml (JUnit), .sarif."),
    ] = None,
    policy: Annotated[Optional[Path], typer.Option(help="YAML file with limits.")] = None,  # noqa: UP045
    by: Annotated[str, typer.Option(help="Columns to slice by, as in source,month.")] = "",
    text_column: Text = None,
    source_column: Source = None,
    created_column: Created = None,
    vector_column: Vector = None,
    quarantine: Quarantine = None,
    detector: Detector = None,
    synthetic: Synthetic = None,
    ledger: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Ledger to enter the verdict into, signed with --key."),
    ] = None,
    key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File of the ledger's secret key."),
    ] = None,
    engine: Engine = EngineName.local,
    workers: Workers = None,
    seed: Seed = 0,
    json: Json = False,
) -> int:
    """Is this batch safe to train on? Exit code: 0 yes, 1 no, 2 bad input, 3 too little data."""
    from tailguard.auditing import audit as run
    from tailguard.cli.outputs import check_output, entering
    from tailguard.cli.show import show_verdict
    from tailguard.report.render import check_report_path, to_json, write_report

    for path in output or []:
        check_report_path(path)
        check_output(path, [*batch, gold])
    check_output(quarantine, [*batch, gold])
    enter = entering(ledger, key)
    verdict = run(
        one_or_many(batch),
        gold,
        policy=policy,
        columns=columns_of(text_column, source_column, created_column, vector_column),
        by=[name.strip() for name in by.split(",") if name.strip()],
        detector=detector,
        synthetic=synthetic or (),
        engine=engine.value,
        workers=workers,
        quarantine=quarantine,
        seed=seed,
    )
    for path in output or []:
        write_report(verdict, path)
    enter(verdict)
    if json:
        print(to_json(verdict))
    else:
        show_verdict(verdict, output or [])
    return verdict.exit_code


@app.command()
def profile(
    sources: Sources,
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the profile.")],
    by: Annotated[str, typer.Option(help="Columns to slice by, as in source,month.")] = "",
    text_column: Text = None,
    source_column: Source = None,
    created_column: Created = None,
    vector_column: Vector = None,
    quarantine: Quarantine = None,
    engine: Engine = EngineName.local,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Summarise a corpus in one pass, to audit against it later without reading it again."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.show import show_profile
    from tailguard.cli.vectors import profile_rows
    from tailguard.measure.store import save_profile
    from tailguard.measure.survey import survey
    from tailguard.measure.vectors.survey import is_vectors, opened

    check_output(output, sources)
    check_output(quarantine, sources)
    columns = columns_of(text_column, source_column, created_column, vector_column)
    source = opened(one_or_many(sources), columns)
    slices = [name.strip() for name in by.split(",") if name.strip()]
    work: Any = {"engine": engine.value, "workers": workers, "quarantine": quarantine}
    if is_vectors(source):
        profile_rows(source, output, slices, as_json=json, **work)
        return
    found = survey(source, by=slices, **work)
    save_profile(found.profile, output)
    show_profile(found.profile, str(output), as_json=json)


@app.command()
def measure(
    candidate: Annotated[str, typer.Argument(help="The corpus to measure, or its profile.")],
    gold: Annotated[Optional[str], typer.Argument(help="A corpus to compare with.")] = None,  # noqa: UP045
    metrics: Annotated[
        str, typer.Option(help="Names, or all, early, mid, late; comma-separated.")
    ] = "all",
    null: Annotated[int, typer.Option(help="Random splits of gold for p-values.", min=0)] = 0,
    text_column: Text = None,
    vector_column: Vector = None,
    engine: Engine = EngineName.local,
    workers: Workers = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Read metrics off a corpus, with intervals; beside a second one at equal size."""
    from tailguard.cli.show import show_readings
    from tailguard.cli.vectors import measure_rows
    from tailguard.measure.readings import choose, read
    from tailguard.measure.survey import survey
    from tailguard.measure.vectors.survey import is_vectors, opened

    names = [name.strip() for name in metrics.split(",")]
    columns = columns_of(text_column, vector=vector_column)
    held = opened(candidate, columns), None if gold is None else opened(gold, columns)
    work: Any = {"engine": engine.value, "workers": workers}
    if any(is_vectors(source) for source in held):
        measure_rows(held, names, as_json=json, **work)
        return
    chosen = choose(names, compared=gold is not None)
    first, second = (None if source is None else survey(source, **work).profile for source in held)
    assert first is not None
    show_readings(read(chosen, first, second, splits=null, seed=seed), as_json=json)


@metrics.command("list")
def list_metrics(json: Json = False) -> None:
    """List every metric with its axis, direction, unit and source."""
    from tailguard.cli.show import show_metrics

    show_metrics(as_json=json)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the reports.")] = Path(
        "demo"
    ),
    generations: Annotated[int, typer.Option(help="Generations to train.", min=1, max=20)] = 6,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Audit a held-out human batch and generations of a model trained on its own output."""
    from tailguard.cli.demo import run_demo

    run_demo(output, generations=generations, seed=seed, as_json=json)
