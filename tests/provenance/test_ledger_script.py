"""The auditor's script: 100 lines, nothing of Tailguard, and it sees what is wrong."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ledger_cases import KEY, OTHER, WITNESS, entry, filled, furnished
from test_ledger_proofs import false_claims, map_in_a_verdict
from test_ledger_verify import changes

from tailguard.provenance.envelope import canonical_json
from tailguard.provenance.ledger.keymap import inner_hash, item_hash
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.notes import Checkpoint, Note
from tailguard.provenance.ledger.proofs import Proof, prove, save_proof

SCRIPT = Path(__file__).parents[2] / "examples/check_proof.py"


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Proof]:
    path = tmp_path_factory.mktemp("script")
    ledger, records, absent = furnished(path)
    shutil.copy(path / "ledger/checkpoint", path / "older")
    ledger.append([entry(5, signer=WITNESS), entry(6)], KEY)
    true = {
        "record": prove(ledger, records[3]),
        "no-record": prove(ledger, absent, absent=True, entry=1),
        "no-name": prove(ledger, about="nothing", absent=True),
        "entry": prove(ledger, entry=5),
        "grown": prove(ledger, since=path / "older"),
    }
    true["false: a map in a verdict"] = map_in_a_verdict(ledger, records[3], path / "other")
    return true | {
        f"false: {what}": proof for what, proof in false_claims(ledger, records, absent).items()
    }


def loaded() -> Any:
    """The script's own functions, in a namespace of its own."""
    space: dict[str, Any] = {"__name__": "check_proof"}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), space)
    return space["check"]


def holds(data: bytes, vkey: str, check: Any) -> str:
    """What the script says; empty where it refuses, by an exit or by any error."""
    try:
        return str(check(json.loads(data), vkey))
    except (SystemExit, Exception):
        return ""


def test_the_script_is_short_and_needs_nothing_of_tailguard() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 100
    names = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.parametrize("kind", ["record", "no-record", "no-name", "entry", "grown"])
def test_every_claim_is_checked_by_the_script(proofs: dict[str, Proof], kind: str) -> None:
    check = loaded()
    data = canonical_json(proofs[kind])
    assert holds(data, KEY.public.vkey, check)
    assert not holds(data, OTHER.public.vkey, check)
    assert not holds(data, WITNESS.public.vkey, check)


def test_the_script_passes_no_false_claim(proofs: dict[str, Proof]) -> None:
    check = loaded()
    false = [what for what in proofs if what.startswith("false: ")]
    assert len(false) > 12
    for what in false:
        assert not holds(canonical_json(proofs[what]), KEY.public.vkey, check), what
    # Hex in capitals must not make a record that is there look like another.
    there = proofs["record"]
    key, value = there["map"]["found"]
    for forged in (
        {"claim": {"kind": "no-record", "record": there["claim"]["record"]}},
        {"claim": {"kind": "no-record", "record": there["claim"]["record"][:-2]}},
    ):
        shouted = {**there, **forged, "map": {**there["map"], "found": [key.upper(), value]}}
        assert not holds(canonical_json(shouted), KEY.public.vkey, check)


def test_the_script_asks_for_the_signature_of_this_log(tmp_path: Path) -> None:
    """Proofs of logs that a stranger made up: everything fits but the key or the name."""
    check = loaded()
    stranger = filled(tmp_path / "stranger", 2, OTHER)
    proof = prove(stranger, entry=1)
    assert holds(canonical_json(proof), OTHER.public.vkey, check)
    head, note = stranger.head()
    # The stranger's signature under the marks of the key that is asked for.
    signature = note.signatures[0][2]
    forged = Note(note.text, ((KEY.public.name, KEY.public.note_hash, signature),))
    checkpoint = forged.to_bytes().decode()
    assert not holds(canonical_json({**proof, "checkpoint": checkpoint}), KEY.public.vkey, check)
    # A text under another name that this key did sign.
    text = Checkpoint("example.com/other", head.size, head.root).text
    signed = ((KEY.public.name, KEY.public.note_hash, KEY.sign(text.encode())),)
    checkpoint = Note(text, signed).to_bytes().decode()
    assert not holds(canonical_json({**proof, "checkpoint": checkpoint}), KEY.public.vkey, check)


def test_the_script_sees_a_log_that_was_changed_or_put_back(tmp_path: Path) -> None:
    check, first, second = loaded(), filled(tmp_path / "a", 3), Ledger.init(tmp_path / "b", KEY)
    second.append([entry(i) for i in range(10, 13)], KEY)
    older = first.head()[1].to_bytes().decode()
    first.append([entry(3), entry(4)], KEY)
    second.append([entry(13)], KEY)
    (tmp_path / "old").write_text(older)
    proof = prove(first, since=tmp_path / "old")
    assert holds(canonical_json(proof), KEY.public.vkey, check)
    heads = [first.head()[1].to_bytes().decode(), second.head()[1].to_bytes().decode()]
    for false in (
        {"checkpoint": heads[1]},
        {"older": heads[1]},
        {"older": heads[0], "checkpoint": older},
        {"older": heads[1], "checkpoint": heads[0], "path": []},
        {"path": proof["path"][:-1]},
        {"path": []},
    ):
        assert not holds(canonical_json({**proof, **false}), KEY.public.vkey, check), false


def test_the_script_knows_one_number_of_an_entry_and_one_place_of_a_key(tmp_path: Path) -> None:
    check = loaded()
    proof = prove(filled(tmp_path / "log", 2), entry=1)
    for index in (-1, 3, 5, 1.0, "1"):
        false = {**proof, "entry": {**proof["entry"], "index": index}}
        assert not holds(json.dumps(false).encode(), KEY.public.vkey, check), index
    space = check.__globals__
    high, low = b"\xff" * 32, b"\xf0" + bytes(31)
    # A map by somebody who put a key where another one belongs.
    bent = inner_hash(item_hash(high, 1), item_hash(low, 1)).hex()
    told = {"path": [item_hash(low, 1).hex()], "found": [high.hex(), 1]}
    lone = {"path": [], "found": [high.hex(), 1]}
    assert space["in_map"](lone, high, item_hash(high, 1).hex()) == 1
    assert space["in_map"](lone, bytes(32), item_hash(high, 1).hex()) is None
    for held, key, root in (
        (told, bytes(32), bent),
        (lone, b"short", item_hash(high, 1).hex()),
        (lone, high, item_hash(low, 1).hex()),
    ):
        with pytest.raises(SystemExit):
            space["in_map"](held, key, root)


def test_changes_to_a_proof_pass_the_script_only_if_they_change_no_claim(
    proofs: dict[str, Proof],
) -> None:
    check = loaded()
    for kind in ("record", "entry", "grown"):
        good = canonical_json(proofs[kind])
        said = holds(good, KEY.public.vkey, check)
        for bad in changes(good, 300, seed=5):
            # White space and stray bits of base64 mean nothing to the script, and change nothing.
            assert holds(bad, KEY.public.vkey, check) in ("", said)


def test_the_script_runs_from_the_command_line(proofs: dict[str, Proof], tmp_path: Path) -> None:
    save_proof(proofs["record"], tmp_path / "proof.json")
    (tmp_path / "ledger.pub").write_text(KEY.public.vkey + "\n")
    command = [sys.executable, "-I", str(SCRIPT), "proof.json", "ledger.pub"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("holds: "), done.stderr
    text = (tmp_path / "proof.json").read_text()
    (tmp_path / "proof.json").write_text(text.replace('"index":1', '"index":2'))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "" and "does not hold" in done.stderr
