"""Corpora in, detector out: fit, calibrate, and the fingerprint of one model."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.corpus import Corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Calibration, Target, missing
from tailguard.detect.detectors.base import TextDetector
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.drift import DriftGate
from tailguard.detect.gather import MOST_SLICES, Gathered, gather_texts
from tailguard.detect.laws import LEAST, Laws
from tailguard.detect.leaks import auroc, auroc_interval, leak_probe
from tailguard.detect.store import MOST_NAME, SavedDetector
from tailguard.measure.base import Floats, Ints

HELD = 5
"""One text in so many is kept out of the fit, where that leaves enough to estimate shares with."""
LeftOut = dict[str, dict[str, int]]


def fit_detector(
    human: Corpus,
    synthetic: Corpus,
    *,
    detector: TextDetector | None = None,
    group_by: str | None = None,
    model: str = "",
) -> tuple[SavedDetector, LeftOut]:
    """A detector fitted on two corpora, not yet calibrated; and what was left out of each.

    ``detector`` says which kind, with its settings and window; linear without it. ``group_by``
    names a column of what belongs together (a prompt, a source), which is never parted. Of every
    generator with enough texts one in ``HELD`` is not fitted on: their scores are the law of
    synthetic scores from which prevalence is estimated. Texts found on both sides are left out of
    both. ``model`` names the model that wrote the texts, for a fingerprint. Raises
    :class:`DetectorError`.
    """
    detector = LinearDetector() if detector is None else detector
    columns = ("generator", "source", *([group_by] if group_by else []))
    sides = {
        name: gather_texts(corpus, detector.window, columns=columns)
        for name, corpus in (("human", human), ("synthetic", synthetic))
    }
    left = {name: side.left_out for name, side in sides.items()}
    shared = np.intersect1d(sides["human"].hashes, sides["synthetic"].hashes)
    kept = {name: ~np.isin(side.hashes, shared) for name, side in sides.items()}
    for name, keep in kept.items():
        left[name]["on both sides"] = int((~keep).sum())
        if not keep.any():
            got = f"only texts that are also {'synthetic' if name == 'human' else 'human'}"
            raise DetectorError(f"{name} texts", "two different classes", got, "check the files")
    held = _hold_out(sides, kept, group_by)
    left["synthetic"]["held out"] = len(held)
    texts = {name: side.texts.filter(pa.array(kept[name])) for name, side in sides.items()}
    detector.fit(texts["human"], texts["synthetic"], groups=_groups(sides, kept, group_by))
    gate = DriftGate.fit(texts["human"], texts["synthetic"], detector.window)
    made = sides["synthetic"]
    seen = np.union1d(sides["human"].hashes[kept["human"]], made.hashes)
    laws = Laws.of(
        detector.score(made.texts.take(pa.array(held))),
        [made.columns["generator"][i] or "synthetic" for i in held.tolist()],
        [made.columns["source"][i] for i in held.tolist()],
    )
    counts = {name: len(side) for name, side in texts.items()}
    leaks = tuple(leak_probe(texts["human"], texts["synthetic"]))
    return SavedDetector(detector, gate, seen, counts, leaks, laws, model), left


def _hold_out(
    sides: dict[str, Gathered], kept: dict[str, NDArray[np.bool_]], group_by: str | None
) -> Ints:
    """Rows of synthetic texts that are not fitted on, chosen by content or group, never by order.

    ``kept`` loses them. Where there are many groups they are held out whole, the human texts too: a
    detector that saw a prompt's human text scores its synthetic text otherwise than a new one. Few
    groups (sources, say) are not, for a law of one of them would be none of the others.
    """
    chosen = {name: kept[name] & _is_held(side, group_by) for name, side in sides.items()}
    rows = np.flatnonzero(chosen["synthetic"])
    if len(rows) < LEAST:
        return np.zeros(0, np.int64)
    kept["synthetic"][rows] = False
    if group_by is not None and _many(sides["synthetic"].columns[group_by]):
        kept["human"] &= ~chosen["human"]
    return rows


def _many(groups: list[str | None]) -> bool:
    return len(set(groups) - {None}) >= LEAST


def _is_held(side: Gathered, group_by: str | None) -> NDArray[np.bool_]:
    """Every fifth text by its content, or by its group where there are many of them."""
    names = side.columns[group_by] if group_by is not None else []
    if not _many(names):
        return side.hashes % np.uint64(HELD) == 0
    keys = [zlib.crc32(name.encode()) if name else int(key) for name, key in
            zip(names, side.hashes.tolist(), strict=True)]  # fmt: skip
    return np.array(keys, np.uint64) % np.uint64(HELD) == 0


def _groups(
    sides: dict[str, Gathered], kept: dict[str, NDArray[np.bool_]], group_by: str | None
) -> tuple[Ints, Ints] | None:
    """A number for every text fitted on: equal where the column is; its own where it says none."""
    if group_by is None:
        return None
    numbers: dict[str, int] = {}
    out = []
    for name in ("human", "synthetic"):
        values = sides[name].columns[group_by]
        own = [numbers.setdefault(f"={v}" if v else f"{name} {i}", len(numbers))
               for i, v in enumerate(values)]  # fmt: skip
        out.append(np.array(own, np.int64)[kept[name]])
    if not any(sides[name].columns[group_by].count(None) < len(kept[name]) for name in kept):
        raise DetectorError("group-by", f"a column {group_by!r}", "none", "name another column")
    return out[0], out[1]


def calibrate_detector(
    saved: SavedDetector, human: Corpus, target: Target, *, cluster: str | None = None
) -> tuple[SavedDetector, dict[str, int]]:
    """The detector with the scores of these human documents; and what was left out.

    Copies count once and texts fitted on not at all: neither is exchangeable with new documents.
    ``cluster`` names a column of what belongs together (author, prompt), of which one text counts.
    Raises :class:`DetectorError` saying how many human documents are missing for ``target``.
    """
    columns = ("source", *([cluster] if cluster else []))
    found = gather_texts(human, saved.detector.window, saved.fitted_on, columns=columns)
    if cluster is not None:
        found = _one_of_each(found, cluster)
    if len(found.texts) < target.needed:
        raise missing(len(found.texts), target)
    scores = saved.detector.score(found.texts)
    scored = np.isfinite(scores)
    found.left_out["without a score"] = int((~scored).sum())
    found = found.rows(scored)
    if len(found.texts) < target.needed:
        raise missing(len(found.texts), target)
    sources = found.columns["source"]
    names = sorted({name for name in sources if name})
    if len(names) > MOST_SLICES:
        raise DetectorError(human.name, f"at most {MOST_SLICES:,} sources", f"{len(names):,}",
                            "merge the sources")  # fmt: skip
    number = {name: i for i, name in enumerate(names)}
    source = np.array([number.get(name or "", -1) for name in sources], np.int64)
    gate = saved.gate.calibrate(found.texts, [name or "" for name in sources])
    calibration = Calibration(scores[scored], found.words, source, tuple(names), target)
    return saved.calibrated(calibration, gate), found.left_out


def _one_of_each(found: Gathered, cluster: str) -> Gathered:
    """The first text of every cluster, and those that name none."""
    names = found.columns[cluster]
    if not any(names):
        raise DetectorError("cluster", f"a column {cluster!r}", "none", "name another column")
    seen: set[str] = set()
    first = [not (name and (name in seen or seen.add(name))) for name in names]  # type: ignore[func-returns-value]
    found.left_out["of a cluster seen"] = first.count(False)
    return found.rows(np.array(first))


@dataclass(frozen=True, slots=True)
class Separation:
    """How well held-out samples of a model are told from texts that it did not write.

    ``auroc`` in [0, 1] with its 95% interval; .5 says nothing. ``n`` texts of the others.
    """

    name: str
    n: int
    auroc: float
    lo: float
    hi: float


def fingerprint(
    samples: Corpus,
    human: Corpus,
    others: Mapping[str, Corpus],
    *,
    model: str,
    detector: TextDetector | None = None,
) -> tuple[SavedDetector, list[Separation], LeftOut]:
    """A detector for the outputs of one model, and whether it knows them from others.

    It is fitted on the model's ``samples`` against ``human`` texts and those of ``others`` (other
    models, by name), and high scores then say "like this model". Every fifth text of all of them
    is kept out and scored. A fingerprint that cannot tell other models' texts apart detects
    synthetic text in general; one that was not shown any cannot know. Raises
    :class:`DetectorError`, also with fewer than ``LEAST`` held-out samples.
    """
    if "human" in others or not 0 < len(model) <= MOST_NAME:
        expected = f"a name of 1 to {MOST_NAME} characters, and others not called human"
        raise DetectorError("fingerprint", expected, repr(model[:80]), "name them otherwise")
    detector = LinearDetector() if detector is None else detector
    mine = gather_texts(samples, detector.window)
    theirs = {name: gather_texts(corpus, detector.window)
              for name, corpus in {"human": human, **others}.items()}  # fmt: skip
    own = mine.hashes % np.uint64(HELD) == 0
    if own.sum() < LEAST:
        expected = f"about {LEAST * HELD} samples at least"
        raise DetectorError("samples", expected, str(len(own)), "draw more from the model")
    out = {name: side.hashes % np.uint64(HELD) == 0 for name, side in theirs.items()}
    left = {"samples": mine.left_out} | {name: side.left_out for name, side in theirs.items()}
    fit = mine.texts.filter(pa.array(~own))
    against = pa.concat_arrays(
        [side.texts.filter(pa.array(~out[name])) for name, side in theirs.items()]
    )
    detector.fit(against, fit)
    high = detector.score(mine.texts.filter(pa.array(own)))
    gate = DriftGate.fit(against, fit, detector.window)
    seen = np.unique(np.concatenate([mine.hashes, *(side.hashes for side in theirs.values())]))
    sources = [v for v, out in zip(mine.columns["source"], own.tolist(), strict=True) if out]
    saved = SavedDetector(
        detector, gate, seen, {"human": len(against), "synthetic": len(fit)},
        tuple(leak_probe(against, fit)), Laws.of(high, [model] * len(high), sources), model,
    )  # fmt: skip
    found = [
        _separation(name, detector.score(side.texts.filter(pa.array(out[name]))), high)
        for name, side in theirs.items()
        if out[name].any()
    ]
    return saved, found, left


def _separation(name: str, low: Floats, high: Floats) -> Separation:
    low, high = low[np.isfinite(low)], high[np.isfinite(high)]
    area = auroc(low, high)
    return Separation(name, len(low), area, *auroc_interval(area, len(low), len(high)))
