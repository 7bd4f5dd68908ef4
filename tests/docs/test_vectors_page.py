"""The page on tables, embeddings and images does what it says, and names every statistic."""

from __future__ import annotations

from pathlib import Path

from documents import ROOT, run_document

from tailguard.measure.vectors.contrast import GROUPED
from tailguard.measure.vectors.units import SCORES
from tailguard.report.explain_rows import STATISTICS

PAGE = ROOT / "docs/vectors.md"


def test_the_commands_of_the_page_on_vectors_work(tmp_path: Path) -> None:
    assert len(run_document(PAGE, tmp_path)) == 7


def test_every_statistic_of_rows_is_explained_and_documented() -> None:
    names = {*(name for name, _, _ in SCORES), *GROUPED, "no_copies"}
    assert names == STATISTICS.keys()
    assert all(f"`{name}`" in PAGE.read_text() for name in names)
