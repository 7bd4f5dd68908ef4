"""A filter that harms a human tail is named, one that looks at none is not."""

from __future__ import annotations

import json
from itertools import combinations
from math import comb

import numpy as np
import pytest
from detect_texts import texts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, fisher_exact, hypergeom, norm

from tailguard.detect.base import DetectorError
from tailguard.detect.detectors.base import Prepared
from tailguard.detect.tails.kinds import DRAWN, Kind, group_kinds, text_kinds, words_of
from tailguard.detect.tails.report import (
    ALPHA,
    BANDS,
    EFFECT,
    POWER,
    Tail,
    compare_tails,
    deleted_tails,
    ratio_interval,
    report_tails,
    word_loss,
)
from tailguard.detect.tails.weights import importance_weights

Mask = np.ndarray


def human(n: int, seed: int = 0, words: int = 60) -> list[str]:
    return texts("human", n, np.random.default_rng(seed), words=words)


def columns(n: int, groups: int) -> list[Kind]:
    """Kinds of so many columns, each with a tail of a tenth."""
    rng = np.random.default_rng(99)
    names = {f"c{i}": np.where(rng.random(n) < 0.1, "few", "many").tolist() for i in range(groups)}
    return [kind for kind in group_kinds(names, n) if kind.name == "few"]


def of(tails: list[Tail] | tuple[Tail, ...], name: str) -> Tail:
    return next(tail for tail in tails if tail.name == name)


def test_a_group_deleted_five_times_as_often_is_flagged_as_often_as_computed() -> None:
    rng = np.random.default_rng(1)
    n, few, base, seeds = 3_000, 300, 0.02, 60
    writer = ["learner"] * few + ["native"] * (n - few)
    kinds = group_kinds({"writer": writer}, n) + text_kinds(human(n, words=30))[0]
    rates = np.where(np.arange(n) < few, 5 * base, base)
    found = [compare_tails(kinds, rng.random(n) < rates) for _ in range(seeds)]
    hits = sum(of(tails, "learner").flagged for tails in found)
    # The power, at Bonferroni's level: mean over the rest's count of P(enough in the group).
    tests = sum(not np.isnan(tail.p) for tail in found[0])
    rest = np.arange(n - few + 1)
    power = 0.0
    for others, chance in zip(rest, binom.pmf(rest, n - few, base), strict=True):
        if chance > 1e-9:
            k = np.arange(1, few + 1)
            enough = hypergeom.sf(k - 1, n, k + others, few) < ALPHA / 2 / tests
            enough &= k / few >= EFFECT * others / (n - few)
            power += chance * binom.sf(k[enough][0] - 1, few, 5 * base)
    assert power > 0.95
    assert hits >= max(0.95 * seeds, binom.ppf(0.001, seeds, power))
    # And no other group is: the natives lose less, not more.
    assert not any(of(tails, "native").flagged for tails in found)


def test_an_even_filter_is_flagged_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(2)
    kinds, seeds = columns(2_000, 12), 250
    found = [compare_tails(kinds, rng.random(2_000) < 0.05) for _ in range(seeds)]
    flagged = sum(any(tail.flagged for tail in tails) for tails in found)
    assert flagged <= binom.ppf(0.999, seeds, ALPHA)
    # The negative control: the same p-values without correction are flagged far too often.
    m = 2 * len(kinds)
    loose = sum(any(t.p / m < ALPHA and t.ratio >= EFFECT for t in tails) for tails in found)
    assert loose > 4 * ALPHA * seeds


def test_a_whole_report_on_an_even_filter_keeps_the_same_promise() -> None:
    kinds, words = text_kinds(human(300, words=30))
    rng = np.random.default_rng(3)
    seeds, flagged, p = 40, 0, []
    for _ in range(seeds):
        report = report_tails(kinds, words, rng.random(300) < 0.1, rng=rng)
        flagged += bool(report.flagged) or any(loss.flagged for loss in report.words)
        p.append(report.words[0].p)
    assert flagged <= binom.ppf(0.999, seeds, ALPHA)
    assert np.mean(np.array(p) < 0.5) <= 0.5


