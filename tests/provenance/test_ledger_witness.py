"""Witnesses: they sign what grew, and never two histories."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ledger_cases import KEY, WITNESS, entry, filled

from tailguard.provenance.keys import generate
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.notes import Note
from tailguard.provenance.ledger.verifying import verify
from tailguard.provenance.ledger.witness import cosign, witness, witnessed


def test_a_witness_follows_a_log_that_grows(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 3)
    first = witness(ledger, WITNESS, tmp_path / "state", at=100)
    assert (first.before, first.checkpoint.size) == (0, 3)
    ledger.append([entry(i) for i in range(3, 300)], KEY)
    assert witnessed(ledger.head()[1], [WITNESS.public], 0) == ()  # of a head that is no more
    second = witness(ledger, WITNESS, tmp_path / "state", at=50)  # its clock went back
    assert (second.before, second.checkpoint.size) == (3, 300)
    third = witness(ledger, WITNESS, tmp_path / "state", at=200)
    assert (third.before, third.checkpoint.size) == (300, 300)
    assert witnessed(ledger.head()[1], [WITNESS.public]) == ((WITNESS.public.name, 200),)
    assert verify(ledger).ok
    assert ledger.append([entry(300)], KEY) == range(300, 301)


def test_a_witness_signs_no_second_history(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 5)
    shutil.copytree(tmp_path / "log", tmp_path / "fork")
    ledger.append([entry(5)], KEY)
    witness(ledger, WITNESS, tmp_path / "state")
    back = Ledger.open(tmp_path / "fork")
    with pytest.raises(LedgerBroken, match="at least the 6 entries that were seen"):
        witness(back, WITNESS, tmp_path / "state")
    for number in (60, 61):  # as long, and then longer
        back.append([entry(number)], KEY)
        with pytest.raises(LedgerBroken, match="the 6 entries that were seen unchanged"):
            witness(back, WITNESS, tmp_path / "state")
    assert witnessed(back.head()[1], [WITNESS.public], 0) == ()
    witness(ledger, WITNESS, tmp_path / "state")


def test_witnesses_of_several_logs_keep_them_apart(tmp_path: Path) -> None:
    other_key = generate("example.com/other")
    one, other = filled(tmp_path / "a", 3), filled(tmp_path / "b", 1, other_key)
    for _ in range(2):
        assert witness(one, WITNESS, tmp_path / "state").checkpoint.size == 3
        assert witness(other, WITNESS, tmp_path / "state").checkpoint.size == 1
    second = generate("witness.example/w2")
    witness(one, second, tmp_path / "state-2")
    names = [name for name, _ in witnessed(one.head()[1], [second.public, WITNESS.public])]
    assert names == [second.public.name, WITNESS.public.name]


@pytest.mark.parametrize("data", [b"", b"{}", b"nonsense", b'{"format":"tailguard-witness-1"}',
                                  b'{"format":"tailguard-witness-1","seen":{"a":1}}'])  # fmt: skip
def test_a_state_that_is_none_is_never_taken_for_a_first_sight(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "state").write_bytes(data)
    ledger = filled(tmp_path / "log", 1)
    with pytest.raises(LedgerError, match="restore it"):
        witness(ledger, WITNESS, tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == data


def test_a_state_of_another_key_is_seen(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 1)
    witness(ledger, WITNESS, tmp_path / "state")
    stranger = filled(tmp_path / "stranger", 1, generate("example.com/log"))
    with pytest.raises(LedgerBroken, match="none of that key"):
        witness(stranger, WITNESS, tmp_path / "state")


def test_only_signatures_may_be_added_to_a_head(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 2)
    head, note = ledger.head()
    ledger.append([entry(2)], KEY)
    assert not ledger.set_head(cosign(note, WITNESS, at=1))
    assert ledger.size == 3
    with pytest.raises(LedgerBroken, match="none of that key"):
        ledger.set_head(Note(ledger.head()[1].text, (("x", b"1234", b"y"),)))
    assert head.size == 2
