"""Which column is which, and batches brought into the one form that everything else reads."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tailguard.corpus.base import BATCH_BYTES, Columns, Corpus, Modality, Shard
from tailguard.corpus.files import File, readable
from tailguard.corpus.origin import canonical, strings
from tailguard.corpus.quarantine import Quarantine
from tailguard.errors import CorpusError

USUAL: dict[str, tuple[str, ...]] = {
    "text": ("text", "content", "body", "document", "article", "passage", "raw_content", "message"),
    "id": ("id", "doc_id", "document_id", "record_id", "uuid"),
    "image": ("image", "img", "picture"),
    "vector": ("vector", "embedding", "embeddings"),
    "source": ("source", "domain"),
    "created": ("created", "created_at", "published", "date"),
    "captured": ("captured", "crawl_date", "fetched"),
    "language": ("language", "lang"),
    "kind": ("kind", "origin_kind"),
    "generation": ("generation",),
    "generator": ("generator", "model"),
    "license": ("license", "licence"),
    "creator": ("creator", "author"),
    "parents": ("parents",),
    "evidence": ("evidence",),
    "digital_source_type": ("digital_source_type", "digitalsourcetype"),
}
"""What columns are usually called (in any case), the likeliest first."""

RANK = {name: i for i, name in enumerate(USUAL)}

_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary)
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


@dataclass(frozen=True, slots=True)
class Layout:
    """The resolved mapping of one file: canonical name to the name it has there."""

    modality: Modality
    given: dict[str, str]

    @property
    def content(self) -> str | None:
        """The given name of the column that holds the content (none for numeric tables)."""
        return self.given.get(self.modality)


def find_layout(schema: pa.Schema, columns: Columns, who: str) -> Layout:
    """Resolve the mapping against the columns that are there, or say which one is missing."""
    with readable(who):
        names = list(schema.names)
        for field in schema:
            _check_names(field.type)
    if len(set(names)) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise CorpusError(who, "distinct column names", f"{_listed(twice)} twice", "rename them")
    lower = {name.lower(): name for name in reversed(names)}
    given: dict[str, str] = {}
    for field in fields(columns):
        asked = getattr(columns, field.name)
        if asked is not None:
            if asked not in names:
                raise _missing(who, asked, names)
            given[field.name] = asked
        else:
            usual = (lower[n] for n in USUAL[field.name] if n in lower)
            free = (n for n in usual if n not in given.values() and not _asked(columns, n))
            found = next(free, None)
            if found is not None:
                given[field.name] = found
    modality = _modality(schema, columns, given, who)
    if modality != "image" and columns.image is None:
        given.pop("image", None)
    if modality != "numeric":
        given.pop("vector", None)
    return Layout(modality, given)


def open_tables(
    files: Sequence[File],
    columns: Columns,
    schema_of: Callable[[File], pa.Schema | None],
    shards_of: Callable[[File, Layout], Iterable[Shard]],
) -> Corpus:
    """A corpus out of files that each hold many rows; ``schema_of`` is none for an empty file."""
    shards: list[Shard] = []
    found: set[Modality] = set()
    for file in files:
        schema = schema_of(file)
        if schema is not None:
            layout = find_layout(schema, columns, file.path)
            found.add(layout.modality)
            shards += shards_of(file, layout)
    who = files[0].path if len(files) == 1 else f"{files[0].path} and {len(files) - 1} more"
    if not shards:
        raise CorpusError(who, "at least one record", "none", "check that the file is complete")
    if len(found) > 1:
        raise CorpusError(who, "one kind of content", _listed(sorted(found)), "open them apart")
    return Corpus(who, tuple(shards), found.pop())


def conform(
    batch: pa.RecordBatch,
    layout: Layout,
    quarantine: Quarantine,
    *,
    file: str,
    at: NDArray[np.int64],
    unit: Literal["row", "byte"] = "row",
    raw: Callable[[int], bytes] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The batch in canonical form, bad rows quarantined, in pieces of bounded size.

    ``at`` is the position of each row in the file, ``raw`` gives the bytes a row was read from.
    """
    with readable(file):
        for column in batch.columns:
            _check_bounds(column)
    columns = _rename(batch, layout)
    bad = _faults(columns, layout, len(at), file)
    for i, reason in sorted(bad.items()):
        stored = raw(i) if raw is not None else _raw(batch, i)
        quarantine.add(reason, file=file, unit=unit, at=int(at[i]), raw=stored)
    if bad:
        good = np.setdiff1d(np.arange(len(at)), np.fromiter(bad, np.int64))
        columns = {name: column.take(pa.array(good)) for name, column in columns.items()}
        at = at[good]
    if not len(at):
        return
    origins = canonical({n: c for n, c in columns.items() if n in USUAL})
    columns = {n: c for n, c in columns.items() if n not in USUAL} | origins
    columns["id"] = _ids(columns.get("id"), file, at)
    order = sorted(columns, key=lambda n: RANK.get(n, len(RANK)))
    yield from by_size(pa.RecordBatch.from_arrays([columns[n] for n in order], order))


