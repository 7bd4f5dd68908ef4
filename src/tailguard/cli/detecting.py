"""What ``tailguard detect`` does with files, and how it shows what it found."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.cli.records import open_sources
from tailguard.corpus import Corpus, Quarantine, write_corpus
from tailguard.detect.calibration import Target
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.detectors.base import TextDetector
from tailguard.detect.detectors.registry import open_detector
from tailguard.detect.drift import Drift
from tailguard.detect.fitting import calibrate_detector, fingerprint, fit_detector
from tailguard.detect.leaks import Leak, leak_probe
from tailguard.detect.scoring import Scorer
from tailguard.detect.store import load_detector, save_detector
from tailguard.detect.tails.weighing import Weigher
from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.report.words import one_line

_LEAK_DOCUMENTS = 20_000
_LINES, _NAMES = 25, 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """The detector that was asked for: its kind, its window, and the model it asks, if any."""

    kind: str
    words: int
    side: str
    model: str | None = None
    reference: str | None = None
    label: str | None = None
    device: str = "cpu"

    def open(self) -> TextDetector:
        """The detector, unfitted."""
        return open_detector(
            self.kind, _window((self.words, self.side)), folder=self.model,
            reference=self.reference, label=self.label, device=self.device,
        )  # fmt: skip


def run_fit(
    human: str, synthetic: str, output: Path, wanted: Wanted, group_by: str | None,
    column: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Fit, write, and report counts and the leak probe."""
    corpora = [open_sources([name], column) for name in (human, synthetic)]
    detector = wanted.open()
    saved, left = fit_detector(*corpora, detector=detector, group_by=group_by)
    save_detector(saved, output)
    kind, area = detector.kind, getattr(detector, "area", None)
    held = {name: len(law) for name, law in saved.made.by_generator.items()}
    found = {
        "output": str(output),
        "kind": kind,
        "area": area,
        "fitted": saved.counts,
        "left_out": left,
        "held_out": held,
        "leaks": [_leak(leak) for leak in saved.leaks],
    }
    _print(found, as_json)
    if as_json:
        return
    print(f"{kind} detector fitted on {saved.counts['human']:,} human and "
          f"{saved.counts['synthetic']:,} synthetic texts ({saved.detector.window.label}); "
          f"written to {output}")  # fmt: skip
    for name, reasons in left.items():
        _left_out(name, reasons)
    _show_leaks(saved.leaks, "in the texts as the detector sees them")
    if getattr(detector, "inverted", False):
        print(f"the published direction of {kind} is wrong on these texts (AUROC {area:.2f}): "
              "human texts score higher")  # fmt: skip
    if not held:
        print("too few synthetic texts to keep 50 out of the fit: prevalence and weigh will need "
              "--synthetic")  # fmt: skip
    if any(part.kind == "compression" for part in [detector, *getattr(detector, "parts", ())]):
        print("the file holds up to 1 MiB of text of each class in the clear (compression)")
    print(f"next: tailguard detect calibrate {output} --human HUMAN_TEXTS_NOT_FITTED_ON")