@pytest.mark.parametrize("row", [(9, 40, 30, 400), (0, 40, 3, 400), (40, 40, 0, 60), (1, 3, 1, 9)])
def test_p_values_are_fishers_and_intervals_those_of_clopper_and_pearson(
    row: tuple[int, int, int, int],
) -> None:
    k, n, others, rest = row
    inside = np.arange(n + rest) < n
    gone = np.concatenate([np.arange(n) < k, np.arange(rest) < others])
    kind = Kind("text", "tail", "", inside, np.ones(n + rest, bool))
    tail = compare_tails([kind], gone)[0]
    table = [[k, n - k], [others, rest - others]]
    assert tail.p == pytest.approx(min(1.0, 2 * fisher_exact(table, "greater")[1]))
    exact = binomtest(k, n).proportion_ci(0.95, "exact")
    assert (tail.lo, tail.hi) == pytest.approx((exact.low, exact.high))
    assert tail.ratio_lo <= tail.ratio <= tail.ratio_hi


@pytest.mark.parametrize(("n", "rest", "base", "ratio"),
                         [(60, 300, 0.02, 1.0), (100, 1_000, 0.01, 5.0), (300, 500, 0.1, 1.5),
                          (50, 50, 0.2, 3.0)])  # fmt: skip
def test_ratio_intervals_cover_at_least_as_often_as_they_say(
    n: int, rest: int, base: float, ratio: float
) -> None:
    covered = 0.0
    k = np.flatnonzero(binom.pmf(np.arange(n + 1), n, base * ratio) > 1e-7)
    for others in np.flatnonzero(binom.pmf(np.arange(rest + 1), rest, base) > 1e-7):
        weight = binom.pmf(others, rest, base)
        for a, chance in zip(k, binom.pmf(k, n, base * ratio), strict=True):
            lo, hi = ratio_interval(int(a), n, int(others), rest)
            covered += weight * chance * (lo <= ratio <= hi)
    assert covered >= 0.95 - 1e-4


def test_the_rate_said_to_be_detectable_is_flagged_with_that_power() -> None:
    n, rest, others = 120, 900, 20
    inside = np.arange(n + rest) < n
    kind = Kind("text", "tail", "", inside, np.ones(n + rest, bool))
    tails = []
    for k in range(n + 1):
        gone = np.concatenate([np.arange(n) < k, np.arange(rest) < others])
        tails.append(compare_tails([kind], gone)[0])
    flags = np.array([tail.flagged for tail in tails])
    assert not flags[0] and flags[-1] and (np.diff(flags.astype(int)) >= 0).all()
    rate = tails[0].detectable
    assert binom.pmf(np.arange(n + 1), n, rate)[flags].sum() == pytest.approx(POWER)
    tiny = Kind("text", "tail", "", np.arange(1_020) < 1, np.ones(1_020, bool))
    assert np.isnan(compare_tails([tiny], np.arange(1_020) % 3 == 0)[0].detectable)


def test_a_certain_but_small_difference_is_not_flagged() -> None:
    inside = np.arange(100_000) < 50_000
    kind = Kind("text", "tail", "", inside, np.ones(100_000, bool))
    for times, flagged in ((1.49, False), (1.51, True)):
        gone = np.arange(100_000) % 50_000 < np.where(inside, 1_000 * times, 1_000)
        tail = compare_tails([kind], gone)[0]
        assert tail.p < 1e-9 and tail.ratio == pytest.approx(times) and tail.flagged == flagged


def test_words_expected_to_survive_are_the_mean_over_all_deletions() -> None:
    docs = ["a b c", "a d", "e e e", "a b f", "g f g", "h a", "c i", "j k l"]
    words = words_of(Prepared.of(docs))
    held = [set(doc.split()) for doc in docs]
    everything = [w for doc in docs for w in doc.split()]
    gone = np.arange(8) < 3
    losses = word_loss(words, gone, rng=np.random.default_rng(0))
    for loss, (least, most) in zip(losses[:2], BANDS[:2], strict=True):
        band = {w for w in everything if least <= everything.count(w) <= most}
        shares = [
            len(band & set().union(*(held[d] for d in kept))) / len(band)
            for kept in combinations(range(8), 5)
        ]
        assert loss.types == len(band)
        assert loss.expected == pytest.approx(np.mean(shares))
        # The formula by itself: a type of d documents survives with 1 - C(N-d, k) / C(N, k).
        chance = [1 - comb(8 - sum(w in h for h in held), 5) / comb(8, 5) for w in band]
        assert loss.expected == pytest.approx(np.mean(chance))
        kept = set().union(*held[3:])
        assert loss.surviving == pytest.approx(len(band & kept) / len(band))
    assert losses[2].types == 0 and np.isnan(losses[2].expected) and not losses[2].flagged


