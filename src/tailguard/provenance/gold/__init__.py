"""Gold lock: freeze a corpus record by record, and prove later that it is unchanged."""

from tailguard.provenance.gold.base import Difference, Lock, LockedFile, Verification
from tailguard.provenance.gold.locking import lock, verify
from tailguard.provenance.gold.records import check, prove
from tailguard.provenance.gold.releases import Link, check_chain, check_link, release

__all__ = [
    "Difference",
    "Link",
    "Lock",
    "LockedFile",
    "Verification",
    "check",
    "check_chain",
    "check_link",
    "lock",
    "prove",
    "release",
    "verify",
]
