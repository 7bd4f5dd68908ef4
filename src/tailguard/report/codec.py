"""A verdict as JSON and back. The form is published in ``verdict.schema.json``."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import numpy as np

from tailguard.errors import InputError
from tailguard.report.base import Verdict

SCHEMA_VERSION = 1


def to_json(verdict: Verdict) -> str:
    """The verdict as JSON text, one key a line, with ``schema_version`` first.

    Undefined numbers (nan, infinities) become ``null``. The same verdict always gives the same
    text.
    """
    data = {"schema_version": SCHEMA_VERSION} | plain(verdict)
    return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def from_json(text: str | bytes) -> Verdict:
    """The verdict that :func:`to_json` wrote; ``null`` comes back as nan where a number belongs.

    Raises :class:`InputError` for anything else.

    >>> from_json('{"schema_version": 9}')
    Traceback (most recent call last):
    tailguard.errors.InputError: verdict: expected schema_version 1, got 9; read it with the \
version of Tailguard that wrote it
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("verdict", "JSON text", str(error), "write the report again") from None
    if not isinstance(data, dict):
        raise _wrong("verdict", "a JSON object", data)
    version = data.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise InputError(
            "verdict",
            f"schema_version {SCHEMA_VERSION}",
            _short(version),
            "read it with the version of Tailguard that wrote it",
        )
    return cast(Verdict, _decode(Verdict, data, "verdict"))


def plain(value: Any) -> Any:
    """``value`` in terms of JSON: dataclasses become objects, arrays and sets become lists."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    return str(value)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(hint: Any, value: Any, where: str) -> Any:
    """``value`` (parsed JSON) as the type ``hint``; ``where`` names the place in messages."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _decode_fields(cast(type, hint), value, where)
    if origin in (typing.Union, types.UnionType):
        inner = next(arg for arg in args if arg is not type(None))
        return None if value is None else _decode(inner, value, where)
    if origin is typing.Literal:
        if value not in args:
            raise _wrong(where, f"one of {', '.join(args)}", value)
        return value
    if origin is tuple:
        return _decode_tuple(args, value, where)
    if origin is dict:
        items = _expect(value, dict, "an object", where).items()
        return {
            _decode(args[0], key, where): _decode(args[1], item, f"{where}.{key}")
            for key, item in items
        }
    if hint is float:
        return _decode_float(value, where)
    if hint is int and isinstance(value, bool):
        raise _wrong(where, "a whole number", value)
    names = {int: "a whole number", str: "text", bool: "true or false"}
    return _expect(value, hint, names[hint], where)


def _decode_fields(cls: type, value: Any, where: str) -> Any:
    data, hints = _expect(value, dict, "an object", where), _hints(cls)
    if unknown := data.keys() - hints.keys():
        raise _wrong(where, f"the fields {', '.join(hints)}", min(unknown))
    if missing := [name for name in hints if name not in data]:
        raise _wrong(where, f"a field {missing[0]!r}", "none")
    return cls(**{n: _decode(h, data[n], f"{where}.{n}") for n, h in hints.items()})


def _decode_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    items = _expect(value, list, "a list", where)
    inner = [args[0]] * len(items) if args[-1] is Ellipsis else list(args)
    if len(inner) != len(items):
        raise _wrong(where, f"{len(inner)} items", f"{len(items)}")
    pairs = enumerate(zip(inner, items, strict=True))
    return tuple(_decode(h, v, f"{where}[{i}]") for i, (h, v) in pairs)


def _decode_float(value: Any, where: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(where, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _wrong(where, "a number within the range of a double", "a larger one") from None


def _expect(value: Any, kind: type, name: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(where, name, value)
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _wrong(where: str, expected: str, got: Any) -> InputError:
    shown = got if isinstance(got, str) else _short(got)
    return InputError(where, expected, shown, "pass a file that Tailguard wrote as .json")
