"""``tailguard corpus``: look at records, count them, convert and sample them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Look at, count, convert and sample records.", no_args_is_help=True, rich_markup_mode=None
)

Sources = Annotated[list[str], typer.Argument(help="Files, globs, folders, or builtin:NAME.")]
Text = Annotated[Optional[str], typer.Option("--text-column", help="Column with the text.")]  # noqa: UP045


@app.command()
def head(
    sources: Sources,
    n: Annotated[int, typer.Option("-n", help="Records to print.", min=1)] = 5,
    text_column: Text = None,
) -> None:
    """Print the first records as JSON lines."""
    from tailguard.cli.records import first_records, open_sources, print_records

    print_records(first_records(open_sources(sources, text_column), n))


@app.command()
def stats(
    sources: Sources,
    text_column: Text = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Count records, tokens, lengths, languages and origins."""
    from tailguard.cli.records import open_sources
    from tailguard.cli.show import show_profile
    from tailguard.measure.survey import survey

    found = survey(open_sources(sources, text_column))
    show_profile(found.profile, ", ".join(sources), as_json=json)


@app.command()
def convert(
    sources: Sources,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    quarantine: Annotated[Optional[Path], typer.Option(help="File for bad rows.")] = None,  # noqa: UP045
    text_column: Text = None,
) -> None:
    """Write records in another format, by the ending of the output; all columns survive."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.records import convert_records, open_sources

    check_output(output, sources)
    check_output(quarantine, sources)
    convert_records(open_sources(sources, text_column), output, quarantine)


@app.command()
def sample(
    sources: Sources,
    n: Annotated[int, typer.Option("-n", help="Records to draw.", min=1)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    seed: Annotated[int, typer.Option(help="Seed of the draw.", min=0)] = 0,
    text_column: Text = None,
) -> None:
    """Draw records at random, each with the same chance, in one pass."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.records import open_sources, sample_records

    check_output(output, sources)
    sample_records(open_sources(sources, text_column), n, output, seed)
