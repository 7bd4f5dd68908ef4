"""The ledger: an append-only, signed Merkle log of what is known about data and models."""
