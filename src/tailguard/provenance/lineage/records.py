"""Generation depth of single records: columnar, joined by generator and by parents.

The join of parents is a hash join on record ids, and the order in which parents come before their
children is found by a compiled pass (Kahn 1962). A million records take about a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tailguard.corpus.base import KINDS
from tailguard.provenance.lineage.base import UNKNOWN, Depth
from tailguard.provenance.lineage.columns import (
    DEEPEST_STATED,
    Table,
    flat,
    generations,
    kinds,
    parent_lists,
)

NO_BOUND = -1
"""Stands for an upper bound that is not known."""

HUMAN, SYNTHETIC, MIXED, UNSAID = (
    KINDS.index(kind) for kind in ("human", "synthetic", "mixed", "unknown")
)
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RecordDepths:
    """Depth of n records.

    ``lo``, ``hi`` (n,): the interval, ``hi`` −1 where no bound is known. ``disputed`` (n,): what
    the record states and what follows from generator and parents cannot both be; the interval
    spans both. ``orphans``: parents named that are not among the records, or are several of them.
    ``cycles``: ids of records that are, as stated, their own ancestors; at most 100 cycles, and of
    each at most 20 members.
    """

    lo: Ints
    hi: Ints
    disputed: NDArray[np.bool_]
    orphans: int
    cycles: tuple[tuple[str, ...], ...]


SHOWN_CYCLES = 100
SHOWN_MEMBERS = 20


def record_depths(table: Table, training: Mapping[str, Depth] | None = None) -> RecordDepths:
    """Depth of every record of ``table`` (the columns of ``origins``); linear time.

    ``training`` gives the training depth of generators by their name; others are unknown. A record
    with a generator is one deeper than its parents and its generator's training. One of kind
    synthetic or mixed without a generator is at least 1, and at least as deep as its parents. Kind
    human is 0, whatever a stated generation adds to it is disputed. A
    record that says nothing is [0, unknown]; so are parents that are not in the table, that share
    their id with another record, or that are part of a cycle.

    >>> from tailguard.provenance.lineage.columns import origins
    >>> table = origins(pa.record_batch({
    ...     "id": ["a", "b", "c"], "kind": ["human", "synthetic", "synthetic"],
    ...     "generator": [None, "m1", "m1"], "parents": [None, ["a"], ["b"]]}))
    >>> found = record_depths(table, {"m1": Depth(0, 0)})
    >>> found.lo.tolist(), found.hi.tolist()
    ([0, 1, 2], [0, 1, 2])
    """
    offsets, names = parent_lists(table)
    parents = _joined(table, names)
    order, n_sorted = _order(offsets, parents)
    lo, hi, disputed, done = (np.zeros(len(order), dtype) for dtype in ("i8", "i8", "?", "?"))
    rules = _rules(table, np.diff(offsets) > 0, training or {})
    _fold(offsets, parents, order[:n_sorted], True, rules, lo, hi, disputed, done)
    _fold(offsets, parents, order[n_sorted:], False, rules, lo, hi, disputed, done)
    cycles = _cycles(table, order[n_sorted:], offsets, parents) if n_sorted < len(order) else ()
    return RecordDepths(lo, hi, disputed, int((parents < 0).sum()), cycles)


def descendants(table: Table, tainted: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Ints]:
    """Which records descend from tainted ones, and the parent (n,) through which; −1 for none.

    A tainted record is its own: its parent is −1. Follow the parents to find the path.
    """
    offsets, names = parent_lists(table)
    reached = tainted.copy()
    via = np.full(len(tainted), -1, np.int64)
    if offsets[-1]:
        rows, first = rows_of(table, names)
        _reach(offsets, rows, first, reached, via)
    return reached, via


def _rules(
    table: Table, has_parents: NDArray[np.bool_], training: Mapping[str, Depth]
) -> NDArray[np.int64]:
    """Rows of (step, base lo, base hi, told lo, told hi, told is disputed), one per record.

    The base is what is known before any parent is looked at: the training of the generator, or
    nothing at all, or for a human record that its parents decide. Told is what the record states.
    """
    kind, generation = kinds(table), generations(table)
    lo, hi, made = _training(table, training)
    human, synthetic = kind == HUMAN, (kind == SYNTHETIC) | (kind == MIXED)
    base_lo = np.where(made, lo, 0)
    base_hi = np.where(made, hi, np.where(human & has_parents, 0, NO_BOUND))
    told_lo = np.where(synthetic, 1, 0)
    told_hi = np.where(human, 0, NO_BOUND)
    clash = (human & (generation > 0)) | (synthetic & (generation == 0))
    exact = (generation >= 0) & ~clash
    deep = generation > DEEPEST_STATED
    bound = np.minimum(generation, DEEPEST_STATED)
    told_lo = np.where(exact, bound, np.where(clash, 0, told_lo))
    told_hi = np.where(exact | (clash & human), np.where(deep, NO_BOUND, bound), told_hi)
    return np.column_stack([made, base_lo, base_hi, told_lo, told_hi, clash]).astype(np.int64)


def _training(table: Table, training: Mapping[str, Depth]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Training depth of each record's generator, and whether it has one at all."""
    column = flat(table.column("generator"))
    names = column.dictionary.to_pylist()
    of = [training.get(name, UNKNOWN) if name else UNKNOWN for name in names]
    lo = np.array([depth.lo for depth in of] + [0], np.int64)
    hi = np.array([NO_BOUND if d.hi is None else d.hi for d in of] + [NO_BOUND], np.int64)
    named = np.array([bool(name) for name in names] + [False])
    at = np.asarray(pc.fill_null(column.indices, len(names))).astype(np.int64)
    return lo[at], hi[at], named[at]


