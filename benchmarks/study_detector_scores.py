"""Calibration of published detectors' scores: does the stated false-positive rate hold?

    python benchmarks/study_detector_scores.py [--data FOLDER] [--repeats 400] [--out FILE]

The scores are those of ``detector_scores`` (Fast-DetectGPT's and Glimpse's published results); no
detector is run. A detector is a method of one source with its scoring model; where the scoring
model is the generator itself (white box), each generator makes a detector of its own.

- One human text stands beside several generators, cut differently. Documents are split, never
  their versions, and in every split one version of each document is drawn.
- Which direction means machine is decided by the labels of the *other* domains alone (mean AUROC),
  so that neither the humans calibrated on nor those tested on take part.
- Thresholds, p-values and decisions are those of tailguard.detect.calibration, with the domains as
  sources; confidence 95%.

Columns: n humans calibrate, m are tested; ``rank`` of the threshold among the n; mean rate ``FPR``;
share of conformal p at most the limit ``p<=``; ``over``, share of splits with a rate above the
limit, mean and ``max`` over detectors, beside the exact law and what the largest of so many shares
stays under with probability 95% (``limit``); mean and best true-positive rate.

Random splits leave nothing to chance but ranks: the humans above the r-th largest of n among m
others are beta-binomial (m, r, n + 1 - r) without ties. "exact" is the chance by that law that the
rate among the m exceeds the limit, which is more than 5% because m is finite. "drawn" is the chance
itself: n humans drawn with replacement from a domain, whose rate is then known.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as csv
from scipy.stats import betabinom, binom

from tailguard.detect.calibration import Calibration, Target, conformal_p, threshold
from tailguard.detect.leaks import auroc

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LONG = 100
"""Words put down for every document: the lengths are not known, so all share one bin."""
CONFIDENCE = 0.95
SHOWN = ("sampling_discrepancy_analytic", "gpt-j-6B_gpt-neo-2.7B.sampling_discrepancy",
         "roberta-base-openai-detector", "roberta-large-openai-detector", "gpt-neo-2.7B.likelihood",
         "gpt-neo-2.7B.entropy", "t5-11b_gpt-neo-2.7B.npr", "davinci-002.pde_fastdetect_geometric",
         "gpt-4-1106.pde_fastdetect_mlp", "gptzero")  # fmt: skip
Floats = Any


@dataclass
class Scores:
    """One detector: by domain the scores (documents, generators), nan where there is none."""

    source: str
    name: str
    human: dict[str, Floats]
    machine: dict[str, Floats]

    def sign(self, domain: str) -> float:
        """Which direction means machine, by the other domains' labels."""
        found = []
        for other in self.human:
            if other != domain:
                human, machine = self.human[other], self.machine[other]
                found.append(auroc(human[~np.isnan(human)], machine[~np.isnan(machine)]))
        return 1.0 if np.mean(found) >= 0.5 else -1.0

    def versions(self, domain: str, times: int, rng: np.random.Generator) -> Floats:
        """Human scores (times, documents), each beside a generator drawn at random."""
        human = self.human[domain]
        draw = np.where(np.isnan(human), -1.0, rng.random((times, *human.shape)))
        return human[np.arange(len(human)), draw.argmax(axis=2)]

    def rng(self, part: int) -> np.random.Generator:
        """A stream of this detector's own, so that no table depends on another."""
        name = zlib.crc32(f"{self.source} {self.name}".encode())
        return np.random.default_rng(np.random.SeedSequence([name, part]))


def detectors(path: Path) -> list[Scores]:
    """Every detector of the file with human and machine scores by domain."""
    rows = csv.read_csv(path).to_pydict()
    cells: dict[tuple[str, str], dict[tuple[int, str], dict[tuple[int, str], float]]] = {}
    for source, domain, generator, method, doc, label, score in zip(*rows.values(), strict=True):
        white = source == "fastdetect_main" and "." not in method
        name = f"{method} of {generator}" if white else method
        sides = cells.setdefault((source, name), {})
        sides.setdefault((label, domain), {})[doc, generator] = score
    out = []
    for (source, name), sides in sorted(cells.items()):
        found: tuple[dict[str, Floats], dict[str, Floats]] = ({}, {})
        for (label, domain), scores in sorted(sides.items()):
            docs, doc = np.unique([key[0] for key in scores], return_inverse=True)
            gens, gen = np.unique([key[1] for key in scores], return_inverse=True)
            found[label][domain] = np.full((len(docs), len(gens)), np.nan)
            found[label][domain][doc, gen] = list(scores.values())
        out.append(Scores(source, name, *found))
    return out


