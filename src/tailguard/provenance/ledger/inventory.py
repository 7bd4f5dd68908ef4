"""Inventories: entries that commit to everything named in the entries before them.

An inventory of the first n entries holds the root of a map from every digest and every name of
their subjects to the first entry that names it, and a root over the record maps of all data among
them, in order. Under such roots it can be proved that something was *not* entered. That the
inventory itself is complete is checked by whoever reads the log: :mod:`.verifying` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tailguard.engine.progress import progress
from tailguard.provenance.keys import SecretKey
from tailguard.provenance.ledger.base import Entry
from tailguard.provenance.ledger.keymap import ITEM, Items, key_of, map_root, order_of
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.mapfile import MapBuilder
from tailguard.provenance.ledger.register import map_name
from tailguard.provenance.ledger.statements import kind_of, names_in, statement
from tailguard.provenance.merkle import Accumulator, leaf_hash


@dataclass(slots=True)
class Stock:
    """All that the entries read so far name, and the record maps of their data.

    >>> names, record_maps = Stock().at(0)
    >>> names["keys"], record_maps["count"]
    (0, 0)
    """

    size: int = 0
    maps: list[tuple[int, bytes]] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    _first: dict[bytes, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take in the entry that follows."""
        for name in names_in(entry.statement):
            self._first.setdefault(key_of(name), entry.sequence)
        if kind_of(entry.statement) == "data-registered":
            root = record_map_of(entry.statement)
            if root is None:
                self.without.append(entry.sequence)
            else:
                self.maps.append((entry.sequence, root))
        self.size += 1

    @property
    def items(self) -> Items:
        """Keys of all names, sorted, each with the first entry that has it."""
        found = np.empty(len(self._first), ITEM)
        found["key"] = np.frombuffer(b"".join(self._first), "V32") if self._first else []
        found["value"] = list(self._first.values())
        return found[order_of(found)]

    def at(self, size: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What an inventory of the first ``size`` entries says: ``map`` and ``record_maps``.

        The root and number of keys of the map of names; the root and number of the record maps,
        and how much data has none.
        """
        items = self.items
        items = items[items["value"] < size]
        tree = Accumulator()
        tree.extend([map_leaf(sequence, root) for sequence, root in self.maps if sequence < size])
        without = sum(sequence < size for sequence in self.without)
        return (
            {"root": map_root(items).hex(), "keys": len(items)},
            {"root": tree.root().hex(), "count": tree.size, "without": without},
        )


def take(ledger: Ledger, key: SecretKey) -> int:
    """Enter an inventory of all entries that there are; its number. Reads the whole log."""
    stock = stock_of(ledger)
    items = stock.items
    with ledger.folder.building() as path, MapBuilder(path.parent, keep="least") as builder:
        keys = np.ascontiguousarray(items["key"]).view(np.uint8).reshape(-1, 32)
        builder.add(keys, items["value"].astype(np.uint64))
        root, n = builder.write(path)
        ledger.folder.adopt(path, map_name(root))
    predicate = {
        "size": stock.size,
        "map": {"root": root.hex(), "keys": n},
        "record_maps": stock.at(stock.size)[1],
    }
    head = ledger.tree().root(stock.size).hex()
    entry = statement("inventory", [(ledger.key.name, {"sha256": head})], predicate)
    (sequence,) = ledger.append([entry], key)
    return sequence


def stock_of(ledger: Ledger, size: int | None = None) -> Stock:
    """What the first ``size`` entries (default: all) name."""
    stock = Stock()
    tree = ledger.tree()
    size = tree.size if size is None else size
    for entry in told(ledger.entries(0, size), size, "reading the ledger"):
        stock.add(entry)
    return stock


def told(entries: Iterable[Entry], total: int, label: str) -> Iterator[Entry]:
    """Pass entries through and show how many have been."""
    with progress(label, total, in_bytes=False) as advance:
        for number, entry in enumerate(entries, start=1):
            yield entry
            if number % 1024 == 0:
                advance(1024)


def record_map_of(statement: dict[str, Any]) -> bytes | None:
    """The root of the map of records that a statement on data commits to, None without one.

    >>> record_map_of({"predicate": {"record_map": {"root": "00" * 32}}}) == bytes(32)
    True
    """
    told = statement["predicate"].get("record_map")
    root = told.get("root") if isinstance(told, dict) else None
    try:
        found = bytes.fromhex(root) if isinstance(root, str) else b""
    except ValueError:
        return None
    return found if len(found) == 32 and found.hex() == root else None


def map_leaf(sequence: int, root: bytes) -> bytes:
    """The leaf of a record map among all: its entry's number (8 bytes, big-endian) and root."""
    return leaf_hash(sequence.to_bytes(8, "big") + root)
