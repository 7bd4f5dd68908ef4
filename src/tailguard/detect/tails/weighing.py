"""Importance weights for a corpus in two passes: look at the scores, then weigh the records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from tailguard.corpus import Corpus, Quarantine
from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import canonical
from tailguard.detect.drift import Drift
from tailguard.detect.gather import (
    MOST_SLICES,
    Sample,
    content_hashes,
    slices_of,
    source_names,
    texts_of,
)
from tailguard.detect.prevalence.estimator import held_out_laws
from tailguard.detect.prevalence.mixture import Prevalence, score_prevalence
from tailguard.detect.store import SavedDetector
from tailguard.detect.tails.weights import (
    Clipped,
    LikelihoodRatio,
    clip_weights,
    importance_weights,
)
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.tokens import tokenize

WEIGHT = "importance_weight"


@dataclass(frozen=True, slots=True)
class Law:
    """The score laws of both kinds on held-out documents: ``human`` (n,), ``synthetic`` by maker.

    ``ratio`` is their likelihood ratio, all makers together.
    """

    human: Floats
    synthetic: dict[str, Floats]
    ratio: LikelihoodRatio


def held_out_law(saved: SavedDetector, synthetic: dict[str, Corpus]) -> Law:
    """The calibration humans' scores, and those of ``synthetic`` texts that were not fitted on.

    Without ``synthetic``, those that the detector file holds. Raises :class:`DetectorError` for a
    detector without calibration and for under ``LEAST`` texts.
    """
    calibration, laws = held_out_laws(saved, synthetic)
    made = laws.by_generator
    human = calibration.scores
    return Law(human, made, LikelihoodRatio.fit(human, np.concatenate(list(made.values()))))


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a corpus's weights rest on.

    ``share`` is the synthetic share of the records weighed, with its interval; ``clipped`` the
    weights; ``size_lo`` and ``size_hi`` the effective sizes at the ends of that interval;
    ``by_source`` the records with a weight and their mean weight; ``unweighed`` counts the records
    without one, by reason.
    """

    share: Prevalence
    clipped: Clipped
    size_lo: float
    size_hi: float
    by_source: dict[str | None, tuple[int, float]]
    unweighed: dict[str, int]


