"""Dates as written, read as intervals: "2021" is a year long, so "before 2022" can be certain."""

from __future__ import annotations

import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tailguard.provenance.lineage.base import LineageError
from tailguard.provenance.lineage.columns import flat

Instants = NDArray[np.datetime64]

# ISO 8601, as far as a year and at most to the second; also with a blank for the T.
_FORM = (
    r"^\s*(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]+)?)?"
    r"\s*(?:[Zz]|(?P<sign>[+-])(?P<zone>[0-9]{2}):?(?P<zone_minute>[0-9]{2})?)?)?)?)?\s*$"
)
_LIMITS = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 60)}


class Spans(NamedTuple):
    """From ``start`` to before ``stop`` (n,), in seconds UTC; both NaT where no date is written."""

    start: Instants
    stop: Instants

    def surely_before(self, moment: Instants | np.datetime64) -> NDArray[np.bool_]:
        """Whether the whole span lies before ``moment``; no for what is not dated."""
        return np.asarray(self.stop <= moment)

    def surely_after(self, other: Spans) -> NDArray[np.bool_]:
        """Whether the span begins only when the other is over; no where either is not dated."""
        return np.asarray(self.start >= other.stop)


def spans(column: pa.Array | pa.ChunkedArray) -> Spans:
    """The spans that ISO 8601 dates of any precision mean; what has no time zone is taken as UTC.

    >>> found = spans(pa.array(["2021", "2021-12-31", "2021-12-31T23:30:00-02:00", "soon", None]))
    >>> [str(t)[:10] for t in found.start]
    ['2021-01-01', '2021-12-31', '2022-01-01', 'NaT', 'NaT']
    >>> found.surely_before(np.datetime64("2022-01-01T00:00:00")).tolist()
    [True, True, False, False, False]
    """
    encoded = flat(column).cast(pa.large_string()).dictionary_encode()
    start, stop = _parsed(encoded.dictionary)
    at = np.asarray(pc.fill_null(encoded.indices, len(start))).astype(np.int64)
    nothing = np.array(["NaT"], "M8[s]")
    return Spans(np.concatenate([start, nothing])[at], np.concatenate([stop, nothing])[at])


def moment(text: str, who: str) -> np.datetime64:
    """The first instant of a date; raises :class:`LineageError` for what is no date.

    >>> str(moment("2022", "policy"))
    '2022-01-01T00:00:00'
    """
    found = spans(pa.array([text]))
    if np.isnat(found.start[0]):
        raise LineageError(who, "a date such as 2022-01-01", repr(text)[:60], "correct the date")
    return found.start[0]


def span_of(text: str | None) -> Spans:
    """The span of one date, as arrays of one."""
    return spans(pa.array([text], pa.large_string()))


def _parsed(texts: pa.Array) -> tuple[Instants, Instants]:
    parts = pc.extract_regex(texts, _FORM)
    number = {
        name: _whole(parts, name)
        for name in ("year", "month", "day", "hour", "minute", "second", "zone", "zone_minute")
    }
    sound = number["year"] > 0
    for name, (least, most) in _LIMITS.items():
        sound &= (number[name] < 0) | ((number[name] >= least) & (number[name] <= most))
    year = np.where(sound, number["year"], 1970)
    month = np.maximum(number["month"], 1)
    months = (year - 1970) * 12 + month - 1
    day = months.astype("M8[M]").astype("M8[D]") + np.maximum(number["day"], 1) - 1
    sound &= day.astype("M8[M]") == months.astype("M8[M]")  # no 31st of February
    clock = sum(
        np.maximum(number[n], 0) * s for n, s in (("hour", 3600), ("minute", 60), ("second", 1))
    )
    offset = np.maximum(number["zone"], 0) * 3600 + np.maximum(number["zone_minute"], 0) * 60
    sign = np.array([-1 if s == "-" else 1 for s in _strings(parts, "sign")], np.int64)
    start = day.astype("M8[s]") + (clock - sign * offset).astype("m8[s]")
    stop = start + _length(number, months).astype("m8[s]")
    nothing = np.datetime64("NaT")
    return np.where(sound, start, nothing), np.where(sound, stop, nothing)


def _length(number: dict[str, NDArray[np.int64]], months: NDArray[np.int64]) -> NDArray[np.int64]:
    """Seconds that the written precision leaves open: a year, month, day, minute or second."""
    of_year, of_month = (
        ((months + n).astype("M8[M]").astype("M8[D]") - months.astype("M8[M]").astype("M8[D]"))
        .astype(np.int64) * 86_400
        for n in (12, 1)
    )  # fmt: skip
    steps = [number[name] >= 0 for name in ("second", "hour", "day", "month")]
    return np.select(steps, [np.int64(1), np.int64(60), np.int64(86_400), of_month], of_year)


def _strings(parts: pa.Array, name: str) -> list[str]:
    texts: list[str] = pc.fill_null(pc.struct_field(parts, name), "").to_pylist()
    return texts


def _whole(parts: pa.Array, name: str) -> NDArray[np.int64]:
    """The digits of one part as numbers; −1 where it is not written."""
    text = pc.fill_null(pc.struct_field(parts, name), "")
    return np.asarray(pc.if_else(pc.equal(text, ""), "-1", text).cast(pa.int64())).astype(np.int64)


def iso_now() -> str:
    """The present second in UTC, as statements write it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
