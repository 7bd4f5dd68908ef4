"""The nouns of the ledger: its constants, its errors, an entry read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailguard.provenance.base import ProvenanceError

TILE_WIDTH = 256
"""Hashes in a full tile and entries in a full bundle (C2SP tlog-tiles: trees of height 8)."""

TILE_HEIGHT = 8
"""Levels of the tree in one tile."""

LONGEST_ENTRY_BYTES = 0xFFFF
"""An entry's length is stored in 16 bits (C2SP tlog-tiles)."""

LARGEST_SIZE = 1 << 48
"""A tree larger than this is not believed: it could not have been written."""

NO_HASH = bytes(32)
"""Stands for an empty subtree of a map; no SHA-256 is known to be all zeros."""


class LedgerError(ProvenanceError):
    """A ledger, an entry or a proof cannot be used as it was asked to; exit code 2."""


class LedgerBroken(LedgerError):
    """What a ledger or proof holds is not what was signed: verification failed; exit code 1."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log as it was read: its place in the order, its bytes, what they say.

    ``statement`` is the in-toto Statement (v1); ``signers`` are the key ids, in hex, of the DSSE
    signatures around it (not verified here), none for a bare statement.
    """

    sequence: int
    data: bytes
    statement: dict[str, Any]
    signers: tuple[str, ...] = ()
