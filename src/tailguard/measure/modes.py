"""Mid damage: modes narrow, documents resemble each other. Metrics of narrowing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tailguard.measure.base import Floats, Metric
from tailguard.measure.compression import ngram_entropy_bits
from tailguard.measure.divergence import (
    energy_distance,
    frechet_distance,
    median_bandwidth,
    mmd2_unbiased,
    sliced_wasserstein,
)
from tailguard.measure.frontier import mauve_frontier
from tailguard.measure.geometry import effective_rank, spread, vendi
from tailguard.measure.grams import ngram_hashes
from tailguard.measure.neighbours import nearest_cosine, prdc
from tailguard.measure.overlap import self_bleu, self_repetition
from tailguard.measure.tails import counts_under
from tailguard.measure.view import View

INF = float("inf")
LI = "Li et al., NAACL 2016"
NO_DIRECTION = 1e-9
"""Feature vectors are projections of unit vectors; shorter ones are rounding errors."""


def distinct(candidate: View, order: int) -> float:
    """Distinct n-grams over n-grams, pooled over the documents, in (0, 1]."""
    spectrum = candidate.spectrum(order)
    # From a sample of types the number of types is an estimate, and may exceed the n-grams.
    return min(spectrum.types / spectrum.n, 1.0) if spectrum.n else float("nan")


def four_gram_entropy_bits(candidate: View, _: View | None = None) -> float:
    """Plug-in entropy in bits of the 4-grams of the sampled documents."""
    tokens, offsets = candidate.document_tokens
    return ngram_entropy_bits(ngram_hashes(tokens, offsets, 4)[0])


def word_stream_compression(candidate: View, _: View | None = None) -> float:
    """Raw over compressed size of the sampled documents, 16 bits a word; > 0, higher = redundant.

    Documents follow each other, so what they share is seen as well as what each repeats.
    """
    from tailguard.measure.compression import compression_ratio

    tokens, _offsets = candidate.document_tokens
    words = (tokens >> np.uint64(48)).astype("<u2").tobytes()
    return compression_ratio(words, codec="zstd", level=9)


def within(candidate: View, gold: View | None, of: Callable[[Floats], float]) -> float:
    """``of`` the documents' feature vectors, in a map of gold too if there is; nan below two.

    Documents that the map holds nothing of have no direction in it, only rounding, and are left
    out.
    """
    x = candidate.features(gold)
    x = x[np.linalg.norm(x, axis=1) > NO_DIRECTION]
    return of(x) if len(x) > 1 else float("nan")


def word_variance(candidate: View, gold: View | None) -> float:
    """Total variance of the documents' TF-IDF vectors, n/(n - 1) (1 - |mean|²), in [0, n/(n - 1)].

    Taken before the projection: a few documents said many times fill their own map better, and
    would seem to vary more in it than many documents do.
    """
    rows = candidate.feature_map(gold).weighted(*candidate.document_tokens)
    n = rows.shape[0]
    if n < 2:
        return float("nan")
    mean = np.asarray(rows.sum(axis=0)).ravel() / n
    return max(float(n / (n - 1) * (1 - mean @ mean)), 0.0)


def between(
    candidate: View, gold: View | None, least: int, of: Callable[[Floats, Floats], float]
) -> float:
    """``of`` equally many feature vectors of batch and gold; nan with fewer than ``least``."""
    assert gold is not None
    shared = candidate.feature_map(gold)
    x, y = (shared.transform(*view.document_tokens) for view in (candidate, gold))
    n = min(len(x), len(y))
    return of(x[:n], y[:n]) if n >= least and x.shape[1] else float("nan")


def _fixed() -> np.random.Generator:
    """The randomness of a quantiser or of projections is part of a metric's definition."""
    return np.random.default_rng(0)


def _mmd2(x: Floats, y: Floats) -> float:
    return mmd2_unbiased(x, y, median_bandwidth(y, rng=_fixed()))


def _sliced(x: Floats, y: Floats) -> float:
    return sliced_wasserstein(x, y, projections=64, rng=_fixed())


def _category_diversity(candidate: View, category: str) -> float:
    counts = np.array(
        list(candidate.profile.categories.counts.get(category, {}).values()), np.float64
    )
    if counts.sum() == 0:
        return float("nan")
    p = counts[counts > 0] / counts.sum()
    return float(np.exp(-(p @ np.log(p))))


def shared_phrases(candidate: View, gold: View | None) -> float:
    """Share of 4-grams of the batch that gold has too, in [0, 1]: copying, or a common idiom."""
    assert gold is not None
    ours, theirs = counts_under(candidate, gold, 4)
    return float(ours[theirs > 0].sum() / ours.sum()) if ours.sum() else float("nan")


def _sheet(name, fn, unit, worse, bounds, meaning, cite, needs_gold=False, min_n=2) -> Metric:  # type: ignore[no-untyped-def]
    return Metric(name, fn, unit, worse, bounds, min_n, "mid", "N", meaning, cite, needs_gold)