def test_the_spread_of_random_deletions_surrounds_the_expected_share() -> None:
    rng = np.random.default_rng(4)
    docs = [" ".join(f"w{v}" for v in rng.zipf(1.4, 40)) for _ in range(300)]
    words = words_of(Prepared.of(docs))
    inside = 0
    for _ in range(25):
        for loss in word_loss(words, rng.permutation(300) < 90, rng=rng)[:2]:
            assert loss.lo < loss.expected < loss.hi
            inside += loss.lo <= loss.surviving <= loss.hi
    assert inside >= binom.ppf(0.001, 50, 0.9)


def test_a_filter_against_rare_words_is_named_by_its_words_and_its_documents() -> None:
    docs = human(600, words=40)
    for i in range(60):
        docs[i] += " " + " ".join(f"old{i}x{j}" for j in range(6))
    gone = np.arange(600) < 45
    report = deleted_tails(docs, gone, rng=np.random.default_rng(5))
    assert of(report.flagged, "words seen nowhere else") and of(report.flagged, "rare words")
    assert report.words[0].flagged and report.words[0].surviving < report.words[0].lo
    assert report.words[0].expected > 0.9
    even = deleted_tails(docs, np.random.default_rng(6).permutation(gone),
                         rng=np.random.default_rng(5))  # fmt: skip
    assert not even.flagged and not any(loss.flagged for loss in even.words)


PLANTED = {
    "0-24 words": lambda i: f"short text number{i % 7}",
    "mostly other letters": lambda i: "это другой язык и другие буквы " * 10 + f"слово{i % 7}",
    "some other letters": lambda i: "caf\u00e9 na\u00efve word0 word1 word2 " * 12,
    "lower lexical diversity": lambda i: "word0 word1 word2 " * 20,
    "shorter words": lambda i: "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3,
    "words seen nowhere else": lambda i: " ".join(f"dialect{i}n{j}" for j in range(60)),
    "rare words": lambda i: " ".join(f"craft{i % 5}n{j}" for j in range(60)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_each_tail_of_the_texts_is_found_where_it_is_planted(name: str) -> None:
    docs = human(1_000) + [PLANTED[name](i) for i in range(50)]
    kinds, _ = text_kinds(docs)
    kind = next(kind for kind in kinds if kind.name == name)
    assert kind.inside[1_000:].all() and kind.inside[:1_000].mean() <= 0.1
    gone = np.arange(1_050) >= 1_010
    assert of(compare_tails(kinds, gone), name).flagged
    # The negative control: a filter of as many ordinary documents.
    assert not of(compare_tails(kinds, np.arange(1_050) < 40), name).flagged


def test_lexical_diversity_is_the_mean_over_draws_of_words() -> None:
    rng = np.random.default_rng(7)
    drawn = [" ".join(f"w{v}" for v in rng.zipf(1.5, size) % 40) for size in (41, 42, 90, 300)]
    from tailguard.detect.tails.kinds import _diversity

    found = _diversity(words_of(Prepared.of(drawn)))
    assert np.isnan(found[0])
    for text, value in zip(drawn[1:], found[1:], strict=True):
        words = text.split()
        types = sum(1 - hypergeom.pmf(0, len(words), words.count(w), DRAWN) for w in set(words))
        assert value == pytest.approx(types / DRAWN)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 60), st.floats(0, 1))
