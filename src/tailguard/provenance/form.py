"""The canonical form of one value, in plain Python: the definition that the fast path must meet."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tailguard.provenance.base import RecordError

NULL, TRUE, FALSE = b"n", b"t", b"f"
POSITIVE, NEGATIVE, DOUBLE, DECIMAL = b"+", b"-", b"d", b"e"
STRING, BINARY = b"s", b"b"
DATE, TIME, TIMESTAMP, INSTANT, DURATION = b"D", b"C", b"T", b"I", b"L"
LIST, STRUCT = b"[", b"{"

DEEPEST = 64
"""Values nested more deeply are refused."""

NOT_A_NUMBER = 0x7FF8000000000000
"""The bits that stand for every NaN."""

_EPOCH = datetime(1970, 1, 1)


def canonical_value(value: Any, *, depth: int = 0) -> bytes:
    """The canonical bytes of a Python value, as :mod:`tailguard.provenance.canonical` defines.

    Takes what Arrow's ``to_pylist`` gives; a pair (tuple of two) is an entry of a map. Raises
    :class:`RecordError` for values without canonical form: other types, text that is no Unicode,
    nesting beyond 64 levels.

    >>> canonical_value(1) == canonical_value(1.0) == canonical_value(Decimal("1.00"))
    True
    >>> canonical_value({"b": None, "a": ""})
    b'{\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01as\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    """
    if depth > DEEPEST:
        raise RecordError("record", f"at most {DEEPEST} levels", "more", "flatten it")
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, Decimal):
        return decimal_value(value)
    if isinstance(value, str):
        return _text(STRING, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return BINARY + _u64(len(value)) + bytes(value)
    if isinstance(value, datetime | date | time | timedelta):
        return _moment(value)
    if isinstance(value, tuple) and len(value) == 2:
        value = {"key": value[0], "value": value[1]}
    if isinstance(value, list):
        items = b"".join(canonical_value(item, depth=depth + 1) for item in value)
        return LIST + _u64(len(value)) + items
    if isinstance(value, Mapping):
        return _fields(value, depth)
    raise RecordError("record", "plain values", type(value).__name__, "convert the column")


def decimal_value(value: Decimal) -> bytes:
    """A decimal number: an integer where it is one within 64 bits, or digits and exponent.

    >>> decimal_value(Decimal("-1.50"))[9:]
    b'-15E-1'
    """
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise RecordError("record", "a finite decimal", str(value), "write it as a float")
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    exponent += len(text) - len(short)
    if not short:
        return _integer(0)
    if exponent >= 0 and len(short) + exponent <= 20:
        whole = int(short) * 10**exponent * (-1 if sign else 1)
        if -(1 << 63) <= whole < 1 << 64:
            return _integer(whole)
    told = f"{'-' if sign else ''}{short}E{exponent}".encode()
    return DECIMAL + _u64(len(told)) + told


def _fields(value: Mapping[Any, Any], depth: int) -> bytes:
    """A struct: its fields that are not null, by the bytes of their names."""
    named = []
    for name, item in value.items():
        if not isinstance(name, str):
            got = type(name).__name__
            raise RecordError("record", "names that are text", got, "rename the field")
        if item is not None:
            named.append((_utf8(name), canonical_value(item, depth=depth + 1)))
    parts = [_u64(len(name)) + name + item for name, item in sorted(named)]
    return STRUCT + _u64(len(parts)) + b"".join(parts)


def _integer(value: int) -> bytes:
    if 0 <= value < 1 << 64:
        return POSITIVE + _u64(value)
    if -(1 << 63) <= value < 0:
        return NEGATIVE + _u64(-1 - value)
    return decimal_value(Decimal(value))


def _double(value: float) -> bytes:
    if math.isnan(value):
        return DOUBLE + _u64(NOT_A_NUMBER)
    if value.is_integer() and -(2.0**63) <= value < 2.0**64:
        return _integer(int(value))
    return DOUBLE + struct.pack(">d", value)


def _moment(value: datetime | date | time | timedelta) -> bytes:
    """Dates and times; pandas' own kinds carry nanoseconds beside microseconds."""
    nanos = int(getattr(value, "nanosecond", getattr(value, "nanoseconds", 0)))
    if isinstance(value, datetime):
        tag = TIMESTAMP if value.tzinfo is None else INSTANT
        there = value if value.tzinfo is None else value.astimezone(UTC)
        plain = datetime(*there.timetuple()[:6], there.microsecond)
        return tag + _seconds(plain - _EPOCH, nanos)
    if isinstance(value, date):
        return DATE + struct.pack(">q", (value - _EPOCH.date()).days)
    if isinstance(value, time):
        whole = (value.hour * 60 + value.minute) * 60 + value.second
        return TIME + _u64(whole * 10**9 + value.microsecond * 1000 + nanos)
    return DURATION + _seconds(value, nanos)


def _seconds(span: timedelta, nanos: int) -> bytes:
    whole = span.days * 86_400 + span.seconds
    return struct.pack(">qI", whole, span.microseconds * 1000 + nanos)


def _text(tag: bytes, value: str) -> bytes:
    held = _utf8(value)
    return tag + _u64(len(held)) + held


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise RecordError("record", "Unicode text", "half a character", "repair it") from None


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "big")
