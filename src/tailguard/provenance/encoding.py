"""Arrow arrays to canonical bytes, a column at a time; what they mean is told in canonical.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tailguard.provenance import form
from tailguard.provenance.base import RecordError
from tailguard.provenance.kernels import put, tagged

Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int64]

LARGEST_BYTES = 1 << 30
"""A record, or the nested values of one batch, that would take more than this is refused."""

_NONE = np.zeros(0, np.int64)
_NANOS = 10**9
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": _NANOS}


@dataclass(frozen=True, slots=True)
class Cells:
    """Encoded values, not yet put together: cell i is ``head``, then ``numbers[i]`` in eight bytes
    (if there are numbers), then ``data[starts[i]:ends[i]]``; or null where ``valid`` is False."""

    head: bytes
    numbers: Ints
    data: Bytes
    starts: Ints
    ends: Ints
    valid: NDArray[np.bool_]

    def sizes(self) -> Ints:
        """Bytes of each cell, were it not null."""
        return self.ends - self.starts + (len(self.head) + (8 if len(self.numbers) else 0))

    def write(self, out: Bytes, cursor: Ints, head: bytes, rows: slice) -> None:
        """Write the cells of ``rows`` that are not null, each after ``head``, at their cursors."""
        numbers = self.numbers[rows] if len(self.numbers) else self.numbers
        lead = np.frombuffer(head + self.head, np.uint8)
        span = self.starts[rows], self.ends[rows]
        put(out, cursor, lead, numbers, self.data, *span, self.valid[rows])

    def solid(self) -> tuple[Bytes, Ints]:
        """All cells in one buffer, nulls as such, and where they begin: (bytes, (n + 1,))."""
        starts = _starts(np.where(self.valid, self.sizes(), 1))
        out = np.empty(starts[-1], np.uint8)
        out[starts[:-1][~self.valid]] = form.NULL[0]
        self.write(out, starts[:-1].copy(), b"", slice(None))
        return out, starts


def encode(array: pa.Array, *, depth: int = 0) -> Cells:
    """The cells of an array; :class:`RecordError` for a type without canonical form."""
    if depth > form.DEEPEST:
        raise RecordError("record", f"at most {form.DEEPEST} levels", "more", "flatten it")
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return encode(array.storage, depth=depth + 1)
    if pa.types.is_dictionary(kind):
        return _dictionary(array, depth)
    if pa.types.is_run_end_encoded(kind):
        return encode(pc.run_end_decode(array), depth=depth + 1)
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        rows = Records(names, array.flatten(), n=len(array), depth=depth + 1)
        return rows.cells(_valid(array))
    if pa.types.is_map(kind) or _is_list(kind):
        return _list(array, depth)
    encoder = next((encoder for test, encoder in _PLAIN if test(kind)), None)
    if encoder is None:
        raise RecordError("record", "values", str(kind)[:80], "convert the column")
    return encoder(array)


class Records:
    """Rows of named columns, to be written side by side: fields sorted by name, nulls left out."""

    def __init__(
        self, names: Sequence[str], arrays: Sequence[pa.Array], *, n: int, depth: int = 0
    ) -> None:
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if list(names).count(name) > 1})
            raise RecordError("record", "distinct names", f"{twice[0]!r} twice", "rename one")
        self._fields: list[tuple[bytes, Cells]] = []
        self._n = n
        for name, array in zip(names, arrays, strict=True):
            told = form._utf8(name)
            self._fields.append((told, encode(array, depth=depth)))
        self._fields.sort(key=lambda field: field[0])

    def sizes(self) -> Ints:
        """Bytes of each row."""
        found = np.full(self._n, 9, np.int64)
        for name, cells in self._fields:
            found += np.where(cells.valid, cells.sizes() + (8 + len(name)), 0)
        return found

    def write(self, starts: Ints, rows: slice) -> Bytes:
        """The bytes of ``rows``; ``starts`` are their places in the result, and its end."""
        out = np.empty(starts[-1], np.uint8)
        cursor = starts[:-1].copy()
        counts = np.zeros(len(cursor), np.int64)
        for _, cells in self._fields:
            counts += cells.valid[rows]
        every = np.ones(len(cursor), bool)
        head = np.frombuffer(form.STRUCT, np.uint8)
        nothing = np.zeros(len(cursor), np.int64)
        put(out, cursor, head, counts, out[:0], nothing, nothing, every)
        for name, cells in self._fields:
            cells.write(out, cursor, len(name).to_bytes(8, "big") + name, rows)
        return out

    def cells(self, valid: NDArray[np.bool_]) -> Cells:
        """The rows as the values of a column of structs."""
        starts = _starts(self.sizes())
        return Cells(b"", _NONE, self.write(starts, slice(None)), starts[:-1], starts[1:], valid)

    def pieces(self, piece_bytes: int) -> Iterator[tuple[Bytes, Ints]]:
        """All rows in pieces of about ``piece_bytes``: their bytes, and where each begins."""
        sizes = self.sizes()
        ends = np.cumsum(sizes)
        first = 0
        while first < self._n:
            before = ends[first] - sizes[first]
            stop = max(first + 1, int(np.searchsorted(ends, before + piece_bytes, "right")))
            starts = _starts(sizes[first:stop])
            yield self.write(starts, slice(first, stop)), starts
            first = stop


def _starts(sizes: Ints) -> Ints:
    """Where cells of these sizes begin, and the end; refuses what cannot be meant to be held."""
    found = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=found[1:])
    if float(sizes.sum(dtype=np.float64)) > LARGEST_BYTES:
        raise RecordError(
            "record", f"values of at most {LARGEST_BYTES:,} bytes", "more", "split the records"
        )
    return found


def _valid(array: pa.Array) -> NDArray[np.bool_]:
    if not array.null_count:
        return np.ones(len(array), bool)
    found: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return found


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _filled(array: pa.Array, kind: pa.DataType, fill: Any = 0) -> Any:
    """The values as NumPy's, nulls as ``fill``."""
    plain = array.cast(kind)
    return (pc.fill_null(plain, fill) if plain.null_count else plain).to_numpy(zero_copy_only=False)


