"""The tokenizer: what separates, what is one word, and that no byte beyond a document is read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure.tokens import tokenize

SPACES = [" ", "\n", "\t", "\r\n", "  ", "\u00a0", "\u2003", "\u3000", "\u2028", "\u202f"]
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z", "Cf"]), min_size=1)


def texts_of(text: str) -> list[str]:
    tokens = tokenize([text])
    return [tokens.text(i) for i in range(len(tokens.hashes))]


def hashes_of(text: str) -> list[int]:
    return tokenize([text]).hashes.tolist()


def raw_strings(chunks: list[bytes]) -> pa.Array:
    """A string array over bytes that nobody validated; the buffer ends with the last byte."""
    offsets = np.concatenate([[0], np.cumsum([len(c) for c in chunks])]).astype(np.int64)
    data = b"".join(chunks)
    return pa.Array.from_buffers(
        pa.large_string(), len(chunks), [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data)]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop.", ["Don't", "stop", "."]),
        ("dogs' 'tis", ["dogs", "'", "'", "tis"]),
        ("don’t", ["don’t"]),
        ("rock'", ["rock", "'"]),
        ("a----b?!", ["a", "----", "b", "?", "!"]),
        ("snake_case x1 3.14", ["snake_case", "x1", "3", ".", "14"]),
        ("naïve café Straße", ["naïve", "café", "Straße"]),
        ("жук и ёж", ["жук", "и", "ёж"]),
        ("我爱你。", ["我", "爱", "你", "。"]),
        ("ひらカタ", ["ひ", "ら", "カ", "タ"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("한국어 말", ["한국어", "말"]),
        ("hi👍👍", ["hi", "👍", "👍"]),
        ("“quoted” — so…", ["“", "quoted", "”", "—", "so", "…"]),
        ("µ ¿qué?", ["µ", "¿", "qué", "?"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_text_falls_into_the_tokens_a_reader_would_see(text: str, expected: list[str]) -> None:
    assert texts_of(text) == expected


@settings(deadline=None)
@given(st.lists(words, max_size=12), st.data())
def test_wrapping_text_anew_changes_no_token(parts: list[str], data: st.DataObject) -> None:
    gaps = [data.draw(st.sampled_from(SPACES)) for _ in parts]
    wrapped = "".join(gap + part for gap, part in zip(gaps, parts, strict=True))
    assert hashes_of(wrapped + "\n") == hashes_of(" ".join(parts))


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_ascii_case_changes_no_token(text: str) -> None:
    assert hashes_of(text.upper()) == hashes_of(text) == hashes_of(text.lower())


@settings(deadline=None)
@given(
    st.text("ab\u00e9\u0436", min_size=1, max_size=5), st.text("ab\u00e9", min_size=1, max_size=5)
)
def test_straight_and_curly_apostrophes_within_words_are_one(left: str, right: str) -> None:
    assert hashes_of(f"{left}'{right}") == hashes_of(f"{left}’{right}")
    assert len(hashes_of(f"{left}'{right}")) == 1


def test_different_words_have_different_hashes() -> None:
    many = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in range(300)]
    assert len(set(tokenize([" ".join(many)]).hashes.tolist())) == len(many)


def test_hashes_are_spread_over_all_their_bits() -> None:
    hashes = tokenize([" ".join(f"word{i}" for i in range(20_000))]).hashes
    bits = np.unpackbits(hashes.view(np.uint8)).reshape(len(hashes), 64).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 5 * 0.5 / np.sqrt(len(hashes))


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=6))
def test_spans_show_the_source_and_cover_all_but_white_space(texts: list[str]) -> None:
    tokens = tokenize(texts)
    assert len(tokens) == len(texts)
    for document, text in enumerate(texts):
        lo, hi = tokens.offsets[document : document + 2]
        shown = [tokens.text(i) for i in range(lo, hi)]
        assert all(part in text for part in shown)
        if lo < hi:
            assert tokens.text(lo, hi) in text
        # What a token shows is again that token alone.
        for part, hash_ in zip(shown, tokens.hashes[lo:hi], strict=True):
            assert hashes_of(part) == [hash_]


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=5), st.binary(max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_byte_outside_a_document_is_read(chunks: list[bytes], after: bytes) -> None:
    """Each document gives the same tokens alone at the end of its buffer as among others."""
    together = tokenize(raw_strings([*chunks, after]))
    for document, chunk in enumerate(chunks):
        alone = tokenize(raw_strings([chunk])).hashes
        lo, hi = together.offsets[document : document + 2]
        assert alone.tolist() == together.hashes[lo:hi].tolist()
    start = np.concatenate([[0], np.cumsum([len(c) for c in chunks])])
    for document in range(len(chunks)):
        lo, hi = together.offsets[document : document + 2]
        spans = together.spans[lo:hi]
        assert (spans >= start[document]).all() and (spans <= start[document + 1]).all()
        assert (spans[:, 1] > spans[:, 0]).all()


@pytest.mark.parametrize("character", ["é", "’", "我", "ไ", "👍", "\u00a0", "\u2003", "don’t"])
def test_a_character_cut_off_at_the_end_is_no_more_than_its_bytes(character: str) -> None:
    whole = character.encode()
    for stop in range(1, len(whole)):
        tokens = tokenize(raw_strings([whole[:stop]]))
        assert (tokens.spans <= stop).all()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_arrow_string_type_and_slice_gives_the_same_tokens(kind: pa.DataType) -> None:
    texts = ["one two", "", "drei vier fünf", "六", "seven's"]
    plain = tokenize(texts)
    array = pa.array(texts).cast(kind)
    assert tokenize(array).hashes.tolist() == plain.hashes.tolist()
    for start in range(len(texts)):
        for length in range(len(texts) - start + 1):
            part = tokenize(array.slice(start, length))
            assert part.hashes.tolist() == tokenize(texts[start : start + length]).hashes.tolist()
            assert len(part) == length


def test_nothing_and_only_empty_texts_give_no_tokens() -> None:
    assert len(tokenize([])) == 0
    assert tokenize(["", "", ""]).lengths.tolist() == [0, 0, 0]
