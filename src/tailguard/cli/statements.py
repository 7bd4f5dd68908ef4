"""Where commands take statements from (a ledger, documents), and how they print what they found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path("ledger")


def statements_from(
    ledger: Path | None, key: str | None, documents: Iterable[Path]
) -> Iterator[tuple[str, Any]]:
    """The statements of a ledger's entries and of documents, each with where it stands.

    Without a folder, ``./ledger`` is read if it is there.
    """
    from tailguard.provenance.ledger.base import LedgerError
    from tailguard.provenance.ledger.log import Ledger
    from tailguard.provenance.standards.exchange import read_document, statements_in

    folder = ledger
    if folder is None and HERE.is_dir():
        try:
            Ledger.open(HERE)
            folder = HERE
        except LedgerError as error:
            if error.exit_code != 2:  # a ledger, but broken
                raise
    if folder is not None:
        opened = Ledger.open(folder, None if key is None else _public(key))
        for entry in opened.entries():
            yield f"ledger entry {entry.sequence}", entry.statement
    for path in documents:
        yield from ((str(path), statement) for statement in statements_in(read_document(path)))


def _public(text: str) -> Any:
    """A public key out of a file or a vkey."""
    from tailguard.provenance.keys import load_public, parse_vkey

    return parse_vkey(text) if "+" in text and not Path(text).exists() else load_public(text)


def print_lines(lines: Iterable[str], told: Any | None) -> None:
    """Print ``told`` as JSON if it is there, else the lines; nothing from data is markup."""
    from tailguard.cli.show import print_json
    from tailguard.report.words import clean

    if told is not None:
        print_json(told)
    else:
        print("\n".join(clean(line) for line in lines))
