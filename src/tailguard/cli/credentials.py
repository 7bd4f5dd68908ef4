"""``tailguard lineage credentials``: what C2PA manifests in images say of their origin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from tailguard.corpus.quarantine import Quarantine
    from tailguard.provenance.standards.c2pa_columns import Tally

Place = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--output", "-o", help="File to write: a row of origin columns for each image."),
]


def add_commands(app: typer.Typer) -> None:
    """Hang the command of this file onto the app of ``tailguard lineage``."""
    app.command()(credentials)


def credentials(
    images: Annotated[list[str], typer.Argument(help="Image files, globs or folders.")],
    output: Place = None,
    trust: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--trust", help="PEM file of authorities you trust; may be repeated."),
    ] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Write the images too: a corpus of its own.")
    ] = False,
    quarantine: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File for what could not be read, as JSON lines."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Read content credentials (C2PA): who made each image, how, and who vouches for it."""
    from tailguard.cli.outputs import check_output
    from tailguard.cli.statements import print_lines
    from tailguard.corpus.quarantine import Quarantine
    from tailguard.provenance.standards.c2pa import read_anchors
    from tailguard.provenance.standards.c2pa_columns import read_origins

    for path in (output, quarantine):
        check_output(path, images)
    anchors = read_anchors(trust or [])
    with Quarantine(quarantine) as bad:
        tally = read_origins(
            images, anchors=anchors, quarantine=bad, output=output, images=with_images
        )
    told = {**tally.to_json(), "quarantined": dict(sorted(bad.counts.items()))}
    print_lines(_lines(tally, bad, output), told if json else None)


def _lines(tally: Tally, bad: Quarantine, output: Path | None) -> list[str]:
    lines = [f"{tally.images:,} images read"]
    for name in ("state", "kind", "evidence", "failures"):
        counts = getattr(tally, name)
        if counts:
            told = ", ".join(f"{key} {n:,}" for key, n in sorted(counts.items()))
            lines.append(f"{name}: {told}")
    if tally.refusing:
        lines.append(f"refuse training or mining: {tally.refusing:,}")
    if bad.total:
        lines.append(str(bad))
    if tally.images and tally.state["absent"] == tally.images:
        lines.append("no image has credentials; that says nothing of their origin")
    if output is not None:
        lines.append(f"origins written to {output}")
    return lines
