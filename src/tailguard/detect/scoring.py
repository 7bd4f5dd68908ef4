"""What the commands do with corpora: fit, calibrate, and score record batches in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from tailguard.corpus import Corpus, Quarantine
from tailguard.detect.base import DECISIONS, DetectorError, Texts
from tailguard.detect.calibration import (
    HUMAN_LIKE_P,
    Calibration,
    Decisions,
    Target,
    benjamini_hochberg,
    missing,
)
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.detectors.base import TextDetector
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.drift import Drift, DriftGate
from tailguard.detect.leaks import leak_probe
from tailguard.detect.store import SavedDetector
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.grams import gram_hash
from tailguard.measure.tokens import Tokens, tokenize

SLICE_SAMPLE = 2_000
"""Documents of a slice that the drift gate looks at, drawn at random from all of it."""
MOST_SLICES = 10_000
COLUMNS = ("detector_score", "conformal_p", "decision", "compared_with", "drift", "evidence")


@njit(cache=True, nogil=True)
def _contents(hashes: Hashes, offsets: Ints, out: Hashes) -> None:
    for d in range(out.size):
        out[d] = gram_hash(hashes, offsets[d], offsets[d + 1] - offsets[d])


def content_hashes(tokens: Tokens) -> Hashes:
    """A hash of each document's words in order, shape (D,): copies differ in formatting only."""
    out = np.empty(len(tokens), np.uint64)
    _contents(tokens.hashes, tokens.offsets, out)
    return out


@dataclass(frozen=True, slots=True)
class Gathered:
    """Texts of a corpus that can be used, canonical; ``left_out`` counts the others by reason."""

    texts: pa.Array
    words: Ints
    sources: list[str | None]
    hashes: Hashes
    left_out: dict[str, int]


def gather_texts(corpus: Corpus, window: Window, known: Hashes | None = None) -> Gathered:
    """Read the windows of a corpus's texts, each once; nothing is left out without being counted.

    Left out are texts without words, copies (of one window), and texts among ``known``. Memory
    holds the windows, not the corpus. Raises :class:`DetectorError` where nothing is left.
    """
    seen: set[int] = set()
    forbidden = set() if known is None else set(known.tolist())
    left = {"without words": 0, "copies": 0, "fitted on": 0, "quarantined": 0}
    parts: list[pa.Array] = []
    words: list[Ints] = []
    hashes: list[Hashes] = []
    sources: list[str | None] = []
    bad = Quarantine()
    for batch in corpus.batches(bad):
        found, names = canonical(texts_of(batch, corpus.name), window), source_names(batch)
        tokens = tokenize(found)
        content = content_hashes(tokens)
        keep = np.zeros(len(found), bool)
        for i, (value, n) in enumerate(zip(content.tolist(), tokens.lengths.tolist(), strict=True)):
            reason = "without words" if n == 0 else "copies" if value in seen else ""
            reason = reason or ("fitted on" if value in forbidden else "")
            if reason:
                left[reason] += 1
            else:
                seen.add(value)
                keep[i] = True
        parts.append(found.filter(pa.array(keep)))
        words.append(_count_words(found)[keep])
        hashes.append(content[keep])
        sources += [name for name, kept in zip(names, keep.tolist(), strict=True) if kept]
    left["quarantined"] = bad.total
    if not sources:
        told = ", ".join(f"{n} {reason}" for reason, n in left.items() if n) or "no records"
        raise DetectorError(corpus.name, "texts with words", told, "check the files")
    texts = pa.concat_arrays(parts)
    return Gathered(texts, np.concatenate(words), sources, np.concatenate(hashes), left)