def _fixed(head: bytes, data: Bytes, width: int, valid: NDArray[np.bool_]) -> Cells:
    """Cells of ``width`` bytes each."""
    starts = np.arange(len(valid), dtype=np.int64) * width
    return Cells(head, _NONE, data, starts, starts + width, valid)


def _nulls(array: pa.Array) -> Cells:
    return _fixed(b"", np.zeros(0, np.uint8), 0, np.zeros(len(array), bool))


def _booleans(array: pa.Array) -> Cells:
    told = np.where(_filled(array, pa.bool_(), False), form.TRUE[0], form.FALSE[0])
    return _fixed(b"", told.astype(np.uint8), 1, _valid(array))


def _integers(array: pa.Array) -> Cells:
    if pa.types.is_unsigned_integer(array.type):
        bits = _filled(array, pa.uint64()).astype(np.uint64, copy=False)
        tags = np.full(len(bits), form.POSITIVE[0], np.uint8)
        return _numbers(tags, bits, array)
    return _signed(_filled(array, pa.int64()), array)


def _signed(values: Ints, array: pa.Array) -> Cells:
    negative = values < 0
    tags = np.where(negative, form.NEGATIVE[0], form.POSITIVE[0]).astype(np.uint8)
    return _numbers(tags, np.where(negative, ~values, values).view(np.uint64), array)


def _floats(array: pa.Array) -> Cells:
    values: NDArray[np.float64] = np.ascontiguousarray(_filled(array, pa.float64(), 0.0))
    bits = values.view(np.uint64).copy()
    bits[np.isnan(values)] = form.NOT_A_NUMBER
    tags = np.full(len(bits), form.DOUBLE[0], np.uint8)
    whole = (np.floor(values) == values) & (values >= -(2.0**63)) & (values < 2.0**64)
    above = whole & (values >= 0)
    below = whole & (values < 0)
    tags[above], tags[below] = form.POSITIVE[0], form.NEGATIVE[0]
    bits[above] = values[above].astype(np.uint64)
    bits[below] = (~values[below].astype(np.int64)).view(np.uint64)
    return _numbers(tags, bits, array)


def _numbers(tags: Bytes, bits: NDArray[np.uint64], array: pa.Array) -> Cells:
    out = np.empty(9 * len(tags), np.uint8)
    tagged(tags, bits, out)
    return _fixed(b"", out, 9, _valid(array))


def _decimals(array: pa.Array) -> Cells:
    told = [form.NULL if v is None else form.decimal_value(v) for v in array.to_pylist()]
    starts = _starts(np.array([len(one) for one in told], np.int64))
    data = np.frombuffer(b"".join(told), np.uint8)
    return Cells(b"", _NONE, data, starts[:-1], starts[1:], _valid(array))


def _texts(array: pa.Array) -> Cells:
    return _variable(form.STRING, array)


