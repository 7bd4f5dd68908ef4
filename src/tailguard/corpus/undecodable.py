"""Bytes that are not UTF-8, carried through a parser that chokes on them.

Arrow's CSV reader cannot report a misfit row that is not UTF-8. So each undecodable byte b travels
as the private character U+10FF00 + b and is put back in the parsed cells, where the row can be
quarantined like any other.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

import numpy as np
import pyarrow as pa

_FIRST = 0x10FF00
_CARRIED = re.compile(b"\xf4\x8f[\xbe\xbf][\x80-\xbf]")


def _carry(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(chr(_FIRST + byte) for byte in bad), error.end


codecs.register_error("tailguard.carry", _carry)


class Carrying:
    """A stream in which every byte sequence is UTF-8; ``used`` tells whether any had to change."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("tailguard.carry")
        self._ready = b""
        self.used = False

    def read(self, n: int) -> bytes:
        while not self._ready:
            chunk: bytes = self._stream.read(n)
            self._ready = self._checked(chunk)
            if not chunk:
                break
        given, self._ready = self._ready[:n], self._ready[n:]
        return given

    def _checked(self, chunk: bytes) -> bytes:
        pending = self._decoder.getstate()[0]
        if chunk and not pending and chunk[-1] < 0x80 and is_utf8(chunk):
            return chunk
        checked = self._decoder.decode(chunk, final=not chunk).encode()
        self.used |= _CARRIED.search(checked) is not None
        return checked


def restore(content: bytes) -> bytes:
    """The bytes as they were in the file."""
    return _CARRIED.sub(lambda m: bytes([ord(m[0].decode()) & 0xFF]), content)


def restored(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with all undecodable bytes back in their cells."""
    columns = []
    for column in batch.columns:
        if pa.types.is_string(column.type):
            cells = column.view(pa.binary()).to_pylist()
            column = pa.array([None if c is None else restore(c) for c in cells], pa.binary())
            column = column.view(pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def is_utf8(content: bytes) -> bool:
    """Whether all of it is UTF-8; Arrow checks several gigabytes a second."""
    ends = pa.py_buffer(np.array([0, len(content)], np.int64))
    whole = pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(content)])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
