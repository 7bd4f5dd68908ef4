"""Early damage: rare words, unseen words, richness. Metrics of the tail and of sharpening."""

from __future__ import annotations

import math

import numpy as np

from tailguard.measure.base import Ints, Metric
from tailguard.measure.rarefaction import (
    heaps_slope_ols,
    hill_at,
    hill_at_coverage,
    rarefaction_curve,
)
from tailguard.measure.richness import (
    ace,
    chao1,
    coverage,
    entropy_chao_shen_bits,
    hill,
    missing_mass,
    simpson,
    zipf_slope_spectrum_mle,
)
from tailguard.measure.view import View

RARE = 2
"""A word is rare in gold when gold has it at most this often."""
COVERAGE = 0.9
GOOD = "Good, Biometrika 1953; Chao & Jost, Ecology 2012"
HILL = "Hill, Ecology 1973; Chao et al., Ecological Monographs 2014"


def counts_under(candidate: View, gold: View, order: int = 1) -> tuple[Ints, Ints]:
    """Counts of the n-grams sampled in both corpora: in candidate and in gold, each (K,).

    When both are views of one profile, candidate is scored against the rest of gold only if the
    two do not overlap; that is the caller's to see to.
    """
    return gold.beside(candidate, order)


def mass_by_gold_count(candidate: View, gold: View, low: int, high: int, order: int = 1) -> float:
    """Share of candidate's n-grams that gold has ``low`` to ``high`` times, in [0, 1]."""
    ours, theirs = counts_under(candidate, gold, order)
    inside = (theirs >= low) & (theirs <= high)
    total = int(ours.sum())
    return float(ours[inside].sum()) / total if total else float("nan")


def rare_recall(candidate: View, gold: View) -> float:
    """Share of the words gold has once or twice that candidate has at all, in [0, 1]."""
    ours, theirs = counts_under(candidate, gold)
    rare = (theirs >= 1) & (theirs <= RARE)
    return float((ours[rare] > 0).mean()) if rare.any() and ours.any() else float("nan")


def cross_entropy_nats(candidate: View, gold: View, order: int = 1) -> float:
    """-sum_w p(w) log q(w) in nats per token: p candidate's frequencies, q gold's + 1/2.

    q(w) = (n_w + 1/2) / (N + V/2) with V the types in view of either, so unseen words have a
    finite cost.
    """
    ours, theirs = counts_under(candidate, gold, order)
    total = int(ours.sum())
    if total == 0 or theirs.sum() == 0:
        return float("nan")
    types = np.count_nonzero(ours + theirs)
    log_q = np.log(theirs + 0.5) - math.log(float(theirs.sum()) + types / 2)
    return float(-(ours @ log_q) / total)


def _heaps(candidate: View, _: View | None) -> float:
    spectrum = candidate.spectrum(1)
    if spectrum.n < 100:
        return float("nan")
    sizes = np.unique(np.geomspace(spectrum.n / 64, spectrum.n, 13).astype(np.int64))
    return min(heaps_slope_ols(sizes, rarefaction_curve(spectrum, sizes, 0)), 1.0)


def _share(value: float) -> float:
    """An estimate from a sample of types may leave [0, 1] by chance; nan stays nan."""
    return min(max(value, 0.0), 1.0) if value == value else value


def _needs(gold: View | None) -> View:
    assert gold is not None
    return gold


def _sheet(name: str, fn, unit, worse, bounds, axis, meaning, cite, needs_gold=False) -> Metric:  # type: ignore[no-untyped-def]
    return Metric(name, fn, unit, worse, bounds, 1, "early", axis, meaning, cite, needs_gold)


INF = float("inf")

