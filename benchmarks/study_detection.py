"""The marks of detection: the tables of docs/detection.md.

    python benchmarks/study_detection.py [--part NAME] [--data FOLDER]

1. pairs: AUROC / TPR at 1% FPR / TPR at 5% FPR of the linear detector, folds grouped by ``pair``,
   in-domain (five folds inside each domain) and with one domain left out; leak probe beside.
2. calibration: how often the realised false-positive rate exceeds 1%, over calibrations of 1,000
   humans; plain split-conformal beside the order statistic used here.
3. drift: calibrated on one domain, used on humans of another: realised rate, the gate
4. prevalence: liang_arxiv, word occurrence as published and with held-out correction.
5. unseen: the share found by document scores where the generator was never seen.
6. speed: scoring against scikit-learn's HashingVectorizer on the same texts.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.detect.calibration import Target, threshold
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.detectors.base import TextDetector
from tailguard.detect.detectors.combination import whole_folds
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.detectors.registry import make_detector
from tailguard.detect.drift import DriftGate
from tailguard.detect.gather import content_hashes
from tailguard.detect.leaks import auroc, leak_probe
from tailguard.detect.prevalence.mixture import score_prevalence
from tailguard.detect.prevalence.occurrence import Occurrence, plain_share
from tailguard.measure.tokens import tokenize

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDS = 5
Floats = Any


class Pairs:
    """A data set of human and synthetic texts with domain, generator and fold."""

    def __init__(self, folder: Path, window: Window, *, joined: bool = False) -> None:
        rows = [json.loads(line) for f in sorted(folder.glob("*.jsonl")) for line in f.open()]
        self.raw = pa.array([row["text"] for row in rows], pa.large_string())
        self.texts = canonical(self.raw, window)
        self.label = np.array([row["label"] for row in rows])
        self.domain = np.array([row["domain"] for row in rows])
        self.generator = np.array([row["generator"] for row in rows])
        self.pair = np.unique([row["pair"] for row in rows], return_inverse=True)[1]
        self.fold = np.array([zlib.crc32(row["pair"].encode()) % FOLDS for row in rows])
        if joined:
            self.pair = _join(self.pair, [f"{r['label']} {r['text'][:120]}" for r in rows])
            self.fold = whole_folds(self.pair, FOLDS)
        # The same human text stands beside every generator, cut differently: one counts.
        first = np.unique([f"{r['pair']} {r['label']}" for r in rows], return_index=True)[1]
        self.single = np.isin(np.arange(len(rows)), first)
        self.window = window

    def of(self, chosen: Floats, label: int) -> pa.Array:
        """Texts of one class."""
        return self.texts.filter(pa.array(chosen & (self.label == label)))

    def fit(self, chosen: Floats, kind: str = "linear") -> TextDetector:
        """A detector of the chosen texts, its own folds grouped by pair."""
        human, synthetic = (chosen & (self.label == label) for label in (0, 1))
        groups = self.pair[human], self.pair[synthetic]
        detector = make_detector(kind, self.window)
        return detector.fit(self.of(chosen, 0), self.of(chosen, 1), groups=groups)

    def out_of_fold(self, chosen: Floats, kind: str = "linear") -> Floats:
        """Scores of the chosen texts, each by a detector that saw no text of its fold."""
        scores = np.full(len(self.label), np.nan)
        for k in range(FOLDS):
            out = chosen & (self.fold == k)
            found = self.fit(chosen & (self.fold != k), kind)
            scores[out] = found.score(self.texts.filter(pa.array(out)))
        return scores


def _join(pair: Floats, contents: list[str]) -> Floats:
    """Pairs that share a text become one: the same human text carries several ids."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    content = np.unique(contents, return_inverse=True)[1] + int(pair.max()) + 1
    n = int(content.max()) + 1
    edges = coo_array((np.ones(len(pair)), (pair, content)), shape=(n, n))
    return connected_components(edges, directed=False)[1][pair]


def triple(human: Floats, synthetic: Floats) -> list[float]:
    """AUROC, TPR at 1% FPR, TPR at 5% FPR."""
    rates = [float((synthetic > np.quantile(human, 1 - a)).mean()) for a in (0.01, 0.05)]
    return [auroc(human, synthetic), *rates]


def pairs(data: Path, kinds: tuple[str, ...] = ("linear", "combination")) -> None:
    """Print the table of the paired data sets."""
    for name, window, joined in (
        ("modern_pairs", Window(100), False),
        ("basemodel_pairs", Window(120, "first"), False),
        ("basemodel_pairs", Window(120, "first"), True),
    ):
        found = Pairs(data / name, window, joined=joined)
        name += ", pairs that share a text joined" if joined else ""
        y = found.label
        for leak in leak_probe(found.of(y >= 0, 0), found.of(y >= 0, 1)):
            print(f"  leak probe {name}, {window.label}: {leak.probe} {leak.auroc:.3f}")
        for kind in kinds:
            _home_and_away(found, name, kind)