def texts_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The texts of a batch; :class:`DetectorError` for records of another kind."""
    if batch.schema.get_field_index("text") < 0:
        raise DetectorError(name, "texts", "records of another kind", "pass a corpus of texts")
    return batch.column("text")


def source_names(batch: pa.RecordBatch) -> list[str | None]:
    """The source of every record of a batch; None where it names none."""
    if batch.schema.get_field_index("source") < 0:
        return [None] * len(batch)
    return [None if v is None else str(v) for v in batch.column("source").to_pylist()]


def _count_words(canonical_texts: pa.Array) -> Ints:
    """Words between single spaces, shape (n,)."""
    import pyarrow.compute as pc

    spaces = pc.count_substring(canonical_texts, " ").to_numpy(zero_copy_only=False)
    some = pc.binary_length(canonical_texts).to_numpy(zero_copy_only=False) > 0
    return (spaces + some).astype(np.int64)


def fit_detector(
    human: Corpus, synthetic: Corpus, *, detector: TextDetector | None = None
) -> tuple[SavedDetector, dict[str, dict[str, int]]]:  # fmt: skip
    """A detector fitted on two corpora, not yet calibrated; and what was left out of each.

    ``detector`` says which kind, with its settings and window; linear without it.

    Texts found on both sides are left out of both. Raises :class:`DetectorError`.
    """
    detector = LinearDetector() if detector is None else detector
    window = detector.window
    sides = {"human": gather_texts(human, window), "synthetic": gather_texts(synthetic, window)}
    left = {name: side.left_out for name, side in sides.items()}
    shared = np.intersect1d(sides["human"].hashes, sides["synthetic"].hashes)
    texts = []
    for name, side in sides.items():
        keep = ~np.isin(side.hashes, shared)
        left[name]["on both sides"] = int((~keep).sum())
        texts.append(side.texts.filter(pa.array(keep)))
        if not keep.any():
            got = f"only texts that are also {'synthetic' if name == 'human' else 'human'}"
            raise DetectorError(f"{name} texts", "two different classes", got, "check the files")
    detector.fit(texts[0], texts[1])
    fitted_on = np.union1d(sides["human"].hashes, sides["synthetic"].hashes)
    counts = {"human": len(texts[0]), "synthetic": len(texts[1])}
    gate = DriftGate.fit(texts[0], texts[1], window)
    leaks = tuple(leak_probe(texts[0], texts[1]))
    return SavedDetector(detector, gate, fitted_on, counts, leaks), left


def calibrate_detector(
    saved: SavedDetector, human: Corpus, target: Target
) -> tuple[SavedDetector, dict[str, int]]:
    """The detector with the scores of these human documents; and what was left out.

    Copies count once and texts fitted on not at all: neither is exchangeable with new documents.
    Raises :class:`DetectorError` saying how many human documents are missing for ``target``.
    """
    found = gather_texts(human, saved.detector.window, saved.fitted_on)
    if len(found.texts) < target.needed:
        raise missing(len(found.texts), target)
    scores = saved.detector.score(found.texts)
    names = sorted({name for name in found.sources if name})
    if len(names) > MOST_SLICES:
        raise DetectorError(human.name, f"at most {MOST_SLICES:,} sources", f"{len(names):,}",
                            "merge the sources")  # fmt: skip
    number = {name: i for i, name in enumerate(names)}
    source = np.array([number.get(name or "", -1) for name in found.sources], np.int64)
    gate = saved.gate.calibrate(found.texts, [name or "" for name in found.sources])
    calibration = Calibration(scores, found.words, source, tuple(names))
    return saved.calibrated(calibration, gate), found.left_out


@dataclass
class Scorer:
    """Scores a corpus slice by slice (a slice is one ``source``); two passes, flat memory.

    :meth:`look` draws from each slice for the drift gate and, with ``fdr``, collects p-values;
    :meth:`batches` then yields the records with the columns ``COLUMNS`` added. ``counts`` says how
    many of each decision. ``rng`` draws the sample of each slice.
    """

    saved: SavedDetector
    target: Target
    fdr: float | None = None
    drifts: dict[str | None, Drift] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DECISIONS, 0))
    cutoff: float = float("nan")

    def look(self, corpus: Corpus, *, rng: np.random.Generator) -> None:
        """First pass: compare each slice with the calibration humans.

        Raises :class:`DetectorError` for a detector whose calibration cannot carry the target.
        """
        self._calibration()
        samples: dict[str | None, Sample] = {}
        for batch in corpus.batches(Quarantine()):
            texts, names = (
                canonical(texts_of(batch, corpus.name), self._window),
                source_names(batch),
            )
            for name, rows in slices_of(names).items():
                sample = samples.setdefault(name, Sample())
                sample.add(texts.take(pa.array(rows)), rng.random(len(rows)))
            if len(samples) > MOST_SLICES:
                raise DetectorError(corpus.name, f"at most {MOST_SLICES:,} sources", "more",
                                    "score fewer at a time")  # fmt: skip
        for name, sample in samples.items():
            self.drifts[name] = self.saved.gate.check(sample.texts, name)
        if self.fdr is not None:
            decided = [self._decide(batch, corpus.name) for batch in corpus.batches(Quarantine())]
            p = np.concatenate([found.p for found in decided] or [np.zeros(0)])
            falls = benjamini_hochberg(p, self.fdr)
            self.cutoff = float(p[falls].max()) if falls.any() else 0.0

    def batches(self, corpus: Corpus, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        """Second pass: the records, scored and decided."""
        for batch in corpus.batches(quarantine):
            taken = sorted(set(COLUMNS) & set(batch.schema.names))
            if taken:
                raise DetectorError(corpus.name, f"no column {taken[0]!r}", "one",
                                    "rename it, or score the records as they were")  # fmt: skip
            found = self._decide(batch, corpus.name)
            if self.fdr is not None:
                found = self._discoveries(found)
            for decision in found.decisions:
                self.counts[decision] += 1
            yield self._with_columns(batch, found)

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

    def _decide(self, batch: pa.RecordBatch, name: str) -> Decisions:
        calibration = self._calibration()
        texts, names = canonical(texts_of(batch, name), self._window), source_names(batch)
        scores, words = self.saved.detector.score(texts), _count_words(texts)
        whole = calibration.decide(scores, words, names, self.target)
        held = whole.withheld()
        stand: NDArray[np.bool_] = np.array([self.drifts[n].state == "match" for n in names], bool)
        pick = stand.tolist()
        return Decisions(
            scores,
            np.where(stand, whole.p, held.p),
            np.where(stand, whole.thresholds, held.thresholds),
            [a if ok else b for a, b, ok in zip(whole.levels, held.levels, pick, strict=True)],
            [a if ok else b for a, b, ok in zip(whole.decisions, held.decisions, pick,
                                                strict=True)],
        )  # fmt: skip

    def _discoveries(self, found: Decisions) -> Decisions:
        decision = np.full(len(found.p), "abstain", object)
        decision[found.p > HUMAN_LIKE_P] = "human-like"
        decision[found.p <= self.cutoff] = "synthetic"
        return replace(found, decisions=decision.tolist())

    def _with_columns(self, batch: pa.RecordBatch, found: Decisions) -> pa.RecordBatch:
        texts, names = batch.column("text"), source_names(batch)
        evidence: list[str | None] = [
            json.dumps([[word, round(nats, 4)] for word, nats in self._evidence(texts[i])])
            if decision == "synthetic"
            else None
            for i, decision in enumerate(found.decisions)
        ]
        added: list[Any] = [
            pa.array(found.scores, from_pandas=True),
            pa.array(found.p, from_pandas=True),
            pa.array(found.decisions, pa.string()),
            pa.array(found.levels, pa.string()),
            pa.array([self.drifts[n].state for n in names], pa.string()),
            pa.array(evidence, pa.string()),
        ]
        return pa.RecordBatch.from_arrays([*batch.columns, *added], [*batch.schema.names, *COLUMNS])

    def _evidence(self, text: Any) -> list[tuple[str, float]]:
        return self.saved.detector.evidence(text.as_py())


class Sample:
    """The texts with the smallest random keys: a uniform sample of a slice, without replacement."""

    def __init__(self) -> None:
        self.keys: Floats = np.zeros(0)
        self.texts: Texts = pa.array([], pa.large_string())

    def add(self, texts: pa.Array, keys: Floats) -> None:
        """Offer texts with their keys, uniform on [0, 1)."""
        keys = np.concatenate([self.keys, keys])
        kept = np.argsort(keys, kind="stable")[:SLICE_SAMPLE]
        both = pa.concat_arrays([self.texts, texts.cast(pa.large_string())])
        self.keys, self.texts = keys[kept], both.take(pa.array(kept))


def slices_of(names: list[str | None]) -> dict[str | None, list[int]]:
    """The rows of each source, in order of first appearance.

    >>> slices_of(["a", None, "a"])
    {'a': [0, 2], None: [1]}
    """
    out: dict[str | None, list[int]] = {}
    for row, name in enumerate(names):
        out.setdefault(name, []).append(row)
    return out
