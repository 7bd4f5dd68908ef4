"""Ledgers and entries for the tests of the ledger."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tailguard.provenance.keys import SecretKey
from tailguard.provenance.ledger.inventory import take
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.register import record_ids, register
from tailguard.provenance.ledger.statements import statement


def key_of(name: str, number: int = 0) -> SecretKey:
    """A key that is the same in every run, so that changes made at random are, too."""
    seed = sha256(f"{name} {number}".encode()).digest()
    return SecretKey(name, Ed25519PrivateKey.from_private_bytes(seed))


KEY = key_of("example.com/log")
OTHER = key_of("example.com/log", 1)
WITNESS = key_of("witness.example/w1")
ORIGIN = {"kind": "human", "evidence": "declared", "source": "web"}


def entry(number: int, *, signer: SecretKey | None = None) -> bytes:
    """Entry ``number`` of a series in which all differ."""
    digest = sha256(b"%d" % number).hexdigest()
    predicate = {"status": "pass", "recorded": "2026-01-01T00:00:00Z", "number": number}
    return statement("verdict", [(f"batch-{number}", {"sha256": digest})], predicate, signer=signer)


def filled(path: Path, n: int, key: SecretKey = KEY) -> Ledger:
    """A new ledger of ``n`` entries of the series."""
    ledger = Ledger.init(path, key)
    ledger.append([entry(i) for i in range(n)], key)
    return ledger


def data_file(path: Path, first: int, end: int) -> Path:
    """A file of the records ``first`` to ``end``."""
    rows = ({"id": f"r{i}", "text": f"text number {i}"} for i in range(first, end))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def furnished(path: Path) -> tuple[Ledger, list[str], str]:
    """A ledger with data of two files and an inventory; the records of the first file, and one
    that is in none. Entries: 0 verdict, 1 and 2 data, 3 inventory, 4 verdict."""
    ledger = filled(path / "ledger", 1)
    for number, name in enumerate(("a.jsonl", "b.jsonl")):
        data = data_file(path / name, 50 * number, 50 * number + 60)
        register(ledger, data, ORIGIN, KEY, engine="serial")
    take(ledger, KEY)
    ledger.append([entry(4)], KEY)
    records = [record for _, _, record in record_ids(path / "a.jsonl")]
    return ledger, records, sha256(b"in no file").hexdigest()