def _home_and_away(found: Pairs, name: str, kind: str) -> None:
    y, inside, outside = found.label, {}, {}
    for domain in sorted(set(found.domain)):
        own = found.domain == domain
        scores = found.out_of_fold(own, kind)
        inside[domain] = triple(scores[own & (y == 0)], scores[own & (y == 1)])
        left = found.fit(~own, kind)
        outside[domain] = triple(*(left.score(found.of(own, label)) for label in (0, 1)))
    for title, rows in (("in-domain", inside), ("leave one domain out", outside)):
        mean = np.mean(list(rows.values()), axis=0)
        for domain, row in [*rows.items(), ("mean", mean)]:
            told = " / ".join(f"{v:.3f}" for v in row)
            print(f"{name} {kind} {title:22} {domain:8} {told}", flush=True)


def calibrations(data: Path, repeats: int = 2_000) -> None:
    """Print P(FPR > 1%) over calibrations of 1,000 humans; scores of basemodel_pairs' humans."""
    found = Pairs(data / "basemodel_pairs", Window(120, "first"))
    scores = found.out_of_fold(found.label >= 0)
    human, synthetic = scores[found.label == 0], scores[found.label == 1]
    rng = np.random.default_rng(0)
    target = Target(0.01, 0.95)

    def plain(part: Floats) -> float:
        return float(np.sort(part)[int(np.ceil((len(part) + 1) * 0.99)) - 1])

    rules: dict[str, Callable[[Floats], float]] = {
        "plain split-conformal": plain,
        "order statistic": lambda part: threshold(part, target),
    }
    for name, rule in rules.items():
        over, power = [], []
        for _ in range(repeats):
            # Drawn with replacement, so that the true rate is known: it is the sample's own.
            limit = rule(rng.choice(human, 1_000))
            over.append((human > limit).mean() > 0.01)
            power.append((synthetic > limit).mean())
        print(f"P(FPR > 1%), n=1000: {name:22} {np.mean(over):.3f}, mean TPR {np.mean(power):.3f}")


def drift(data: Path) -> None:
    """Print realised false-positive rates across domains and what the gate says of each slice."""
    found = Pairs(data / "basemodel_pairs", Window(120, "first"))
    target = Target(0.05, 0.95)
    domains = sorted(set(found.domain))
    for home in domains:
        own = found.domain == home
        train, new = own & (found.fold < 2), own & (found.fold == 4)
        detector = found.fit(train)
        gate = DriftGate.fit(found.of(train, 0), found.of(train, 1), found.window)
        cal = found.of(own & found.single & ~train & ~new, 0)
        limit = threshold(detector.score(cal), target)
        gate = gate.calibrate(cal, [""] * len(cal))
        slices = {f"{home} humans": found.of(new & found.single, 0)}
        slices[f"{home} synthetic"] = found.of(new, 1)
        for other in domains:
            if other != home:
                slices[f"{other} humans"] = found.of((found.domain == other) & found.single, 0)
        for name, texts in slices.items():
            rate = float((detector.score(texts) > limit).mean())
            seen = gate.check(texts)
            print(f"calibrated on {home:8} at 5%: {name:18} flagged {rate:.3f}  {seen.state:9} "
                  f"excess {seen.excess:.4f} p {seen.p:.1e} n {seen.n}")  # fmt: skip


def _sentences(path: Path) -> pa.Array:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column = pq.read_table(path).column(0).combine_chunks()
    return pc.binary_join(column, " ").cast(pa.large_string())


