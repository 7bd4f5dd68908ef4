"""Detector files: arrays and JSON in one container with a checksum. Data, not code: no pickle.

The container is that of a saved profile (see ``measure/store.py``) with its own magic. The type and
shape of every array are checked against the settings before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from tailguard.corpus.atomic import replacing
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Calibration, Target
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Stored, TextDetector
from tailguard.detect.detectors.registry import detector_state, restored
from tailguard.detect.drift import DriftGate, Side
from tailguard.detect.laws import LEAST, Laws
from tailguard.detect.leaks import Leak
from tailguard.errors import InputError
from tailguard.measure.base import Hashes
from tailguard.measure.features import BUCKETS
from tailguard.measure.store import LARGEST, LARGEST_HEADER, Container, demand, pack

MAGIC = b"TGDETE\x00\x02"
_AGAIN = "make it again with: tailguard detect fit"
_MOST_SOURCES = 10_001
"""Names in a list: those of 10,000 sources, and of all together."""
MOST_NAME = 200
_LARGEST = 1e12
DETECTOR = "detector"


@dataclass(frozen=True)
class SavedDetector:
    """All that one detector file holds.

    ``fitted_on`` are the sorted content hashes of the texts fitted on, so that they cannot be
    calibrated on; ``counts`` how many texts of each class; ``leaks`` the probe on canonical texts;
    ``made`` the laws of synthetic texts kept out of the fit. ``model`` names
    the one model whose texts score high; it is empty for synthetic text in general.
    ``calibration`` is None until ``tailguard detect calibrate``.
    """

    detector: TextDetector
    gate: DriftGate
    fitted_on: Hashes
    counts: dict[str, int]
    leaks: tuple[Leak, ...] = ()
    made: Laws = field(default_factory=Laws)
    model: str = ""
    calibration: Calibration | None = None

    def target(self, max_fpr: float | None = None, confidence: float | None = None) -> Target:
        """What is promised: as given, else as calibrated for, else 1% with confidence 95%."""
        own = Target() if self.calibration is None else self.calibration.target
        return Target(
            own.max_fpr if max_fpr is None else max_fpr,
            own.confidence if confidence is None else confidence,
        )

    def calibrated(self, calibration: Calibration, gate: DriftGate) -> SavedDetector:
        """The same detector with another calibration."""
        return replace(self, calibration=calibration, gate=gate)


def save_detector(saved: SavedDetector, path: str | Path) -> None:
    """Write a detector file, complete or not at all; equal detectors give equal bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(dump_detector(saved))


def dump_detector(saved: SavedDetector) -> bytes:
    """The bytes of a detector file."""
    gate = saved.gate
    settings, arrays = detector_state(saved.detector)
    arrays = {f"{DETECTOR}.{name}": values for name, values in arrays.items()}
    arrays |= {
        "fitted_on": saved.fitted_on,
        "gate.idf": gate.idf,
        "gate.means": np.array([side.mean for side in _sides(gate)]),
        "gate.spread": np.array([[side.total, side.square] for side in _sides(gate)]),
        "gate.n": np.array([side.n for side in _sides(gate)], np.int64),
    }
    header: dict[str, Any] = {
        DETECTOR: settings,
        "counts": saved.counts,
        "leaks": [[leak.probe, leak.auroc, leak.lo, leak.hi] for leak in saved.leaks],
        "gate": list(gate.humans),
        "sources": None,
        "made": [list(saved.made.by_generator), list(saved.made.by_source)],
        "model": saved.model,
    }
    for which, laws in enumerate((saved.made.by_generator, saved.made.by_source)):
        arrays |= {f"made{which}.{number}": law for number, law in enumerate(laws.values())}
    if saved.calibration is not None:
        found = saved.calibration
        header["sources"] = list(found.sources)
        header["target"] = [found.target.max_fpr, found.target.confidence]
        arrays |= {"scores": found.scores, "words": found.words, "source": found.source}
    return pack(MAGIC, header, arrays)


def load_detector(path: str | Path) -> SavedDetector:
    """Read a detector file.

    Raises :class:`DetectorError` when it is missing, of another kind or version, or damaged.
    """
    who, check = str(path), "check the path"
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise DetectorError(who, "a detector file", "no regular file", check)
        if os.path.getsize(path) > LARGEST:
            raise DetectorError(who, "a detector file", "a file over 1 GiB", check)
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DetectorError(who, "a detector file", reason, check) from None
    return parse_detector(data, who)


