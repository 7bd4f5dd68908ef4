"""``tailguard lineage``: how deep data is, how we know, and what is downstream of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup


class ShowByDefault(TyperGroup):
    """``lineage DATA`` is ``lineage show DATA``; a file called like a command is ``./revoke``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``show`` before arguments that begin with no command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=ShowByDefault,
    help="How deep data is, how we know, and what is downstream: lineage DATA, lineage revoke X.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Text = Optional[str]  # noqa: UP045
Place = Optional[Path]  # noqa: UP045
Ledger = Annotated[
    Place, typer.Option("--ledger", "-l", help="Folder of a ledger; default: ./ledger, if any.")
]
Key = Annotated[Text, typer.Option(help="The ledger's public key: .pub file or vkey.")]
Documents = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--document", help="Croissant, PROV, dataset card, ... with more statements."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TextColumn = Annotated[Text, typer.Option("--text-column", help="Column with the text.")]


@app.command()
def show(
    data: Annotated[list[str], typer.Argument(help="Files, globs, folders, or builtin:NAME.")],
    model: Annotated[Text, typer.Option(help="Show what this model was trained on, too.")] = None,
    ledger: Ledger = None,
    key: Key = None,
    document: Documents = None,
    name: Annotated[
        Text, typer.Option(help="Name of the data in the ledger; default: of the file.")
    ] = None,
    by: Annotated[str, typer.Option(help="Columns to slice by, as in source,license.")] = "source",
    output: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--output", "-o", help="File to write: a page (.html) or the graph (.svg)."),
    ] = None,
    text_column: TextColumn = None,
    json: Json = False,
) -> None:
    """Generation depth of every slice of data, and how we know."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.records import open_sources
    from tailguard.cli.statements import print_lines, statements_from
    from tailguard.provenance.lineage.page import lineage_json, write_lineage
    from tailguard.provenance.lineage.trace import trace
    from tailguard.provenance.lineage.wording import lineage_lines

    for path in output or []:
        check_output(path, data)
    found = trace(
        open_sources(data, text_column),
        statements_from(ledger, key, document or []),
        model=model,
        name=name,
        by=[column.strip() for column in by.split(",") if column.strip()],
    )
    for path in output or []:
        write_lineage(found, path)
    print_lines(lineage_lines(found), lineage_json(found) if json else None)


@app.command()
def revoke(
    what: Annotated[str, typer.Argument(help="generator:X, model:X, dataset:X or plan:X.")],
    data: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Data whose records to follow as well."),
    ] = None,
    ledger: Ledger = None,
    key: Key = None,
    document: Documents = None,
    text_column: TextColumn = None,
    json: Json = False,
) -> None:
    """All that is downstream of a generator, model or data set: data, models, records."""
    from tailguard.cli.records import open_sources
    from tailguard.cli.statements import print_lines, statements_from
    from tailguard.provenance.lineage.revoke import revoke_in
    from tailguard.provenance.lineage.wording import revocation_lines

    corpus = open_sources(data, text_column) if data else None
    found = revoke_in(statements_from(ledger, key, document or []), what, corpus)
    print_lines(revocation_lines(found), found.to_json() if json else None)
