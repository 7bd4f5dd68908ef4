from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tailguard.errors import PolicyError
from tailguard.report.base import EXIT_CODES, Finding
from tailguard.report.decide import decide, limit_findings
from tailguard.report.policy import MAX_POLICY_BYTES, Policy, load_policy

FAIL = Finding("tail", "t", "fail", "d")
WARN = Finding("tail", "t", "warn", "d")
INFO = Finding("tail", "t", "info", "d")


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_policy_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    policy = load_policy(
        written(tmp_path, "alpha: 0.05\nfail_on: [late]\nsections:\n  lineage: {depth: 3}\n")
    )
    assert policy == Policy(
        alpha=0.05, fail_on=frozenset({"late"}), sections={"lineage": {"depth": 3}}
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_a_policy_that_says_nothing_is_the_default(tmp_path: Path, text: str) -> None:
    assert load_policy(written(tmp_path, text)) == Policy()


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alhpa: 0.1", "did you mean 'alpha'?"),
        ("colour: red", "keys are alpha, margin"),
        ("alpha: 2", "alpha: input should be less than 1, got 2"),
        ("alpha: high", "alpha"),
        ("margin: -0.1\nalpha: 7", "(1 more errors)"),
        ("fail_on: [terminal]", "fail_on"),
        ("fail_on: [healthy]", "fail_on"),
        ("sections: {a: 1}", "sections.a"),
        ("- alpha", "keys and values, got a list"),
        ("alpha: [1", "valid YAML"),
        ("alpha: 0.1: 2", "in line 1"),
        ("alpha: !!python/object/apply:os.system [true]", "valid YAML"),
        ("alpha: 2020-13-45", "valid YAML"),
        ("[" * 500_000, "a few levels of nesting"),
        ("alpha: " + "9" * 5000, "valid YAML"),
        (b"\xff\xfe\x00\xd8", "valid YAML"),
        (b"alpha: \x00", "valid YAML"),
        (BOMB, "YAML without aliases"),
        ("#" * (MAX_POLICY_BYTES + 1), "at most 1 MB"),
    ],
)
def test_a_wrong_policy_is_one_line_that_says_what_to_do(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(written(tmp_path, text))
    line = str(caught.value)
    assert message in line and "policy.yaml" in line and "\n" not in line and len(line) < 700


@settings(max_examples=150, deadline=None)
@given(st.text() | st.binary() | st.text("abf:-[]{}&*!#'\"\n 01._<|>?%@`", max_size=60))
def test_no_bytes_make_the_policy_loader_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, data: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(PolicyError):
        load_policy(path)


def test_a_missing_file_a_folder_and_a_bad_path_are_policy_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path, "a\0b"):
        with pytest.raises(PolicyError):
            load_policy(path)


def test_a_policy_cannot_be_changed_after_it_was_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Policy().alpha = 0.5


def test_a_dumped_policy_lists_stages_in_order_and_loads_again() -> None:
    dumped = Policy().model_dump(mode="json")
    assert dumped["fail_on"] == ["early", "late", "mid"]
    assert Policy.model_validate(dumped) == Policy()


@pytest.mark.parametrize(
    ("stage", "alarm", "findings", "expected"),
    [
        ("early", True, (), ("fail", "fail_on: early")),
        ("mid", False, (), ("fail", "fail_on: mid")),
        ("late", True, (WARN,), ("fail", "fail_on: late")),
        ("healthy", False, (INFO, FAIL), ("fail", "finding: tail")),
        ("insufficient", False, (FAIL,), ("fail", "finding: tail")),
        ("insufficient", True, (WARN,), ("inconclusive", "insufficient")),
        ("shifted", True, (), ("warn", "warn_on: shifted")),
        ("healthy", True, (), ("warn", "alarm within margin")),
        ("healthy", False, (WARN,), ("warn", "finding: tail")),
        ("healthy", False, (INFO,), ("pass", "nothing found")),
    ],
)
def test_the_first_rule_that_holds_decides(
    stage: str, alarm: bool, findings: tuple[Finding, ...], expected: tuple[str, str]
) -> None:
    decided = decide(stage, alarm=alarm, findings=findings, documents=9, policy=Policy())  # type: ignore[arg-type]
    assert decided == expected
    assert decided[0] in EXIT_CODES


def test_a_team_may_let_early_pass_and_make_too_little_data_fail() -> None:
    policy = Policy(fail_on=frozenset({"late", "insufficient"}), warn_on=frozenset({"early"}))
    rest = {"alarm": True, "findings": (), "documents": 9, "policy": policy}
    assert decide("early", **rest)[0] == "warn"  # type: ignore[arg-type]
    assert decide("mid", **rest) == ("pass", "mid allowed")  # type: ignore[arg-type]
    assert decide("insufficient", **rest)[0] == "fail"  # type: ignore[arg-type]


def test_fewer_documents_than_the_policy_asks_for_are_inconclusive() -> None:
    policy = Policy(min_documents=100)
    for documents, status in ((99, "inconclusive"), (100, "pass")):
        decided = decide("healthy", alarm=False, findings=(), documents=documents, policy=policy)
        assert decided[0] == status


def test_shares_beyond_the_policy_fail_and_unmeasured_ones_do_not() -> None:
    policy = Policy(max_near_duplicate_frac=0.1, max_degenerate_frac=0.1)
    found = limit_findings(
        policy, documents=980, quarantined=20, near_duplicate_frac=0.2, degenerate_frac=math.nan
    )
    assert [f.section for f in found] == ["max_quarantined_frac", "max_near_duplicate_frac"]
    assert all(f.severity == "fail" and f.fix for f in found)
    assert limit_findings(policy, documents=990, quarantined=10, near_duplicate_frac=0.1) == ()
    assert limit_findings(policy, documents=0, quarantined=0) == ()
