"""The pages on the laboratory and on provenance do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import ROOT, Command, check, run_document


def test_the_commands_of_the_page_on_the_laboratory_work(tmp_path: Path) -> None:
    assert len(run_document(ROOT / "docs/lab.md", tmp_path)) >= 8


def test_the_page_on_provenance_ends_in_a_proof_that_the_independent_script_believes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILGUARD_HOME", str(tmp_path / "home"))
    assert len(run_document(ROOT / "docs/provenance.md", tmp_path)) >= 11
    checking = f"python {ROOT / 'examples/check_proof.py'} proof.json ledger.key.pub"
    check(Command(checking, 0), tmp_path)
    proof = tmp_path / "proof.json"
    proof.write_text(proof.read_text().replace("a", "b", 1))
    with pytest.raises(AssertionError):
        check(Command(checking, 0), tmp_path)
