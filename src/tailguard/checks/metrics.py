"""Whether a metric keeps what its data sheet says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from tailguard.corpus import open_corpus
from tailguard.errors import TailguardError
from tailguard.measure.base import AXES, Metric
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.readings import evaluate, jackknife, leave_outs
from tailguard.measure.view import View, at_equal_size

DOCUMENTS = 64
CHANCE = 3.0
"""Standard errors by which a value may improve when documents are replaced by copies."""


def check_metric(metric: Metric) -> None:
    """Check that a metric keeps the laws of metrics; seconds at most.

    Its sheet is complete. On real, random, tiny, repetitive and empty corpora, and against every
    other of them, it raises nothing and is nan or within its bounds. It is the same to the bit
    when computed again and when documents change places. It is nan without documents and below
    ``min_n``. Documents replaced by copies of others never make a corpus look healthier, at equal
    size. ``needs_gold`` is true exactly when gold decides the value. On real text it is defined,
    but for metrics of columns that this text has not.

    Raises ``AssertionError`` with one sentence.

    >>> from tailguard.measure.readings import METRICS
    >>> check_metric(METRICS["missing_mass"])
    """
    _sheet_is_complete(metric)
    _values_are_in_bounds(metric)
    _values_repeat(metric)
    _order_does_not_matter(metric)
    _too_little_is_undefined(metric)
    _copies_never_look_healthier(metric)
    _gold_is_asked_for_honestly(metric)


@cache
def _corpora() -> dict[str, tuple[str, ...]]:
    """Real text and the shapes of text that break estimators."""
    real = [
        text
        for batch in open_corpus("builtin:python-docs").batches()
        for text in batch.column("text").to_pylist()
    ]
    spaced = real[:: max(1, len(real) // (2 * DOCUMENTS))][: 2 * DOCUMENTS]
    rng = np.random.default_rng(20240229)
    numbers = rng.zipf(1.4, (DOCUMENTS, 150)) % 50_000
    return {
        "real text": tuple(spaced[::2]),
        "other real text": tuple(spaced[1::2]),
        "random words": tuple(" ".join(f"w{n}" for n in row) for row in numbers),
        "unique words": tuple(
            " ".join(f"u{d}x{i}" for i in range(40)) for d in range(DOCUMENTS)
        ),
        "one document many times": ("the cat sat on the mat again",) * DOCUMENTS,
        "one document": ("the cat sat on the mat",),
        "one word": ("cat",),
        "two words": ("cat", "dog"),
        "one document among empty ones": ("the cat sat on the mat", *[""] * DOCUMENTS),
        "short documents": ("a b",) * 3 + ("c d", "e", "f g h") * 8,
        "punctuation": (".", "...", "!?") * 12,
        "only empty documents": ("",) * DOCUMENTS,
        "nothing": (),
    }  # fmt: skip


@cache
def _view(name: str) -> View:
    return _of(_corpora()[name])


def _of(texts: Sequence[str]) -> View:
    return View.whole(profile_texts(texts) if texts else Profile.empty())


@cache
def _reordered(name: str) -> tuple[View, ...]:
    texts = _corpora()[name]
    return _of(texts[::-1]), _of(texts[7:] + texts[:7])


@cache
def _once_and_twice(name: str) -> tuple[tuple[View, tuple[View, ...]], ...]:
    """All documents, and half of them twice, with the parts that a jackknife takes of each."""
    texts = _corpora()[name]
    pair = at_equal_size(_view(name), _of([*texts, *texts]))
    return tuple((view, tuple(leave_outs(view))) for view in pair)


def _value(
    metric: Metric, candidate: View, gold: View | None, where: str, *, guarded: bool = True
) -> float:
    """The metric's value; ``guarded`` by its least number of documents, as readings are."""
    try:
        value = evaluate(metric, candidate, gold) if guarded else metric.fn(candidate, gold)
    except Exception as error:
        kind = type(error).__name__
        raise AssertionError(f"{metric.name} raises {kind} on {where}: {error}") from error
    assert isinstance(value, float), f"{metric.name} gives a {type(value).__name__} on {where}"
    return value