def parse_detector(data: bytes, who: str = "detector") -> SavedDetector:
    """The detector in the bytes of a file; see :func:`load_detector` for errors.

    >>> parse_detector(b"something else")
    Traceback (most recent call last):
    tailguard.detect.base.DetectorError: detector: expected a detector file, got another kind ...
    """
    if data[:6] != MAGIC[:6]:
        raise DetectorError(who, "a detector file", "another kind of file", _AGAIN)
    if len(data) >= 8 and data[:8] != MAGIC:
        version = int.from_bytes(data[6:8], "big")
        raise DetectorError(who, "a detector file of version 2", f"version {version}", _AGAIN)
    if len(data) < 48 or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise DetectorError(who, "an undamaged detector file", "a wrong checksum", _AGAIN)
    try:
        size = int.from_bytes(data[8:16], "little")
        demand(size <= LARGEST_HEADER, "a header over 32 MiB")
        header = json.loads(data[16 : 16 + size])
        return _build(header, Container(header, data[16 + size : -32]))
    # A checksum is no signature: whoever forges one may put anything behind it.
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, InputError,
            zstandard.ZstdError, RecursionError, MemoryError) as error:  # fmt: skip
        got = str(error)[:120] or "nonsense"
        raise DetectorError(who, "a well-formed detector file", got, _AGAIN) from None


def _sides(gate: DriftGate) -> list[Side]:
    return [gate.synthetic, *gate.humans.values()]


def _build(header: dict[str, Any], file: Container) -> SavedDetector:
    detector = restored(header[DETECTOR], Stored(file).within(DETECTOR))
    counts = {str(name): int(n) for name, n in header["counts"].items()}
    leaks = tuple(Leak(str(name), *map(float, rest)) for name, *rest in header["leaks"])
    fitted_on = file.take("fitted_on", "<u8", (None,))
    demand(bool((fitted_on[1:] > fitted_on[:-1]).all()), "content hashes out of order")
    gate = _gate(header, file, detector.window)
    generators, sources = header["made"]
    made = Laws(*(
        {name: _finite(file.take(f"made{which}.{number}", "<f8", (None,)))
         for number, name in enumerate(_names(names))}
        for which, names in enumerate((generators, sources))
    ))  # fmt: skip
    every = [*made.by_generator.values(), *made.by_source.values()]
    demand(all(len(law) >= LEAST for law in every), "a short law")
    model = header["model"]
    demand(isinstance(model, str) and len(model) <= MOST_NAME, "a bad name")
    calibration = _calibration(header, file)
    return SavedDetector(detector, gate, fitted_on, counts, leaks, made, model, calibration)


def _gate(header: dict[str, Any], file: Container, window: Window) -> DriftGate:
    names = _names(header["gate"])
    k = len(names) + 1
    means = _finite(file.take("gate.means", "<f8", (k, BUCKETS)))
    spread = _finite(file.take("gate.spread", "<f8", (k, 2)))
    n = file.take("gate.n", "<i8", (k,))
    demand(bool((spread >= 0).all() and (n >= 0).all()), "a bad spread")
    sides = [Side(int(n[i]), means[i], *map(float, spread[i])) for i in range(k)]
    humans = dict(zip(names, sides[1:], strict=True))
    demand(not humans or "" in humans, "no reference of all humans")
    demand(all(side.n > 1 and side.total > 0 for side in humans.values()), "a bad reference")
    idf = _finite(file.take("gate.idf", "<f8", (BUCKETS,)))
    return DriftGate(idf, window, sides[0], humans)


def _calibration(header: dict[str, Any], file: Container) -> Calibration | None:
    if header["sources"] is None:
        return None
    sources = _names(header["sources"])
    scores = _finite(file.take("scores", "<f8", (None,)))
    words = file.take("words", "<i8", (len(scores),))
    source = file.take("source", "<i8", (len(scores),))
    demand(bool((words >= 0).all()), "a bad length")
    demand(not len(source) or bool(source.min() >= -1 and source.max() < len(sources)), "a source")
    max_fpr, confidence = map(float, header["target"])
    return Calibration(scores, words, source, tuple(sources), Target(max_fpr, confidence))


def _names(values: Any) -> list[str]:
    demand(isinstance(values, list) and len(values) <= _MOST_SOURCES, "a bad list of names")
    demand(all(isinstance(v, str) for v in values) and len(set(values)) == len(values), "a name")
    return list(values)


def _finite(values: Any) -> Any:
    demand(bool((np.abs(values) < _LARGEST).all()), "nan, infinity, or a number beyond reason")
    return values