@dataclass
class Weigher:
    """Weighs a corpus to the law of its human records; two passes, memory of one score a record.

    :meth:`look` estimates the synthetic share of all slices (values of ``source``) that pass the
    drift gate, together, and fixes the weights; :meth:`batches` then yields the records with the
    column ``importance_weight``. A record without a score, or of a slice that the gate holds back,
    has none (null): nothing is known there. ``cap`` is the largest weight, √n without it;
    ``share`` a synthetic share that is known, in place of the estimate.
    """

    saved: SavedDetector
    law: Law
    cap: float | None = None
    share: float | None = None
    drifts: dict[str | None, Drift] = field(default_factory=dict)
    found: Weighed | None = None

    def look(
        self, corpus: Corpus, *, rng: np.random.Generator,
        advance: Callable[[int], None] = lambda n_bytes: None,
    ) -> Weighed:  # fmt: skip
        """First pass; ``advance`` is told the bytes of each batch.

        Raises :class:`DetectorError` where no slice passes the gate, with fewer than ``LEAST``
        documents in those that do, and where no mixture of the held-out laws explains their
        scores: the likelihood ratio is then not that of this corpus.
        """
        if self.cap is not None and not self.cap >= 1.0:
            raise DetectorError("cap", "a number from 1 up", str(self.cap), "the mean weight is 1")
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            got = str(self.share)
            raise DetectorError("synthetic share", "a number from 0 to 1", got, "as in 0.3")
        window = self.saved.detector.window
        samples: dict[str | None, Sample] = {}
        scores: dict[str | None, list[Floats]] = {}
        copies: dict[str | None, list[Hashes]] = {}
        for batch in corpus.batches(Quarantine()):
            texts = canonical(texts_of(batch, corpus.name), window)
            every, hashes = self.saved.detector.score(texts), content_hashes(tokenize(texts))
            for name, rows in slices_of(source_names(batch)).items():
                part = texts.take(pa.array(rows))
                samples.setdefault(name, Sample()).add(part, rng.random(len(rows)))
                scores.setdefault(name, []).append(every[rows])
                copies.setdefault(name, []).append(hashes[rows])
            advance(batch.nbytes)
            if len(samples) > MOST_SLICES:
                raise DetectorError(corpus.name, f"at most {MOST_SLICES:,} sources", "more",
                                    "weigh fewer at a time")  # fmt: skip
        self.drifts = {name: self.saved.gate.check(s.texts, name) for name, s in samples.items()}
        slices = {name: np.concatenate(parts) for name, parts in scores.items()}
        names = [name for name in slices if self.drifts[name].state == "match"]
        if not names:
            why = next((drift.line for drift in self.drifts.values()), "no records")
            raise DetectorError(corpus.name, "a slice like the calibration", f"none ({why})",
                                "calibrate with humans of these sources")  # fmt: skip
        clusters = np.concatenate([c for name in names for c in copies[name]]).view(np.int64)
        self.found = self._weigh({name: slices[name] for name in names}, clusters, rng=rng)
        self._count(slices)
        return self.found

    def batches(self, corpus: Corpus, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        """Second pass: the records with their weights."""
        if self.found is None:
            raise DetectorError("weigher", "a corpus that was looked at", "none", "call look first")
        window, share = self.saved.detector.window, self.found.share.share
        for batch in corpus.batches(quarantine):
            if WEIGHT in batch.schema.names:
                raise DetectorError(corpus.name, f"no column {WEIGHT!r}", "one", "rename it")
            scores = self.saved.detector.score(canonical(texts_of(batch, corpus.name), window))
            states = [self.drifts[name].state for name in source_names(batch)]
            scores[np.array([state != "match" for state in states], bool)] = np.nan
            weights = importance_weights(self.law.ratio.at(scores), share)
            column = pa.array(self.found.clipped.of(weights), from_pandas=True)
            yield batch.append_column(WEIGHT, column)

    def _weigh(
        self, slices: dict[str | None, Floats], clusters: Ints, *, rng: np.random.Generator
    ) -> Weighed:
        scores = np.concatenate(list(slices.values()))
        law = self.law
        share = self._share(scores, clusters, rng=rng)
        ratios = law.ratio.at(scores)
        lo, hi = (
            clip_weights(importance_weights(ratios, at), self.cap).size
            for at in (share.lo, share.hi)
        )
        clipped = clip_weights(importance_weights(ratios, share.share), self.cap)
        ends = np.cumsum([0, *map(len, slices.values())])
        by_source = {}
        for at, name in enumerate(slices):
            own = clipped.weights[ends[at] : ends[at + 1]]
            own = own[~np.isnan(own)]
            by_source[name] = (len(own), float(own.mean()) if len(own) else float("nan"))
        return Weighed(share, clipped, lo, hi, by_source, {})

    def _share(self, scores: Floats, clusters: Ints, *, rng: np.random.Generator) -> Prevalence:
        if self.share is not None:
            n = int(np.isfinite(scores).sum())
            at = self.share
            return Prevalence(at, at, at, n, float("nan"), "ok", "given, not estimated")
        law = self.law
        found = score_prevalence(scores, law.human, law.synthetic, rng=rng, clusters=clusters)
        if found.status != "ok":
            got = f"others (share {found.share:.1%} [{found.lo:.1%}, {found.hi:.1%}])"
            raise DetectorError("weights", "scores that a mixture of the held-out laws explains",
                                got, "add texts of the unknown generator, recalibrate on its own "
                                "humans, or pass a known share")  # fmt: skip
        return found

    def _count(self, slices: dict[str | None, Floats]) -> None:
        assert self.found is not None
        left = self.found.unweighed
        left |= {"without a score": 0, "drift": 0, "unchecked": 0}
        for name, scores in slices.items():
            state = self.drifts[name].state
            if state != "match":
                left[state] += len(scores)
            else:
                left["without a score"] += int(np.isnan(scores).sum())