def thresholds(human: Floats, target: Target) -> Floats:
    """The threshold of every row of human scores (times, n); shape (times, 1)."""
    n = human.shape[1]
    at = n - target.rank(n)
    limits = np.partition(human, at, axis=1)[:, at]
    assert limits[0] == threshold(human[0], target)
    return limits[:, None]


def splits(of: Scores, target: Target, size: dict[str, int], repeats: int) -> dict[str, Any]:
    """Over random splits of every domain: rates of humans and machines, own and pooled, and p."""
    rng = of.rng(1)
    pool_sign = 1.0 if np.mean([of.sign(d) for d in size]) >= 0 else -1.0
    found = {key: np.zeros((len(size), repeats)) for key in ("fpr", "tpr", "pooled", "p")}
    parts, tests = [], []
    for row, (d, n) in enumerate(size.items()):
        human = rng.permuted(of.versions(d, repeats, rng), axis=1)
        parts.append(human[:, :n])
        tests.append(human[:, n:])
        own, new = of.sign(d) * parts[row], of.sign(d) * tests[row]
        machine = np.sort(of.sign(d) * of.machine[d][~np.isnan(of.machine[d])])
        limits = thresholds(own, target)
        found["fpr"][row] = (new > limits).mean(axis=1)
        found["tpr"][row] = 1 - np.searchsorted(machine, limits[:, 0], "right") / len(machine)
        p = [conformal_p(s, h) <= target.max_fpr for s, h in zip(new[:50], own[:50], strict=True)]
        found["p"][row] = np.mean(p)
    limits = thresholds(pool_sign * np.concatenate(parts, axis=1), target)
    for row, new in enumerate(tests):
        found["pooled"][row] = (pool_sign * new > limits).mean(axis=1)
    signed = {d: of.sign(d) * part[0] for d, part in zip(size, parts, strict=True)}
    for row, d in enumerate(size):  # what the commands do gives the same
        rate = called(calibrated(signed), of.sign(d) * tests[row][0], d, target)
        assert abs(rate - found["fpr"][row, 0]) < 1e-9
    return found


def calibrated(parts: dict[str, Floats]) -> Calibration:
    """The calibration with domains for sources."""
    sizes = [len(part) for part in parts.values()]
    source = np.repeat(np.arange(len(parts)), sizes)
    words = np.full(sum(sizes), LONG)
    return Calibration(np.concatenate(list(parts.values())), words, source, tuple(parts))


def called(by: Calibration, scores: Floats, source: str, target: Target) -> float:
    """Share of documents of a source called synthetic."""
    found = by.decide(scores, np.full(len(scores), LONG), [source] * len(scores), target)
    return float(np.mean([decision == "synthetic" for decision in found.decisions]))


def drawn(of: Scores, domain: str, target: Target, n: int, repeats: int) -> float:
    """How often n humans drawn with replacement from a domain give a rate above the limit in it."""
    rng = of.rng(2)
    human = of.sign(domain) * of.versions(domain, 1, rng)[0]
    limits = thresholds(rng.choice(human, (repeats, n)), target)[:, 0]
    above = len(human) - np.searchsorted(np.sort(human), limits, "right")
    return float((above / len(human) > target.max_fpr + 1e-12).mean())


def elsewhere(of: Scores, target: Target, draws: int = 20) -> dict[tuple[str, str], float]:
    """Humans of every domain called synthetic at the threshold of every other, all documents."""
    rng = of.rng(3)
    humans = {d: of.versions(d, draws, rng) for d in of.human}
    out: dict[tuple[str, str], float] = {}
    for there, new in humans.items():
        sign = of.sign(there)
        for home, own in humans.items():
            if home != there:
                out[home, there] = float((sign * new > thresholds(sign * own, target)).mean())
    return out


