"""Freeze data, and prove later that it is still the same, or tell where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tailguard.provenance.base import LockError, SignatureError
from tailguard.provenance.envelope import Envelope
from tailguard.provenance.gold import lockfile
from tailguard.provenance.gold.base import (
    GROUP_ROWS,
    Difference,
    Lock,
    LockedFile,
    Signature,
    Verification,
)
from tailguard.provenance.gold.columns import Tally, differences
from tailguard.provenance.gold.files import Source, find_files
from tailguard.provenance.gold.hashing import HashedFile, hash_files
from tailguard.provenance.keys import PublicKey, SecretKey


def take(
    data: Source,
    *,
    by: str,
    key: PublicKey,
    group_rows: int = GROUP_ROWS,
    profile: str | None = None,
    created: datetime | None = None,
    engine: str = "local",
    workers: int | None = None,
) -> Lock:
    """Hash all records of ``data`` in one pass: a lock that is not signed yet.

    The arguments and errors are those of :func:`lock`.
    """
    if not lockfile.is_power(group_rows):
        got = str(group_rows)
        raise LockError("group_rows", "a power of two up to 2^20", got, "use 4096")
    if not by or not by.isprintable() or len(by) > 200:
        raise LockError("by", "who answers for the gold", repr(by)[:60], "as in: curation team")
    files = find_files(data)
    tally = Tally()
    found: list[LockedFile] = []
    hashing = hash_files(
        files, group_rows=group_rows, engine=engine, workers=workers, label="locking"
    )
    with closing(hashing):
        for hashed in hashing:
            if hashed.fault is not None:
                raise hashed.fault
            found.append(hashed.file)
            tally.merge(hashed.tally)
    if not any(file.rows for file in found):
        raise LockError(files[0].path, "at least one record", "none", "check the path")
    at = (created or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Lock(by, at, key.vkey, group_rows, tuple(found), tally.told(), profile)


def lock(
    data: Source,
    *,
    by: str,
    key: SecretKey,
    group_rows: int = GROUP_ROWS,
    profile: str | None = None,
    created: datetime | None = None,
    engine: str = "local",
    workers: int | None = None,
) -> Envelope:
    """Freeze ``data``: the Merkle roots of its records, signed.

    One leaf a record (its values, see :mod:`tailguard.provenance.canonical`), one root for every
    ``group_rows`` records of a file, one a file, one for all; nothing is kept of a single record.
    ``by`` says who answers for it; ``profile`` is the fingerprint of a profile of the same data;
    ``created`` is now unless given. One pass, memory flat, and the same result with any engine and
    any number of workers. Save it with :func:`tailguard.provenance.envelope.save`.

    Raises :class:`LockError` or ``CorpusError`` where a record cannot be read (a lock leaves none
    out), a path leads out of the data's root, or a file changes on the way.

    >>> import tempfile
    >>> from tailguard.provenance.keys import generate
    >>> key = generate("team")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = Path(folder, "gold.jsonl").write_text('{"text": "a"}')
    ...     signed = lock(folder, by="curation team", key=key, engine="serial")
    ...     verify(signed, folder, trusted=[key.public], engine="serial").ok
    True
    """
    work: dict[str, Any] = {"engine": engine, "workers": workers}
    taken = take(
        data, by=by, key=key.public, group_rows=group_rows, profile=profile, created=created, **work
    )
    return lockfile.signed(taken, key)


def verify(
    lock: Envelope | str | Path,
    data: Source,
    *,
    trusted: Iterable[PublicKey],
    engine: str = "local",
    workers: int | None = None,
) -> Verification:
    """Compare ``data`` with a lock (an envelope, or the path of one), in one pass.

    Tells files that changed, and in which groups of rows; files that are missing, extra or
    renamed (the same records under another name); columns that gained or lost values; and whether
    the signature is by a key in ``trusted``. With a wrong signature nothing is compared: what the
    lock says is worth nothing then.

    Raises ``EnvelopeError`` or :class:`LockError` for a file that is no lock, and where the path
    of the data leads nowhere.
    """
    who = "lock" if isinstance(lock, Envelope) else str(lock)
    envelope = lock if isinstance(lock, Envelope) else lockfile.load(lock)
    told = lockfile.read(envelope, who=who)
    state, names = standing(envelope, told, trusted, who=who)
    if state == "wrong":
        return Verification(state, names, None)
    files = find_files(data, empty=True)
    tally = Tally()
    found: dict[str, HashedFile] = {}
    hashing = hash_files(
        files, group_rows=told.group_rows, engine=engine, workers=workers, label="verifying"
    )
    with closing(hashing):
        for hashed in hashing:
            found[hashed.file.path] = hashed
            tally.merge(hashed.tally)
    return _compared(told, found, tally.told(), state, names)


def standing(
    envelope: Envelope, lock: Lock, trusted: Iterable[PublicKey], *, who: str = "lock"
) -> tuple[Signature, tuple[str, ...]]:
    """Whether a lock is signed by a trusted key, by another one, or wrongly; and the signers.

    A lock names the key that signed it, so that an altered lock is told from one of a stranger.
    """
    trusted = list(trusted)
    try:
        found = lockfile.signers(envelope, lock, trusted, who=who)
    except SignatureError:
        return "wrong", ()
    known = {key.key_id for key in trusted}
    names = tuple(f"{key.name} ({key.key_id[:16]})" for key in found)
    return ("trusted" if any(key.key_id in known for key in found) else "unknown"), names


def _compared(
    lock: Lock,
    found: Mapping[str, HashedFile],
    columns: Mapping[str, Any],
    state: Signature,
    names: tuple[str, ...],
) -> Verification:
    locked = {file.path: file for file in lock.files}
    both = [path for path in locked if path in found]
    changed = [_difference(locked[path], found[path], lock.group_rows) for path in both]
    missing = [path for path in locked if path not in found]
    extra = [path for path in found if path not in locked]
    renamed = _renamed(locked, found, missing, extra)
    whole = not missing and not extra and all(one.fault is None for one in found.values())
    gone, come = {old for old, _ in renamed}, {new for _, new in renamed}
    return Verification(
        signature=state,
        signers=names,
        lock=lock,
        changed=tuple(one for one in changed if one is not None),
        missing=tuple(path for path in missing if path not in gone),
        extra=tuple(path for path in extra if path not in come),
        renamed=tuple(renamed),
        # With files that are not there, every count would differ, and tell nothing.
        columns=tuple(differences(lock.columns, columns)) if whole else (),
    )


def _renamed(
    locked: Mapping[str, LockedFile],
    found: Mapping[str, HashedFile],
    missing: Sequence[str],
    extra: Sequence[str],
) -> list[tuple[str, str]]:
    """Pairs of a missing file and an extra one with the same records, each used once."""
    waiting: dict[tuple[int, bytes], list[str]] = {}
    for path in extra:
        if found[path].fault is None:
            file = found[path].file
            waiting.setdefault((file.rows, file.root), []).append(path)
    pairs = []
    for path in missing:
        same = waiting.get((locked[path].rows, locked[path].root))
        if same and locked[path].rows:
            pairs.append((path, same.pop(0)))
    return pairs


def _difference(locked: LockedFile, hashed: HashedFile, group_rows: int) -> Difference | None:
    file = hashed.file
    if hashed.fault is not None:
        return Difference(file.path, locked.rows, file.rows, (), str(hashed.fault))
    if (file.rows, file.groups) == (locked.rows, locked.groups):
        return None
    most = max(len(file.groups), len(locked.groups))
    rows = max(file.rows, locked.rows)
    groups = [
        (i, i * group_rows, min((i + 1) * group_rows, rows))
        for i in range(most)
        if file.groups[i : i + 1] != locked.groups[i : i + 1]
    ]
    return Difference(file.path, locked.rows, file.rows, tuple(groups))
