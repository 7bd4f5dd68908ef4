"""Records as bytes that depend on their values alone, and the hashes of these bytes.

A record is a struct of its columns. Rewriting it with another writer, row-group size, compression,
dictionary, chunking, order of columns, or width of integers, floats, strings, lists and offsets
changes no byte of it. Numbers of eight bytes are unsigned and big-endian. A value is

=================  =============================================================================
``n``              null
``t``, ``f``       true, false
``+`` u64          an integer x ≥ 0: every number within [-2^63, 2^64) that is whole, be it stored
                   as an integer, a float or a decimal; so 1, 1.0 and 1.00 are one value, and so are
                   0.0 and -0.0
``-`` u64          an integer x < 0, as -1 - x
``d`` 8 bytes      any other float, as IEEE 754 binary64; every NaN is 7ff8000000000000
``e`` u64 text     any other decimal: ``[-]digits E exponent`` without trailing zeros in the digits
``s`` u64 bytes    text: UTF-8, taken as it is (no Unicode normalisation)
``b`` u64 bytes    binary
``D`` i64          a date: days since 1970-01-01
``C`` u64          a time of day: nanoseconds since midnight
``T`` i64 u32      a timestamp without zone: seconds since 1970-01-01 (floor), and nanoseconds
``I`` i64 u32      an instant (a timestamp with a zone): the same in UTC; the zone's name is no part
``L`` i64 u32      a duration
``[`` u64 …        a list: the number of items, and the items; a map is the list of its entries in
                   order, each a struct of ``key`` and ``value``
``{`` u64 …        a struct: the number of its fields that are not null, and for each of them, by
                   the bytes of their names: u64 length of the name, name (UTF-8), value
=================  =============================================================================

A null field is left out: it is the same as no field, so a column that only other records have does
not touch a record; it is not the same as an empty text, list or struct. A record's hash is the leaf
hash of RFC 9162 over its bytes, ``SHA-256(0x00 || bytes)``; in hex it is the RECORD_ID. No value
encodes to the beginning of another, so different records have different bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.provenance.base import RecordError
from tailguard.provenance.encoding import Bytes, Ints, Records
from tailguard.provenance.form import canonical_value
from tailguard.provenance.merkle import HASH_BYTES, leaf_hash

__all__ = [
    "FORM",
    "canonical_record",
    "canonical_rows",
    "canonical_value",
    "record_hashes",
    "record_id",
    "record_ids",
]

FORM = "tailguard-record-v1"
"""The name of this form; it changes whenever the bytes of any record would."""

PIECE_BYTES = 8 << 20
"""Canonical bytes held at a time."""

_ROWS = 1 << 16
_LEAF = sha256(b"\x00")


def canonical_record(row: Mapping[str, Any]) -> bytes:
    """The canonical bytes of one record given as Python values.

    Raises :class:`RecordError` for values without canonical form.

    >>> canonical_record({"a": 1, "b": None}) == canonical_record({"a": 1.0})
    True
    """
    if not isinstance(row, Mapping):
        raise RecordError("record", "names and values", type(row).__name__, "pass a mapping")
    return canonical_value(row)


def record_id(row: Mapping[str, Any]) -> str:
    """RECORD_ID of one record: its leaf hash in hex (64 digits).

    >>> record_id({"text": "Call me Ishmael."})[:16]
    '9d7d251ab6aac6b4'
    """
    return leaf_hash(canonical_record(row)).hex()


def record_hashes(batch: pa.RecordBatch | pa.Table) -> NDArray[np.uint8]:
    """The leaf hash of every record, shape (n, 32), in order.

    Memory beyond the batch is about 8 MB and one record. Raises :class:`RecordError` where a
    column is damaged (offsets out of bounds, text that is not UTF-8), of a type without canonical
    form (unions, intervals), or named like another.

    >>> import pyarrow as pa
    >>> narrow = pa.table({"n": pa.array([1, None], pa.int8()), "s": ["a", "b"]})
    >>> wide = pa.table({"s": pa.array(["a", "b"], pa.large_string()), "n": [1.0, None]})
    >>> bool((record_hashes(narrow) == record_hashes(wide)).all())
    True
    """
    found = [digest for data, starts in canonical_rows(batch) for digest in _digests(data, starts)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, HASH_BYTES)


def record_ids(batch: pa.RecordBatch | pa.Table) -> list[str]:
    """RECORD_ID of every record, in order; the errors are those of :func:`record_hashes`.

    >>> import pyarrow as pa
    >>> record_ids(pa.table({"text": ["Call me Ishmael."]})) == [
    ...     record_id({"text": "Call me Ishmael."})
    ... ]
    True
    """
    return [row.tobytes().hex() for row in record_hashes(batch)]


def canonical_rows(batch: pa.RecordBatch | pa.Table) -> Iterator[tuple[Bytes, Ints]]:
    """The canonical bytes of all records in order, some megabytes at a time.

    Yields (bytes, starts): record i of the piece is ``bytes[starts[i]:starts[i + 1]]``.

    >>> import pyarrow as pa
    >>> [(data, starts)] = canonical_rows(pa.table({"a": [1, 2]}))
    >>> data[starts[1] :].tobytes() == canonical_record({"a": 2})
    True
    """
    for part in batch.to_batches(_ROWS) if isinstance(batch, pa.Table) else _sliced(batch):
        try:
            part.validate(full=True)
            names = part.schema.names
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = str(error)[:200]
            raise RecordError("record", "sound columns", reason, "write the file again") from None
        yield from Records(names, part.columns, n=part.num_rows).pieces(PIECE_BYTES)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for first in range(0, batch.num_rows, _ROWS):
        yield batch.slice(first, _ROWS)


def _digests(data: Bytes, starts: Ints) -> Iterator[bytes]:
    held, first = data.data, 0
    for end in starts[1:].tolist():
        state = _LEAF.copy()
        state.update(held[first:end])
        yield state.digest()
        first = end