def no_chance(of: Scores, target: Target) -> dict[str, list[tuple[float, float]]]:
    """Splits that are not random, by domain; (rate, its 95% limit by the exact law) of each.

    ``order``: the first half of the documents calibrates, the second is tested. ``beside``: the
    first half beside one generator, the second beside another, which cuts it at another length.
    """
    out: dict[str, list[tuple[float, float]]] = {"order": [], "beside": []}
    for domain, human in of.human.items():
        human = of.sign(domain) * human
        half, gens = len(human) // 2, range(human.shape[1])
        pairs = [("order", g, g) for g in gens]
        pairs += [("beside", g, h) for g in gens for h in gens if g != h]
        for kind, g, h in pairs:
            own, new = human[:half, g], human[half:, h]
            own, new = own[~np.isnan(own)], new[~np.isnan(new)]
            if len(own) >= target.needed and len(new):
                r = target.rank(len(own))
                limit = betabinom.ppf(0.95, len(new), r, len(own) + 1 - r) / len(new)
                rate = float((new > threshold(own, target)).mean())
                out[kind].append((rate, float(limit)))
    return out


class Tables:
    """Lines printed and kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str = "") -> None:
        """Print one line."""
        self.lines.append(line)
        print(line, flush=True)


def within(say: Any, all_: list[Scores], target: Target, repeats: int) -> dict[int, Any]:
    """Print one row per source and domain; the rates of every detector by its number."""
    say(f"\nWithin a domain, {target.max_fpr:.0%}: calibrated on part of its humans, tested on "
        f"the others, {repeats} splits")  # fmt: skip
    say(f"{'source':19}{'domain':9}{'detectors':>9}{'n':>5}{'m':>5}{'rank':>5}{'FPR':>7}"
        f"{'p<=':>7}{'over':>7}{'exact':>7}{'max':>7}{'limit':>7}{'drawn':>7}{'max':>7}"
        f"{'TPR':>7}{'best':>7}")  # fmt: skip
    found: dict[int, Any] = {}
    rows: dict[tuple[str, str, int, int], list[tuple[float, ...]]] = {}
    for number, of in enumerate(all_):
        size = {d: len(h) // 2 for d, h in of.human.items()}
        if target.needed > 150:  # half is too few: as many as are needed, where others remain
            size = {d: 300 for d, h in of.human.items() if len(h) >= 400}
        size = {d: n for d, n in size.items() if n >= target.needed}
        if not size:
            continue
        got = found[number] = splits(of, target, size, repeats)
        for row, (d, n) in enumerate(size.items()):
            over = float((got["fpr"][row] > target.max_fpr + 1e-12).mean())
            means = [float(got[key][row].mean()) for key in ("fpr", "p", "tpr")]
            key = (of.source, d, n, len(of.human[d]) - n)
            rows.setdefault(key, []).append((*means, over, drawn(of, d, target, n, 2_000)))
    for (source, d, n, m), values in sorted(rows.items()):
        fpr, p, tpr, over, own = np.array(values).T
        r = target.rank(n)
        exact = float(betabinom.sf(int(target.max_fpr * m + 1e-9), m, r, n + 1 - r))
        # The largest of k shares stays under this with probability 95%.
        limit = binom.ppf(0.95 ** (1 / len(over)), repeats, exact) / repeats
        say(f"{source:19}{d:9}{len(over):9}{n:5}{m:5}{r:5}{fpr.mean():7.4f}{p.mean():7.4f}"
            f"{over.mean():7.3f}{exact:7.3f}{over.max():7.3f}{limit:7.3f}{own.mean():7.3f}"
            f"{own.max():7.3f}{tpr.mean():7.3f}{tpr.max():7.3f}")  # fmt: skip
    return found


def across(say: Any, all_: list[Scores], target: Target, found: dict[int, Any]) -> None:
    """Print what happens to a threshold in another domain, and to a pooled one."""
    rates = [elsewhere(of, target) for of in all_]
    say(f"\nIn another domain, {target.max_fpr:.0%}: humans called synthetic at the threshold of "
        "all humans of the first; over detectors")  # fmt: skip
    say(f"{'source':19}{'calibrated':11}{'used on':9}{'median':>7}{'90%':>7}{'max':>7}"
        f"{'> 5%':>7}  worst detector")  # fmt: skip
    for source in sorted({of.source for of in all_}):
        own = [(of, rate) for of, rate in zip(all_, rates, strict=True) if of.source == source]
        for home, there in sorted(own[0][1]):
            values = np.array([rate[home, there] for _, rate in own])
            say(f"{source:19}{home:11}{there:9}{np.median(values):7.3f}"
                f"{np.quantile(values, 0.9):7.3f}{values.max():7.3f}{(values > 0.05).mean():7.2f}"
                f"  {own[int(values.argmax())][0].name}")  # fmt: skip
    say(f"\nPooled over domains, {target.max_fpr:.0%}: the same splits, one threshold for all; "
        "mean rate by domain, over detectors")  # fmt: skip
    say(f"{'source':19}{'domain':9}{'median':>7}{'90%':>7}{'max':>7}{'> 5%':>7}")
    for source in sorted({of.source for of in all_}):
        numbers = [i for i, of in enumerate(all_) if of.source == source]
        for row, d in enumerate(all_[numbers[0]].human):
            values = np.array([found[i]["pooled"][row].mean() for i in numbers])
            say(f"{source:19}{d:9}{np.median(values):7.3f}{np.quantile(values, 0.9):7.3f}"
                f"{values.max():7.3f}{(values > 0.05).mean():7.2f}")  # fmt: skip
    say("\nSome detectors, 5%: rate within each domain; in another domain, least and most; pooled, "
        "most; TPR within each domain")  # fmt: skip
    for i, of in enumerate(all_):
        if of.name.endswith(SHOWN) and not of.name.startswith("gpt-35"):
            inside = " ".join(f"{v:.3f}" for v in found[i]["fpr"].mean(axis=1))
            tpr = " ".join(f"{v:.3f}" for v in found[i]["tpr"].mean(axis=1))
            low, high = min(rates[i].values()), max(rates[i].values())
            pooled = found[i]["pooled"].mean(axis=1).max()
            say(f"{of.source:19}{of.name:54}{inside}   {low:.3f} {high:.3f}   {pooled:.3f}   {tpr}")


def apart(say: Any, all_: list[Scores], target: Target) -> None:
    """Print splits that are not random, and thresholds that come with a score."""
    say(f"\nWithin a domain, {target.max_fpr:.0%}, halves that are not drawn: cells (detector, "
        "domain, generator) and how many lie beyond the exact law's 95% limit")  # fmt: skip
    titles = {"order": "first half, second half", "beside": "and beside another generator"}
    for source in sorted({of.source for of in all_}):
        parts = [no_chance(of, target) for of in all_ if of.source == source]
        for kind, title in titles.items():
            cells = np.array([cell for part in parts for cell in part[kind]])
            say(f"{source:19}{title:30}{len(cells):6} cells, mean rate {cells[:, 0].mean():.4f}, "
                f"beyond {(cells[:, 0] > cells[:, 1]).mean():.3f}")  # fmt: skip
    say("\nA probability of one half as the threshold (as given, no calibration): FPR by domain")
    for of in all_:
        every = np.concatenate([h[~np.isnan(h)] for h in of.human.values()])
        if every.min() >= 0 and every.max() <= 1 and of.name.startswith(("roberta", "gptzero")):
            told = [f"{d} {np.nanmean(np.where(np.isnan(h), np.nan, h > 0.5)):.3f}"
                    for d, h in of.human.items()]  # fmt: skip
            say(f"{of.source:19}{of.name:32}" + "  ".join(told))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    all_ = detectors(asked.data / "detector_scores" / "scores.csv.gz")
    tables = Tables()
    tables.say(f"python benchmarks/study_detector_scores.py --repeats {asked.repeats}")
    tables.say(f"{len(all_)} detectors, confidence {CONFIDENCE:.0%}; what the columns mean stands "
               "at the head of that file")  # fmt: skip
    five, one = Target(0.05, CONFIDENCE), Target(0.01, CONFIDENCE)
    found = within(tables.say, all_, five, asked.repeats)
    within(tables.say, all_, one, asked.repeats)
    apart(tables.say, all_, five)
    across(tables.say, all_, five, found)
    if asked.out:
        asked.out.write_text("\n".join(tables.lines) + "\n")


if __name__ == "__main__":
    main()
