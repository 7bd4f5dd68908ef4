"""A verdict as an entry of the ledger: signed, about batch and gold by their fingerprints."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from tailguard.provenance.keys import SecretKey
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.statements import statement
from tailguard.report.base import Verdict
from tailguard.report.codec import to_json


def enter_verdict(verdict: Verdict, ledger: str | Path, key: SecretKey) -> int:
    """Enter a verdict into a ledger, signed by ``key``; returns the entry's number.

    The subjects are batch and gold, each by the fingerprint of its profile. The entry holds the
    outcome, and the SHA-256 of the whole verdict as JSON, so that a report can be matched to it.
    Raises the ledger's errors where it cannot be opened or written.
    """
    subjects = [
        (_name(side.name), {"tailguardProfile": side.fingerprint})
        for side in (verdict.batch, verdict.gold)
    ]
    claim: dict[str, Any] = {
        "status": verdict.status,
        "stage": verdict.stage,
        "rule": verdict.rule,
        "seed": verdict.seed,
        "tailguard": verdict.version,
        "documents": verdict.batch.documents,
        "report": {"sha256": sha256(to_json(verdict).encode()).hexdigest()},
    }
    entry = statement("verdict", subjects, claim, signer=key)
    (sequence,) = Ledger.open(ledger).append([entry], key)
    return sequence


def _name(path: str) -> str:
    """The last part of a path: where a file lies is nobody else's business."""
    return Path(path).name or path
