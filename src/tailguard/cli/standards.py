"""``tailguard ledger import``, ``export`` and ``royalties``: other people's words, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Text = Optional[str]  # noqa: UP045
Place = Optional[Path]  # noqa: UP045
Folder = Annotated[Path, typer.Option("--ledger", "-l", help="Folder of the ledger.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HERE = Path("ledger")


def add_commands(app: typer.Typer) -> None:
    """Hang the commands of this file onto the app of ``tailguard ledger``."""
    app.command(name="import")(import_documents)
    app.command(name="export")(export_document)
    app.command(name="royalties")(royalties)


def import_documents(
    documents: Annotated[
        list[Path], typer.Argument(help="Croissant, PROV, dataset card, ..., or .warc.gz, .wet.gz.")
    ],
    key: Annotated[Path, typer.Option(help="File of the ledger's secret key.")],
    ledger: Folder = HERE,
    standard: Annotated[
        Text, typer.Option("--from", help="What they are; default: recognised.")
    ] = None,
    signer: Annotated[
        Place, typer.Option(help="File of the secret key of who makes the claim.")
    ] = None,
    json: Json = False,
) -> None:
    """Enter what documents say of data and models; as declared, whatever they say of evidence."""
    from tailguard.cli.statements import print_lines
    from tailguard.provenance.keys import load
    from tailguard.provenance.ledger.log import Ledger
    from tailguard.provenance.standards.exchange import enter

    made = enter(
        Ledger.open(ledger),
        documents,
        load(key),
        standard=standard,
        signer=None if signer is None else load(signer),
    )
    lines = [f"entry {one['sequence']}: {one['kind']} {one['name']}" for one in made]
    lines += [f"note: {note}" for note in dict.fromkeys(n for one in made for n in one["notes"])]
    print_lines(lines, made if json else None)


def export_document(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="croissant, prov, openlineage, cyclonedx, in-toto, hf-card, dta, dpi, eu-summary.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    ledger: Folder = HERE,
    about: Annotated[
        Text, typer.Option(help="The data set or model to describe, as in dataset:NAME.")
    ] = None,
    base: Annotated[
        Place, typer.Option(help="A document of that standard to add to; the rest of it stays.")
    ] = None,
    key: Annotated[Text, typer.Option(help="The ledger's public key: .pub file or vkey.")] = None,
) -> None:
    """Write what the ledger knows in a standard."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.statements import statements_from
    from tailguard.provenance.standards.exchange import export_statements, write_document

    check_output(output, [] if base is None else [str(base)])
    found = export_statements(statements_from(ledger, key, []), to, about=about, base=base)
    write_document(found, output)
    print(f"{to} written to {output}")


def royalties(
    plan: Annotated[Path, typer.Option(help="Parquet file: creator, weight, tokens per record.")],
    pot: Annotated[str, typer.Option(help="Amount to divide, as in 100000 or 99.50.")],
    output: Annotated[Place, typer.Option("--output", "-o", help="CSV file of all shares.")] = None,
    json: Json = False,
) -> None:
    """Divide a pot among the creators whose records a plan used, exactly to the cent."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.statements import print_lines
    from tailguard.provenance.royalties import (
        cents_of,
        division_lines,
        write_division,
    )
    from tailguard.provenance.royalties import royalties as divide

    check_output(output, [str(plan)])
    found = divide(plan, cents_of(pot))
    if output is not None:
        write_division(found, output)
    print_lines(division_lines(found), found.to_json() if json else None)