def _binaries(array: pa.Array) -> Cells:
    return _variable(form.BINARY, array)


def _variable(tag: bytes, array: pa.Array) -> Cells:
    """Text and bytes straight from Arrow's buffers."""
    kind = array.type
    if pa.types.is_string_view(kind):
        array = array.cast(pa.large_string())
    elif pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        array = array.cast(pa.large_binary())
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, places, held = array.buffers()
    n = len(array)
    found = np.zeros(n + 1, np.int64)
    if places is not None and places.size:
        wide = np.frombuffer(places, np.int64 if large else np.int32)
        found[:] = wide[array.offset : array.offset + n + 1]
    data = np.frombuffer(held or b"", np.uint8)
    return Cells(tag, np.diff(found), data, found[:-1], found[1:], _valid(array))


def _dates(array: pa.Array) -> Cells:
    if pa.types.is_date64(array.type):
        days = _filled(array, pa.int64()) // 86_400_000
    else:
        days = _filled(array.cast(pa.int32()), pa.int64())
    return _fixed(form.DATE, days.astype(">i8").view(np.uint8), 8, _valid(array))


def _times(array: pa.Array) -> Cells:
    scale = _NANOS // _PER_SECOND[array.type.unit]
    whole = pa.int32() if pa.types.is_time32(array.type) else pa.int64()
    nanos = _filled(array.cast(whole), pa.int64()) * scale
    return _fixed(form.TIME, nanos.astype(">i8").view(np.uint8), 8, _valid(array))


def _moments(array: pa.Array) -> Cells:
    kind = array.type
    if pa.types.is_duration(kind):
        tag = form.DURATION
    else:
        tag = form.TIMESTAMP if kind.tz is None else form.INSTANT
    per = _PER_SECOND[kind.unit]
    values = _filled(array, pa.int64())
    laid = np.empty(len(values), np.dtype([("seconds", ">i8"), ("nanos", ">u4")]))
    laid["seconds"] = values // per
    laid["nanos"] = values % per * (_NANOS // per)
    return _fixed(tag, laid.view(np.uint8), 12, _valid(array))


def _dictionary(array: pa.DictionaryArray, depth: int) -> Cells:
    """Cells that point at the few distinct ones: a value used often is encoded once."""
    values = encode(array.dictionary, depth=depth + 1)
    if not len(values.valid):
        return _nulls(array)
    at = _filled(array.indices, pa.int64())
    numbers = values.numbers[at] if len(values.numbers) else values.numbers
    valid = _valid(array.indices) & values.valid[at]
    return Cells(values.head, numbers, values.data, values.starts[at], values.ends[at], valid)


def _list(array: pa.Array, depth: int) -> Cells:
    """Lists: their encoded items lie side by side already."""
    kind, n = array.type, len(array)
    if pa.types.is_fixed_size_list(kind):
        first = (np.arange(n, dtype=np.int64) + array.offset) * kind.list_size
        counts = np.full(n, kind.list_size, np.int64)
        items = array.values
    elif pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        first = _filled(array.offsets, pa.int64())
        counts = _filled(array.sizes, pa.int64())
        items = array.values
    else:
        places = _filled(array.offsets, pa.int64())
        first, counts = places[:-1], np.diff(places)
        items = _entries(array) if pa.types.is_map(kind) else array.values
    data, begins = encode(items, depth=depth + 1).solid()
    valid = _valid(array)
    first = np.where(valid, first, 0)
    last = np.where(valid, first + counts, 0)
    return Cells(form.LIST, counts, data, begins[first], begins[last], valid)


def _entries(array: pa.MapArray) -> pa.Array:
    """The entries of maps, as structs of key and value."""
    return pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])


_Encoder = Callable[[pa.Array], Cells]
_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], _Encoder], ...] = (
    (pa.types.is_null, _nulls),
    (pa.types.is_boolean, _booleans),
    (pa.types.is_integer, _integers),
    (pa.types.is_floating, _floats),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_string, _texts),
    (pa.types.is_large_string, _texts),
    (pa.types.is_string_view, _texts),
    (pa.types.is_binary, _binaries),
    (pa.types.is_large_binary, _binaries),
    (pa.types.is_binary_view, _binaries),
    (pa.types.is_fixed_size_binary, _binaries),
    (pa.types.is_date, _dates),
    (pa.types.is_time, _times),
    (pa.types.is_timestamp, _moments),
    (pa.types.is_duration, _moments),
)
