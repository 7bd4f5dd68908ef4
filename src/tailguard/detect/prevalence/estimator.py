"""One slice's share: the drift gate, then the mixture of the held-out score laws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tailguard.corpus import Corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Calibration
from tailguard.detect.drift import Drift
from tailguard.detect.gather import Sample, gather_texts
from tailguard.detect.laws import LEAST, Laws
from tailguard.detect.prevalence.mixture import Prevalence, score_prevalence
from tailguard.detect.store import SavedDetector
from tailguard.measure.base import Floats, Hashes


def held_out_laws(
    saved: SavedDetector, synthetic: Mapping[str, Corpus]
) -> tuple[Calibration, Laws]:
    """The humans calibrated on, and the laws of ``synthetic`` texts not fitted on, by generator.

    Without ``synthetic``, those that were kept out of the fit and are in the detector file. Raises
    :class:`DetectorError` for a detector without calibration and for under ``LEAST`` texts.
    """
    if saved.calibration is None:
        raise DetectorError("detector", "a calibrated detector", "one without calibration",
                            "run tailguard detect calibrate first")  # fmt: skip
    if not synthetic and not saved.made.by_generator:
        raise DetectorError("detector", "scores of synthetic texts kept out of the fit", "none",
                            "pass --synthetic with texts not fitted on")  # fmt: skip
    if not synthetic:
        return saved.calibration, saved.made
    scores, generators, sources = [np.zeros(0)], [], []
    for name, corpus in synthetic.items():
        held = gather_texts(corpus, saved.detector.window, saved.fitted_on)
        found = saved.detector.score(held.texts)
        if int(np.isfinite(found).sum()) < LEAST:
            raise DetectorError(name, f"at least {LEAST} synthetic texts not fitted on",
                                str(int(np.isfinite(found).sum())), "add some")  # fmt: skip
        scores.append(found)
        generators += [name] * len(found)
        sources += held.columns["source"]
    made = Laws.of(np.concatenate(scores), generators, sources)
    return saved.calibration, made


@dataclass
class Estimator:
    """The gate, then the share, with everything that slices have in common."""

    saved: SavedDetector
    calibration: Calibration
    made: Laws
    rng: np.random.Generator

    @classmethod
    def of(
        cls, saved: SavedDetector, synthetic: dict[str, Corpus], *, rng: np.random.Generator
    ) -> Estimator:
        """With synthetic texts not fitted on, or those that the detector file holds without any.

        Raises :class:`DetectorError`.
        """
        human, made = held_out_laws(saved, synthetic)
        return cls(saved, human, made, rng)

    @property
    def own_humans(self) -> dict[str | None, int]:
        """Sources with ``LEAST`` calibration humans of their own, numbered from 1."""
        names = self.calibration.sources
        rows = np.bincount(self.calibration.source + 1, minlength=len(names) + 1)
        return {name: i for i, name in enumerate(names, 1) if rows[i] >= LEAST}

    def share(
        self, sample: Sample, source: str | None, scores: Floats, copies: Hashes,
        level: float = 0.95,
    ) -> tuple[Drift, Prevalence | None, str]:  # fmt: skip
        """The synthetic share of scores, after the gate has seen a sample of their texts."""
        drift = self.saved.gate.check(sample.texts, source)
        if drift.state != "match":
            return drift, None, drift.line
        human, known = self.calibration.scores, self.own_humans.get(source, 0)
        made = self.made.by_generator
        if known:
            human = human[self.calibration.source == known - 1]
            # Humans of one source against synthetic texts of all would differ by source as well.
            own = self.made.by_source.get(source or "")
            made = made if own is None else {f"those of {source}": own}
        try:
            found = score_prevalence(scores, human, made, rng=self.rng, level=level,
                                     clusters=copies.view(np.int64))  # fmt: skip
        except DetectorError as error:
            return drift, None, str(error)
        pooled = source is not None and not known and len(self.calibration.sources) > 1
        more = "; humans of all sources pooled, though sources differ" if pooled else ""
        return drift, found, found.note + more
