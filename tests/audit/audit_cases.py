"""Real documents, and the one way verdicts are compared."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np

from tailguard.corpus import open_corpus
from tailguard.report.base import Verdict
from tailguard.report.codec import to_json


@cache
def documents(name: str = "builtin:python-docs") -> tuple[str, ...]:
    """The documents of a bundled corpus in random order, long ones cut."""
    texts = [
        text[:6_000]
        for batch in open_corpus(name).batches()
        for text in batch.column("text").to_pylist()
        if len(text.split()) >= 100
    ]
    order = np.random.default_rng(20240229).permutation(len(texts))
    return tuple(texts[i] for i in order)


def halves() -> tuple[list[str], list[str]]:
    """Gold, and as many other human documents."""
    texts = documents()
    middle = len(texts) // 2
    return list(texts[:middle]), list(texts[middle:])


def fields(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON without the time, and without the names of the two sides."""
    data = json.loads(to_json(verdict))
    del data["created"], data["batch"]["name"], data["gold"]["name"]
    return data
