"""Audit a pandas table, source by source, and keep what is healthy.

python examples/audit_table.py
"""

from __future__ import annotations

import pandas as pd

import tailguard
from tailguard.lab.families.ngram import NGram
from tailguard.lab.recursion import recurse


def real_texts() -> list[str]:
    """Sections of Python's documentation, which every installation has."""
    corpus = tailguard.open_corpus("builtin:python-docs")
    return [text for part in corpus.batches() for text in part.column("text").to_pylist()]


def main() -> None:
    """Two shops deliver reviews; one of them had a model write them."""
    texts = real_texts()
    gold, human = texts[::2], texts[1::2]
    *_, last = recurse(gold, NGram(order=4, escape=3.0), generations=2, seed=0)
    delivered = pd.concat(
        [
            pd.DataFrame({"review": human, "shop": "north"}),
            pd.DataFrame({"review": list(last.data), "shop": "south"}),
        ]
    )
    verdict = tailguard.audit(
        delivered,
        tailguard.open_corpus(gold),
        columns=tailguard.Columns(text="review"),
        by=["shop"],
    )
    print(verdict.headline)
    for part in verdict.slices:
        print(f"{part.value}: {part.stage}, {part.documents} documents")
    healthy = [part.value for part in verdict.slices if part.stage == "healthy"]
    print(f"kept: {delivered['shop'].isin(healthy).sum()} of {len(delivered)} rows")


if __name__ == "__main__":
    main()