def run_fingerprint(
    samples: list[str], against: tuple[str, list[str]], output: Path, name: str | None,
    wanted: Wanted, column: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Fit on one model's samples, write, and report from whom they can be told."""
    human, others = against
    model = name or Path(samples[0]).name.split(".")[0] or "model"
    detector = wanted.open()
    saved, apart, left = fingerprint(
        open_sources(samples, column), open_sources([human], column),
        {path: open_sources([path], column) for path in others}, model=model, detector=detector,
    )  # fmt: skip
    save_detector(saved, output)
    rows = [{"from": s.name, "n": s.n, "auroc": s.auroc, "lo": s.lo, "hi": s.hi} for s in apart]
    _print({"output": str(output), "model": model, "fitted": saved.counts, "left_out": left,
            "apart": rows, "leaks": [_leak(leak) for leak in saved.leaks]}, as_json)  # fmt: skip
    if as_json:
        return
    print(f"fingerprint of {one_line(model)} fitted on {saved.counts['synthetic']:,} samples; "
          f"written to {output}")  # fmt: skip
    for s in apart:
        who = "human texts" if s.name == "human" else s.name
        print(f"  told from {who} with AUROC {s.auroc:.3f} [{s.lo:.3f}, {s.hi:.3f}], n {s.n:,}")
    if not others:
        print("  no texts of other models were given (--other): high scores may say no more than "
              "synthetic")  # fmt: skip
    if human.startswith("builtin:"):
        print("  told from bundled text, which is of another domain than most: give human texts of "
              "your model's domain (--human)")  # fmt: skip
    for side, reasons in left.items():
        _left_out(side, reasons)
    _show_leaks(saved.leaks, "in the texts as the detector sees them")
    print(f"next: tailguard detect calibrate {output} --human HUMAN_TEXTS")


def run_calibrate(
    path: Path, human: list[str], limits: tuple[float, float], cluster: str | None,
    output: Path | None, column: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Calibrate, write, and report every cell's operating point, and what it catches."""
    target = Target(*limits)
    saved, left = calibrate_detector(
        load_detector(path), open_sources(human, column), target, cluster=cluster
    )
    save_detector(saved, output or path)
    assert saved.calibration is not None
    rows = saved.calibration.table(target)
    names = ("level", "name", "humans", "threshold", "missing")
    cells = [dict(zip(names, row, strict=True)) for row in rows]
    pooled = rows[0][3]
    caught = {name: (float((law > pooled).mean()), len(law))
              for name, law in saved.made.by_generator.items()}  # fmt: skip
    _print({"max_fpr": target.max_fpr, "confidence": target.confidence, "left_out": left,
            "cells": cells, "caught": {name: rate for name, (rate, _) in caught.items()}},
           as_json)  # fmt: skip
    if not as_json:
        print(f"P(false-positive rate > {target.max_fpr:g}) <= {1 - target.confidence:.3g} in each "
              "cell, for documents like the calibration humans")  # fmt: skip
        for level, name, n, limit, short in rows:
            point = f"threshold {limit:.4g}" if not short else f"{short:,} humans missing"
            print(f"  {level:16} {one_line(name, 40):40} {n:8,}  {point}")
        for name, (rate, n) in caught.items():
            print(f"  catches {rate:.1%} of {n:,} held-out texts of {one_line(name, 60)} (pooled)")
        _left_out("human", left)


def run_score(
    sources: list[str], path: Path, output: Path,
    limits: tuple[float | None, float | None, float | None], seed: int, column: str | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Score records into ``output`` and report decisions and drift by slice."""
    saved = load_detector(path)
    scorer = Scorer(saved, saved.target(limits[0], limits[1]), limits[2])
    corpus = open_sources(sources, column)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    with progress("looking", corpus.n_bytes, in_bytes=True) as advance:
        scorer.look(corpus, rng=rng, advance=advance)
    bad = Quarantine()
    with progress("scoring", corpus.n_bytes, in_bytes=True) as advance:
        written = write_corpus(advancing(scorer, corpus, bad, advance), output)
    drifts = [
        {"source": name, "state": d.state, "n": d.n, "excess": d.excess, "p": d.p}
        for name, d in scorer.drifts.items()
    ]
    _print({"output": str(output), "records": written, "decisions": scorer.counts,
            "fitted_on": scorer.fitted_on, "drift": drifts, "quarantined": bad.total},
           as_json)  # fmt: skip
    if not as_json:
        told = ", ".join(f"{n:,} {name}" for name, n in scorer.counts.items())
        print(f"{written:,} records written to {output}: {told}")
        if scorer.fitted_on:
            print(f"  {scorer.fitted_on:,} texts were fitted on, and abstained on")
        _show_drifts(scorer.drifts)
    if bad.total:
        print(f"tailguard: {bad}", file=sys.stderr)


def _show_drifts(drifts: dict[str | None, Drift]) -> None:
    """A line for each finding, with the slices that share it."""
    lines: dict[str, list[str]] = {}
    for name, drift in drifts.items():
        lines.setdefault(drift.line, []).append(one_line(name, 60) if name else "all records")
    for line, names in list(lines.items())[:_LINES]:
        more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
        print(f"  {', '.join(names[:_NAMES])}{more}: {line}")
    if len(lines) > _LINES:
        print(f"  and {len(lines) - _LINES:,} more slices (--json lists all)")


def run_leaks(
    human: str, synthetic: str, window: tuple[int, str], column: str | None, *, as_json: bool
) -> None:
    """Probe the texts as they are and as a detector would see them."""
    raw = [_some_texts(open_sources([name], column)) for name in (human, synthetic)]
    before = leak_probe(*raw)
    after = leak_probe(*(canonical(texts, _window(window)) for texts in raw))
    found = {"raw": [_leak(x) for x in before], "canonical": [_leak(x) for x in after]}
    _print(found, as_json)
    if not as_json:
        _show_leaks(before, "in the texts as they are")
        _show_leaks(after, f"after canonicalisation ({_window(window).label})")


def _window(window: tuple[int, str]) -> Window:
    words, side = window
    if side == "last":
        return Window(words, "last")
    if side == "first":
        return Window(words, "first")
    raise InputError("--side", "last or first", repr(side), "name the side")


def advancing(
    scorer: Scorer | Weigher, corpus: Corpus, bad: Quarantine, advance: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    """The batches that a second pass yields, each told to the progress bar."""
    for batch in scorer.batches(corpus, bad):
        advance(batch.nbytes)
        yield batch


def _some_texts(corpus: Corpus) -> pa.Array:
    parts: list[pa.Array] = []
    left = _LEAK_DOCUMENTS
    for batch in corpus.batches():
        if "text" not in batch.schema.names:
            raise InputError(corpus.name, "texts", "records of another kind", "pass texts")
        parts.append(batch.column("text").slice(0, left).cast(pa.large_string()))
        left -= len(parts[-1])
        if left <= 0:
            break
    return pa.concat_arrays(parts) if parts else pa.array([], pa.large_string())


def _leak(leak: Leak) -> dict[str, Any]:
    return {"probe": leak.probe, "auroc": leak.auroc, "lo": leak.lo, "hi": leak.hi,
            "leaks": leak.leaks}  # fmt: skip


def _show_leaks(leaks: Sequence[Leak], where: str) -> None:
    print(f"leak probe, {where} (AUROC; .5 says nothing):")
    for leak in leaks:
        mark = "  LEAKS" if leak.leaks else ""
        print(f"  {leak.probe:24} {leak.auroc:.3f}  [{leak.lo:.3f}, {leak.hi:.3f}]{mark}")


def _left_out(name: str, reasons: dict[str, int]) -> None:
    told = ", ".join(f"{n:,} {reason}" for reason, n in reasons.items() if n)
    if told:
        print(f"left out of the {name} texts: {told}")


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(plain(found)))


def plain(value: Any) -> Any:
    """JSON knows no nan: null stands for it."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
