"""Origin columns in one form, whatever the input calls its values."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from tailguard.corpus.base import EVIDENCE, KINDS, Kind

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"

# IPTC Digital Source Type NewsCodes (2024-09-17), and C2PA's trainedAlgorithmicData. Codes that
# tell nothing of the author (screenCapture, softwareImage) are left unknown.
KIND_OF_SOURCE_TYPE: dict[str, Kind] = {
    "digitalCapture": "human",
    "computationalCapture": "human",
    "negativeFilm": "human",
    "positiveFilm": "human",
    "print": "human",
    "minorHumanEdits": "human",
    "humanEdits": "human",
    "algorithmicallyEnhanced": "human",
    "digitalArt": "human",
    "digitalCreation": "human",
    "dataDrivenMedia": "human",
    "compositeCapture": "human",
    "composite": "mixed",
    "compositeSynthetic": "mixed",
    "compositeWithTrainedAlgorithmicMedia": "mixed",
    "virtualRecording": "mixed",
    "algorithmicMedia": "synthetic",
    "trainedAlgorithmicMedia": "synthetic",
    "trainedAlgorithmicData": "synthetic",
    "screenCapture": "unknown",
    "softwareImage": "unknown",
}
_CODES = {code.lower(): code for code in KIND_OF_SOURCE_TYPE}

SILENT = {"kind": "unknown", "evidence": "none"}
TEXTUAL = ("generator", "source", "license", "creator", "created", "captured", "language")


def canonical(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Origin columns under DESIGN's words; a column whose values had to change stays too.

    ``kind`` is one of four words; where it says nothing, ``digital_source_type`` decides. Kind
    human means generation 0 by definition; any other generation that is not stated stays null.
    Values that are not understood become unknown (null for a generation, none for evidence), and
    then the column as given survives as ``<name>_given``.

    >>> given = {"digital_source_type": pa.array(["trainedAlgorithmicMedia", "digitalCapture"])}
    >>> out = canonical(given)
    >>> out["kind"].to_pylist(), out["generation"].to_pylist()
    (['synthetic', 'human'], [None, 0])
    """
    out = dict(columns)
    for name in TEXTUAL:
        if name in out:
            out[name] = strings(out[name])
    if "evidence" in out:
        _replace(out, "evidence", _translate(out["evidence"], _evidence))
    if "generation" in out:
        _replace(out, "generation", _generation(out["generation"]))
    if "parents" in out:
        out["parents"] = _parents(out["parents"])
    if "digital_source_type" in out:
        codes = strings(out["digital_source_type"])
        out["digital_source_type"] = _translate(codes, _uri)
        told = _translate(codes, _source_kind)
        if "kind" in out:
            stated = _translate(out["kind"], _kind)
            silent = pc.fill_null(pc.equal(stated, "unknown"), True)
            _replace(out, "kind", stated)
            out["kind"] = pc.if_else(silent, told, stated)
        else:
            out["kind"] = told
    elif "kind" in out:
        _replace(out, "kind", _translate(out["kind"], _kind))
    if "kind" in out:
        out["kind"] = pc.fill_null(out["kind"], "unknown")
        known = out.get("generation", pa.nulls(len(out["kind"]), pa.int64()))
        human = pc.equal(out["kind"], "human")
        out["generation"] = pc.if_else(pc.and_(human, pc.is_null(known)), 0, known)
    return out


def strings(column: pa.Array) -> pa.Array:
    """The column as strings: dates in ISO 8601, numbers as written, nested values as JSON."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return strings(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary(kind):
        return column.view(pa.string())
    if pa.types.is_large_binary(kind):
        return column.view(pa.large_string())
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
    if (
        pa.types.is_nested(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        return json_text(column)
    return column.cast(pa.string())


def json_text(column: pa.Array) -> pa.Array:
    """Each value as JSON, null staying null."""
    values = column.to_pylist()
    return pa.array(
        [None if v is None else json.dumps(v, default=str) for v in values], pa.string()
    )


def _replace(columns: dict[str, pa.Array], name: str, new: pa.Array) -> None:
    """Put the understood values in place, and keep the given ones if any was lost on the way."""
    given = columns[name]
    lost = pc.and_(pc.is_valid(given), pc.is_null(new))
    columns[name] = new if name not in SILENT else pc.if_else(lost, SILENT[name], new)
    if pc.any(lost).as_py():
        columns[f"{name}_given"] = given


def _translate(column: pa.Array, word: Callable[[str], str | None]) -> pa.Array:
    """Apply ``word`` once to each distinct value."""
    encoded = strings(column).dictionary_encode()
    words = [None if v is None else word(v) for v in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices)


def _kind(value: str) -> str | None:
    word = value.strip().lower()
    return word if word in KINDS else KIND_OF_SOURCE_TYPE.get(_code(value))


def _evidence(value: str) -> str | None:
    word = value.strip().lower()
    return word if word in EVIDENCE else None


def _code(value: str) -> str:
    """The short code behind a URI, a QCode (``digsrctype:print``) or a code in any case."""
    short = value.strip().rstrip("/").replace(":", "/").rsplit("/", 1)[-1]
    return _CODES.get(short.lower(), "")


def _source_kind(value: str) -> str:
    return KIND_OF_SOURCE_TYPE.get(_code(value), "unknown")


def _uri(value: str) -> str:
    code = _code(value)
    if not code:
        return value
    return f"http://c2pa.org/digitalsourcetype/{code}" if code.endswith("Data") else IPTC + code


def _generation(column: pa.Array) -> pa.Array:
    if pa.types.is_integer(column.type):
        numbers = column.cast(pa.int64(), safe=False)
    else:
        digits = pc.utf8_trim_whitespace(strings(column))
        whole = pc.match_substring_regex(digits, r"^[0-9]{1,9}(\.0*)?$")
        whole = pc.replace_substring_regex(pc.if_else(whole, digits, None), r"\..*", "")
        numbers = whole.cast(pa.int64())
    return pc.if_else(pc.greater_equal(numbers, 0), numbers, None)


def _parents(column: pa.Array) -> pa.Array:
    """A list of ids per record; text holds a JSON list, or a single id."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type):
            return column
        lists = [None if v is None else [str(i) for i in v] for v in column.to_pylist()]
    else:
        lists = [_ids(v) for v in strings(column).to_pylist()]
    return pa.array(lists, pa.list_(pa.string()))


def _ids(value: str | None) -> list[str] | None:
    if not value:
        return None
    try:
        listed = json.loads(value)
    except (ValueError, RecursionError):
        listed = value
    return [str(v) for v in listed] if isinstance(listed, list) else [value]
