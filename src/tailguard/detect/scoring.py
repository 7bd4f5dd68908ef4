"""Scoring a corpus slice by slice, in bounded memory, behind the drift gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.corpus import Corpus, Quarantine
from tailguard.detect.base import DECISIONS, DetectorError, as_array
from tailguard.detect.calibration import (
    HUMAN_LIKE_P,
    Calibration,
    Decisions,
    Target,
    benjamini_hochberg,
    missing,
)
from tailguard.detect.canonical import Window, canonical, word_counts
from tailguard.detect.detectors.base import Prepared
from tailguard.detect.drift import Drift
from tailguard.detect.gather import (
    MOST_SLICES,
    Sample,
    content_hashes,
    slices_of,
    source_names,
    texts_of,
)
from tailguard.detect.store import SavedDetector

COLUMNS = (
    "detector_score",
    "conformal_p",
    "decision",
    "compared_with",
    "drift",
    "detector_evidence",
)


@dataclass
class Scorer:
    """Scores a corpus slice by slice (a slice is one ``source``); two passes, flat memory.

    :meth:`look` draws from each slice for the drift gate and, with ``fdr``, collects p-values;
    :meth:`batches` then yields the records with the columns ``COLUMNS`` added. ``counts`` says how
    many of each decision, ``fitted_on`` how many texts the detector was fitted on (their decisions
    are abstained: their scores are those of texts known by heart). Slices too small for the gate
    are looked at together. ``rng`` draws the sample of each slice.
    """

    saved: SavedDetector
    target: Target
    fdr: float | None = None
    drifts: dict[str | None, Drift] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DECISIONS, 0))
    cutoff: float = float("nan")
    fitted_on: int = 0

    def look(
        self, corpus: Corpus, *, rng: np.random.Generator,
        advance: Callable[[int], None] = lambda n_bytes: None,
    ) -> None:  # fmt: skip
        """First pass: compare each slice with the calibration humans; ``advance`` is told bytes.

        Raises :class:`DetectorError` for a detector whose calibration cannot carry the target.
        """
        self._calibration()
        samples: dict[str | None, Sample] = {}
        for batch in corpus.batches(Quarantine()):
            texts, names = texts_of(batch, corpus.name), source_names(batch)
            for name, rows in slices_of(names).items():
                sample = samples.setdefault(name, Sample())
                keys = rng.random(len(rows))
                enters = sample.enters(keys)
                own = texts.take(pa.array(np.array(rows)[enters]))
                sample.add(canonical(own, self._window), keys[enters])
            advance(batch.nbytes)
            if len(samples) > MOST_SLICES:
                raise DetectorError(corpus.name, f"at most {MOST_SLICES:,} sources", "more",
                                    "score fewer at a time")  # fmt: skip
        self._gate(samples)
        if self.fdr is not None:
            decided = [
                self._decide(batch, corpus.name)[0].p for batch in corpus.batches(Quarantine())
            ]
            p = np.concatenate(decided or [np.zeros(0)])
            falls = benjamini_hochberg(p, self.fdr)
            self.cutoff = float(p[falls].max()) if falls.any() else 0.0

    def _gate(self, samples: dict[str | None, Sample]) -> None:
        """Check every slice; those too small by themselves stand or fall together."""
        for name, sample in samples.items():
            self.drifts[name] = self.saved.gate.check(sample.texts, name)
        small = [name for name, drift in self.drifts.items() if drift.state == "unchecked"]
        if len(small) > 1:
            every = pa.concat_arrays([as_array(samples[name].texts) for name in small])
            together = self.saved.gate.check(every)
            self.drifts |= {name: replace(together, slices=len(small)) for name in small}

    def batches(self, corpus: Corpus, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        """Second pass: the records, scored and decided."""
        self.fitted_on = 0  # the first pass counts them too where it decides
        for batch in corpus.batches(quarantine):
            taken = sorted(set(COLUMNS) & set(batch.schema.names))
            if taken:
                raise DetectorError(corpus.name, f"no column {taken[0]!r}", "one",
                                    "rename it, or score the records as they were")  # fmt: skip
            found, texts = self._decide(batch, corpus.name)
            if self.fdr is not None:
                found = self._discoveries(found)
            for decision in found.decisions:
                self.counts[decision] += 1
            yield self._with_columns(batch, texts, found)

    @property
    def _window(self) -> Window:
        return self.saved.detector.window

    def _calibration(self) -> Calibration:
        calibration = self.saved.calibration
        if calibration is None:
            raise DetectorError("detector", "a calibrated detector", "one without calibration",
                                "run tailguard detect calibrate first")  # fmt: skip
        if len(calibration.scores) < self.target.needed:
            raise missing(len(calibration.scores), self.target)
        return calibration

    def _decide(self, batch: pa.RecordBatch, name: str) -> tuple[Decisions, Prepared]:
        calibration = self._calibration()
        texts, names = Prepared.of(texts_of(batch, name), self._window), source_names(batch)
        scores, words = self.saved.detector.score_prepared(texts), word_counts(texts.texts)
        whole = calibration.decide(scores, words, names, self.target)
        held = whole.withheld()
        known = np.isin(content_hashes(texts.tokens), self.saved.fitted_on)
        self.fitted_on += int(known.sum())
        stand: NDArray[np.bool_] = np.array([self.drifts[n].state == "match" for n in names], bool)
        stand &= ~known
        pick = stand.tolist()
        decided = Decisions(
            scores,
            np.where(stand, whole.p, held.p),
            np.where(stand, whole.thresholds, held.thresholds),
            [a if ok else "fitted on" if was else b
             for a, b, ok, was in zip(whole.levels, held.levels, pick, known.tolist(),
                                      strict=True)],
            [a if ok else b for a, b, ok in zip(whole.decisions, held.decisions, pick,
                                                strict=True)],
        )  # fmt: skip
        return decided, texts

    def _discoveries(self, found: Decisions) -> Decisions:
        decision = np.full(len(found.p), "abstain", object)
        decision[found.p > HUMAN_LIKE_P] = "human-like"
        decision[found.p <= self.cutoff] = "synthetic"
        return replace(found, decisions=decision.tolist())

    def _with_columns(
        self, batch: pa.RecordBatch, texts: Prepared, found: Decisions
    ) -> pa.RecordBatch:
        names = source_names(batch)
        evidence: list[str | None] = [None] * len(batch)
        rows = np.flatnonzero(np.array(found.decisions, object) == "synthetic")
        told = self.saved.detector.evidence_prepared(texts, rows)
        for row, moved in zip(rows.tolist(), told, strict=True):
            evidence[row] = json.dumps([[word, round(nats, 4)] for word, nats in moved])
        added: list[Any] = [
            pa.array(found.scores, from_pandas=True),
            pa.array(found.p, from_pandas=True),
            pa.array(found.decisions, pa.string()),
            pa.array(found.levels, pa.string()),
            pa.array([self.drifts[n].state for n in names], pa.string()),
            pa.array(evidence, pa.string()),
        ]
        return pa.RecordBatch.from_arrays([*batch.columns, *added], [*batch.schema.names, *COLUMNS])