METRICS = (
    _sheet(
        "missing_mass", lambda c, g: _share(missing_mass(c.spectrum(1))), "share of tokens",
        "lower", (0, 1), "T", "Good–Turing estimate of the mass of words not yet seen: f1/N.", GOOD,
    ),
    _sheet(
        "coverage", lambda c, g: _share(coverage(c.spectrum(1))), "share of tokens", "higher",
        (0, 1), "T", "Estimated share of the source's word mass that the sample has seen.", GOOD,
    ),
    _sheet(
        "chao1", lambda c, g: chao1(c.spectrum(1)), "words", "lower", (0, INF),
        "T", "Lower bound of the number of words of the source.", "Chao, Scand. J. Stat. 1984",
    ),
    _sheet(
        "ace", lambda c, g: ace(c.spectrum(1)), "words", "lower", (0, INF),
        "T", "Abundance-based coverage estimate of the number of words.", "Chao & Lee, JASA 1992",
    ),
    _sheet(
        "hill_0", lambda c, g: hill(c.spectrum(1), 0), "words", "lower", (0, INF),
        "T", "Richness: distinct words.", HILL,
    ),
    _sheet(
        "hill_1", lambda c, g: hill(c.spectrum(1), 1), "words", "lower", (0, INF),
        "S", "Effective number of words, order 1 (exponential of Shannon entropy).", HILL,
    ),
    _sheet(
        "hill_2", lambda c, g: hill(c.spectrum(1), 2), "words", "lower", (0, INF),
        "S", "Effective number of words, order 2 (inverse Simpson).", HILL,
    ),
    _sheet(
        "simpson", lambda c, g: _share(simpson(c.spectrum(1))), "probability", "higher", (0, 1),
        "S", "Chance that two tokens are the same word, without bias.", "Simpson, Nature 1949",
    ),
    _sheet(
        "hill_0_half", lambda c, g: hill_at(s := c.spectrum(1), s.n // 2, 0), "words", "lower",
        (0, INF), "T", "Richness rarefied to half the sample (token-level).", HILL,
    ),
    _sheet(
        "hill_0_at_coverage", lambda c, g: hill_at_coverage(c.spectrum(1), COVERAGE, 0), "words",
        "lower", (0, INF), "T", "Richness standardised to 90% coverage (iNEXT's method).", HILL,
    ),
    _sheet(
        "entropy_words_chao_shen", lambda c, g: entropy_chao_shen_bits(c.spectrum(1)), "bits",
        "lower", (0, INF), "S", "Word entropy, corrected for unseen words.",
        "Chao & Shen, Environ. Ecol. Stat. 2003",
    ),
    _sheet(
        "zipf_slope_spectrum_mle", lambda c, g: zipf_slope_spectrum_mle(c.spectrum(1)), "exponent",
        "both", (0, INF), "T", "Exponent of the frequency spectrum (maximum likelihood).",
        "Clauset, Shalizi & Newman, SIAM Review 2009; Moreno-Sánchez et al., PLoS ONE 2016",
    ),
    _sheet(
        "heaps_slope", _heaps, "exponent", "lower", (0, 1),
        "T", "Slope of log distinct words on log tokens, over the rarefaction curve.",
        "Heaps 1978; Herdan 1960",
    ),
    _sheet(
        "unseen_mass", lambda c, g: mass_by_gold_count(c, _needs(g), 0, 0), "share of tokens",
        "lower", (0, 1), "T", "Mass of words that gold does not have.", GOOD, True,
    ),
    _sheet(
        "rare_mass", lambda c, g: mass_by_gold_count(c, _needs(g), 1, RARE), "share of tokens",
        "lower", (0, 1), "T", "Mass of words that gold has once or twice.", GOOD, True,
    ),
    _sheet(
        "rare_recall", lambda c, g: rare_recall(c, _needs(g)), "share of words", "lower", (0, 1),
        "T", "Share of gold's words of count one or two that the batch has.",
        "Alemohammad et al., ICLR 2024 (recall); counts as in Good 1953", True,
    ),
    _sheet(
        "cross_entropy", lambda c, g: cross_entropy_nats(c, _needs(g)), "nats per token", "both",
        (0, INF), "S", "Surprise of the batch's words under gold's frequencies.",
        "Shannon 1948", True,
    ),
    _sheet(
        "cross_entropy_bigrams", lambda c, g: cross_entropy_nats(c, _needs(g), 2),
        "nats per bigram", "both", (0, INF), "S",
        "Surprise of the batch's word pairs under gold's frequencies.", "Shannon 1948", True,
    ),
)  # fmt: skip
