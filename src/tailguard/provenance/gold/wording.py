"""A verification in words and as JSON: the same for the command line, the audit and reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tailguard.provenance.gold.base import Difference, Verification

MOST_RANGES = 8
"""Ranges of rows that are told of a file; JSON holds all groups."""


def headline(found: Verification) -> str:
    """What a verification found, in one sentence.

    >>> headline(Verification("wrong", (), None))
    'The lock was altered after it was signed: nothing in it can be believed.'
    """
    if found.signature == "wrong" or found.lock is None:
        return "The lock was altered after it was signed: nothing in it can be believed."
    lock = found.lock
    gold = f"{lock.rows:,} records in {len(lock.files):,} files, locked by {lock.by}"
    if not found.unchanged:
        same = " Every record is there; only names changed." if found.same_records else ""
        return f"The data is not what was locked ({gold} at {lock.created}).{same}"
    by = ", ".join(found.signers)
    if found.signature == "unknown":
        return f"The data is what was locked ({gold}), but the signer is not trusted: {by}."
    return f"Unchanged: {gold} at {lock.created}, signed by {by}."


def details(found: Verification) -> Iterator[str]:
    """One line for every difference, the most telling first.

    >>> list(details(Verification("trusted", (), None, missing=("a.parquet",))))
    ['missing: a.parquet']
    """
    for difference in found.changed:
        yield f"changed: {_difference(difference)}"
    for path in found.missing:
        yield f"missing: {path}"
    for path in found.extra:
        yield f"extra: {path}"
    for old, new in found.renamed:
        yield f"renamed: {old} is now {new}, with the same records"
    for column in found.columns:
        yield f"column {column}"


def told(found: Verification) -> dict[str, Any]:
    """The verification as a JSON value."""
    lock = found.lock
    return {
        "ok": found.ok,
        "unchanged": found.unchanged,
        "same_records": found.same_records,
        "signature": found.signature,
        "signers": list(found.signers),
        "lock": None if lock is None else {
            "by": lock.by, "created": lock.created, "files": len(lock.files), "rows": lock.rows,
            "root": lock.root.hex(), "profile": lock.profile,
        },
        "changed": [
            {
                "path": one.path, "rows_locked": one.rows_locked, "rows_found": one.rows_found,
                "groups": [{"group": g, "first_row": a, "end_row": b} for g, a, b in one.groups],
                "fault": one.fault or None,
            }
            for one in found.changed
        ],
        "missing": list(found.missing),
        "extra": list(found.extra),
        "renamed": [{"from": old, "to": new} for old, new in found.renamed],
        "columns": list(found.columns),
    }  # fmt: skip


def ranges(groups: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Neighbouring groups as one range (first row, row after the last).

    >>> ranges([(0, 0, 64), (1, 64, 128), (5, 320, 384)])
    [(0, 128), (320, 384)]
    """
    found: list[tuple[int, int]] = []
    for _, first, end in groups:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found


def _difference(one: Difference) -> str:
    if one.fault:
        return f"{one.path} cannot be read ({one.fault})"
    spans = ranges(one.groups)
    shown = ", ".join(f"{first:,}–{end - 1:,}" for first, end in spans[:MOST_RANGES])
    more = f" and {len(spans) - MOST_RANGES:,} more ranges" if len(spans) > MOST_RANGES else ""
    rows = "" if one.rows_found == one.rows_locked else (
        f"; {one.rows_found:,} records, {one.rows_locked:,} were locked"
    )  # fmt: skip
    return f"{one.path}: rows {shown}{more} ({len(one.groups):,} groups){rows}"
