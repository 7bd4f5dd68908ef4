"""The audit of real text: what it says, and that only the data, the policy and the seed decide."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audit_cases import documents, fields, halves

import tailguard
from tailguard import auditing
from tailguard.auditing import READ, SECTIONS, Case, audit
from tailguard.auditing.verdict import TESTED
from tailguard.corpus import Columns
from tailguard.errors import CorpusError, InputError, PolicyError
from tailguard.lab.families.ngram import NGram
from tailguard.lab.recursion import recurse
from tailguard.measure.profile import profile_texts
from tailguard.measure.store import save_profile
from tailguard.measure.survey import survey
from tailguard.report.base import Finding, Verdict
from tailguard.report.policy import Policy

GOLD, HUMAN = halves()
FEW_GOLD, FEW = GOLD[:60], HUMAN[:60]
COLLAPSED = ("early", "mid", "late")


@pytest.fixture(scope="module")
def base() -> Verdict:
    """Held-out human text against gold."""
    return audit(HUMAN, GOLD, engine="serial")


@pytest.fixture(scope="module")
def quick() -> Verdict:
    """Fewer documents, where only sameness matters."""
    return audit(FEW, FEW_GOLD, engine="serial")


@pytest.fixture(scope="module")
def generations() -> list[list[str]]:
    """Text of a word model trained on gold, on its own text, and so on: generations 0 to 6."""
    model = NGram(order=4, escape=3.0, temperature=0.8)
    return [list(g.data) for g in recurse(GOLD, model, generations=6, seed=1)]


def test_held_out_human_text_passes(base: Verdict) -> None:
    assert (base.status, base.stage, base.exit_code) == ("pass", "healthy", 0)
    assert base.score < 0.25 and not any(axis.alarm for axis in base.axes)


@pytest.mark.parametrize(("generation", "stage"), [(1, "early"), (6, "late")])
def test_a_model_trained_on_itself_is_early_first_and_late_last(
    generations: list[list[str]], generation: int, stage: str
) -> None:
    verdict = audit(generations[generation], GOLD, engine="serial")
    assert (verdict.status, verdict.stage, verdict.exit_code) == ("fail", stage, 1)
    assert verdict.rule == f"fail_on: {stage}"
    assert any(f.examples for f in verdict.findings)


def benign() -> dict[str, list[str]]:
    return {
        "half length": [text[: len(text) // 2] for text in HUMAN],
        "a quarter": HUMAN[: len(HUMAN) // 4],
        "another order": HUMAN[::-1],
        "code": list(documents("builtin:python-code"))[:270],
    }


@pytest.mark.parametrize(
    "change",
    ["half length", "a quarter", "another order", "code"],
)
def test_benign_changes_are_never_called_collapse(change: str) -> None:
    verdict = audit(benign()[change], GOLD, engine="serial")
    assert verdict.stage not in COLLAPSED, verdict.headline
    assert verdict.status != "fail"


def test_another_order_of_documents_changes_nothing_at_all(quick: Verdict) -> None:
    assert fields(audit(FEW[::-1], FEW_GOLD[::-1], engine="serial")) == fields(quick)


def containers(folder: Path) -> Iterator[tuple[str, Any]]:
    import pandas as pd
    import polars as pl
    from datasets import Dataset

    table = pa.table({"text": FEW})
    yield "Arrow", table
    yield "pandas", pd.DataFrame({"text": FEW})
    yield "Polars", pl.DataFrame({"text": FEW})
    yield "HF dataset", Dataset.from_dict({"text": FEW})
    yield "tuple", tuple(FEW)
    yield "corpus", tailguard.open_corpus(FEW)
    pq.write_table(table, folder / "batch.parquet")
    yield "Parquet", folder / "batch.parquet"
    lines = "".join(json.dumps({"text": text}) + "\n" for text in FEW)
    (folder / "batch.jsonl").write_text(lines)
    yield "JSON lines", str(folder / "batch.jsonl")
    yield "list of paths", [folder / "batch.jsonl"]
    save_profile(profile_texts(FEW), folder / "batch.profile")
    yield "profile on disk", folder / "batch.profile"
    yield "profile", profile_texts(FEW)
    yield "survey", survey(FEW, engine="serial")


def test_every_container_of_the_same_texts_gets_the_same_verdict(
    tmp_path: Path, quick: Verdict
) -> None:
    gold = survey(FEW_GOLD, engine="serial").profile
    expected = fields(quick)
    seen = [name for name, held in containers(tmp_path)
            if fields(audit(held, gold, engine="serial")) == expected]  # fmt: skip
    assert seen == [name for name, _ in containers(tmp_path)]


def test_engine_and_workers_change_nothing(tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"part-{number}.jsonl")
        rows = ({"text": text, "source": f"s{i % 2}"} for i, text in enumerate(FEW[number::4]))
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [
        fields(audit(paths, FEW_GOLD, by=["source"], engine=engine, workers=workers))
        for engine, workers in (("serial", None), ("local", 1), ("local", 2))
    ]
    assert found[0] == found[1] == found[2]
    assert len(found[0]["slices"]) == 2


def test_the_seed_and_only_the_seed_decides_what_is_random(quick: Verdict) -> None:
    again, other = (audit(FEW, FEW_GOLD, engine="serial", seed=seed) for seed in (0, 9))
    assert fields(again) == fields(quick)
    assert [axis.p for axis in other.axes] != [axis.p for axis in quick.axes]
    assert [a.retention for a in other.axes] == [a.retention for a in quick.axes]


def test_a_slice_with_damage_stands_out_from_the_others(generations: list[list[str]]) -> None:
    fake = generations[3][:130]
    table = pa.table(
        {"text": HUMAN[:130] + fake, "source": ["people"] * 130 + ["model"] * len(fake)}
    )
    verdict = audit(table, GOLD, by=["source"], engine="serial")
    found = {s.value: s for s in verdict.slices}
    assert set(found) == {"people", "model"}
    assert found["people"].stage not in COLLAPSED and found["model"].stage in COLLAPSED
    assert found["model"].documents == len(fake)
    assert found["model"].retention["T"][0] < found["people"].retention["T"][0]


def test_a_policy_file_decides_and_an_object_decides_alike(
    tmp_path: Path, generations: list[list[str]]
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("fail_on: [late]\nwarn_on: [early, mid]\n")
    loose = audit(generations[1], GOLD, policy=path, engine="serial")
    assert (loose.status, loose.exit_code) == ("warn", 0) and loose.stage in ("early", "mid")
    rules = Policy(fail_on=frozenset({"late"}), warn_on=frozenset({"early", "mid"}))
    assert fields(audit(generations[1], GOLD, policy=rules, engine="serial")) == fields(loose)
    with pytest.raises(PolicyError, match="a policy file"):
        audit(HUMAN, GOLD, policy=tmp_path / "none.yaml")


def test_limits_of_the_policy_fail_a_healthy_batch() -> None:
    batch = [*HUMAN[:135], *HUMAN[:20]]
    limits = Policy(max_near_duplicate_frac=0.05, fail_on=frozenset())
    verdict = audit(batch, GOLD, policy=limits, engine="serial")
    assert (verdict.status, verdict.rule) == ("fail", "finding: max_near_duplicate_frac")


def test_unreadable_rows_beyond_the_limit_fail_and_are_counted(tmp_path: Path) -> None:
    batch: list[Any] = [*HUMAN, *[None] * 30]
    bad = tmp_path / "bad.jsonl"
    verdict = audit(batch, GOLD, engine="serial", quarantine=bad)
    assert (verdict.status, verdict.rule) == ("fail", "finding: max_quarantined_frac")
    assert verdict.batch.quarantined == 30 == len(bad.read_text().splitlines())


def test_a_section_of_ones_own_is_part_of_every_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    def names_nobody(case: Case) -> Iterator[Finding]:
        if "zygote" not in case.lost:
            detail = f"{case.batch.n_documents} documents"
            yield Finding("names", "somebody is named", severity, detail, "ask them")

    monkeypatch.setattr(auditing, "SECTIONS", [*SECTIONS, names_nobody])
    outcome = {}
    for severity in ("info", "warn", "fail"):
        verdict = audit(FEW, FEW_GOLD, engine="serial")
        mine = [f for f in verdict.findings if f.section == "names"]
        assert [(f.title, f.detail) for f in mine] == [
            ("somebody is named", f"{len(FEW)} documents")
        ]
        outcome[severity] = (verdict.status, verdict.rule)
    assert outcome == {
        "info": ("inconclusive", "insufficient"),
        "warn": ("inconclusive", "insufficient"),
        "fail": ("fail", "finding: names"),
    }


def test_documents_shared_with_gold_are_told_and_named_in_what_to_do() -> None:
    verdict = audit([*HUMAN[:30], *GOLD[:30]], GOLD, engine="serial")
    found = [f for f in verdict.findings if f.section == "overlap"]
    assert [f.title[:3] for f in found] == ["50%"]
    assert "Remove them from the batch and audit the rest." in verdict.todo


def test_the_same_documents_in_another_order_are_gold_itself() -> None:
    with pytest.raises(InputError, match="got gold itself"):
        audit(GOLD[::-1], GOLD, engine="serial")


@pytest.mark.parametrize(
    "batch",
    [[""] * 100, HUMAN[:1], ["cat"] * 100, ["a b", "c"], [HUMAN[0], *[""] * 99], ["... !?"] * 9],
    ids=["empty", "one", "one word", "two short", "one among empty", "punctuation"],
)
def test_too_little_text_is_inconclusive_on_either_side_and_quiet(batch: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for verdict in (audit(batch, GOLD, engine="serial"), audit(GOLD, batch, engine="serial")):
            assert (verdict.status, verdict.stage) == ("inconclusive", "insufficient")
            assert verdict.exit_code == 3
            assert verdict.todo[-1].startswith("Collect more documents")


def test_empty_documents_are_told_of() -> None:
    verdict = audit([*FEW, *[""] * 90], FEW_GOLD, engine="serial")
    assert any(
        line.startswith("90 of the batch's 150 documents are empty") for line in verdict.caveats
    )


def test_a_gold_smaller_than_the_batch_says_so_and_how_much_more_is_needed() -> None:
    verdict = audit(HUMAN, GOLD[:20], engine="serial")
    assert verdict.status == "inconclusive"
    assert any("Gold is much smaller" in line for line in verdict.caveats)
    assert verdict.documents_needed is not None and verdict.documents_needed > 20


@pytest.mark.parametrize("copies", [HUMAN[:1] * 300, ["cat " * 500] * 100, HUMAN[:100] * 2])
def test_a_batch_of_copies_or_of_one_word_is_late(copies: list[str]) -> None:
    verdict = audit(copies, GOLD, engine="serial")
    assert (verdict.stage, verdict.functional) == ("late", True)


def test_readings_tell_what_was_tested_from_what_only_describes(base: Verdict) -> None:
    tested = [r for r in base.readings if r.note == TESTED]
    assert {r.metric for r in tested} >= {axis.metric for axis in base.axes}
    assert all(r.gold == 1.0 for r in tested)
    assert [r.metric for r in base.readings if r.note != TESTED] == list(READ)


def test_a_profile_cannot_be_sliced_by_what_it_was_not_made_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make it again with: tailguard profile --by source"):
        audit(profile_texts(FEW), FEW_GOLD, by=["source"], engine="serial")
    table = pa.table({"text": FEW, "source": ["a", "b"] * 30})
    sliced = survey(table, by=["source"], engine="serial").profile
    assert len(audit(sliced, FEW_GOLD, by=["source"], engine="serial").slices) == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"seed": -1}, "seed: expected a number from 0"),
        ({"engine": "lokal"}, "did you mean 'local'"),
        ({"workers": 0}, "a positive number"),
        ({"by": ["sauce"]}, "columns of the batch, got 'sauce'"),
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        audit(HUMAN[:5], GOLD[:5], **options)


@pytest.mark.parametrize("batch", [[], 5, object(), {"text": 3}, None, np.zeros(3)])
def test_what_holds_no_records_is_refused_in_one_line(batch: Any) -> None:
    with pytest.raises(InputError) as caught:
        audit(batch, GOLD[:5])
    assert "\n" not in str(caught.value)


def test_a_stricter_level_still_sees_a_collapsed_batch(generations: list[list[str]]) -> None:
    # 999 divisions cannot give a p-value below .001: a stricter level has to take more.
    verdict = audit(generations[3], GOLD, policy=Policy(alpha=0.0005), engine="serial")
    assert verdict.stage in COLLAPSED and verdict.status == "fail"


def test_many_slices_share_the_level_and_damage_in_one_is_still_seen(
    generations: list[list[str]],
) -> None:
    fake = generations[3][:130]
    source = ["model"] * len(fake) + [f"people {i % 7}" for i in range(len(HUMAN))]
    table = pa.table({"text": fake + HUMAN, "source": source})
    verdict = audit(table, GOLD, by=["source"], engine="serial")
    stages = {s.value: s.stage for s in verdict.slices}
    assert len(stages) == 8 and stages.pop("model") in COLLAPSED
    assert not set(stages.values()) & set(COLLAPSED)


def test_a_batch_half_of_empty_documents_is_late_and_one_empty_document_is_nothing() -> None:
    hollow = [text if i % 2 else "" for i, text in enumerate(HUMAN)]
    assert audit(hollow, GOLD, engine="serial").stage == "late"
    assert audit([*HUMAN, ""], GOLD, engine="serial").stage == "healthy"


def test_gold_may_name_its_text_otherwise_than_the_batch(tmp_path: Path) -> None:
    batch = pa.table({"body": FEW, "text": ["not this"] * len(FEW)})
    gold = pa.table({"text": FEW_GOLD})
    verdict = audit(batch, gold, columns=Columns(text="body"), engine="serial")
    assert verdict.batch.tokens > 10 * verdict.batch.documents
    with pytest.raises(CorpusError, match="body"):
        audit(batch, pa.table({"wrong": FEW_GOLD}), columns=Columns(text="body"), engine="serial")
