"""The origin columns of a corpus without its content: one table, however the batches differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tailguard.corpus import Corpus, Quarantine
from tailguard.corpus.base import EVIDENCE, KINDS
from tailguard.provenance.lineage.base import LineageError

WORDS = ("kind", "evidence", "generator", "source", "license", "creator", "digital_source_type")
"""Origin columns with few distinct values; held as codes into a dictionary."""

DATES = ("created", "captured")
DEEPEST_STATED = 1_000_000
"""A generation stated beyond this is read as "at least" this."""

GATHERED_ROWS = 1 << 19
"""Records whose origin columns are held at a time: about 50 MB."""

_WORD = pa.dictionary(pa.int32(), pa.large_string())
KIND_NAMES = pa.array(KINDS, pa.large_string())
GRADE_NAMES = pa.array(EVIDENCE, pa.large_string())
PARENTS = pa.large_list(pa.large_string())
SCHEMA = pa.schema(
    [pa.field("id", pa.large_string())]
    + [pa.field(name, _WORD) for name in (*WORDS, "watermark")]
    + [pa.field(name, pa.large_string()) for name in DATES]
    + [pa.field("generation", pa.int64()), pa.field("parents", PARENTS)]
    + [pa.field("tokens", pa.int64()), pa.field("bytes", pa.int64())]
)
"""What :func:`origins` yields. ``watermark`` is a text that names the generator's mark that was
found; ``tokens`` is null where they are not counted; ``bytes`` is the content's length."""

Table: TypeAlias = pa.Table | pa.RecordBatch


def origins(batch: Table, extra: Iterable[str] = ()) -> pa.RecordBatch:
    """The origin columns of a batch in the form of ``SCHEMA``, and of ``extra`` columns as text.

    What the batch has not is null. Raises :class:`LineageError` for an extra column of lists or
    the like, by which nothing can be sliced.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["été"], "kind": ["human"]})
    >>> row = origins(batch).to_pylist()[0]
    >>> row["kind"], row["generator"], row["bytes"]
    ('human', None, 5)
    """
    columns = [_column(batch, field) for field in SCHEMA]
    fields = list(SCHEMA)
    for name in extra:
        if name not in SCHEMA.names:
            fields.append(pa.field(name, _WORD))
            columns.append(_column(batch, fields[-1]))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def gathered(
    batches: Iterable[pa.RecordBatch], extra: Iterable[str] = (), rows: int = GATHERED_ROWS
) -> Iterator[pa.Table]:
    """The origin columns of many batches as few tables, of ``rows`` records or one batch more."""
    wanted = list(extra)
    held: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        held.append(origins(batch, wanted))
        n += batch.num_rows
        if n >= rows:
            yield pa.Table.from_batches(held).unify_dictionaries().combine_chunks()
            held, n = [], 0
    if held:
        yield pa.Table.from_batches(held).unify_dictionaries().combine_chunks()


def origin_table(
    corpus: Corpus, extra: Iterable[str] = (), quarantine: Quarantine | None = None
) -> pa.Table:
    """The origin columns of all records, in memory: about 100 bytes a record and its parents."""
    whole = list(gathered(corpus.batches(quarantine), extra, rows=1 << 62))
    return whole[0] if whole else SCHEMA.empty_table()


def codes(column: pa.Array | pa.ChunkedArray, known: pa.Array, other: int) -> NDArray[np.int64]:
    """Position of each value in ``known``; ``other`` for null and for any other value.

    >>> codes(pa.array(["b", None, "x"]), pa.array(["a", "b"]), -1).tolist()
    [1, -1, -1]
    """
    column = flat(column)
    if pa.types.is_dictionary(column.type):
        places = pc.index_in(column.dictionary.cast(known.type), value_set=known)
        places = places.take(column.indices)
    else:
        places = pc.index_in(column.cast(known.type), value_set=known)
    return np.asarray(pc.fill_null(places, other)).astype(np.int64)


def kinds(table: Table) -> NDArray[np.int64]:
    """Position in ``KINDS`` per record; a missing kind is unknown."""
    return codes(table.column("kind"), KIND_NAMES, KINDS.index("unknown"))


def grades(table: Table) -> NDArray[np.int64]:
    """Rank of the evidence per record, 0 the best; missing evidence is none.

    A record that states a kind without any evidence column is still only stated: ``none``.
    """
    return codes(table.column("evidence"), GRADE_NAMES, EVIDENCE.index("none"))


def generations(table: Table) -> NDArray[np.int64]:
    """The stated generation per record; −1 where none is stated."""
    stated = pc.fill_null(flat(table.column("generation")), -1)
    return np.asarray(stated).astype(np.int64)


def parent_lists(table: Table) -> tuple[NDArray[np.int64], pa.Array]:
    """Offsets (n + 1,) and the flat ids of all parents; a null list is empty, null ids are left."""
    column = flat(table.column("parents"))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    values = pc.list_flatten(column)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values


def has_parents(table: Table) -> bool:
    """Whether any record names a parent."""
    return bool(parent_lists(table)[0][-1])


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array, whatever its chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _column(batch: Table, field: pa.Field) -> pa.Array:
    n = batch.num_rows
    if field.name == "bytes":
        return _length(batch)
    at = batch.schema.get_field_index(field.name)
    if at < 0:
        return pa.nulls(n, field.type)
    column = flat(batch.column(at))
    try:
        if field.name == "watermark" and not _is_text(column.type):
            return pa.nulls(n, field.type)  # a visible mark in a picture, or a score: no name
        if field.type == _WORD:
            return _words(column)
        if field.name == "tokens":
            return _whole(column)
        return column.cast(field.type)
    except (pa.ArrowException, ValueError) as error:
        reason = f"{column.type} ({str(error)[:80]})"
        raise LineageError(
            f"column {field.name!r}", str(field.type), reason, "convert the column"
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _words(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        values = column.dictionary.cast(pa.large_string())
        return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), values)
    return column.cast(pa.large_string()).dictionary_encode().cast(_WORD)


def _whole(column: pa.Array) -> pa.Array:
    """Token counts: whole numbers from 0, or the lengths of lists; anything else null."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return pc.list_value_length(column).cast(pa.int64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return pa.nulls(len(column), pa.int64())
    numbers: Any = column.cast(pa.int64(), safe=False)
    sound = pc.and_(pc.greater_equal(numbers, 0), pc.equal(numbers.cast(column.type), column))
    return pc.if_else(pc.fill_null(sound, False), numbers, None)


def _length(batch: Table) -> pa.Array:
    for name in ("text", "image"):
        at = batch.schema.get_field_index(name)
        if at >= 0:
            lengths = pc.binary_length(flat(batch.column(at)))
            return pc.fill_null(lengths, 0).cast(pa.int64())
    return pa.array(np.zeros(batch.num_rows, np.int64))