def by_size(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch cut in halves until each piece is small, or a single record."""
    if batch.nbytes <= 2 * BATCH_BYTES or batch.num_rows < 2:
        yield batch
        return
    half = batch.num_rows // 2
    yield from by_size(batch.slice(0, half))
    yield from by_size(batch.slice(half))


def _modality(schema: pa.Schema, columns: Columns, given: dict[str, str], who: str) -> Modality:
    if columns.image is not None:
        return "image"
    if columns.vector is not None:
        return "numeric"
    if "text" in given:
        kind = _plain(schema.field(given["text"]).type)
        if not (_is(kind, _TEXT) or _is(kind, _BYTES) or pa.types.is_null(kind)):
            raise CorpusError(
                who, f"strings in column {given['text']!r}", str(kind)[:80], "name another column"
            )
        return "text"
    if "image" in given:
        return "image"
    origin = {name for column, name in given.items() if column != "vector"}
    rest = [schema.field(n).type for n in schema.names if n not in origin]
    if any(map(_is_vector, rest)) or (rest and all(_is(t, _NUMBERS) for t in rest)):
        return "numeric"
    usual = " or ".join(USUAL["text"][:4])
    raise CorpusError(
        who,
        f"a text column ({usual})",
        f"columns {_listed(schema.names)}",
        "name it: --text-column NAME, or Columns(text=NAME)",
    )


def _is_vector(kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return True
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))


def _missing(who: str, asked: str, names: list[str]) -> CorpusError:
    near = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "name one of these"
    return CorpusError(who, f"a column {asked!r}", f"columns {_listed(names)}", hint)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:12])
    return (shown or "none") + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _asked(columns: Columns, name: str) -> bool:
    return any(getattr(columns, field.name) == name for field in fields(columns))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is(kind: pa.DataType, tests: Iterable[Callable[[pa.DataType], bool]]) -> bool:
    return any(test(kind) for test in tests)


def _rename(batch: pa.RecordBatch, layout: Layout) -> dict[str, pa.Array]:
    """Columns under canonical names; one that is in the way of such a name becomes *_given."""
    to = {given: name for name, given in layout.given.items()}
    taken = set(layout.given) | {"id"}
    columns: dict[str, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        new = to.get(name) or (f"{name}_given" if name in taken else name)
        if new == "text" or new == "id":
            column = strings(column)
        elif new == "image" and pa.types.is_struct(column.type):
            column = column.field("bytes") if column.type.get_field_index("bytes") >= 0 else column
        columns[new] = column
    return columns


def _check_names(kind: pa.DataType) -> None:
    """Meet a nested name that is not UTF-8 here, where it becomes one line of error."""
    if pa.types.is_struct(kind):
        for field in kind.fields:
            assert field.name is not None
            _check_names(field.type)
    elif pa.types.is_nested(kind) and hasattr(kind, "value_type"):
        _check_names(kind.value_type)


def _check_bounds(column: pa.Array) -> None:
    """Offsets and indices stay inside their buffers, or reading them would crash."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _bytes(column)
    column.validate(full=True)


def _bytes(column: pa.Array) -> pa.Array:
    """A string column as bytes, without looking at them."""
    large = pa.types.is_large_string(column.type)
    return column.view(pa.large_binary() if large else pa.binary())


def _faults(columns: dict[str, pa.Array], layout: Layout, n: int, file: str) -> dict[int, str]:
    """Row number to reason, for the rows that cannot be used."""
    bad: dict[int, str] = {}
    for name, column in columns.items():
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            if not (_is(column.type, _TEXT[:2]) and "UTF8" in str(error)):
                reason = str(error)[:100]
                raise CorpusError(
                    file, f"a sound column {name!r}", reason, "write the file again"
                ) from error
            bad |= dict.fromkeys(_undecodable(column), f"invalid UTF-8 in {name}")
    content = columns.get(layout.modality)
    if layout.modality != "numeric":
        missing = np.arange(n) if content is None else np.flatnonzero(content.is_null())
        bad |= dict.fromkeys(missing.tolist(), f"no {layout.modality}")
    return bad


def _undecodable(column: pa.Array) -> Iterator[int]:
    for i, value in enumerate(_bytes(column)):
        try:
            (value.as_py() or b"").decode()
        except UnicodeDecodeError:
            yield i


def _ids(column: pa.Array | None, file: str, at: NDArray[np.int64]) -> pa.Array:
    default = pc.binary_join_element_wise(file, pa.array(at).cast(pa.string()), "#")
    if column is None:
        return default
    return pc.coalesce(column.cast(pa.string()), default)


def _raw(batch: pa.RecordBatch, i: int) -> bytes:
    """A row as JSON, for want of the bytes it was read from."""
    row: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        held = _bytes(strings(column.slice(i, 1)))[0].as_py()
        row[name] = None if held is None else held[:1_000].decode("utf-8", "backslashreplace")
    return json.dumps(row, ensure_ascii=False).encode()
