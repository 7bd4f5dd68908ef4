"""The synthetic share of a corpus: close, covered, and wide where nothing supports a number."""

from __future__ import annotations

import numpy as np
import pytest
from detect_texts import texts
from scipy.optimize import minimize_scalar

from tailguard.detect.base import DetectorError
from tailguard.detect.prevalence.mixture import mixture_share, score_prevalence
from tailguard.detect.prevalence.occurrence import Occurrence, plain_share


def drawn(share: float, n: int, rng: np.random.Generator, shift: float = 1.5) -> np.ndarray:
    """Scores of n documents, a share of them synthetic."""
    return rng.normal(size=n) + shift * (rng.random(n) < share)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_intervals_cover_the_share_about_as_often_as_they_say(share: float) -> None:
    rng = np.random.default_rng(int(100 * share))
    covered, found = [], []
    for _ in range(40):
        made = {"g": rng.normal(1.5, 1.0, 1_000)}
        out = score_prevalence(drawn(share, 1_500, rng), rng.normal(size=1_000), made, rng=rng)
        covered.append(out.lo <= share <= out.hi and out.status == "ok")
        found.append(out.share)
    # Binomial(40, .95) falls below 34 with probability .003.
    assert sum(covered) >= 34
    assert abs(np.mean(found) - share) < 0.03


def test_likelihood_is_maximised_at_the_share_found() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        human, made = rng.dirichlet(np.ones(6), 2)
        counts = rng.integers(0, 50, 6).astype(float)
        best = minimize_scalar(
            lambda a, c=counts, h=human, s=made: -(c * np.log((1 - a) * h + a * s)).sum(),
            bounds=(0, 1), method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        found = mixture_share(counts[None], human[None], made[None])[0]
        assert found == pytest.approx(best.x, abs=1e-4)


def test_scores_no_mixture_explains_widen_the_interval_to_one() -> None:
    rng = np.random.default_rng(2)
    human, made = rng.normal(size=1_000), {"g": rng.normal(2.0, 1.0, 1_000)}
    strange = np.concatenate([rng.normal(size=500), rng.normal(1.0, 0.1, 500)])
    out = score_prevalence(strange, human, made, rng=rng)
    assert out.status == "widened" and out.hi == 1.0
    assert out.lo <= 0.5 and "unknown generator" in out.note


def test_unlike_generators_widen_the_interval_to_their_envelope() -> None:
    rng = np.random.default_rng(3)
    human = rng.normal(size=2_000)
    strong, weak = rng.normal(3.0, 1.0, 2_000), rng.normal(0.7, 1.0, 2_000)
    mixed = np.concatenate([rng.normal(size=1_400), rng.normal(0.7, 1.0, 600)])
    both = score_prevalence(mixed, human, {"strong": strong, "weak": weak}, rng=rng)
    one = score_prevalence(mixed, human, {"weak": weak}, rng=rng)
    assert one.lo <= 0.3 <= one.hi and both.lo <= 0.3 <= both.hi
    assert both.hi - both.lo > one.hi - one.lo


def test_copies_in_clusters_add_no_certainty() -> None:
    rng = np.random.default_rng(4)
    human, made = rng.normal(size=2_000), {"g": rng.normal(1.5, 1.0, 2_000)}
    few = drawn(0.4, 100, rng)
    many, cluster = np.repeat(few, 20), np.repeat(np.arange(100), 20)
    once = score_prevalence(few, human, made, rng=rng)
    copied = score_prevalence(many, human, made, rng=rng, clusters=cluster)
    assert 0.75 < (copied.hi - copied.lo) / (once.hi - once.lo) < 1.33
    # The negative control: copies taken for documents are not explained by chance.
    assert score_prevalence(many, human, made, rng=rng).fit_p < once.fit_p / 1e3


def test_too_little_or_damaged_data_is_refused() -> None:
    rng = np.random.default_rng(5)
    good = rng.normal(size=200)
    for one, two, three in (
        (good[:49], good, {"g": good}),
        (np.full(200, np.nan), good, {"g": good}),
        (good, good[:49], {"g": good}),
        (good, good, {"g": good[:3]}),
        (good, np.append(good, np.inf), {"g": good}),
        (good, good, {}),
    ):
        with pytest.raises(DetectorError):
            score_prevalence(one, two, three, rng=rng)


def test_occurrence_scores_are_the_log_ratios_of_presence() -> None:
    found = Occurrence.fit(["a b"] * 6 + ["b"] * 4, ["a"] * 8 + ["b"] * 4)
    a, b = (6.5 / 11, 8.5 / 13), (10.5 / 11, 4.5 / 13)
    presence = {"a": np.log(a[1] / a[0]), "b": np.log(b[1] / b[0])}
    absence = {"a": np.log((1 - a[1]) / (1 - a[0])), "b": np.log((1 - b[1]) / (1 - b[0]))}
    scores = found.score(["a", "b a b", "unknown", ""])
    expected = [presence["a"] + absence["b"], sum(presence.values()), sum(absence.values())]
    assert np.allclose(scores[:3], expected) and np.isnan(scores[3])


def test_held_out_correction_mends_what_dependent_words_bias() -> None:
    rng = np.random.default_rng(6)

    def repeated(kind: str, n: int) -> list[str]:
        # Every word comes in four forms at once, so words are as dependent as they can be.
        made = texts(kind, n, rng, words=12, own=0.05)
        return [" ".join(f"{w} {w}x {w}y {w}z" for w in text.split()) for text in made]

    model = Occurrence.fit(repeated("human", 800), repeated("machine", 800))
    mixed = repeated("human", 1_600) + repeated("machine", 400)
    plain = plain_share(model.score(mixed))
    made = {"machine": model.score(repeated("machine", 800))}
    corrected = score_prevalence(
        model.score(mixed), model.score(repeated("human", 800)), made, rng=rng
    )
    assert abs(plain - 0.2) > 0.05
    assert corrected.lo <= 0.2 <= corrected.hi


@pytest.mark.parametrize(
    ("gap", "share", "n", "held"),
    [(6.0, 0.01, 150, 500), (6.0, 0.002, 1000, 500), (3.0, 0.0, 400, 500), (3.0, 0.98, 1000, 150)],
)
def test_intervals_cover_shares_near_the_borders(
    gap: float, share: float, n: int, held: int
) -> None:
    # Percentiles of a plain bootstrap have no width where no document scores like a synthetic one.
    rng = np.random.default_rng(11)
    runs, hits, widths = 60, 0, []
    for _ in range(runs):
        k = rng.binomial(n, share)
        mixed = np.concatenate([rng.normal(size=n - k), rng.normal(gap, 1, k)])
        made = {"maker": rng.normal(gap, 1, held)}
        found = score_prevalence(mixed, rng.normal(size=500), made, rng=rng)
        hits += found.lo <= share <= found.hi
        widths.append(found.hi - found.lo)
    assert hits >= 52  # 95% of 60 is 57; fewer than 52 has chance .002
    assert min(widths) > 0 and np.mean(widths) < 0.06


def test_scores_that_are_all_the_same_say_nothing() -> None:
    same = np.ones(200)
    with pytest.raises(DetectorError, match="scores that differ"):
        score_prevalence(same, same, {"maker": same}, rng=np.random.default_rng(0))