METRICS = (
    *(
        _sheet(
            f"distinct_{n}_pooled", lambda c, g, n=n: distinct(c, n), "share of n-grams", "lower",
            (0, 1), f"Distinct {n}-grams over all {n}-grams of the pooled corpus.", LI, min_n=1,
        )
        for n in (2, 3, 4)
    ),
    _sheet(
        "entropy_4grams_sampled", four_gram_entropy_bits, "bits", "lower", (0, INF),
        "Plug-in entropy of the 4-grams of the sampled documents.", "Zhang et al., NeurIPS 2018",
        min_n=1,
    ),
    _sheet(
        "self_bleu", lambda c, g: self_bleu(*c.document_tokens), "BLEU", "higher", (0, 1),
        "Mean BLEU-4 of each sampled document against all others (exact).",
        "Zhu et al., SIGIR 2018",
    ),
    _sheet(
        "self_repetition", lambda c, g: self_repetition(*c.document_tokens), "nats", "higher",
        (0, INF), "Mean log of 4-gram occurrences in other sampled documents.",
        "Salkar et al., AACL 2022",
    ),
    _sheet(
        "shared_phrases", shared_phrases, "share of 4-grams", "both", (0, 1),
        "Mass of the batch's 4-grams that gold has.", "Shaib et al., 2024", True,
    ),
    _sheet(
        "word_stream_compression", word_stream_compression, "ratio", "higher", (0, INF),
        "Raw over compressed size of the sampled documents' words.", "Shaib et al., 2024",
    ),
    _sheet(
        "vendi", lambda c, g: within(c, g, lambda x: max(vendi(x), 1.0)), "documents",
        "lower", (1, INF), "Effective number of distinct documents (cosine kernel, order 1).",
        "Friedman & Dieng, TMLR 2023",
    ),
    _sheet(
        "effective_rank", lambda c, g: within(c, g, effective_rank), "dimensions", "lower",
        (0, INF), "Effective number of feature dimensions in use.", "Roy & Vetterli, EUSIPCO 2007",
    ),
    _sheet(
        "total_variance", word_variance, "squared TF-IDF units", "lower", (0, 2),
        "Trace of the covariance of the documents' TF-IDF vectors.",
        "Shumailov et al., Nature 2024",
    ),
    _sheet(
        "spread", lambda c, g: within(c, g, lambda x: max(spread(x), 0.0)), "cosine distance",
        "lower", (0, 2),
        "Mean cosine distance between documents.", "Lai et al., 2020",
    ),
    _sheet(
        "nearest_cosine", lambda c, g: within(c, g, lambda x: float(nearest_cosine(x).mean())),
        "cosine", "higher", (-1, 1),
        "Mean cosine similarity of a document to its nearest other.", "this project",
    ),
    *(
        _sheet(
            f"knn_{name}", lambda c, g, i=i: between(c, g, 6, lambda x, y: prdc(y, x)[i]),
            "share of documents", "lower",
            (0, INF if name == "density" else 1), f"{name.capitalize()} of the batch around gold.",
            "Kynkäänniemi et al., NeurIPS 2019; Naeem et al., ICML 2020", True, 6,
        )
        for i, name in enumerate(("precision", "recall", "density", "coverage"))
    ),
    _sheet(
        "frontier",
        lambda c, g: between(c, g, 8, lambda x, y: mauve_frontier(x, y, rng=_fixed()).score),
        "area", "lower", (0, 1),
        "Area under the divergence frontier of quantised features (MAUVE-style).",
        "Pillutla et al., NeurIPS 2021", True, 8,
    ),
    _sheet(
        "mmd2", lambda c, g: between(c, g, 2, _mmd2), "kernel units", "higher", (-2, 2),
        "Squared maximum mean discrepancy, Gaussian kernel, unbiased.",
        "Gretton et al., JMLR 2012", True,
    ),
    _sheet(
        "energy", lambda c, g: between(c, g, 2, energy_distance), "feature units", "higher",
        (-INF, INF), "Energy distance of the features.", "Székely & Rizzo, 2013", True,
    ),
    _sheet(
        "sliced_wasserstein", lambda c, g: between(c, g, 2, _sliced), "feature units", "higher",
        (0, INF),
        "Sliced 2-Wasserstein distance of the features, 64 projections.",
        "Bonneel et al., JMIV 2015", True,
    ),
    _sheet(
        "frechet", lambda c, g: between(c, g, 2, frechet_distance), "squared feature units",
        "higher", (-INF, INF), "Fréchet distance of Gaussians fitted to the features.",
        "Heusel et al., NeurIPS 2017", True,
    ),
    *(
        _sheet(
            f"{name}_diversity", lambda c, g, name=name: _category_diversity(c, name), name + "s",
            "lower", (1, INF), f"Effective number of {name}s, over the whole corpus.",
            "Hill, Ecology 1973", min_n=1,
        )
        for name in ("source", "language", "month")
    ),
)  # fmt: skip
