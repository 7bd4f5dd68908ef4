"""Speed and memory of the feature-space metrics, against peers in the same run.

    python benchmarks/bench_geometry.py [--rows 50000] [--peer-rows 5000] [--only prdc]

Prints a Markdown table. Each line is a fresh process, so that peak memory is its own: data,
imports and metric together (the idle process with its data is the line "data alone"). Compiled
kernels are warm. Peers run at --peer-rows, where ours runs too; a peer that is not installed is
shown as missing. On a shared machine read the ratio rather than the seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context

import numpy as np

from tailguard.measure import divergence, frontier, geometry, neighbours

Table = np.ndarray
BANDWIDTH = 39.0  # the median distance of the data below, nearly √(2 · 768)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


OURS: dict[str, Callable[[Table, Table], object]] = {
    "data alone": lambda x, y: None,
    "vendi": lambda x, y: geometry.vendi(x),
    "effective_rank": lambda x, y: geometry.effective_rank(x),
    "participation_ratio": lambda x, y: geometry.participation_ratio(x),
    "total_variance": lambda x, y: geometry.total_variance(x),
    "spread": lambda x, y: geometry.spread(x),
    "nearest_cosine": lambda x, y: neighbours.nearest_cosine(x),
    "prdc": lambda x, y: neighbours.prdc(x, y),
    "median_bandwidth": lambda x, y: divergence.median_bandwidth(x, rng=rng()),
    "mmd2_unbiased": lambda x, y: divergence.mmd2_unbiased(x, y, BANDWIDTH),
    "mmd2_random_features": lambda x, y: divergence.mmd2_random_features(
        x, y, n_features=256, bandwidth=BANDWIDTH, rng=rng()
    ),
    "energy_distance": lambda x, y: divergence.energy_distance(x, y),
    "sliced_wasserstein": lambda x, y: divergence.sliced_wasserstein(
        x, y, projections=128, rng=rng()
    ),
    "frechet_distance": lambda x, y: divergence.frechet_distance(x, y),
    "mauve_frontier": lambda x, y: frontier.mauve_frontier(x, y, rng=rng()),
}


def vendi_score_x(x: Table, y: Table) -> object:
    from vendi_score import vendi

    return vendi.score_X(x)


def vendi_score_dual(x: Table, y: Table) -> object:
    from vendi_score import vendi

    return vendi.score_dual(x)


def prdc_package(x: Table, y: Table) -> object:
    from prdc import compute_prdc

    with redirect_stdout(StringIO()):
        return compute_prdc(x, y, nearest_k=5)


def sklearn_neighbours(x: Table, y: Table) -> object:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=2, metric="cosine").fit(x).kneighbors(x)


def sklearn_mmd(x: Table, y: Table) -> object:
    from sklearn.metrics.pairwise import rbf_kernel

    gamma, n = 0.5 / BANDWIDTH**2, len(x)
    within = [(rbf_kernel(s, gamma=gamma).sum() - n) / (n * (n - 1)) for s in (x, y)]
    return sum(within) - 2 * rbf_kernel(x, y, gamma=gamma).mean()


def scipy_energy(x: Table, y: Table) -> object:
    from scipy.spatial.distance import cdist

    return 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()


def scipy_sliced(x: Table, y: Table) -> object:
    from scipy.stats import wasserstein_distance

    directions = rng().standard_normal((x.shape[1], 128)).astype(x.dtype)
    pairs = zip((x @ directions).T, (y @ directions).T, strict=True)
    return np.mean([wasserstein_distance(a, b) for a, b in pairs])


def numpy_effective_rank(x: Table, y: Table) -> object:
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    p = singular / singular.sum()
    return np.exp(-(p * np.log(p)).sum())


def scipy_frechet(x: Table, y: Table) -> object:
    from scipy.linalg import sqrtm

    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = x.mean(axis=0) - y.mean(axis=0)
    return gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real)


def mauve_text(x: Table, y: Table) -> object:
    from mauve import compute_mauve

    return compute_mauve(x, y).mauve


PEERS: dict[str, list[tuple[str, str, Callable[[Table, Table], object]]]] = {
    "vendi": [
        ("vendi-score score_X", "vendi_score", vendi_score_x),
        ("vendi-score score_dual", "vendi_score", vendi_score_dual),
    ],
    "effective_rank": [("numpy svd", "numpy", numpy_effective_rank)],
    "nearest_cosine": [("scikit-learn NearestNeighbors", "sklearn", sklearn_neighbours)],
    "prdc": [("prdc", "prdc", prdc_package)],
    "mmd2_unbiased": [("scikit-learn rbf_kernel", "sklearn", sklearn_mmd)],
    "energy_distance": [("scipy cdist", "scipy", scipy_energy)],
    "sliced_wasserstein": [("scipy wasserstein_distance (p=1)", "scipy", scipy_sliced)],
    "frechet_distance": [("scipy sqrtm", "scipy", scipy_frechet)],
    "mauve_frontier": [("mauve-text", "faiss", mauve_text)],
}


def measure(metric: str, peer: int | None, n: int, d: int) -> tuple[float, float]:
    """Seconds and peak memory (GB) of one call, in this process."""
    run = OURS[metric] if peer is None else PEERS[metric][peer][2]
    draw = rng()
    x, y = (draw.standard_normal((n, d), dtype=np.float32) for _ in range(2))
    run(x[:64], y[:64])
    start = time.perf_counter()
    run(x, y)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000, help="rows of each sample")
    parser.add_argument("--peer-rows", type=int, default=5_000, help="rows where peers run too")
    parser.add_argument("--columns", type=int, default=768)
    parser.add_argument("--only", choices=OURS, help="one metric instead of all")
    options = parser.parse_args()
    n, few, d = options.rows, options.peer_rows, options.columns

    def alone(metric: str, peer: int | None, rows: int) -> tuple[float, float]:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            return fresh.submit(measure, metric, peer, rows, d).result()

    print("| metric | by | rows × columns | seconds | peak GB | peer ÷ ours |")
    print("|---|---|---|---:|---:|---:|")
    for metric in [options.only] if options.only else OURS:
        seconds, memory = alone(metric, None, n)
        print(
            f"| {metric} | tailguard | {n:,} × {d} | {seconds:.2f} | {memory:.2f} | |", flush=True
        )
        if metric not in PEERS:
            continue
        ours, memory = alone(metric, None, few)
        print(f"| {metric} | tailguard | {few:,} × {d} | {ours:.3f} | {memory:.2f} | |", flush=True)
        for i, (name, module, _) in enumerate(PEERS[metric]):
            if importlib.util.find_spec(module) is None:
                print(f"| {metric} | {name} | missing | | | |", flush=True)
                continue
            theirs, memory = alone(metric, i, few)
            line = f"{few:,} × {d} | {theirs:.3f} | {memory:.2f} | {theirs / ours:.1f}"
            print(f"| {metric} | {name} | {line} |", flush=True)


if __name__ == "__main__":
    main()
