"""Prevalence of a corpus slice by slice, with the drift gate before each estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailguard.corpus import Corpus, Quarantine
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Calibration
from tailguard.detect.canonical import canonical
from tailguard.detect.drift import Drift
from tailguard.detect.prevalence import LEAST, Prevalence, score_prevalence
from tailguard.detect.scoring import (
    MOST_SLICES,
    Sample,
    content_hashes,
    gather_texts,
    slices_of,
    source_names,
    texts_of,
)
from tailguard.detect.store import SavedDetector
from tailguard.measure.base import Floats, Hashes
from tailguard.measure.tokens import tokenize


@dataclass(frozen=True, slots=True)
class SliceShare:
    """One slice: what the gate found, and its synthetic share, or None and the reason.

    ``source`` is the slice's name, None for records without one.
    """

    source: str | None
    drift: Drift
    found: Prevalence | None
    reason: str


def shares_by_source(
    saved: SavedDetector,
    incoming: Corpus,
    synthetic: dict[str, Corpus],
    *,
    rng: np.random.Generator,
    quarantine: Quarantine,
) -> list[SliceShare]:
    """The synthetic share of every source of ``incoming``, refused where the gate does not open.

    ``synthetic`` holds texts not fitted on, by generator; the humans are those of the calibration
    (the slice's own source where it has ``LEAST``). Copies in a slice are resampled together. Bad
    rows of ``incoming`` go to ``quarantine``. Raises
    :class:`DetectorError` for a detector without calibration and for too few synthetic texts.
    """
    calibration = saved.calibration
    if calibration is None:
        raise DetectorError("detector", "a calibrated detector", "one without calibration",
                            "run tailguard detect calibrate first")  # fmt: skip
    window = saved.detector.window
    made: dict[str, Floats] = {}
    for name, corpus in synthetic.items():
        held = gather_texts(corpus, window, saved.fitted_on).texts
        if len(held) < LEAST:
            raise DetectorError(name, f"at least {LEAST} synthetic texts not fitted on",
                                str(len(held)), "add some")  # fmt: skip
        made[name] = saved.detector.score(held)
    samples: dict[str | None, Sample] = {}
    scores: dict[str | None, list[Floats]] = {}
    copies: dict[str | None, list[Hashes]] = {}
    for batch in incoming.batches(quarantine):
        texts = canonical(texts_of(batch, incoming.name), window)
        for source, rows in slices_of(source_names(batch)).items():
            part = texts.take(pa.array(rows))
            samples.setdefault(source, Sample()).add(part, rng.random(len(rows)))
            scores.setdefault(source, []).append(saved.detector.score(part))
            copies.setdefault(source, []).append(content_hashes(tokenize(part)))
        if len(samples) > MOST_SLICES:
            got, step = "more", "estimate fewer at a time"
            raise DetectorError(incoming.name, f"at most {MOST_SLICES:,} sources", got, step)
    return [
        _share(saved, calibration, source, samples[source], np.concatenate(scores[source]),
               np.concatenate(copies[source]), made, rng=rng)
        for source in samples
    ]  # fmt: skip


def _share(
    saved: SavedDetector, calibration: Calibration, source: str | None, sample: Sample,
    scores: Floats, copies: Hashes, made: dict[str, Floats], *, rng: np.random.Generator,
) -> SliceShare:  # fmt: skip
    drift = saved.gate.check(sample.texts, source)
    if drift.state != "match":
        return SliceShare(source, drift, None, drift.line)
    human = calibration.scores
    if source in calibration.sources:
        own = human[calibration.source == calibration.sources.index(source)]
        human = own if len(own) >= LEAST else human
    try:
        clusters = copies.view(np.int64)
        found = score_prevalence(scores, human, made, rng=rng, clusters=clusters)
    except DetectorError as error:
        return SliceShare(source, drift, None, str(error))
    return SliceShare(source, drift, found, found.note)
