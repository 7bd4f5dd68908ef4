"""Which columns records have, of which kinds, and in how many records: told by values alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KINDS: tuple[tuple[str, Callable[[pa.DataType], bool], tuple[type, ...]], ...] = (
    ("bool", pa.types.is_boolean, (bool,)),
    ("number", pa.types.is_integer, (int, float)),
    ("number", pa.types.is_floating, ()),
    ("number", pa.types.is_decimal, ()),
    ("text", pa.types.is_string, (str,)),
    ("text", pa.types.is_large_string, ()),
    ("text", pa.types.is_string_view, ()),
    ("timestamp", pa.types.is_timestamp, (datetime,)),
    ("date", pa.types.is_date, (date,)),
    ("time", pa.types.is_time, (time,)),
    ("duration", pa.types.is_duration, (timedelta,)),
    ("struct", pa.types.is_struct, (dict,)),
    ("list", pa.types.is_nested, (list,)),
)
"""Kind, and the Arrow and Python types it stands for; all else is binary."""

_NEVER: Mapping[str, Any] = {"kinds": [], "values": 0}


class Tally:
    """Counts of records that have a value, by column; adding batches in any order is the same.

    >>> import pyarrow as pa
    >>> tally = Tally()
    >>> tally.add_batch(pa.record_batch({"a": [1, None], "b": ["x", "y"]}))
    >>> tally.told()
    {'a': {'kinds': ['number'], 'values': 1}, 'b': {'kinds': ['text'], 'values': 2}}
    """

    def __init__(self) -> None:
        self._values: dict[str, int] = {}
        self._kinds: dict[str, set[str]] = {}

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Count the records of a batch."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            found = len(column) - _nulls(column)
            if found:
                self._add(name, kind_of(column.type), found)

    def add_table(self, table: pa.Table) -> None:
        """Count the records of a table."""
        for batch in table.to_batches():
            self.add_batch(batch)

    def add_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count records given as Python values."""
        for row in rows:
            for name, value in row.items():
                if value is not None:
                    kind = next((k for k, _, held in KINDS if isinstance(value, held)), "binary")
                    self._add(name, kind, 1)

    def merge(self, other: Tally) -> None:
        """Take in what another one counted."""
        for name, values in other._values.items():
            for kind in other._kinds[name]:
                self._add(name, kind, 0)
            self._values[name] += values

    def told(self) -> dict[str, dict[str, Any]]:
        """Kinds and number of values of every column that has any, sorted by name."""
        return {
            name: {"kinds": sorted(self._kinds[name]), "values": values}
            for name, values in sorted(self._values.items())
        }

    def _add(self, name: str, kind: str, values: int) -> None:
        self._values[name] = self._values.get(name, 0) + values
        self._kinds.setdefault(name, set()).add(kind)


def _nulls(column: pa.Array) -> int:
    """Nulls, also those that a dictionary or a run of equal values hides."""
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type) and column.dictionary.null_count:
        column = column.dictionary.take(column.indices)
    return int(column.null_count)


def kind_of(kind: pa.DataType) -> str:
    """What values of an Arrow type are, whatever their width, unit or encoding.

    >>> kind_of(pa.int8()), kind_of(pa.dictionary(pa.int8(), pa.large_string()))
    ('number', 'text')
    """
    if isinstance(kind, pa.BaseExtensionType):
        return kind_of(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return kind_of(kind.value_type)
    return next((name for name, test, _ in KINDS if test(kind)), "binary")


def differences(locked: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """One line for every column that differs, in the order of their names.

    >>> one = {"a": {"kinds": ["text"], "values": 3}}
    >>> differences(one, {"a": {"kinds": ["text"], "values": 2}})
    ['a: 2 values, 3 were locked']
    """
    lines = []
    for name in sorted({*locked, *found}):
        before, after = locked.get(name, _NEVER), found.get(name, _NEVER)
        if before["values"] != after["values"]:
            lines.append(f"{name}: {after['values']:,} values, {before['values']:,} were locked")
        elif before["kinds"] != after["kinds"]:
            was, now = ", ".join(before["kinds"]), ", ".join(after["kinds"])
            lines.append(f"{name}: {now}, {was} was locked")
    return lines