def test_reports_hold_together_whatever_is_deleted(seed: int, n: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    alphabet = ["", "a", "b b", "c d e", "ж", "x" * 40, "\u4e2d\u6587", "\U0001f600 !"]
    docs = [" ".join(rng.choice(alphabet, rng.integers(0, 9))) for _ in range(n)]
    groups = rng.choice(["p", "q", "r"], n).tolist()
    gone = rng.random(n) < rate
    report = report_tails(group_kinds({"g": groups}, n) + text_kinds(docs)[0],
                          words_of(Prepared.of(docs)), gone, rng=rng)  # fmt: skip
    assert sum(t.deleted for t in report.tails if t.by == "g") == report.deleted == gone.sum()
    for tail in report.tails:
        assert 0 <= tail.deleted <= tail.n <= n
        if tail.n:
            assert tail.lo <= tail.rate <= tail.hi
        assert np.isnan(tail.p) or 0 <= tail.p <= 1
        assert not tail.flagged or (tail.p < ALPHA and tail.ratio >= EFFECT)
    for loss in report.words:
        assert not loss.types or 0 <= loss.surviving <= 1
    json.dumps(report.as_dict())
    assert all("\n" not in line for line in report.lines)
    order = rng.permutation(n)
    again = text_kinds([docs[i] for i in order])[0]
    for one, two in zip(text_kinds(docs)[0], again, strict=True):
        assert np.array_equal(one.inside[order], two.inside)


def test_weighing_spares_a_group_exactly_where_its_scores_say_so() -> None:
    rng = np.random.default_rng(8)
    n, shift, share, limit = 30_000, 1.5, 0.4, norm.isf(0.02)
    groups = {"plain": (0.0, 1.0), "above": (2.6, 0.3), "between": (1.2, 0.3)}

    def weight(t: np.ndarray) -> np.ndarray:
        return importance_weights(np.exp(shift * t - shift**2 / 2), share)

    grid = np.linspace(-8, 8, 4_001)
    mean = {
        name: np.trapezoid(norm.pdf(grid, *law) * weight(grid), grid)
        for name, law in groups.items()
    }
    lost = {name: norm.sf(limit, *law) for name, law in groups.items()}
    t = np.concatenate([rng.normal(*law, n) for law in groups.values()])
    names = np.repeat(list(groups), n).tolist()
    tails = compare_tails(group_kinds({"g": names}, 3 * n), t > limit, weights=weight(t))
    for name in groups:
        tail, whole = of(tails, name), 1 - np.mean(list(lost.values()))
        assert tail.mass_weighting == pytest.approx(mean[name] / np.mean(list(mean.values())), 0.02)
        assert tail.mass_deletion == pytest.approx((1 - lost[name]) / whole, abs=0.01)
    # Deletion takes nearly all of what scores above the threshold, and weighing less ...
    above, between = of(tails, "above"), of(tails, "between")
    assert above.mass_deletion < 0.1 and above.mass_weighting > 3 * above.mass_deletion
    # ... but weighing takes from what scores below it, which deletion leaves alone: of a human's
    # weight there P(human | t) is its own, and the rest makes up for synthetic records.
    assert between.mass_deletion > 1.4 * between.mass_weighting
    assert (1 - share) * mean["between"] < 0.65 < 0.99 < 1 - lost["between"]


def test_reports_refuse_what_does_not_align_in_one_line() -> None:
    docs, gone, rng = human(30), np.zeros(30, bool), np.random.default_rng(9)
    for attempt in (
        lambda: deleted_tails(docs[:19], gone[:19], rng=rng),
        lambda: deleted_tails(docs, gone[:29], rng=rng),
        lambda: deleted_tails(docs, gone.astype(int), rng=rng),
        lambda: deleted_tails(docs, gone, {"by": ["a"] * 29}, rng=rng),
        lambda: deleted_tails(docs, gone, rng=rng, weights=np.ones(3)),
        lambda: deleted_tails(["x", None], gone[:2], rng=rng),  # type: ignore[list-item]
        lambda: group_kinds({"id": [str(i) for i in range(1_001)]}, 1_001),
        lambda: compare_tails(columns(50, 1), gone),
    ):
        with pytest.raises(DetectorError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    nothing = deleted_tails(docs, gone, {"by": ["a"] * 29 + [None]}, rng=rng)
    assert not nothing.flagged and of(nothing.tails, "a").n == 29
    assert any("no other documents" in line for line in nothing.lines)
    assert np.isnan(of(nothing.tails, "a").p) and nothing.words[0].surviving in (1.0,)
    every = deleted_tails(docs, ~gone, {"by": ["a"] * 10 + ["b"] * 20}, rng=rng)
    assert not every.flagged and of(every.tails, "a").ratio == 1.0
