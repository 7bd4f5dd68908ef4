"""A rich made-up verdict, and small ones, for the tests of every form of report."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tailguard.measure.base import AxisResult, Reading
from tailguard.report.base import Finding, Side, SliceResult, Verdict
from tailguard.report.policy import Policy

NAN = math.nan


def _curves() -> dict[str, object]:
    m = np.unique(np.geomspace(50, 400_000, 60).astype(int))
    gold, batch = 14.0 * m**0.62, 14.6 * m**0.607
    rank = np.unique(np.geomspace(1, 42_000, 300).astype(int))
    bands = ["1", "2", "3-4", "5-8", "9-16", "17-32", "33+"]
    return {
        "rarefaction": {
            "batch": {"m": m, "value": batch, "lo": batch * 0.975, "hi": batch * 1.02},
            "gold": {"m": m, "value": gold, "lo": gold * 0.98, "hi": gold * 1.02},
        },
        "rank_frequency": {
            "batch": {"rank": rank[:-18], "freq": 3.4e4 * (rank[:-18] + 2.1) ** -1.08},
            "gold": {"rank": rank, "freq": 3.1e4 * (rank + 2.4) ** -1.03},
        },
        "tail_recall": {
            "bands": bands,
            "batch": [0.11, 0.22, 0.39, 0.61, 0.86, 0.985, 1.0],
            "lo": [0.10, 0.20, 0.37, 0.59, 0.84, 0.975, 0.999],
            "hi": [0.12, 0.24, 0.41, 0.63, 0.88, 0.99, 1.0],
            "expected": [0.16, 0.29, 0.45, 0.66, 0.87, 0.98, 1.0],
        },
    }


def _axes() -> tuple[AxisResult, ...]:
    return (
        AxisResult("T", 0.861, 0.842, 0.879, 0.0004, True, True, 0.011, "words.gold_rare_mass"),
        AxisResult("S", 0.954, 0.938, 0.969, 0.0021, True, True, 0.014, "words.hill_2"),
        AxisResult("N", 0.991, 0.972, 1.0, 0.31, False, False, 0.019, "docs.distinct_4"),
        AxisResult("R", 1.0, 0.994, 1.0, 1.0, False, False, 0.008, "docs.seq_rep_4_beyond"),
    )


def _findings() -> tuple[Finding, ...]:
    return (
        Finding(
            "corpus",
            "Nine rows could not be read",
            "info",
            "They are in incoming.quarantine.jsonl, each with its reason.",
        ),
        Finding(
            "tail",
            "Rare words of gold are missing from the batch",
            "fail",
            "Of words that gold holds once or twice, the batch has 32% fewer than an undamaged "
            "batch of this size would have.",
            "Mix in human text until the forecast holds, or drop the sources marked below.",
            ("bioluminescent", "quern", "thixotropic", "palimpsest", "überseehafen", "古文書"),
        ),
        Finding(
            "repetition",
            "A few phrases are over-used",
            "warn",
            "Five phrases stand in far more documents than in gold.",
            "Look at the prompts or templates behind them.",
            (
                "in this article we will explore the fascinating world of (213 documents; gold 1)",
                "it is important to note that (187 documents; gold 12)",
            ),
        ),
    )


def _slices() -> tuple[SliceResult, ...]:
    rows = (
        ("source", "forum-2021", 812, "healthy", 0.996, 0.998, 1.0, 1.0),
        ("source", "news", 640, "healthy", 0.988, 0.985, 0.99, 1.0),
        ("source", "assistant-logs", 1210, "early", 0.78, 0.91, 0.982, 0.999),
        ("month", "2024-11", 930, "shifted", 0.962, 0.971, 0.979, 1.0),
        ("month", "2024-12", 22, "insufficient", 0.95, 0.97, 0.96, NAN),
    )
    return tuple(
        SliceResult(
            by,
            value,
            n,
            n * 640,
            stage,  # type: ignore[arg-type]
            {
                "T": (t, t - 0.02, min(1.0, t + 0.02)),
                "S": (s, s - 0.015, min(1.0, s + 0.015)),
                "N": (w, w - 0.01, min(1.0, w + 0.01)),
                "R": (r, r - 0.005, min(1.0, r + 0.005)),
            },
        )
        for by, value, n, stage, t, s, w, r in rows
    )


def _readings() -> tuple[Reading, ...]:
    return (
        Reading("words.gold_rare_mass", 0.0312, 0.0304, 0.0319, 2662, 0.0362, 0.0004),
        Reading("words.hill_2", 148.2, 145.9, 150.4, 2662, 155.3, 0.0021),
        Reading("words.chao1", 61_420, 60_110, 62_900, 2662, 70_233, 0.0004),
        Reading("docs.distinct_4", 0.9412, 0.938, 0.944, 2662, 0.9431, 0.31),
        Reading("docs.vendi", NAN, NAN, NAN, 2662, NAN, NAN, "no embeddings were given"),
        Reading("docs.seq_rep_4_beyond", 0.0098, 0.006, 0.0142, 2662, 0.0101, 1.0),
    )


@pytest.fixture
def verdict() -> Verdict:
    """An early collapse with everything a verdict can hold."""
    return Verdict(
        status="fail",
        stage="early",
        rule="fail_on: early",
        headline="This batch has lost a seventh of gold’s rare words: do not train on it as it is.",
        score=0.139,
        score_lo=0.121,
        score_hi=0.158,
        axes=_axes(),
        readings=_readings(),
        findings=_findings(),
        slices=_slices(),
        caveats=(
            "Gold holds English only; the 4% of other languages in the batch were not compared.",
            "The slice month = 2024-12 has 22 documents, too few for an answer of its own.",
        ),
        todo=(
            "Leave out the source assistant-logs, which carries most of the loss.",
            "Or mix it with at least twice as many human documents, and audit the mix again.",
        ),
        batch=Side("incoming/*.parquet", 2662, 1_703_680, 9_812_345, 9, "tg1:5f0c2a9be41d77c3"),
        gold=Side("gold.jsonl", 12_000, 7_680_000, 44_012_876, 0, "tg1:c08812d9fa6610be"),
        functional=False,
        structural=True,
        documents_needed=None,
        seed=0,
        version="0.1.0",
        policy=Policy().model_dump(mode="json"),
        curves=_curves(),
        created="2025-01-07T09:30:00Z",
    )


@pytest.fixture
def empty(verdict: Verdict) -> Verdict:
    """A verdict that could measure nothing at all."""
    nothing = Side("", 0, 0, 0, 0, "")
    return dataclasses.replace(
        verdict,
        status="inconclusive",
        stage="insufficient",
        rule="insufficient",
        headline="The batch holds no documents.",
        score=NAN,
        score_lo=NAN,
        score_hi=NAN,
        axes=(),
        readings=(),
        findings=(),
        slices=(),
        caveats=(),
        todo=(),
        batch=nothing,
        gold=nothing,
        structural=False,
        documents_needed=400,
        policy={},
        curves={},
        created="",
    )