def prevalence(data: Path) -> None:
    """Print shares of liang_arxiv CS by method, and shares with an unseen generator."""
    folder = data / "liang_arxiv"
    rng = np.random.default_rng(0)
    halves = []
    for kind in ("human", "ai"):
        texts = _sentences(folder / "training" / "CS" / f"{kind}_data.parquet")
        order = rng.permutation(len(texts))
        halves.append([texts.take(pa.array(part)) for part in np.array_split(order, 2)])
    (human, human_held), (synthetic, synthetic_held) = halves
    words = Occurrence.fit(human, synthetic)
    linear = LinearDetector(Window(0), penalty=1.0).fit(human, synthetic)
    held = {
        name: (model.score(human_held), {"ai": model.score(synthetic_held)})
        for name, model in (("word occurrence, corrected", words), ("linear, corrected", linear))
    }
    errors: dict[str, list[tuple[float, bool]]] = {}
    for alpha in (0.0, 0.05, 0.1, 0.2):
        name = "0" if alpha == 0 else f"{alpha:g}"
        texts = _sentences(folder / "validation" / "CS" / f"ground_truth_alpha_{name}.parquet")
        # The given sets were drawn with replacement: 30,000 rows, 17,000 to 20,000 sentences.
        copies = content_hashes(tokenize(texts)).astype(np.int64)
        plain = plain_share(words.score(texts))
        print(f"liang_arxiv CS a={alpha:.2f} word occurrence, as published {plain:.4f}")
        errors.setdefault("as published", []).append((abs(plain - alpha), False))
        for title, model in (("word occurrence, corrected", words), ("linear, corrected", linear)):
            found = score_prevalence(model.score(texts), *held[title], rng=rng, clusters=copies)
            covers = found.lo <= alpha <= found.hi
            errors.setdefault(title, []).append((abs(found.share - alpha), covers))
            interval = f"[{found.lo:.4f}, {found.hi:.4f}] {found.status} p {found.fit_p:.1e}"
            print(f"liang_arxiv CS a={alpha:.2f} {title:27} {found.share:.4f} {interval}")
    for title, rows in errors.items():
        mae, share = np.mean([e for e, _ in rows]), np.mean([c for _, c in rows])
        print(f"liang_arxiv CS {title:27} MAE {mae:.4f}, covers {share:.2f}")


def unseen(data: Path) -> None:
    """Print the share found at a = .5 of a generator that was seen nowhere, by kind."""
    for kind in ("linear", "combination"):
        _unseen(data, kind)


def _unseen(data: Path, kind: str, repeats: int = 20) -> None:
    found = Pairs(data / "basemodel_pairs", Window(120, "first"))
    rng = np.random.default_rng(0)
    fit, held, new = found.fold < 2, (found.fold >= 2) & (found.fold < 4), found.fold == 4
    makers = sorted(set(found.generator) - {"human"})
    for maker in makers:
        other = found.generator != maker
        detector = found.fit(fit & other, kind)
        humans = detector.score(found.of(held & found.single, 0))
        seen = {
            name: detector.score(found.of(held & (found.generator == name), 1))
            for name in makers
            if name != maker
        }
        ours = detector.score(found.of(new & found.single, 0))
        theirs = detector.score(found.of(new & (found.generator == maker), 1))
        rows = []
        for _ in range(repeats):
            half = min(len(ours), len(theirs))
            mixed = np.concatenate([rng.permutation(x)[:half] for x in (ours, theirs)])
            mixed = rng.choice(mixed, len(mixed))
            rows.append(score_prevalence(mixed, humans, seen, rng=rng))
        mae = np.mean([abs(row.share - 0.5) for row in rows])
        covers = np.mean([row.lo <= 0.5 <= row.hi for row in rows])
        wide = np.mean([row.hi - row.lo for row in rows])
        warned = np.mean([row.status != "ok" for row in rows])
        print(f"{kind}, unseen {maker:14} a=.5, n={2 * half}: MAE {mae:.3f}, covers {covers:.2f}, "
              f"mean width {wide:.2f}, warned {warned:.2f}")  # fmt: skip


def speed(data: Path) -> None:
    """Print scoring speed of one thread beside HashingVectorizer and a product."""
    from sklearn.feature_extraction.text import HashingVectorizer

    found = Pairs(data / "basemodel_pairs", Window(0))
    texts = pa.concat_arrays([found.raw] * 3)
    size = texts.nbytes / 1e6
    detector = found.fit(found.fold < 4)
    for window in (Window(0), Window(100)):
        detector.window = window
        start = time.perf_counter()
        detector.score(texts)
        print(f"linear, {window.label}: {size / (time.perf_counter() - start):.1f} MB/s")
    some = found.raw.to_pylist()
    weights = np.ones(1 << 18)
    start = time.perf_counter()
    for kind in ({"ngram_range": (1, 2)}, {"analyzer": "char", "ngram_range": (3, 4)}):
        HashingVectorizer(n_features=1 << 18, **kind).transform(some) @ weights
    rate = found.raw.nbytes / 1e6 / (time.perf_counter() - start)
    print(f"HashingVectorizer, the same grams: {rate:.1f} MB/s")


def parts() -> dict[str, Callable[[Path], None]]:
    """The parts of the study in order."""
    return {
        "pairs": pairs, "calibration": calibrations, "drift": drift, "prevalence": prevalence,
        "unseen": unseen, "speed": speed,
    }  # fmt: skip


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=list(parts()))
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    for name, part in parts().items():
        if asked.part in (None, name):
            start = time.perf_counter()
            part(asked.data)
            print(f"# {name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
