"""What ``tailguard corpus`` does with records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.corpus import Columns, Corpus, Quarantine, open_corpus, write_corpus


def open_sources(sources: list[str], text_column: str | None) -> Corpus:
    """Open what the command line names."""
    from tailguard.cli.app import one_or_many

    return open_corpus(one_or_many(sources), columns=Columns(text=text_column))


def first_records(corpus: Corpus, n: int) -> Iterator[dict[str, Any]]:
    """The first ``n`` records; no more of the corpus is read than holds them.

    Rows left out on the way are told on stderr.
    """
    left = n
    bad = Quarantine()
    for batch in corpus.batches(bad):
        yield from batch.slice(0, left).to_pylist()
        left -= min(left, len(batch))
        if left == 0:
            break
    if bad.total:
        print(f"tailguard: {bad}", file=sys.stderr)


def print_records(records: Iterable[dict[str, Any]]) -> None:
    """Print records as JSON lines; bytes are shown by their length."""
    for row in records:
        shown = {k: f"<{len(v)} bytes>" if isinstance(v, bytes) else v for k, v in row.items()}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False, default=str) + "\n")


def _told(corpus: Corpus, written: int, output: Path, quarantine: Quarantine) -> None:
    print(f"{written:,} records written to {output}")
    if quarantine.total:
        print(quarantine)


def convert_records(corpus: Corpus, output: Path, quarantine: Path | None) -> None:
    """Write all records to ``output``; bad rows go to ``quarantine`` and are counted."""
    with Quarantine(quarantine) as bad:
        written = write_corpus(corpus.batches(bad), output)
        _told(corpus, written, output, bad)


def sample_records(corpus: Corpus, n: int, output: Path, seed: int) -> None:
    """Write ``n`` records drawn without replacement, in the order of the corpus.

    Every record gets a random key as it passes and the ``n`` smallest stay, so memory holds about
    ``n`` records whatever the size of the corpus.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    bad = Quarantine()
    kept: list[pa.RecordBatch] = []
    keys = np.zeros(0)
    for batch in corpus.batches(bad):
        fresh = rng.random(len(batch))
        keys = np.concatenate([keys, fresh])
        limit = np.partition(keys, n - 1)[n - 1] if len(keys) > n else 1.0
        kept.append(batch)
        stay = keys <= limit
        ends = np.cumsum([len(part) for part in kept])
        kept = [
            part.filter(pa.array(stay[end - len(part) : end]))
            for part, end in zip(kept, ends, strict=True)
        ]
        kept = [part for part in kept if len(part)]
        keys = keys[stay]
    _told(corpus, write_corpus(kept, output), output, bad)
