"""Every registered metric keeps the public laws, and metrics that break one are caught."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tailguard.checks import check_metric
from tailguard.measure.base import Metric
from tailguard.measure.readings import METRICS
from tailguard.measure.view import View

SOUND = METRICS["hill_0"]
COMPARING = METRICS["rare_recall"]
calls = itertools.count()


@pytest.mark.parametrize("name", METRICS)
def test_a_registered_metric_keeps_the_laws(name: str) -> None:
    check_metric(METRICS[name])


def times_called(view: View, gold: View | None) -> float:
    """Remembers something between calls."""
    return float(next(calls)) if view.n_documents else float("nan")


def copies_as_variety(view: View, gold: View | None) -> float:
    """Exact copies counted as if they were a virtue."""
    copies = view.profile.documents.copies
    return float(copies.mean()) if len(copies) else float("nan")


def position(view: View, gold: View | None) -> float:
    """Memory addresses stand for whatever is not a function of the corpus."""
    return float(id(view.profile) % 1_000_003) if view.n_documents else float("nan")


BROKEN: list[tuple[Metric, str]] = [
    (replace(SOUND, name="Richness!"), "lower-case identifier"),
    (replace(SOUND, meaning=" "), "no meaning"),
    (replace(SOUND, cite=""), "no cite"),
    (replace(SOUND, axis="X"), "no axis"),  # type: ignore[arg-type]
    (replace(SOUND, worse="less"), "no direction"),  # type: ignore[arg-type]
    (replace(SOUND, bounds=(1.0, 0.0)), "hold no value"),
    (replace(SOUND, min_n=0), "no documents"),
    (replace(SOUND, bounds=(0.0, 10.0)), "outside"),
    (replace(SOUND, fn=lambda c, g: -SOUND.fn(c, g)), "outside"),
    (replace(SOUND, fn=lambda c, g: 1 / c.tokens), "raises ZeroDivisionError"),
    (replace(SOUND, fn=lambda c, g: float(c.counts(1).max())), "raises ValueError"),
    (replace(SOUND, fn=lambda c, g: c.tokens), "gives a int"),
    (replace(SOUND, fn=times_called), "then"),
    (replace(SOUND, fn=position), "then"),
    (replace(SOUND, fn=lambda c, g: np.random.default_rng().random()), "then"),
    (replace(SOUND, fn=lambda c, g: float(c.tokens)), "not nan"),
    (replace(SOUND, worse="higher"), "healthier"),
    (replace(METRICS["distinct_4_pooled"], worse="higher"), "healthier"),
    (replace(METRICS["near_duplicate_rate"], worse="lower"), "healthier"),
    (replace(SOUND, fn=copies_as_variety), "healthier"),
    (replace(COMPARING, needs_gold=False), "raises|needs gold"),
    (replace(SOUND, needs_gold=True), "same whatever gold is|against a gold"),
    (replace(SOUND, fn=lambda c, g: float("nan")), "undefined on real text"),
    (replace(COMPARING, fn=lambda c, g: float("nan")), "undefined on real text"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "said"), BROKEN)
def test_a_metric_that_breaks_a_law_is_caught_in_one_sentence(metric: Metric, said: str) -> None:
    with pytest.raises(AssertionError, match=said) as caught:
        check_metric(metric)
    assert "\n" not in str(caught.value).split("\nassert ")[0]