def _gold(metric: Metric) -> View | None:
    return _view("other real text") if metric.needs_gold else None


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _sheet_is_complete(metric: Metric) -> None:
    who = metric.name
    assert who.isidentifier() and who == who.lower(), f"{who!r} is no lower-case identifier"
    assert metric.worse in ("lower", "higher", "both"), f"{who} has no direction of damage"
    assert metric.axis in AXES, f"{who} is on no axis of damage"
    assert metric.stage in ("early", "mid", "late"), f"{who} belongs to no stage"
    assert metric.bounds[0] < metric.bounds[1], f"the bounds of {who} hold no value"
    assert metric.min_n >= 1, f"{who} is defined for no documents"
    for field in ("unit", "meaning", "cite"):
        assert getattr(metric, field).strip(), f"the sheet of {who} has no {field}"


def _values_are_in_bounds(metric: Metric) -> None:
    low, high = metric.bounds
    for name in _corpora():
        references: list[str | None] = [*_corpora()] if metric.needs_gold else [None, *_FEW]
        for reference in references:
            gold = None if reference is None else _view(reference)
            where = name if reference is None else f"{name} against {reference}"
            value = _value(metric, _view(name), gold, where)
            inside = math.isnan(value) or low <= value <= high
            assert inside, f"{metric.name} is {value} on {where}, outside [{low}, {high}]"


_FEW = ("real text", "one word", "nothing")


def _values_repeat(metric: Metric) -> None:
    gold = _gold(metric)
    for name in ("real text", "random words"):
        first = _value(metric, _view(name), gold, name)
        again = _value(metric, _of(_corpora()[name]), gold, name)
        assert _same(first, again), f"{metric.name} is {first}, then {again} on the same {name}"


def _order_does_not_matter(metric: Metric) -> None:
    gold = _gold(metric)
    for name in ("real text", "random words"):
        first = _value(metric, _view(name), gold, name)
        for other in _reordered(name):
            moved = _value(metric, other, gold, name)
            what = f"{metric.name} is {first}, and {moved} with the documents in another order"
            assert _same(first, moved), what


def _too_little_is_undefined(metric: Metric) -> None:
    gold, real = _gold(metric), _corpora()["real text"]
    value = _value(metric, _view("nothing"), gold, "nothing", guarded=False)
    assert math.isnan(value), f"{metric.name} is {value} on no documents, not nan"
    few = _of(real[: metric.min_n - 1])
    value = _value(metric, few, gold, f"{metric.min_n - 1} documents")
    assert math.isnan(value), f"{metric.name} is {value} below its least number of documents"
    if metric.needs_gold:
        value = _value(metric, _view("real text"), _view("nothing"), "real text against nothing")
        assert math.isnan(value), f"{metric.name} is {value} against a gold of no documents"


def _copies_never_look_healthier(metric: Metric) -> None:
    """Half of the documents, each twice, against all of them once: equally much text."""
    if metric.worse == "both":
        return
    gold = _gold(metric)
    for name in ("real text",) if metric.needs_gold else ("real text", "random words"):
        once, twice = _once_and_twice(name)
        healthy = _value(metric, once[0], gold, name)
        copied = _value(metric, twice[0], gold, f"copies of {name}")
        if math.isnan(healthy) or math.isnan(copied):
            continue
        error = max(
            jackknife(parts, lambda part: evaluate(metric, part, gold))
            for _, parts in (once, twice)
        )
        gain = copied - healthy if metric.worse == "lower" else healthy - copied
        what = f"{metric.name} calls {name} healthier ({healthy:.4g} to {copied:.4g})"
        reach = CHANCE * error if math.isfinite(error) else math.inf
        assert gain <= reach + 1e-9, f"{what} when half of its documents are copies"


def _gold_is_asked_for_honestly(metric: Metric) -> None:
    real, name = _view("real text"), metric.name
    if not metric.needs_gold:
        try:
            value = metric.fn(real, None)
        except (TypeError, AttributeError, AssertionError, TailguardError) as error:
            raise AssertionError(f"{name} needs gold, and its sheet says it does not") from error
        columns = ("source", "month")  # these texts come without columns
        known = math.isfinite(value) or name.removesuffix("_diversity") in columns
        assert known, f"{name} is undefined on real text"
        return
    alone = evaluate(metric, real, None)
    assert math.isnan(alone), f"{name} compares, and is {alone} without anything to compare with"
    values = {evaluate(metric, real, _view(reference)) for reference in _corpora()}
    finite = {value for value in values if math.isfinite(value)}
    assert finite, f"{name} is undefined on real text"
    assert len(finite) > 1, f"{name} says it needs gold, and is the same whatever gold is"
