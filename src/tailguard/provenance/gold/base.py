"""The nouns of a gold lock: a file as it was locked, the lock, and what a verification found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tailguard.provenance.envelope import canonical_json
from tailguard.provenance.merkle import leaf_hash, root

PAYLOAD_TYPE = "application/vnd.tailguard.gold-lock.v1+json"
"""What is in the envelope of a lock (DSSE payload type)."""

GROUP_ROWS = 1 << 12
"""Rows of a group, unless asked otherwise: the finest that a difference can be told."""

Signature = Literal["trusted", "unknown", "wrong"]
"""By a key that the verifier trusts; by another one; or by none, because something was altered."""


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file's records: how many, the root of each group of rows, and so the root of all.

    ``groups`` are the nodes of the RFC 9162 tree over the record hashes that span ``group_rows``
    leaves each (fewer in the last), so ``root`` is the root of that tree.
    """

    path: str
    rows: int
    groups: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """Root of the tree over the hashes of all records of the file (32 bytes)."""
        return root(self.groups)

    @property
    def leaf(self) -> bytes:
        """The file as a leaf of the data set's tree: the hash of its path, rows and root."""
        told = {"path": self.path, "root": self.root.hex(), "rows": self.rows}
        return leaf_hash(canonical_json(told))


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file says. ``columns`` maps a name to {"kinds", "values"}; ``previous`` links a
    release to the one before; ``profile`` is the fingerprint of the profile the caller took."""

    by: str
    created: str
    key: str
    group_rows: int
    files: tuple[LockedFile, ...]
    columns: Mapping[str, Mapping[str, Any]]
    profile: str | None = None
    previous: Mapping[str, Any] | None = None

    @property
    def rows(self) -> int:
        """Records in all files."""
        return sum(file.rows for file in self.files)

    @property
    def root(self) -> bytes:
        """Root of the data set: of the tree whose leaves are the files, in the lock's order."""
        return root([file.leaf for file in self.files])


@dataclass(frozen=True, slots=True)
class Difference:
    """A file whose records changed; ``groups`` are (index, first row, row after the last)."""

    path: str
    rows_locked: int
    rows_found: int
    groups: tuple[tuple[int, int, int], ...]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying data against a lock found; see :func:`tailguard.provenance.gold.verify`."""

    signature: Signature
    signers: tuple[str, ...]
    lock: Lock | None
    changed: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = field(default=())

    @property
    def unchanged(self) -> bool:
        """Whether the data is exactly what was locked, under the same names."""
        other = self.changed or self.missing or self.extra or self.renamed
        return self.lock is not None and self.signature != "wrong" and not other

    @property
    def same_records(self) -> bool:
        """Whether nothing but names of files differs."""
        other = self.changed or self.missing or self.extra
        return self.lock is not None and self.signature != "wrong" and not other

    @property
    def ok(self) -> bool:
        """Whether the data is unchanged and the lock signed by a key that is trusted."""
        return self.unchanged and self.signature == "trusted"
