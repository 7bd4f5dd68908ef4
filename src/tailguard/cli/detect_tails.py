"""What ``tailguard detect tails`` and ``detect weigh`` do with files, and how they show it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tailguard.cli.detecting import advancing, plain
from tailguard.cli.records import open_sources
from tailguard.corpus import Quarantine, write_corpus
from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import Target
from tailguard.detect.store import load_detector
from tailguard.detect.tails.corpus import FilterTails, filter_tails
from tailguard.detect.tails.weighing import Weighed, Weigher, held_out_law
from tailguard.engine.progress import progress
from tailguard.report.words import one_line


def run_tails(
    sources: list[str], path: Path | None, groups: tuple[list[str], str | None],
    limits: tuple[float | None, float | None],
    weighing: tuple[list[str], float | None], seed: int, column: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Report which human tails a filter on the decisions would delete.

    ``groups`` are the columns of groups and that of clusters, ``limits`` the rate and confidence of
    the decisions, ``weighing`` synthetic texts and a share for the mass that weights would leave.
    """
    (by, cluster), (synthetic, share) = groups, weighing
    saved = None if path is None else load_detector(path)
    target = Target() if saved is None else saved.target(*limits)
    weigh = None
    if synthetic and share is None:
        raise DetectorError("--synthetic", "--share beside it", "none", "say at what share")
    if share is not None:
        if saved is None:
            raise DetectorError("--share", "a detector to weigh by", "none", "pass --detector")
        if not 0.0 <= share <= 1.0:
            raise DetectorError("--share", "a number from 0 to 1", str(share), "as in 0.3")
        made = {name: open_sources([name], column) for name in synthetic}
        weigh = (held_out_law(saved, made).ratio, share)
    bad = Quarantine()
    corpus = open_sources(sources, column)
    with progress("looking at tails", corpus.n_bytes, in_bytes=True) as advance:
        found = filter_tails(
            corpus, by, saved=saved, target=target, quarantine=bad, weigh=weigh,
            rng=np.random.default_rng(np.random.SeedSequence(seed)), cluster=cluster,
            advance=advance,
        )  # fmt: skip
    if as_json:
        more = {"left_out": found.left_out, "withheld": found.withheld}
        print(json.dumps(plain(found.report.as_dict() | more)))
    else:
        _show_tails(found)
    if bad.total:
        print(f"tailguard: {bad}", file=sys.stderr)


def run_weigh(
    sources: list[str], path: Path, synthetic: list[str], output: Path,
    limits: tuple[float | None, float | None], seed: int, column: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Write the records with the column ``importance_weight``, and report what it rests on.

    ``limits`` are the largest weight and the synthetic share, None for what is worked out.
    """
    saved = load_detector(path)
    law = held_out_law(saved, {name: open_sources([name], column) for name in synthetic})
    weigher = Weigher(saved, law, *limits)
    corpus = open_sources(sources, column)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    with progress("looking", corpus.n_bytes, in_bytes=True) as advance:
        found = weigher.look(corpus, rng=rng, advance=advance)
    bad = Quarantine()
    with progress("weighing", corpus.n_bytes, in_bytes=True) as advance:
        written = write_corpus(advancing(weigher, corpus, bad, advance), output)
    if as_json:
        print(json.dumps(plain(_weighed(found, written, output, bad))))
    else:
        _show_weights(weigher, found, written, output)
    if bad.total:
        print(f"tailguard: {bad}", file=sys.stderr)


def _show_tails(found: FilterTails) -> None:
    if found.withheld:
        print(f"{found.withheld:,} documents are of slices unlike the calibration: the filter "
              "abstains there, and what follows says little of them")  # fmt: skip
    for line in found.report.lines:
        print(line)
    if not found.report.flagged:
        print("no tail is deleted more than the rest beyond chance and 1.5 times; for each, the "
              "rate that would have shown stands in its line")  # fmt: skip
    told = ", ".join(f"{n:,} {reason}" for reason, n in found.left_out.items() if n)
    if told:
        print(f"left out: {told}")


def _weighed(found: Weighed, written: int, output: Path, bad: Quarantine) -> dict[str, Any]:
    share, clipped = found.share, found.clipped
    return {
        "output": str(output), "records": written, "unweighed": found.unweighed,
        "share": share.share, "lo": share.lo, "hi": share.hi, "status": share.status,
        "fit_p": share.fit_p, "note": share.note, "weighed": share.n,
        "effective_size": clipped.size, "effective_size_at_lo": found.size_lo,
        "effective_size_at_hi": found.size_hi, "cap": clipped.cap, "clipped": clipped.clipped,
        "bias_bound": clipped.removed,
        "sources": [{"source": name, "n": n, "mean_weight": mean}
                    for name, (n, mean) in found.by_source.items()],
        "quarantined": bad.total,
    }  # fmt: skip


def _show_weights(weigher: Weigher, found: Weighed, written: int, output: Path) -> None:
    share, clipped = found.share, found.clipped
    print(f"{written:,} records written to {output}")
    print(f"synthetic share {share.share:.1%} [{share.lo:.1%}, {share.hi:.1%}] of {share.n:,} "
          f"records: {share.note}")  # fmt: skip
    print(f"effective size {clipped.size:,.0f} [{min(found.size_lo, found.size_hi):,.0f}, "
          f"{max(found.size_lo, found.size_hi):,.0f}] over that interval")  # fmt: skip
    print(f"{clipped.clipped:,} weights cut at {clipped.cap:.3g}; a weighted mean is off by at "
          f"most {clipped.removed:.2g} of its range for that")  # fmt: skip
    for name, (n, mean) in found.by_source.items():
        print(f"  {one_line(name or 'no source')}: {n:,} records, mean weight {mean:.3f}")
    for name, drift in weigher.drifts.items():
        if drift.state != "match":
            print(f"  {one_line(name or 'no source')}: no weights; {drift.line}")
    if found.unweighed["without a score"]:
        print(f"  {found.unweighed['without a score']:,} records without a score have no weight")
