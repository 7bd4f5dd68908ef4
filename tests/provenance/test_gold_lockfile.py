"""Lock files that contradict themselves or lead elsewhere, whoever signed them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gold_cases import (
    forged,
    locked,
    make_gold,
    verified,
)

from tailguard.provenance import envelope, merkle
from tailguard.provenance.base import LockError


def total(told: dict[str, Any]) -> None:
    """Make the totals of a lock fit its files again."""
    tops = [
        merkle.leaf_hash(envelope.canonical_json({k: f[k] for k in ("path", "root", "rows")}))
        for f in told["files"]
    ]
    told.update(root=merkle.root(tops).hex(), rows=sum(f["rows"] for f in told["files"]))


@pytest.mark.parametrize(
    "path",
    ["../a.parquet", "/etc/passwd", "sub/../../a", "a\\b", "C:/a", "", ".", "a//b", "a/", "a\x00b",
     "a\nb", "./a", 3, None, "x" * 2_000],
)  # fmt: skip
def test_a_lock_with_a_path_that_leads_elsewhere_is_refused(path: Any, tmp_path: Path) -> None:
    signed = locked(make_gold(tmp_path))

    def change(told: dict[str, Any]) -> None:
        told["files"][0]["path"] = path
        total(told)

    with pytest.raises(LockError) as refused:
        verified(forged(signed, change), tmp_path)
    assert "\n" not in str(refused.value)


CHANGES: dict[str, Any] = {
    "more fields": lambda t: t.update(more=1),
    "another form": lambda t: t.update(form="tailguard-record-v2"),
    "a missing field": lambda t: t.pop("columns"),
    "a total": lambda t: t.update(rows=1),
    "a root": lambda t: t.update(root="0" * 64),
    "the root of a file": lambda t: t["files"][0].update(root="0" * 64),
    "groups of three rows": lambda t: t.update(group_rows=3),
    "no groups": lambda t: t["files"][0].update(groups=[]),
    "a group": lambda t: t["files"][0]["groups"].__setitem__(0, "0" * 64),
    "capital hex": lambda t: t.update(root=t["root"].upper()),
    "a file twice": lambda t: t["files"].append(t["files"][0]),
    "rows as text": lambda t: t["files"][0].update(rows="100"),
    "rows as a truth": lambda t: t["files"][1].update(rows=True),
    "negative rows": lambda t: t["files"][0].update(rows=-100),
    "a key": lambda t: t.update(key="no key"),
    "columns": lambda t: t.update(columns={"x": 1}),
    "columns as a list": lambda t: t.update(columns=[]),
    "a profile": lambda t: t.update(profile=1),
    "a previous release": lambda t: t.update(previous=[]),
    "files as text": lambda t: t.update(files="abc"),
    "a file as text": lambda t: t.update(files=["abc"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_lock_that_contradicts_itself_is_refused_whoever_signed(
    name: str, tmp_path: Path
) -> None:
    signed = locked(make_gold(tmp_path))
    with pytest.raises(LockError) as refused:
        verified(forged(signed, CHANGES[name]), tmp_path)
    assert "\n" not in str(refused.value)


CAREFUL: dict[str, Any] = {
    "too few groups": lambda t: t["files"][0].update(rows=1_000),
    "too many groups": lambda t: t["files"][0].update(rows=10),
    "a truth for one row": lambda t: t["files"][2].update(rows=True),
    "a file twice": lambda t: t["files"].append(t["files"][0]),
}


@pytest.mark.parametrize("name", CAREFUL)
def test_a_lock_whose_totals_fit_is_refused_all_the_same(name: str, tmp_path: Path) -> None:
    signed = locked(make_gold(tmp_path))

    def change(told: dict[str, Any]) -> None:
        CAREFUL[name](told)
        total(told)

    with pytest.raises(LockError):
        verified(forged(signed, change), tmp_path)
