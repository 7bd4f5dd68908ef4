"""Fixtures of the corpus tests."""

from __future__ import annotations

from corpus_samples import archive, sample

__all__ = ["archive", "sample"]
