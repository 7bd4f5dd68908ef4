"""Signed notes and checkpoints: the standard's own examples, and one text for one meaning."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_cases import KEY, OTHER, WITNESS

from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.keys import parse_vkey
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.notes import (
    Checkpoint,
    Note,
    parse_checkpoint,
    parse_note,
    sign_checkpoint,
    strict_base64,
    verify_checkpoint,
)
from tailguard.provenance.ledger.witness import cosign, cosigner_vkey, parse_cosigner, witnessed
from tailguard.provenance.merkle import leaf_hash

# C2SP signed-note, the example of the specification (its key is not given there).
POEM = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""  # noqa: E501
# C2SP tlog-cosignature, the example of a checkpoint with a cosignature.
SOFA = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501
# The example of Go's package golang.org/x/mod/sumdb/note, with the key it was signed with.
PETER = parse_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
PROBLEM = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""  # noqa: E501

HEAD = Checkpoint("example.com/log", 7, leaf_hash(b"x"))
SIGNED = sign_checkpoint(HEAD, KEY)


def test_a_note_signed_by_another_implementation_verifies() -> None:
    note = parse_note(PROBLEM.encode())
    signature = note.signature(PETER.name, PETER.note_hash)
    assert signature is not None and PETER.verifies(signature, note.text.encode())
    assert not PETER.verifies(signature, note.text.replace("don't", "do").encode())


def test_examples_of_the_specifications_are_read_and_written_alike() -> None:
    for text in (POEM, SOFA, PROBLEM):
        assert parse_note(text.encode()).to_bytes() == text.encode()
    assert parse_note(POEM.encode()).text.endswith("\n\ned è subito sera.\n")
    sofa = parse_note(SOFA.encode())
    assert parse_checkpoint(sofa.text).size == 20_852_163
    # The cosignature: 8 bytes of time, as the specification's text shows it.
    assert int.from_bytes(sofa.signatures[1][2][:8], "big") == 1_679_315_147
    assert len(sofa.signatures[1][2]) == 72


def test_a_checkpoint_verifies_with_its_own_key_only() -> None:
    assert verify_checkpoint(parse_note(SIGNED.to_bytes()), KEY.public) == HEAD
    with pytest.raises(LedgerBroken, match="none of that key"):
        verify_checkpoint(SIGNED, OTHER.public)
    forged = Note(SIGNED.text.replace("\n7\n", "\n8\n"), SIGNED.signatures)
    with pytest.raises(LedgerBroken, match="a wrong one"):
        verify_checkpoint(forged, KEY.public)
    with pytest.raises(LedgerError, match="the key of"):
        sign_checkpoint(HEAD, WITNESS)


def test_a_log_cannot_sign_for_another_by_its_checkpoint() -> None:
    """A key that signs any text must not vouch for a checkpoint under another name."""
    text = Checkpoint("example.com/other", 7, HEAD.root).text
    name, mark = KEY.public.name, KEY.public.note_hash
    with pytest.raises(LedgerBroken, match="expected the log example"):
        verify_checkpoint(Note(text, ((name, mark, KEY.sign(text.encode())),)), KEY.public)


@pytest.mark.parametrize(
    "text",
    ["a\n1\n", "a\n01\nAA==\n", "a\n-1\nAA==\n", "a\n１\nAA==\n", "a\n1\nAA==\n",
     HEAD.text + "extension\n", HEAD.text.replace("example.com/log", "a b"),
     HEAD.text.replace("\n7\n", "\n99999999999999999\n"), HEAD.text.replace("=", ""),
     HEAD.text.replace("\n7\n", "\n7 \n"), HEAD.text[:-1], "\n" + HEAD.text],
)  # fmt: skip
def test_a_text_that_is_no_checkpoint_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(LedgerError) as caught:
        parse_checkpoint(text)
    assert "\n" not in str(caught.value)


def lines(*signatures: str) -> bytes:
    return (HEAD.text + "\n" + "".join(signatures)).encode()


GOOD = SIGNED.to_bytes().decode().rsplit("\n\n", 1)[1]


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", HEAD.text.encode(), lines(), lines("— a\n"), lines("- a AAAAAAAA\n"),
     lines(GOOD[:-1]), lines(GOOD, GOOD), lines(GOOD.replace("=", "")), lines(GOOD, "\n"),
     lines("— a AAAA\n"),
     lines(GOOD).replace(b"7", b"\x00"), lines(GOOD).replace(b"7", b"\xff"), lines(GOOD) + b"\r\n",
     lines(*(f"— a{i} AAAAAAAA\n" for i in range(65))), b"x" * 70_000],
)  # fmt: skip
def test_bytes_that_are_no_signed_note_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(LedgerError) as caught:
        parse_note(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@given(st.binary(max_size=6), st.integers(0, 200))
def test_only_one_text_decodes_to_some_bytes(data: bytes, at: int) -> None:
    text = b64encode(data).decode()
    assert strict_base64(text) == data
    other = text[: at % (len(text) + 1)] + "\n" + text[at % (len(text) + 1) :]
    with pytest.raises(ValueError, match="base64"):
        strict_base64(other)


def test_base64_with_stray_bits_at_its_end_is_refused() -> None:
    with pytest.raises(ValueError, match="canonical"):
        strict_base64("YR==")  # decodes to "a", as "YQ==" does


def test_a_cosignature_is_over_the_time_and_the_text() -> None:
    note = cosign(SIGNED, WITNESS, at=1_700_000_000)
    assert witnessed(note, [WITNESS.public]) == ((WITNESS.public.name, 1_700_000_000),)
    name, mark, signature = note.signatures[-1]
    # The message as the specification writes it out.
    message = f"cosignature/v1\ntime 1700000000\n{HEAD.text}"
    assert WITNESS.public.verifies(signature[8:], message.encode())
    later = (name, mark, (1_700_000_001).to_bytes(8, "big") + signature[8:])
    with pytest.raises(LedgerBroken, match="a wrong one"):
        witnessed(Note(note.text, (*note.signatures[:-1], later)), [WITNESS.public])
    assert verify_checkpoint(note, KEY.public) == HEAD
    # Once more: the former one goes.
    again = cosign(note, WITNESS, at=1_700_000_002)
    assert len(again.signatures) == 2


def test_too_few_witnesses_are_not_enough() -> None:
    note = cosign(SIGNED, WITNESS, at=1)
    with pytest.raises(LedgerBroken, match="2 witnesses, got 1"):
        witnessed(note, [WITNESS.public, PETER])
    assert witnessed(note, [WITNESS.public, PETER], 1) == ((WITNESS.public.name, 1),)
    with pytest.raises(LedgerBroken, match="1 witnesses, got 0"):
        witnessed(SIGNED, [WITNESS.public])


def test_the_line_of_a_witness_key_is_read_back() -> None:
    line = cosigner_vkey(WITNESS.public)
    assert line.split("+", 2)[2].startswith("B")  # the type byte 0x04 in base64
    assert parse_cosigner(line) == parse_cosigner(WITNESS.public.vkey) == WITNESS.public
    with pytest.raises(ProvenanceError):
        parse_cosigner(line.replace("+", "+0", 1))
