"""The nouns of provenance: what can be wrong with a key, an envelope, a proof or a lock."""

from __future__ import annotations

from tailguard.errors import InputError


class ProvenanceError(InputError):
    """Something about the origin of data cannot be used or does not hold."""


class KeyFileError(ProvenanceError):
    """A key cannot be read, written or trusted with its secret; never tells the secret."""


class EnvelopeError(ProvenanceError):
    """A signed document is not well-formed: too large, not canonical, or of another kind."""


class SignatureError(ProvenanceError):
    """A document is not signed by a key that is asked for, or was altered after signing."""


class ProofError(ProvenanceError):
    """A Merkle tree or proof was asked for that cannot exist."""


class RecordError(ProvenanceError):
    """A record has no canonical form."""


class LockError(ProvenanceError):
    """Gold cannot be locked, or a lock says what cannot be."""
