"""Detectors at home and away: fitted on one data set, used on another. Published as it is.

    python benchmarks/study_crosswise.py [--kinds linear,combination] [--data FOLDER]

Rows are what was fitted, columns what was scored; on the diagonal five folds grouped by pair. Each
cell is AUROC / TPR at 1% FPR / TPR at 5% FPR with the threshold set on the scored set's own humans,
and below it the rate of those humans called synthetic by the threshold that the fitted set's
held-out humans give for 5%: what a user without the new humans would see.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from study_detection import DATA, Pairs, triple

from tailguard.detect.canonical import Window
from tailguard.detect.leaks import leak_probe

SETS = ("modern_pairs", "basemodel_pairs", "imbd", "outfox", "rexshijaku")
WINDOW = Window(100)


def main() -> None:
    """Print the leak probe of each set and the table of each kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kinds", default="linear,combination")
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    sets = {name: Pairs(given.data / name, WINDOW) for name in SETS}
    for name, found in sets.items():
        every = np.ones(len(found.label), bool)
        told = ", ".join(
            f"{leak.probe} {leak.auroc:.2f}"
            for leak in leak_probe(found.of(every, 0), found.of(every, 1))
        )
        n = np.bincount(found.label)
        print(f"{name}: {n[0]} human, {n[1]} synthetic; leak probe {told}")
    for kind in given.kinds.split(","):
        print(
            f"\n{kind}, {WINDOW.label}: AUROC / TPR at 1% / TPR at 5%, and FPR of a home threshold"
        )
        print(f"{'fitted on':16}" + "".join(f"{name:>24}" for name in SETS))
        for name, home in sets.items():
            own = home.out_of_fold(np.ones(len(home.label), bool), kind)
            limit = np.quantile(own[(home.label == 0) & home.single], 0.95)
            detector = home.fit(np.ones(len(home.label), bool), kind)
            cells, rates = [], []
            for other, away in sets.items():
                scores = own if other == name else detector.score(away.texts)
                human, synthetic = scores[away.label == 0], scores[away.label == 1]
                cells.append(" / ".join(f"{v:.2f}" for v in triple(human, synthetic)))
                rates.append(f"{(scores[(away.label == 0) & away.single] > limit).mean():.2f}")
            print(f"{name:16}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
            print(f"{'  FPR':16}" + "".join(f"{rate:>24}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
