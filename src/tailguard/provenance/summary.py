"""What a corpus says of its origin: counted in one pass, in bounded memory, and mergeable.

Counts are kept in cells, one for each combination of kind, evidence, depth, tier and free texts
(generator, source, ...). When there would be more than ``MAX_CELLS``, free texts are thinned: only
those stay apart whose hash is among the smallest 1/2, 1/4, ... of all; the rest is counted together
as ``OTHERS``. Which texts stay depends on nothing but the texts, so pieces merge to the same
summary in any order and grouping, and every count is exact.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailguard.corpus import Corpus, Quarantine, Shard
from tailguard.corpus.base import EVIDENCE, KINDS
from tailguard.engine import map_merge
from tailguard.errors import InputError
from tailguard.provenance.lineage.base import Depth
from tailguard.provenance.lineage.columns import Table, flat, gathered, grades, kinds
from tailguard.provenance.lineage.contradictions import RecordContradictions, in_records
from tailguard.provenance.lineage.records import Ints, RecordDepths, record_depths
from tailguard.provenance.tiers import REST, Tiers, assign, parse_tiers

MAX_CELLS = 1 << 17
"""More combinations than this are never held."""

OTHERS = "(others)"
"""Stands for the free texts that are not counted apart."""

LONGEST_TEXT = 200
"""A longer generator or source is cut, and its hash added."""

DEEPEST = 255
"""Depths beyond this are counted together, as "at least" this."""

UNBOUNDED = -1


class Cell(NamedTuple):
    """One combination; ``hi`` −1: no bound known; ``conflict``: its claims disagree."""

    kind: str
    evidence: str
    lo: int
    hi: int
    tier: str
    conflict: bool
    texts: tuple[str | None, ...]

    @property
    def depth(self) -> Depth:
        """The interval of generation depth."""
        return Depth(self.lo, None if self.hi < 0 else self.hi)


class Count(NamedTuple):
    """How much of a corpus: records, bytes of content, tokens, and records of unknown tokens."""

    records: int = 0
    bytes: int = 0
    tokens: int = 0
    untold: int = 0

    def plus(self, other: Count) -> Count:
        """Both together."""
        return Count(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(slots=True)
class ProvenanceSummary:
    """Counts of a corpus by kind, evidence, depth, tier and the texts named in ``by``.

    ``rules``: records by rule of contradiction. ``level``: how often texts were thinned; 0 means
    that every text is counted apart. A monoid: ``merge`` is associative and commutative, and an
    empty summary changes nothing.

    >>> from tailguard.corpus import open_corpus
    >>> table = pa.table({"text": ["a", "bc"], "kind": ["human", "synthetic"]})
    >>> summary = summarise(open_corpus(table))
    >>> summary.records, summary.counts("kind")
    (2, {'human': 1, 'synthetic': 1})
    """

    by: tuple[str, ...] = ("generator", "source")
    tiers: tuple[str, ...] = (REST,)
    cells: dict[Cell, Count] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    level: int = 0

    @property
    def records(self) -> int:
        """All records."""
        return sum(count.records for count in self.cells.values())

    def total(self, wanted: Callable[[Cell], bool] = lambda cell: True) -> int:
        """Records in the cells that are wanted."""
        return sum(count.records for cell, count in self.cells.items() if wanted(cell))

    def counts(self, axis: str) -> dict[str, int]:
        """Records by the values of an axis, most first: kind, evidence, tier, depth or a text."""
        out: Counter[str] = Counter()
        for cell, count in self.cells.items():
            out[self.value(cell, axis)] += count.records
        return dict(sorted(out.items(), key=lambda item: (-item[1], item[0])))

    def slices(self, axis: str) -> dict[str, dict[Cell, Count]]:
        """The cells of each value of an axis, texts left out; most records first."""
        found: dict[str, dict[Cell, Count]] = {}
        for cell, count in self.cells.items():
            part = found.setdefault(self.value(cell, axis), {})
            bare = cell._replace(texts=())
            part[bare] = part.get(bare, Count()).plus(count)
        size = {value: sum(c.records for c in part.values()) for value, part in found.items()}
        return dict(sorted(found.items(), key=lambda item: (-size[item[0]], item[0])))

    def value(self, cell: Cell, axis: str) -> str:
        """What a cell is on an axis; nothing said is an empty text."""
        if axis == "depth":
            return str(cell.depth)
        if axis in ("kind", "evidence", "tier"):
            return str(getattr(cell, axis))
        if axis not in self.by:
            known = ", ".join(("kind", "evidence", "tier", "depth", *self.by))
            raise InputError("summary", f"an axis ({known})", repr(axis), "count it: by=...")
        return cell.texts[self.by.index(axis)] or ""

    def merge(self, other: ProvenanceSummary) -> ProvenanceSummary:
        """The summary of both corpora together."""
        if (self.by, self.tiers) != (other.by, other.tiers):
            raise InputError("summary", f"axes {self.by}", f"{other.by}", "count both the same way")
        out = ProvenanceSummary(self.by, self.tiers, level=max(self.level, other.level))
        out.rules = self.rules + other.rules
        out.quarantined = self.quarantined + other.quarantined
        out._take(self.cells.items())
        out._take(other.cells.items())
        return out

    def to_json(self) -> dict[str, Any]:
        """The summary as plain JSON; the same summary gives the same JSON."""
        rows = [[*cell[:-1], list(cell.texts), list(n)] for cell, n in self.cells.items()]
        rows.sort(key=lambda row: json.dumps(row))
        return {
            "format": "tailguard-provenance-summary-v1",
            "by": list(self.by),
            "tiers": list(self.tiers),
            "level": self.level,
            "quarantined": self.quarantined,
            "rules": dict(sorted(self.rules.items())),
            "cells": rows,
        }

    def _take(self, cells: Iterable[tuple[Cell, Count]]) -> None:
        for cell, count in cells:
            kept = cell
            if self.level:
                kept = cell._replace(texts=tuple(_thinned(t, self.level) for t in cell.texts))
            old = self.cells.get(kept)
            self.cells[kept] = count if old is None else old.plus(count)
            while len(self.cells) > MAX_CELLS and self.level < 64:
                self.level += 1
                held = self.cells
                self.cells = {}
                self._take(list(held.items()))

    def add(
        self, table: Table, depths: RecordDepths, tier: Ints, contradictory: Any, rules: Any
    ) -> None:
        """Count records in: ``origins`` columns and, for each record, what is known of it."""
        keys = _keys(table, depths, tier, contradictory, self.by)
        if keys is None:
            return
        groups, names = keys
        codes, back = _distinct(groups)
        sums = [np.bincount(back, minlength=len(codes)).tolist()]
        tokens = flat(table.column("tokens"))
        sums += [_sums(back, flat(table.column("bytes")), len(codes))]
        sums += [_sums(back, tokens, len(codes))]
        untold = np.asarray(tokens.is_null()).astype(np.int64)
        sums += [_sums(back, pa.array(untold), len(codes))]
        counted = [Count(*row) for row in zip(*sums, strict=True)]
        cells = [_cell(row, names, self.tiers) for row in codes.tolist()]
        self._take(zip(cells, counted, strict=True))
        self.rules.update(rules)


@dataclass(frozen=True, slots=True)
class Counting:
    """How to count: the free texts, the tiers, what is known of generators; picklable."""

    by: tuple[str, ...]
    tiers: Tiers
    training: Mapping[str, Depth]
    born: Mapping[str, str]

    def empty(self) -> ProvenanceSummary:
        """A summary of nothing."""
        return ProvenanceSummary(self.by, tuple(tier.name for tier in self.tiers))

    def count(
        self,
        summary: ProvenanceSummary,
        table: Table,
        depths: RecordDepths,
        *,
        examples: int = 0,
    ) -> RecordContradictions:
        """Count a table of ``origins`` with its depths into a summary; what disagrees in it."""
        found = in_records(table, depths, self.born, examples=examples)
        tier = assign(table, self.tiers, depths)
        summary.add(table, depths, tier.astype(np.int64), found.records, found.counts)
        return found

    def of_shard(self, shard: Shard) -> ProvenanceSummary:
        """The summary of one shard, its parents not joined."""
        summary = self.empty()
        bad = Quarantine()
        for table in gathered(shard.batches(bad), self.by):
            self.count(summary, table, record_depths(table, self.training))
        summary.quarantined = bad.total
        return summary


def counting(
    *,
    by: Sequence[str] = ("source",),
    tiers: Any = (),
    training: Mapping[str, Depth] | None = None,
    born: Mapping[str, str] | None = None,
) -> Counting:
    """How :func:`summarise` counts; ``generator`` is always among the texts."""
    named = tuple(dict.fromkeys(("generator", *by)))
    parsed = tiers if tiers and isinstance(tiers, tuple) else parse_tiers(list(tiers))
    return Counting(named, parsed, dict(training or {}), dict(born or {}))


def summarise(
    corpus: Corpus,
    how: Counting | None = None,
    *,
    engine: str = "serial",
    workers: int | None = None,
) -> ProvenanceSummary:
    """Count a corpus by its origin, in one pass, on as many workers as wished; same answer.

    Depth is read from each record and its generator alone; parents count as unknown here. What
    needs parents joined is in :func:`tailguard.provenance.lineage.trace.trace`.
    """
    how = how or counting()
    merge = ProvenanceSummary.merge
    return map_merge(
        functools.partial(_of_shard, how),
        corpus.shards,
        merge,
        engine=engine,
        workers=workers,
        label="counting origins",
        sizes=[shard.n_bytes for shard in corpus.shards],
    )


def _of_shard(how: Counting, shard: Shard) -> ProvenanceSummary:
    return how.of_shard(shard)


def _keys(
    table: Table, depths: RecordDepths, tier: Ints, contradictory: Any, by: tuple[str, ...]
) -> tuple[Ints, list[list[str | None]]] | None:
    """One row of codes per record, and the values behind the codes of the free texts."""
    if not table.num_rows:
        return None
    lo = np.minimum(depths.lo, DEEPEST)
    hi = np.where(depths.hi > DEEPEST, UNBOUNDED, depths.hi)
    rows = [kinds(table), grades(table), lo, hi, tier, contradictory.astype(np.int64)]
    names: list[list[str | None]] = []
    for name in by:
        column = flat(table.column(name))
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.large_string()).dictionary_encode()
        values = [_short(value) for value in column.dictionary.to_pylist()]
        names.append([*values, None])
        rows.append(np.asarray(pc.fill_null(column.indices, len(values))).astype(np.int64))
    return np.column_stack(rows), names


def _distinct(groups: Ints) -> tuple[Ints, Ints]:
    """Distinct rows, and which of them each row is."""
    low = groups.min(axis=0)
    sizes = [int(size) for size in groups.max(axis=0) - low + 1]
    if math.prod(sizes) >= 1 << 62:  # a row does not fit in one number
        rows, back = np.unique(groups, axis=0, return_inverse=True)
        return rows, back.reshape(-1)
    key = np.zeros(len(groups), np.int64)
    for column, size in zip((groups - low).T, sizes, strict=True):
        key = key * size + column
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    return groups[first], back


def _cell(row: list[int], names: list[list[str | None]], tiers: tuple[str, ...]) -> Cell:
    kind, grade, lo, hi, tier, conflict, *texts = row
    values = tuple(of[code] for of, code in zip(names, texts, strict=True))
    return Cell(KINDS[kind], EVIDENCE[grade], lo, hi, tiers[tier], bool(conflict), values)


def _sums(groups: Ints, column: pa.Array, n: int) -> list[int]:
    """Exact sums of whole numbers by group."""
    out = np.zeros(n, np.int64)
    np.add.at(out, groups, np.asarray(column.fill_null(0)).astype(np.int64))
    return [int(x) for x in out]


def _short(text: str | None) -> str | None:
    if not text:
        return None
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… {_hash(text):016x}"


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


@functools.lru_cache(maxsize=1 << 16)
def _thinned(text: str | None, level: int) -> str | None:
    if not level or text is None or text == OTHERS:
        return text
    return text if _hash(text) >> (64 - level) == 0 else OTHERS
