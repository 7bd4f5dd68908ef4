"""The audit's section on provenance: what is told, what fails, and a gold that changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tailguard.auditing import audit
from tailguard.corpus import open_corpus
from tailguard.errors import InputError
from tailguard.provenance import keys
from tailguard.provenance.envelope import save
from tailguard.provenance.gold import lock
from tailguard.report.base import Finding, Verdict
from tailguard.report.policy import Policy

TEXTS = [
    text
    for batch in open_corpus("builtin:python-docs").batches()
    for text in batch.column("text").to_pylist()
    if len(text) > 600
]
GOLD, BATCH = TEXTS[::2], TEXTS[1::2]


def told(**columns: list[Any]) -> pa.Table:
    return pa.table({"text": BATCH, **columns})


def audited(batch: Any, gold: Any = GOLD, **asked: Any) -> Verdict:
    policy = Policy(sections={"provenance": asked}) if asked else Policy()
    return audit(batch, gold, policy=policy, engine="serial")


def origin(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.section == "provenance"]


def test_a_batch_that_says_nothing_of_its_origin_has_no_such_section() -> None:
    assert origin(audited(BATCH)) == []


def test_what_a_batch_says_of_its_origin_is_told_and_limits_nothing() -> None:
    n = len(BATCH)
    kind = ["human"] * (n - 20) + ["synthetic"] * 20
    verdict = audited(told(kind=kind, evidence=["audited"] * 100 + ["declared"] * (n - 100)))
    (finding,) = origin(verdict)
    assert verdict.passed and finding.severity == "info"
    assert (
        f"{100 / n:.1%} to 100.0%" in finding.title and f"synthetic {20 / n:.1%}" in finding.detail
    )


def test_a_limit_is_tested_at_the_bound_that_speaks_against_the_batch() -> None:
    n = len(BATCH)
    batch = told(kind=["human"] * n, evidence=["audited"] * (n // 2) + ["declared"] * (n - n // 2))
    assert audited(batch, min_verified_human=0.45).passed
    verdict = audited(batch, min_verified_human=0.55)
    assert (verdict.status, verdict.rule) == ("fail", "finding: provenance")
    assert "only sure to be" in origin(verdict)[0].title


def test_depth_beyond_the_limit_and_unknown_depth_both_fail() -> None:
    n = len(BATCH)
    deep = told(kind=["synthetic"] * n, generation=[2] * n)
    unknown = told(kind=["unknown"] * n)
    assert audited(deep, max_generation=2).passed
    assert audited(deep, max_generation=1).status == "fail"
    assert audited(unknown, max_generation=1).status == "fail"


def test_a_locked_gold_that_changed_or_is_signed_by_a_stranger_fails(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text("".join(json.dumps({"text": text}) + "\n" for text in GOLD))
    key, stranger = keys.generate("team"), keys.generate("stranger")
    for name, held in (("team", key), ("stranger", stranger)):
        keys.save(held, tmp_path / name)
    save(lock(str(gold), by="team", key=key), tmp_path / "gold.lock")
    asked = {"require_gold_lock": str(tmp_path / "gold.lock")}
    trusted, other = ([str(tmp_path / f"{name}.pub")] for name in ("team", "stranger"))
    assert audited(BATCH, str(gold), trusted_keys=trusted, **asked).passed
    assert audited(BATCH, str(gold), trusted_keys=other, **asked).status == "fail"
    gold.write_text(gold.read_text().replace("the", "teh", 1))
    verdict = audited(BATCH, str(gold), trusted_keys=trusted, **asked)
    assert verdict.status == "fail"
    assert any("rows" in line for line in origin(verdict)[0].examples)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"min_verified_humn": 0.5}, "min_verified_humn"),
        ({"min_verified_human": 1.5}, "min_verified_human"),
        ({"require_gold_lock": "gold.lock"}, "pass paths"),
    ],
)
def test_wrong_limits_are_refused_in_one_line(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        audited(BATCH, **asked)
    assert "\n" not in str(caught.value)