def rows_of(table: Table, names: pa.Array) -> tuple[Ints, Ints]:
    """The first row of each named parent (−1: none), and for every row the first of its id."""
    ids = flat(table.column("id"))
    rows = np.asarray(pc.fill_null(pc.index_in(names, value_set=ids, skip_nulls=True), -1))
    first = np.asarray(pc.index_in(ids, value_set=ids))
    return rows.astype(np.int64), first.astype(np.int64)


def _joined(table: Table, names: pa.Array) -> Ints:
    """Row of each named parent; −1 where none is, or several share the name."""
    if not len(names):
        return np.zeros(0, np.int64)
    rows, first = rows_of(table, names)
    shared = np.bincount(first, minlength=len(first)) > 1
    return np.where((rows >= 0) & shared[rows], -1, rows)


def _cycles(table: Table, left: Ints, offsets: Ints, parents: Ints) -> tuple[tuple[str, ...], ...]:
    """Ids of the records that are their own ancestors, cycle by cycle."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = np.full(len(offsets) - 1, -1, np.int64)
    place[left] = np.arange(len(left))
    child = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    inside = (parents >= 0) & (place[child] >= 0) & (place[np.maximum(parents, 0)] >= 0)
    rows, cols = place[child[inside]], place[parents[inside]]
    links = coo_array((np.ones(len(rows), np.int8), (rows, cols)), (len(left), len(left)))
    n, label = connected_components(links, connection="strong")
    size = np.bincount(label, minlength=n)
    size[label[rows[rows == cols]]] += 1  # its own parent: a cycle of one
    ids = table.column("id")
    found = []
    for which in np.flatnonzero(size > 1)[:SHOWN_CYCLES]:
        members = left[np.flatnonzero(label == which)[:SHOWN_MEMBERS]]
        found.append(tuple(sorted(str(ids[int(i)].as_py()) for i in members)))
    return tuple(sorted(found))


@nb.njit(cache=True, nogil=True)  # pragma: no cover
def _children(offsets, parents):  # type: ignore[no-untyped-def]
    """The other way round: where each record's children start, and their rows."""
    n = len(offsets) - 1
    starts = np.zeros(n + 1, np.int64)
    for p in parents:
        if p >= 0:
            starts[p + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    children = np.empty(starts[n], np.int64)
    fill = starts[:n].copy()
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            if parents[j] >= 0:
                children[fill[parents[j]]] = i
                fill[parents[j]] += 1
    return starts, children


@nb.njit(cache=True, nogil=True)  # pragma: no cover
def _order(offsets, parents):  # type: ignore[no-untyped-def]
    """All records, parents first; from the second result on, those in or behind a cycle."""
    n = len(offsets) - 1
    starts, children = _children(offsets, parents)
    waiting = np.zeros(n, np.int64)
    for child in children:
        waiting[child] += 1
    order = np.empty(n, np.int64)
    end = 0
    for i in range(n):
        if waiting[i] == 0:
            order[end] = i
            end += 1
    at = 0
    while at < end:
        for j in range(starts[order[at]], starts[order[at] + 1]):
            waiting[children[j]] -= 1
            if waiting[children[j]] == 0:
                order[end] = children[j]
                end += 1
        at += 1
    last = end
    for i in range(n):
        if waiting[i] > 0:
            order[last] = i
            last += 1
    return order, end


@nb.njit(cache=True, nogil=True)  # pragma: no cover
def _fold(offsets, parents, order, final, rules, lo, hi, disputed, done):  # type: ignore[no-untyped-def]
    """``Depth.within(told, step + deepest(base, parents))`` of each record, in the given order."""
    for i in order:
        step, low, high, told_low, told_high, clash = rules[i]
        for j in range(offsets[i], offsets[i + 1]):
            p = parents[j]
            if p < 0 or not done[p]:
                high = NO_BOUND
                continue
            low = max(low, lo[p])
            high = NO_BOUND if high < 0 or hi[p] < 0 else max(high, hi[p])
        low += step
        high = high + step if high >= 0 else NO_BOUND
        apart = (0 <= high < told_low) or (0 <= told_high < low)
        if apart:
            lo[i] = min(low, told_low)
            hi[i] = NO_BOUND if high < 0 or told_high < 0 else max(high, told_high)
        else:
            lo[i] = max(low, told_low)
            hi[i] = max(high, told_high) if high < 0 or told_high < 0 else min(high, told_high)
        disputed[i] = apart or clash != 0
        if final:
            done[i] = True


@nb.njit(cache=True, nogil=True)  # pragma: no cover
def _reach(offsets, parents, first, reached, via):  # type: ignore[no-untyped-def]
    """Marks all descendants of what is marked, breadth first, with the parent it came through.

    ``first`` is the row that stands for all rows of an id, in which ``parents`` are given.
    """
    n = len(offsets) - 1
    starts, children = _children(offsets, parents)
    queue = np.empty(n, np.int64)
    end = 0
    for i in range(n):
        if reached[i]:
            queue[end] = i
            end += 1
    at = 0
    while at < end:
        row = first[queue[at]]
        for j in range(starts[row], starts[row + 1]):
            child = children[j]
            if not reached[child]:
                reached[child] = True
                via[child] = queue[at]
                queue[end] = child
                end += 1
        at += 1
