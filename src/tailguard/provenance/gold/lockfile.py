"""Lock files: what they hold, and what of it is believed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tailguard.provenance import envelope as dsse
from tailguard.provenance.base import EnvelopeError, KeyFileError, LockError, SignatureError
from tailguard.provenance.canonical import FORM
from tailguard.provenance.envelope import Envelope
from tailguard.provenance.gold.base import PAYLOAD_TYPE, Lock, LockedFile
from tailguard.provenance.gold.files import check_path
from tailguard.provenance.keys import PublicKey, SecretKey, parse_vkey

TREE = "rfc9162-sha256"
"""The name of the tree in a lock."""

LONGEST_LOCK = 256 << 20
"""A lock of 10^9 records takes some 25 MB (with groups of 4,096); a longer file is refused."""

MOST_ROWS = 1 << 20
"""Largest group of rows; they are a power of two, so that groups are nodes of the tree."""

_HASH = re.compile(r"[0-9a-f]{64}")
_FIELDS = {
    "by", "columns", "created", "files", "form", "group_rows", "key", "root", "rows", "tree",
}  # fmt: skip
_OPTIONAL = {"previous", "profile"}


def payload(lock: Lock) -> dict[str, Any]:
    """What is signed of a lock, as a JSON value."""
    told: dict[str, Any] = {
        "by": lock.by,
        "columns": {name: dict(column) for name, column in lock.columns.items()},
        "created": lock.created,
        "files": [
            {
                "groups": [group.hex() for group in file.groups],
                "path": file.path,
                "root": file.root.hex(),
                "rows": file.rows,
            }
            for file in lock.files
        ],
        "form": FORM,
        "group_rows": lock.group_rows,
        "key": lock.key,
        "root": lock.root.hex(),
        "rows": lock.rows,
        "tree": TREE,
    }
    optional = {"previous": lock.previous, "profile": lock.profile}
    return told | {name: value for name, value in optional.items() if value is not None}


def signed(lock: Lock, key: SecretKey) -> Envelope:
    """The lock in an envelope, signed."""
    return dsse.sign(payload(lock), PAYLOAD_TYPE, key)


def load(path: str | Path) -> Envelope:
    """The envelope in a lock file; nothing is verified yet.

    Raises ``EnvelopeError`` for what is not exactly an envelope with a lock in it.
    """
    found = dsse.load(path, limit=LONGEST_LOCK)
    if found.payload_type != PAYLOAD_TYPE:
        raise EnvelopeError(str(path), "a gold lock", repr(found.payload_type[:80]), "pass a lock")
    return found


def read(envelope: Envelope, *, who: str = "lock") -> Lock:
    """The lock in an envelope, its signature not looked at.

    Every count, root and path must agree with the rest. Raises :class:`LockError` or
    ``EnvelopeError`` otherwise.
    """
    told = dsse.payload_of(envelope, PAYLOAD_TYPE, who=who)
    try:
        return _lock(told, who)
    except (ValueError, TypeError, AttributeError, KeyError, KeyFileError) as error:
        raise LockError(who, "a gold lock", _reason(error), "do not trust this file") from None


def signers(
    envelope: Envelope, lock: Lock, trusted: Iterable[PublicKey], *, who: str = "lock"
) -> list[PublicKey]:
    """Who signed: the key that the lock itself names, and the trusted ones beside it.

    Raises ``SignatureError`` where the key that it names did not sign, or the signature of any of
    these keys is wrong: then the lock was altered.
    """
    own = parse_vkey(lock.key)
    known = {own.key_id: own} | {key.key_id: key for key in trusted}
    found = dsse.signers(envelope, known.values(), who=who)
    if not any(key.key_id == own.key_id for key in found):
        raise SignatureError(who, f"a signature of {own.name}", "none", "do not trust this file")
    return found


def hash_of(told: Any) -> bytes:
    """The 32 bytes of a hash in hex; ValueError for anything else."""
    if not isinstance(told, str) or not _HASH.fullmatch(told):
        raise ValueError("a hash that is none")
    return bytes.fromhex(told)


def count_of(told: Any, largest: int = 1 << 53) -> int:
    """A count; ValueError for anything else, True and 1.0 included."""
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told < largest:
        raise ValueError("a count that is none")
    return told


def _lock(told: Any, who: str) -> Lock:
    if not isinstance(told, dict) or not _FIELDS <= set(told) <= _FIELDS | _OPTIONAL:
        raise ValueError("other fields")
    if told["form"] != FORM or told["tree"] != TREE:
        raise ValueError(f"records in form {told['form']!r:.60}, tree {told['tree']!r:.60}")
    for name in ("by", "created", "key", *(set(told) & {"profile"})):
        if not isinstance(told[name], str):
            raise ValueError(f"no text in {name}")
    group_rows = count_of(told["group_rows"], MOST_ROWS + 1)
    if not is_power(group_rows):
        raise ValueError("groups that are no power of two")
    parse_vkey(told["key"])
    files = tuple(_file(file, group_rows, who) for file in _listed(told["files"]))
    if len({file.path for file in files}) < len(files):
        raise ValueError("a path twice")
    if not isinstance(told.get("previous", {}), dict):
        raise ValueError("no link to a previous release")
    lock = Lock(
        told["by"], told["created"], told["key"], group_rows, files, _columns(told["columns"]),
        told.get("profile"), told.get("previous"),
    )  # fmt: skip
    if lock.rows != count_of(told["rows"]) or lock.root != hash_of(told["root"]):
        raise ValueError("a total that is not that of its files")
    return lock


def _file(told: Any, group_rows: int, who: str) -> LockedFile:
    if set(told) != {"groups", "path", "root", "rows"}:
        raise ValueError("a file with other fields")
    rows = count_of(told["rows"])
    groups = tuple(hash_of(group) for group in _listed(told["groups"]))
    if len(groups) != -(-rows // group_rows):
        raise ValueError("groups that do not fit the rows")
    file = LockedFile(check_path(told["path"], who), rows, groups)
    if file.root != hash_of(told["root"]):
        raise ValueError("a root that is not that of its groups")
    return file


def _columns(told: Any) -> Mapping[str, Mapping[str, Any]]:
    for column in told.values():
        if set(column) != {"kinds", "values"} or not all(
            isinstance(kind, str) for kind in _listed(column["kinds"])
        ):
            raise ValueError("a column with other fields")
        count_of(column["values"])
    found: Mapping[str, Mapping[str, Any]] = told
    return found


def _listed(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise ValueError("no list")
    return told


def is_power(rows: int) -> bool:
    """Whether groups may have so many rows: a power of two up to 2^20.

    >>> is_power(4096), is_power(0), is_power(3)
    (True, False, False)
    """
    return 0 < rows <= MOST_ROWS and rows & (rows - 1) == 0


def _reason(error: Exception) -> str:
    return f"one with {error}" if isinstance(error, ValueError) else "something else"
