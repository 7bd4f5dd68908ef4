"""Proofs: what each claim needs, what it says, and that a false one cannot be made."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from ledger_cases import KEY, ORIGIN, OTHER, WITNESS, data_file, entry, filled, furnished

from tailguard.provenance import merkle
from tailguard.provenance.envelope import canonical_json
from tailguard.provenance.keys import generate
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.checking import Checked, check
from tailguard.provenance.ledger.inventory import take
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.proofs import Proof, Prover, load_proof, prove, save_proof
from tailguard.provenance.ledger.register import record_ids, register
from tailguard.provenance.ledger.statements import statement
from tailguard.provenance.ledger.verifying import verify
from tailguard.provenance.ledger.witness import refer, witness


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, list[str], str, Path]:
    path = tmp_path_factory.mktemp("proofs")
    return *furnished(path), path


def checked(proof: Proof, **options: Any) -> Checked:
    return check(canonical_json(proof), KEY.public, **options)


def test_a_record_is_proved_from_its_id_to_the_signed_head(held: Any) -> None:
    ledger, records, _, _ = held
    proof = prove(ledger, records[3])
    found = checked(proof)
    assert found.kind == "record" and found.entry is not None and found.entry.sequence == 1
    assert records[3] in found.claim and "part of the data-registered 'a.jsonl'" in found.claim
    assert found.checkpoint == ledger.head()[0]
    assert found.entry.statement["predicate"]["origin"] == ORIGIN
    # Records 50 to 59 are in both files: the newest is taken, unless one is asked for.
    assert checked(prove(ledger, records[55])).entry.sequence == 2  # type: ignore[union-attr]
    older = checked(prove(ledger, records[55], entry=1))
    assert older.entry is not None and older.entry.sequence == 1


def test_a_record_that_is_absent_is_proved_absent_and_none_other(held: Any) -> None:
    ledger, records, absent, _ = held
    alone = checked(prove(ledger, absent, entry=2, absent=True))
    assert "is no part of the data-registered 'b.jsonl'" in alone.claim
    everywhere = checked(prove(ledger, absent, absent=True))
    assert "no part of the 2 data sets registered" in everywhere.claim
    assert any("inventory" in caveat for caveat in everywhere.caveats)
    for number in (1, None):
        with pytest.raises(LedgerError, match="data without the record"):
            prove(ledger, records[3], entry=number, absent=True)
    assert checked(prove(ledger, records[3], entry=2, absent=True)).kind == "no-record"
    with pytest.raises(LedgerError, match="in none of 3 maps here"):
        prove(ledger, absent)


def test_a_name_is_absent_until_the_inventory_that_has_it(tmp_path: Path) -> None:
    ledger, _, _ = furnished(tmp_path)
    digest = "sha256:" + json.loads(entry(4))["subject"][0]["digest"]["sha256"]
    # Entered after the inventory of the first three entries, which is what the claim says.
    found = checked(prove(ledger, about=digest, absent=True))
    assert found.claim.endswith("among the first 3 entries") and digest in found.claim
    with pytest.raises(LedgerError, match="entry 1"):
        prove(ledger, about="a.jsonl", absent=True)
    take(ledger, KEY)
    with pytest.raises(LedgerError, match="entry 4"):
        prove(ledger, about=digest, absent=True)


def test_without_an_inventory_or_a_map_the_line_says_what_to_do(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger", 2)
    data = data_file(tmp_path / "a.jsonl", 0, 20)
    register(ledger, data, ORIGIN, KEY, keep_map=False, engine="serial")
    record = next(r for _, _, r in record_ids(data))
    with pytest.raises(LedgerError, match="in none of 0 maps here"):
        prove(ledger, record)
    assert checked(prove(ledger, record, data=data)).kind == "record"
    with pytest.raises(LedgerError, match="take one: ledger inventory"):
        prove(ledger, record, absent=True)
    with pytest.raises(LedgerError, match="pass the data"):
        prove(ledger, "00" * 32, absent=True, entry=2)
    assert checked(prove(ledger, "00" * 32, absent=True, entry=2, data=data)).kind == "no-record"
    take(ledger, KEY)
    assert checked(prove(ledger, "00" * 32, absent=True, data=data)).kind == "no-record-anywhere"
    other = data_file(tmp_path / "b.jsonl", 5, 20)
    with pytest.raises(LedgerError, match="pass the data"):
        prove(ledger, "00" * 32, absent=True, entry=2, data=other)
    assert not list((tmp_path / "ledger").glob(".build*"))


def test_data_without_a_map_is_counted_in_the_claim_of_absence(tmp_path: Path) -> None:
    ledger, _, absent = furnished(tmp_path)
    subject = [("elsewhere", {"sha256": "11" * 32})]
    ledger.append([statement("data-registered", subject, {"origin": {"kind": "unknown"}})], KEY)
    take(ledger, KEY)
    for map_file in (tmp_path / "ledger/maps").iterdir():
        if map_file.stem == ledger.entry(6).statement["predicate"]["map"]["root"]:
            map_file.unlink()  # made again from the log
    assert checked(prove(ledger, about="nothing", absent=True)).kind == "no-name"
    claim = checked(prove(ledger, absent, absent=True)).claim
    assert "2 data sets registered; 1 more have no map and may hold it" in claim


def test_a_log_is_proved_to_have_only_grown(held: Any, tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 0)
    for n in (0, 1, 2, 255, 256, 300):
        (tmp_path / "old").write_bytes((tmp_path / "log/checkpoint").read_bytes())
        ledger.append([entry(i) for i in range(n)], KEY)
        assert checked(prove(ledger, since=tmp_path / "old")).kind == "grown"
    other = Ledger.init(tmp_path / "other", KEY)
    other.append([entry(i) for i in range(10, 60)], KEY)
    with pytest.raises(LedgerBroken, match="a log that only grew"):
        prove(ledger, since=tmp_path / "other/checkpoint")
    with pytest.raises(LedgerBroken, match="the ledger went back"):
        prove(other, since=tmp_path / "log/checkpoint")


def test_a_proof_of_another_log_or_key_does_not_hold(held: Any) -> None:
    ledger, records, _, _ = held
    data = canonical_json(prove(ledger, records[0]))
    for key in (OTHER.public, WITNESS.public):
        with pytest.raises(LedgerBroken, match="none of that key"):
            check(data, key)


def test_a_log_that_refers_to_another_vouches_for_its_proofs(tmp_path: Path) -> None:
    ledger, records, absent = furnished(tmp_path)
    key = generate("example.com/union")
    union = Ledger.init(tmp_path / "union", key)
    union.append([entry(i) for i in range(5)], key)
    refer(union, ledger, key)
    ledger.append([entry(9)], KEY)  # grown since: proofs are against what was referred to
    for options in ({"record": records[1]}, {"record": absent, "absent": True}, {"entry": 0}):
        proof = prove(ledger, via=union, **options)  # type: ignore[arg-type]
        found = check(canonical_json(proof), key.public)
        assert found.via == "example.com/union" and found.checkpoint.origin == "example.com/log"
    with pytest.raises(LedgerError, match="one of 5 entries"):
        prove(ledger, via=union, entry=5)
    # A reference that the union did not enter does not pass, nor one to another checkpoint.
    stranger = dict(proof, checkpoint=prove(ledger, entry=0)["checkpoint"])
    with pytest.raises(LedgerBroken, match="a reference to this checkpoint"):
        check(canonical_json(stranger), key.public)
    inside = dict(proof, via=dict(proof["via"], entry=prove(union, entry=0)["entry"]))
    with pytest.raises(LedgerBroken):
        check(canonical_json(inside), key.public)
    with pytest.raises(LedgerError, match="a reference to example"):
        prove(ledger, via=Ledger.init(tmp_path / "empty", generate("e")), entry=0)


def test_a_statement_and_a_witness_are_asked_for_by_key(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 3)
    ledger.append([entry(3, signer=OTHER)], KEY)
    witness(ledger, WITNESS, tmp_path / "state", at=1_700_000_000)
    found = checked(prove(ledger, entry=3), witnesses=[WITNESS.public], signers=[OTHER.public])
    assert found.signed_by == (OTHER.public.name,)
    assert found.witnesses == ((WITNESS.public.name, 1_700_000_000),)
    assert "witnessed by witness" in found.words() and found.told()["ok"]
    with pytest.raises(LedgerBroken, match="a statement signed by witness"):
        checked(prove(ledger, entry=3), signers=[WITNESS.public])
    with pytest.raises(LedgerBroken, match="a statement signed by"):
        checked(prove(ledger, entry=1), signers=[OTHER.public])
    ledger.append([entry(4)], KEY)
    with pytest.raises(LedgerBroken, match="1 witnesses, got 0"):
        checked(prove(ledger, entry=3), witnesses=[WITNESS.public])


@pytest.mark.parametrize("asked", [
    {}, {"absent": True}, {"about": "x"}, {"record": "x", "about": "y", "absent": True},
    {"record": "00" * 31}, {"record": "AA" * 32}, {"record": "zz" * 32}, {"entry": 99},
    {"entry": -1}, {"record": "00" * 32, "entry": 0}, {"record": "00" * 32, "since": "x"},
])  # fmt: skip
def test_a_question_that_cannot_be_answered_is_one_line(held: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(LedgerError) as caught:
        prove(held[0], **asked)
    assert "\n" not in str(caught.value)


def test_a_damaged_ledger_gives_an_error_and_no_proof(tmp_path: Path) -> None:
    ledger, records, _ = furnished(tmp_path)
    for path in [*(tmp_path / "ledger/tile/0").rglob("*"), *(tmp_path / "ledger/maps").iterdir()]:
        if not path.is_file():
            continue
        good = path.read_bytes()
        path.write_bytes(good[:-5] + bytes([good[-5] ^ 1]) + good[-4:])
        for number in range(5):
            try:
                proof = Prover(ledger).entry(number)
            except LedgerError:
                continue
            assert checked(proof).kind == "entry"
        for record in records[::10]:
            try:
                proof = Prover(ledger).record(record, sequence=1)
            except LedgerError:
                continue
            assert checked(proof).kind == "record"
        path.write_bytes(good)


def test_a_damaged_tile_gives_no_proof_of_growth(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 3)
    shutil.copy(tmp_path / "log/checkpoint", tmp_path / "old")
    ledger.append([entry(i) for i in range(3, 300)], KEY)
    tile = tmp_path / "log/tile/0/000"
    good = tile.read_bytes()
    for at in (0, 32 * 3, 32 * 200):
        tile.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(LedgerBroken, match="a log that only grew"):
            prove(ledger, since=tmp_path / "old")
    tile.write_bytes(good)
    assert checked(prove(ledger, since=tmp_path / "old")).kind == "grown"


def test_an_inventory_tells_the_first_entry_of_a_name(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 3)
    ledger.append([entry(1), entry(2)], KEY)
    take(ledger, KEY)
    with pytest.raises(LedgerError, match="got entry 2"):
        prove(ledger, about="batch-2", absent=True)
    assert verify(ledger).ok


def false_claims(ledger: Ledger, records: list[str], absent: str) -> dict[str, Proof]:
    """Proofs in which everything is from the log but the claim is false or about something else."""
    record, missing = prove(ledger, records[3]), prove(ledger, absent, absent=True, entry=2)
    name = prove(ledger, about="nothing", absent=True)
    nowhere = prove(ledger, absent, absent=True)
    there = prove(ledger, records[3], entry=1)["map"]
    listed = nowhere["maps"]
    entry_0, entry_4 = (prove(ledger, entry=n)["entry"] for n in (0, 4))
    twice = {**listed[1], "sequence": listed[0]["sequence"]}
    return {
        "a record in other data": dict(record, entry=missing["entry"]),
        "a record for an absent one": dict(record, claim={"kind": "record", "record": absent}),
        "absence of a record that is there": dict(
            missing, claim={"kind": "no-record", "record": records[55]}
        ),
        "absence from data with it": dict(missing, entry=record["entry"]),
        "absence by the map that has it": dict(
            record, claim={"kind": "no-record", "record": records[3]}
        ),
        "absence by a verdict": dict(name, entry=entry_0),
        "a name by a map of records": dict(name, entry=record["entry"]),
        "absence from part of the data": dict(nowhere, maps=listed[:1]),
        "absence from no data": dict(nowhere, maps=[]),
        "absence from one twice": dict(nowhere, maps=[listed[0], twice]),
        "absence in another order": dict(nowhere, maps=listed[::-1]),
        "absence of one that is there": dict(
            nowhere, maps=[{**listed[0], **there}, listed[1]],
            claim={"kind": "no-record-anywhere", "record": records[3]},
        ),
        "another place": dict(record, entry=dict(record["entry"], index=0)),
        "another entry": dict(record, entry=dict(record["entry"], data=entry_4["data"])),
        "a place beyond the log": dict(record, entry=dict(entry_4, index=5)),
    }  # fmt: skip


def map_in_a_verdict(ledger: Ledger, record: str, path: Path) -> Proof:
    """A proof by an entry that is no data: anyone may write "record_map" into a verdict."""
    proof, root = prove(ledger, record), ledger.entry(1).statement["predicate"]["record_map"]
    other = filled(path, 0)
    predicate = {"status": "pass", "record_map": root}
    other.append([statement("verdict", [("x", {"sha256": "00" * 32})], predicate)], KEY)
    return dict(prove(other, entry=0), claim=proof["claim"], map=proof["map"])


def test_a_map_in_an_entry_that_is_no_data_proves_nothing(held: Any, tmp_path: Path) -> None:
    with pytest.raises(LedgerBroken, match="data with a map of its records"):
        checked(map_in_a_verdict(held[0], held[1][3], tmp_path / "log"))


def test_no_false_claim_passes_with_true_parts(held: Any) -> None:
    ledger, records, absent, _ = held
    for what, proof in false_claims(ledger, records, absent).items():
        try:
            checked(proof)
        except LedgerBroken:
            continue
        raise AssertionError(f"{what} passed")


def test_an_inventory_of_entries_to_come_proves_nothing(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 1)
    names, maps = {"root": "00" * 32, "keys": 0}, {"root": merkle.EMPTY_ROOT.hex(), "count": 0}
    predicate = {"size": 5, "map": names, "record_maps": {**maps, "without": 0}}
    ledger.append([statement("inventory", [("x", {"sha256": "00" * 32})], predicate)], KEY)
    with pytest.raises(LedgerBroken, match="an inventory of earlier entries"):
        prove(ledger, about="elsewhere", absent=True)


@pytest.mark.parametrize("change", [
    {"format": "tailguard-proof-2"}, {"claim": None}, {"claim": {"kind": []}},
    {"claim": {"kind": "x"}}, {"claim": {"kind": "record"}}, {"checkpoint": 5}, {"checkpoint": ""},
    {"entry": None}, {"map": None}, {"map": {"path": None, "found": None}},
    {"map": {"path": ["zz" * 32], "found": None}}, {"map": {"path": [], "found": [1, 2, 3]}},
    {"map": {"path": ["00" * 32] * 300, "found": None}},
    {"entry": {"index": -1, "data": "", "path": []}},
    {"entry": {"index": True, "data": "", "path": []}},
    {"entry": {"index": 0, "data": "?", "path": []}},
    {"entry": {"index": 0, "data": [], "path": 5}},
    {"more": 1}, {"via": 1}, {"via": {"checkpoint": 1, "entry": 1}},
    {"claim": {"kind": "record", "record": "00" * 32, "more": 1}},
])  # fmt: skip
def test_what_is_no_proof_is_refused_in_one_line(held: Any, change: dict[str, Any]) -> None:
    ledger, records, _, _ = held
    with pytest.raises(LedgerError) as caught:
        checked({**prove(ledger, records[0]), **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"5", b"{}", b"\xff", b"[" * 100_000, b'{"claim":{}}']
)
def test_bytes_that_are_no_proof_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(LedgerError) as caught:
        check(data, KEY.public)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_uppercase_hex_is_no_second_way_to_say_the_same(held: Any) -> None:
    ledger, records, _, _ = held
    proof = prove(ledger, records[3])
    key, value = proof["map"]["found"]
    for change in ({"found": [key.upper(), value]}, {"path": ["AB" * 32]}):
        shouted = dict(proof, map=dict(proof["map"], **change))
        for kind in ("record", "no-record"):
            with pytest.raises(LedgerError, match="fields of another kind"):
                checked(dict(shouted, claim={"kind": kind, "record": records[3]}))


def test_a_proof_is_saved_and_loaded_to_the_byte(held: Any, tmp_path: Path) -> None:
    proof = prove(held[0], held[1][0])
    save_proof(proof, tmp_path / "p.json")
    assert load_proof(tmp_path / "p.json") == canonical_json(proof)
    assert len(load_proof(tmp_path / "p.json")) < 4_000


def test_proofs_take_less_than_fifty_milliseconds(held: Any) -> None:
    ledger, records, absent, _ = held
    seconds = []
    for record in records[:9]:
        start = time.perf_counter()
        prove(ledger, record)
        prove(ledger, absent, absent=True)
        seconds.append((time.perf_counter() - start) / 2)
    assert sorted(seconds)[0] < 0.05
