"""Shipments: is this data really from that publisher, and what is its evidence worth then?

A publisher signs a gold lock of what it ships, or a manifest: an in-toto Statement whose subjects
are the files with their SHA-256. A shipment whose signature holds is *attested*. Anything less is
said, and lowers the evidence of every record: to *declared* where the sender's word stands alone
(no signature, or one by a key nobody vouched for), to *none* where signature or data are wrong.
Sources: in-toto Attestation Framework, Statement v1; DSSE v1.0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tailguard.corpus.base import EVIDENCE, Evidence
from tailguard.corpus.files import File, readable
from tailguard.engine import map_shards
from tailguard.provenance import envelope as dsse
from tailguard.provenance.base import EnvelopeError, LockError, SignatureError
from tailguard.provenance.envelope import Envelope
from tailguard.provenance.gold.base import PAYLOAD_TYPE as LOCK_TYPE
from tailguard.provenance.gold.files import Source, check_path, find_files
from tailguard.provenance.gold.lockfile import LONGEST_LOCK, hash_of
from tailguard.provenance.gold.locking import verify
from tailguard.provenance.keys import SecretKey
from tailguard.provenance.trust import TrustStore

STATEMENT_TYPE = "application/vnd.in-toto+json"
"""DSSE payload type of a manifest."""

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:tailguard:shipment/v1"
"""Predicate of the manifests made here; those with any other are read as well."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a shipment's evidence is worth: ``evidence`` is attested, declared or none, and
    ``reason`` says why. ``publisher`` and ``key_id`` are those of a signature that holds."""

    evidence: Evidence
    publisher: str | None
    key_id: str | None
    reason: str


def sign_manifest(
    data: Source,
    *,
    publisher: str,
    key: SecretKey,
    engine: str = "local",
    workers: int | None = None,
) -> Envelope:
    """A manifest of the files in ``data``, signed: for data that need not be read as records.

    Unlike a lock it binds the bytes of the files, so rewriting one breaks it.
    """
    found = find_files(data)
    sizes = [file.size for file in found]
    digests = map_shards(
        _digest, found, engine=engine, workers=workers, label="hashing", sizes=sizes
    )
    subjects = [
        {"digest": {"sha256": digest}, "name": file.name}
        for file, digest in zip(found, digests, strict=True)
    ]
    statement = {
        "_type": STATEMENT,
        "predicate": {"publisher": publisher},
        "predicateType": PREDICATE,
        "subject": subjects,
    }
    return dsse.sign(statement, STATEMENT_TYPE, key)


def attest(
    data: Source,
    signed: str | Path | None,
    store: TrustStore,
    *,
    engine: str = "local",
    workers: int | None = None,
) -> Attestation:
    """Verify a shipment: ``data``, and the lock or manifest that came with it (None: nothing).

    Raises only where the data itself, or a file that is named, cannot be read at all.
    """
    if signed is None:
        return Attestation("declared", None, None, "it is not signed")
    raw = dsse.read_bounded(signed, LONGEST_LOCK)
    try:
        envelope = _parse(raw, str(signed))
        signers = dsse.signers(envelope, store.keys, who=str(signed))
    except (EnvelopeError, SignatureError) as error:
        return Attestation("none", None, None, str(error))
    try:
        if envelope.payload_type == LOCK_TYPE:
            work: dict[str, Any] = {"engine": engine, "workers": workers}
            found = verify(dsse.parse(raw, limit=LONGEST_LOCK), data, trusted=store.keys, **work)
            wrong = found.signature == "wrong"
            differs = "its signature is wrong" if wrong else _told(found)
        else:
            differs = _compare(envelope, find_files(data), engine, workers)
    except (EnvelopeError, LockError) as error:
        return Attestation("none", None, None, str(error))
    if differs:
        return Attestation("none", None, None, differs)
    if not signers:
        ids = ", ".join(key_id[:16] for key_id, _ in envelope.signatures)
        return Attestation("declared", None, None, f"signed by a key that is not trusted ({ids})")
    publisher = store.publisher_of(signers[0].key_id)
    return Attestation("attested", publisher, signers[0].key_id, f"signed by {publisher}")


def graded(evidence: pa.Array, attestation: Attestation) -> pa.Array:
    """The evidence column of a shipment's records, after its attestation.

    Attested: every record is. Otherwise no record keeps more than the shipment is worth, because
    what a sender writes into the column is no more than the sender's word; null stays null.

    >>> grades = pa.array(["attested", "detected", None])
    >>> graded(grades, Attestation("declared", None, None, "it is not signed")).to_pylist()
    ['declared', 'detected', None]
    >>> graded(grades, Attestation("attested", "Example Press", "k", "")).to_pylist()
    ['attested', 'attested', 'attested']
    """
    plain = evidence.cast(pa.string())
    if attestation.evidence == "attested":
        return pa.array(["attested"] * len(plain), pa.string())
    stronger = pa.array(EVIDENCE[: EVIDENCE.index(attestation.evidence)], pa.string())
    return pc.if_else(pc.is_in(plain, stronger), attestation.evidence, plain)


def _parse(raw: bytes, who: str) -> Envelope:
    """An envelope as any tool writes it: of a lock only our own form is taken, but a manifest may
    come in JSON that is not canonical, with key ids of the signer's choice."""
    try:
        return dsse.parse(raw, who=who, limit=LONGEST_LOCK)
    except EnvelopeError:
        found = dsse.parse_loose(raw, who=who)
        if found.payload_type != STATEMENT_TYPE:
            raise
        return found


def _compare(envelope: Envelope, files: list[File], engine: str, workers: int | None) -> str:
    """In what way the files are not those of a manifest; empty if they are."""
    told = _subjects(envelope)
    missing = sorted(set(told) - {file.name for file in files})
    extra = [file.name for file in files if file.name not in told]
    if missing or extra:
        return f"{missing[0]} is missing" if missing else f"{extra[0]} is not in the manifest"
    sizes = [file.size for file in files]
    digests = map_shards(
        _digest, files, engine=engine, workers=workers, label="verifying", sizes=sizes
    )
    for file, digest in zip(files, digests, strict=True):
        if told[file.name] != digest:
            return f"{file.name} is not the file that was signed"
    return ""


def _subjects(envelope: Envelope) -> Mapping[str, str]:
    if envelope.payload_type != STATEMENT_TYPE:
        got = repr(envelope.payload_type[:80])
        raise EnvelopeError("shipment", "a lock or an in-toto statement", got, "pass another file")
    statement = dsse.parse_json(envelope.payload, who="manifest", limit=LONGEST_LOCK)
    try:
        if statement["_type"] != STATEMENT or not isinstance(statement["subject"], list):
            raise ValueError("no statement")
        told = {}
        for item in statement["subject"]:
            name = check_path(item["name"], "manifest")
            if name in told:
                raise ValueError("a file twice")
            told[name] = hash_of(item["digest"]["sha256"]).hex()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise EnvelopeError(
            "manifest", "files with their SHA-256", "something else", "ask for another manifest"
        ) from None
    return told


def _digest(file: File) -> str:
    state = sha256()
    with readable(file.path), open(file.path, "rb") as stored:
        while chunk := stored.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _told(found: Any) -> str:
    """The first difference that a verification found; empty if there is none."""
    if found.unchanged:
        return ""
    if found.missing:
        return f"{found.missing[0]} is missing"
    if found.extra:
        return f"{found.extra[0]} is not in the lock"
    if found.renamed:
        return f"{found.renamed[0][0]} is now called {found.renamed[0][1]}"
    return f"{found.changed[0].path} is not what was locked"
