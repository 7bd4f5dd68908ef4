"""Releases of gold: each is linked to the one before, and says what it took away.

A link holds the hash of the lock before, and a proof for whatever changed:

* files were added: a consistency proof over the tree of files (RFC 9162, 2.1.4);
* rows were appended to a file: a consistency proof over the tree of its records;
* records were removed: their places and hashes, so that anyone who has the new data can put the
  hashes back and must get the old root; or all records of a file at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from tailguard.corpus.files import File
from tailguard.provenance.base import LockError
from tailguard.provenance.envelope import Envelope
from tailguard.provenance.gold import lockfile
from tailguard.provenance.gold.base import Lock, LockedFile
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.files import Source, find_files
from tailguard.provenance.gold.hashing import Groups
from tailguard.provenance.gold.locking import standing, take
from tailguard.provenance.gold.records import leaves_of
from tailguard.provenance.gold.rows import Leaves, cut
from tailguard.provenance.keys import PublicKey, SecretKey
from tailguard.provenance.merkle import (
    HASH_BYTES,
    consistency_proof,
    consistency_ranges,
    root,
    verify_consistency,
)

MOST_REMOVED = 1_000_000
"""Records that one release may list as removed; beyond that, remove whole files."""


@dataclass(frozen=True, slots=True)
class Link:
    """What holds between a release and the one before: ``fault`` is empty if the link does.

    ``append_only`` says that no record went; ``removed`` counts those that did.
    """

    fault: str
    append_only: bool
    removed: int


def release(
    data: Source,
    *,
    previous: Envelope,
    by: str,
    key: SecretKey,
    trusted: Iterable[PublicKey] = (),
    old_data: Source | None = None,
    profile: str | None = None,
    engine: str = "local",
    workers: int | None = None,
) -> Envelope:
    """Lock a new release of gold, linked to ``previous`` (signed by ``key`` or a trusted one).

    ``old_data`` is needed only where records were removed or changed (a changed record is one
    removed and one appended). Memory: as for a lock, and 40 bytes for every record removed.

    Raises :class:`LockError` where the previous lock is not signed by these keys, where old data
    is needed and missing or not what was locked, or too many records went; and what ``lock`` does.
    """
    before = lockfile.read(previous, who="previous lock")
    state, _ = standing(previous, before, [key.public, *trusted], who="previous lock")
    if state != "trusted":
        raise LockError(
            "previous lock", "a signature of a key you trust", state, "import the signer's key"
        )
    new = take(
        data, by=by, key=key.public, group_rows=before.group_rows, profile=profile,
        engine=engine, workers=workers,
    )  # fmt: skip
    files = {file.path: file for file in new.files}
    old = [file.path for file in before.files if file.path in files]
    ordered = tuple(files[path] for path in dict.fromkeys([*old, *files]))
    there = {file.name: file for file in find_files(data)}
    old_there = {} if old_data is None else {file.name: file for file in find_files(old_data)}
    changed = [
        _change(file, files.get(file.path), there.get(file.path), old_there, before.group_rows)
        for file in before.files
        if not same(file, files.get(file.path))
    ]
    link: dict[str, Any] = {
        "files": len(before.files),
        "payload": sha256(previous.payload).hexdigest(),
        "root": before.root.hex(),
        "rows": before.rows,
    }
    if changed:
        link["changed"] = changed
    else:
        proof = consistency_proof([file.leaf for file in ordered], len(before.files))
        link["proof"] = [node.hex() for node in proof]
    return lockfile.signed(replace(new, files=ordered, previous=link), key)


def check_link(previous: Envelope, new: Envelope, data: Source | None = None) -> Link:
    """Whether ``new`` follows from ``previous`` as it says; signatures are looked at elsewhere.

    Without ``data`` (of the new release) lists of removed records are only checked for their form;
    with it, the old roots are computed again from the rows that stayed and the hashes that went.
    """
    before = lockfile.read(previous, who="previous lock")
    after = lockfile.read(new, who="lock")
    told = after.previous
    try:
        if told is None:
            raise ValueError("it names no release before it")
        _check_identity(told, previous, before)
        changed = told.get("changed", [])
        named = {entry["path"]: entry for entry in changed}
        if len(named) < len(changed):
            raise ValueError("a file is told twice")
        _check_files(told, before, after, named)
        removed = sum(
            _check_entry(entry, file, after)
            for file in before.files
            if (entry := named.get(file.path)) is not None
        )
        if data is not None:
            _check_data(before, after, named, data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error) if isinstance(error, ValueError) else "its link has another form"
        return Link(reason, False, 0)
    return Link("", not any("removed" in entry for entry in changed), removed)


def check_chain(
    releases: Sequence[Envelope],
    *,
    trusted: Iterable[PublicKey],
    data: Source | None = None,
) -> list[Link]:
    """Check releases, oldest first: every signature and every link; one :class:`Link` for each.

    ``data`` is that of the newest release. The first release needs no link, but must be signed.
    """
    trusted = list(trusted)
    found = []
    for number, envelope in enumerate(releases):
        state, _ = standing(envelope, lockfile.read(envelope), trusted)
        link = Link("", True, 0)
        if number:
            last = data if number == len(releases) - 1 else None
            link = check_link(releases[number - 1], envelope, last)
        if state != "trusted":
            link = replace(link, fault=f"its signature is {state}")
        found.append(link)
    return found


def same(old: LockedFile, new: LockedFile | None) -> bool:
    """Whether a file has the records that it had."""
    return new is not None and (old.rows, old.root) == (new.rows, new.root)


def _change(
    old: LockedFile,
    new: LockedFile | None,
    file: File | None,
    old_files: Mapping[str, File],
    group_rows: int,
) -> dict[str, Any]:
    """What a link says of a file that is not what it was."""
    told: dict[str, Any] = {"path": old.path, "root": old.root.hex(), "rows": old.rows}
    if new is None or file is None:
        return told | {"removed": None}
    proof = _appended(old, new, file, group_rows)
    if proof is not None:
        return told | {"proof": [node.hex() for node in proof]}
    if old.path not in old_files:
        raise LockError(
            file.path, "rows appended only", "other changes", "pass the old data as well"
        )
    return told | {"removed": _removed(old, new, old_files[old.path], file, group_rows)}


def _appended(old: LockedFile, new: LockedFile, file: File, group_rows: int) -> list[bytes] | None:
    """The proof that a file's first rows are the old file, or none if they are not."""
    if new.rows < old.rows:
        return None
    whole = old.rows // group_rows
    if new.groups[:whole] != old.groups[:whole]:
        return None
    first = whole * group_rows
    cut_group = leaves_of(file, first, first + group_rows)
    if old.rows % group_rows and root(cut_group[: old.rows - first]) != old.groups[whole]:
        return None
    proof = []
    for start, stop in consistency_ranges(old.rows, new.rows):
        if start >= first and stop - start < group_rows and stop <= first + group_rows:
            proof.append(root(cut_group[start - first : stop - first]))
        else:
            proof.append(root(new.groups[start // group_rows : -(-stop // group_rows)]))
    return proof


def _removed(
    old: LockedFile, new: LockedFile, old_file: File, file: File, group_rows: int
) -> list[list[Any]]:
    """Place and hash of the old rows that are not, in their order, at the head of the new file."""
    seen, now = Groups(group_rows), Groups(group_rows)
    fresh = _rows(file, now)
    waiting = next(fresh, None)
    found: list[list[Any]] = []
    for row, digest in enumerate(_rows(old_file, seen)):
        if digest == waiting:
            waiting = next(fresh, None)
        else:
            found.append([row, digest.hex()])
            if len(found) > MOST_REMOVED:
                got = f"more than {MOST_REMOVED:,} gone"
                raise LockError(file.path, "most of the records", got, "give it another name")
    for _ in fresh:  # the rest was appended; it still counts for the root
        pass
    if seen.file(old.path) != old:
        raise LockError(
            old_file.path, "the old data as it was locked", "other records", "find the old data"
        )
    if now.file(new.path) != new:
        raise LockError(file.path, "a file at rest", "one that changes", "try again")
    return found


def _check_identity(told: Mapping[str, Any], previous: Envelope, before: Lock) -> None:
    if not {"files", "payload", "root", "rows"} <= set(told):
        raise ValueError("its link has another form")
    if set(told) - {"files", "payload", "root", "rows"} not in ({"proof"}, {"changed"}):
        raise ValueError("its link has another form")
    if lockfile.hash_of(told["payload"]) != sha256(previous.payload).digest():
        raise ValueError("it follows another release")
    sums = lockfile.hash_of(told["root"]), told["rows"], told["files"]
    if sums != (before.root, before.rows, len(before.files)):
        raise ValueError("it tells other totals of the release before it")


def _check_files(
    told: Mapping[str, Any], before: Lock, after: Lock, named: Mapping[str, Any]
) -> None:
    """Every old file is there unchanged, or told as changed; the order stays."""
    files = {file.path: file for file in after.files}
    if before.group_rows != after.group_rows:
        raise ValueError("its groups have another size")
    for file in before.files:
        if same(file, files.get(file.path)) == (file.path in named):
            raise ValueError(f"{file.path} changed, and it does not say so")
    if set(named) - {file.path for file in before.files}:
        raise ValueError("it tells of files that were not there")
    if "proof" in told:
        proof = [lockfile.hash_of(node) for node in told["proof"]]
        sizes = len(before.files), len(after.files)
        if not verify_consistency(*sizes, proof, before.root, after.root):
            raise ValueError("its consistency proof does not hold")


def _check_entry(entry: Mapping[str, Any], old: LockedFile, after: Lock) -> int:
    """Records that one entry takes away; ValueError where it cannot be true."""
    new = next((file for file in after.files if file.path == old.path), None)
    if (lockfile.hash_of(entry["root"]), entry["rows"]) != (old.root, old.rows):
        raise ValueError(f"{old.path} was another file")
    rest = set(entry) - {"path", "root", "rows"}
    if rest == {"proof"} and new is not None:
        proof = [lockfile.hash_of(node) for node in entry["proof"]]
        if not verify_consistency(old.rows, new.rows, proof, old.root, new.root):
            raise ValueError(f"the consistency proof of {old.path} does not hold")
        return 0
    if rest != {"removed"}:
        raise ValueError("its link has another form")
    if entry["removed"] is None:
        return old.rows
    rows = [lockfile.count_of(row, old.rows) for row, _ in entry["removed"]]
    for _, digest in entry["removed"]:
        lockfile.hash_of(digest)
    if rows != sorted(set(rows)) or new is None or new.rows < old.rows - len(rows):
        raise ValueError(f"the list of records removed from {old.path} cannot be")
    return len(rows)


def _check_data(before: Lock, after: Lock, named: Mapping[str, Any], data: Source) -> None:
    """Put the hashes that went between the rows that stayed: the old groups must come out."""
    there = {file.name: file for file in find_files(data)}
    files = {file.path: file for file in after.files}
    for old in before.files:
        removed = named.get(old.path, {}).get("removed")
        if removed is None:
            continue
        if old.path not in there:
            raise ValueError(f"{old.path} is not there")
        gone = {row: bytes.fromhex(digest) for row, digest in removed}
        now, merged = Groups(before.group_rows), Groups(before.group_rows)
        fresh = _rows(there[old.path], now)
        for first in range(0, old.rows, before.group_rows):
            stop = min(first + before.group_rows, old.rows)
            rows = [gone[row] if row in gone else next(fresh, b"") for row in range(first, stop)]
            if not all(rows):
                raise ValueError(f"{old.path} has too few records")
            merged.add(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, HASH_BYTES))
        if merged.file(old.path) != old:
            raise ValueError(f"{old.path}: more than the listed records was removed or changed")
        for _ in fresh:  # appended rows, which still count for the root
            pass
        if now.file(old.path) != files[old.path]:
            raise ValueError(f"{old.path} is not the file that was locked")


def _rows(file: File, groups: Groups | None = None) -> Iterator[bytes]:
    """The record hashes of a file one by one; also into ``groups``."""
    for leaves in _leaves(file):
        if groups is not None:
            groups.add(leaves)
        held = leaves.tobytes()
        yield from (held[at : at + HASH_BYTES] for at in range(0, len(held), HASH_BYTES))


def _leaves(file: File) -> Iterator[Leaves]:
    for part in cut(file):
        yield from part.leaves(Tally())
