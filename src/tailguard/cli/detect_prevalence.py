"""What ``tailguard detect prevalence`` does with files, and how it shows what it found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tailguard.cli.records import open_sources
from tailguard.corpus import Quarantine
from tailguard.detect.prevalence.human_share import HumanShare, human_share, strata_of
from tailguard.detect.prevalence.mixture import Prevalence
from tailguard.detect.prevalence.slices import MONTH, NO_DATE, Shares, SliceShare, shares_by
from tailguard.detect.store import load_detector
from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.report.words import one_line

_BARS = "▁▂▃▄▅▆▇█"
_REFUSED = "·"
_LONGEST_TREND = 120


def run_prevalence(
    sources: list[str], path: Path | None, synthetic: list[str], how: tuple[str, str | None],
    seed: int, column: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Estimate and show the synthetic share of every slice, and the human share of all records.

    ``how`` names columns to slice by, with commas between (nothing is one slice of all records),
    and the column of what people found in a random sample. Without a detector the human share rests
    on what records say of their origin alone.
    """
    by, audited = how
    corpus = open_sources(sources, column)
    bad = Quarantine()
    if path is None:
        if by.strip() not in ("", "source"):
            raise InputError("--by", "a detector to look at slices", "none", "pass --detector")
        if synthetic:
            raise InputError("--synthetic", "a detector to score it", "none", "pass --detector")
        strata = strata_of(corpus, audit_column=audited, quarantine=bad)
        human = human_share(strata)
        told: dict[str, Any] = {"slices": [], "human_share": human.as_dict()}
        lines = [*_human(human), "no detector was given: texts themselves were not looked at"]
    else:
        made = {name: open_sources([name], column) for name in synthetic}
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        names = tuple(name.strip() for name in by.split(",")) if by.strip() else ()
        with progress("scoring", corpus.n_bytes, in_bytes=True) as advance:
            found = shares_by(
                load_detector(path), corpus, made, by=names, audit_column=audited, rng=rng,
                quarantine=bad, advance=advance,
            )  # fmt: skip
        told, lines = found.as_dict(), list(prevalence_lines(found))
    if as_json:
        print(json.dumps(told | {"quarantined": bad.total}, allow_nan=False))
    else:
        print("\n".join(lines))
    if bad.total:
        print(f"tailguard: {bad}", file=sys.stderr)


def prevalence_lines(found: Shares) -> Iterator[str]:
    """The table of slices, the trend over months, and the human share with its strata."""
    shown = [_name(part) for part in found.slices] + ["all together"]
    width = max(len(name) for name in shown) + 1
    for name, part in zip(shown, found.slices, strict=False):
        yield f"{name + ':':{width}} {_number(part.found):33} {part.n:10,} records  {part.reason}"
    if found.total is not None:
        n = sum(part.n for part in found.slices)
        note = found.total.note
        yield f"{'all together:':{width}} {_number(found.total):33} {n:10,} records  {note}"
    if len(found.slices) > 1:
        yield "intervals cover at 95% each, not all together"
    if found.fitted_on:
        yield f"{found.fitted_on:,} texts were fitted on, and left out"
    if found.unread_dates:
        yield f"{found.unread_dates:,} records have something else in place of a date"
    yield from _trends(found)
    if found.human is not None:
        yield from _human(found.human)


def _name(part: SliceShare) -> str:
    if all(value is None for value in part.key):
        return "all records" if part.by in ((), ("source",)) else part.name
    return one_line(part.name)


def _number(share: Prevalence | None) -> str:
    if share is None:
        return "refused"
    return f"{share.share:.1%} synthetic [{share.lo:.1%}, {share.hi:.1%}]"


def _trends(found: Shares) -> Iterator[str]:
    """One line over the months for each combination of the other columns."""
    if MONTH not in found.by:
        return
    at = found.by.index(MONTH)
    series: dict[tuple[str | None, ...], dict[str, Prevalence | None]] = {}
    for part in found.slices:
        month = part.key[at]
        if month is not None and month != NO_DATE and "?" not in month:
            series.setdefault(part.key[:at] + part.key[at + 1 :], {})[month] = part.found
    for key, months in series.items():
        ordered = sorted(months)
        if len(ordered) < 2:
            continue
        first, last = np.datetime64(ordered[0], "M"), np.datetime64(ordered[-1], "M")
        if (last - first).astype(int) < _LONGEST_TREND:
            ordered = [str(m) for m in np.arange(first, last + 1)]
        bars = "".join(_bar(months[m]) if m in months else " " for m in ordered)
        name = ", ".join(value or "none" for value in key)
        name = one_line(name)
        yield f"synthetic share {ordered[0]} to {ordered[-1]} |{bars}| {name}".rstrip()


def _bar(share: Prevalence | None) -> str:
    if share is None:
        return _REFUSED
    return _BARS[min(int(share.share * len(_BARS)), len(_BARS) - 1)]


def _human(human: HumanShare) -> Iterator[str]:
    yield human.line
    for part in human.parts:
        sure, trusted = part.guaranteed, part.trusted
        more = f"; believed {trusted.lo:.1%} to {trusted.hi:.1%}"
        more = "" if sure[1:3] == trusted[1:3] else more
        yield (f"  {part.stratum.name:20} {part.stratum.n:10,} records  "
               f"{sure.lo:6.1%} to {sure.hi:6.1%} human ({sure.how}){more}")  # fmt: skip
    for text in human.contradictions:
        yield f"  contradiction: {text}"
    for text in human.assumptions:
        yield f"  assumes: {text}"
