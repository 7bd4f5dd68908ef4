"""One slice's share: the drift gate, then the mixture of the held-out score laws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tailguard.corpus import Corpus
from tailguard.detect.base import DetectorError, as_array
from tailguard.detect.calibration import Calibration
from tailguard.detect.drift import Drift
from tailguard.detect.gather import Sample, gather_texts
from tailguard.detect.prevalence.mixture import LEAST, Prevalence, score_prevalence
from tailguard.detect.store import SavedDetector
from tailguard.measure.base import Floats, Hashes


def held_out_laws(
    saved: SavedDetector, synthetic: Mapping[str, Corpus]
) -> tuple[Calibration, dict[str, Floats]]:
    """The humans calibrated on, and scores of ``synthetic`` texts not fitted on, by generator.

    Without ``synthetic``, those that were kept out of the fit and are in the detector file. Raises
    :class:`DetectorError` for a detector without calibration and for under ``LEAST`` texts.
    """
    if saved.calibration is None:
        raise DetectorError("detector", "a calibrated detector", "one without calibration",
                            "run tailguard detect calibrate first")  # fmt: skip
    if not synthetic and not saved.made:
        raise DetectorError("detector", "scores of synthetic texts kept out of the fit", "none",
                            "pass --synthetic with texts not fitted on")  # fmt: skip
    made = {} if synthetic else dict(saved.made)
    for name, corpus in synthetic.items():
        held = gather_texts(corpus, saved.detector.window, saved.fitted_on).texts
        scores = saved.detector.score(held)
        made[name] = scores[np.isfinite(scores)]
        if len(made[name]) < LEAST:
            raise DetectorError(name, f"at least {LEAST} synthetic texts not fitted on",
                                str(len(made[name])), "add some")  # fmt: skip
    return saved.calibration, made


@dataclass
class Estimator:
    """The gate, then the share, with everything that slices have in common."""

    saved: SavedDetector
    calibration: Calibration
    made: dict[str, Floats]
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
        # Copies are no documents of their own, and the gate's p-value counts documents.
        drift = self.saved.gate.check(as_array(sample.texts).unique(), source)
        if drift.state != "match":
            return drift, None, drift.line
        human, known = self.calibration.scores, self.own_humans.get(source, 0)
        if known:
            human = human[self.calibration.source == known - 1]
        try:
            found = score_prevalence(scores, human, self.made, rng=self.rng, level=level,
                                     clusters=copies.view(np.int64))  # fmt: skip
        except DetectorError as error:
            return drift, None, str(error)
        return drift, found, found.note
