"""Where a command may write: looked at before any work is done."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tailguard.errors import InputError

if TYPE_CHECKING:
    from tailguard.report.base import Verdict


def check_output(path: Path | None, inputs: Iterable[str] = ()) -> None:
    """Raise :class:`InputError` where ``path`` cannot become a new file, or is one of ``inputs``.

    A result takes the place of what has its name, so folders, devices and the data itself are
    refused.
    """
    if path is None:
        return
    if not path.name:
        raise InputError(f"output {str(path)!r}", "the name of a file", "none", "name one")
    if not path.parent.is_dir():
        raise InputError(
            str(path), "an existing folder to write to", "none of that name", "make it first"
        )
    if os.path.lexists(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device, a pipe or a broken link"
        raise InputError(str(path), "the name of a file", kind, "choose another name")
    if path.exists() and any(path.samefile(name) for name in _files(inputs)):
        raise InputError(
            str(path), "another file than the input", "the input itself", "choose another name"
        )


def _files(inputs: Iterable[str]) -> Iterable[str]:
    for name in inputs:
        if os.path.isdir(name):
            yield from (entry.path for entry in os.scandir(name) if entry.is_file())
        elif os.path.exists(name):
            yield name
        else:
            yield from (match for match in glob.glob(name, recursive=True))


def entering(ledger: Path | None, key: Path | None) -> Callable[[Verdict], None]:
    """What enters a verdict into a ledger; found out before the audit whether it can."""
    if ledger is None:
        if key is not None:
            raise InputError("--key", "a ledger beside it", "none", "add --ledger FOLDER")
        return lambda verdict: None
    if key is None:
        raise InputError("--ledger", "a key to sign the entry", "none", "add --key FILE")
    from tailguard.provenance.keys import load
    from tailguard.provenance.ledger.log import Ledger
    from tailguard.report.entry import enter_verdict

    Ledger.open(ledger)
    secret = load(key)

    def enter(verdict: Verdict) -> None:
        number = enter_verdict(verdict, ledger, secret)
        print(f"ledger: entry {number}", file=sys.stderr)

    return enter
