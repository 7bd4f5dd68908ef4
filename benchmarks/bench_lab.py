"""Time the laboratory against a plain loop over replicates, measured in the same run.

The plain loop is what one writes first: ``x = rng.normal(mu, sd, n); mu = x.mean(); sd = x.std()``
for each replicate and generation. Other load on the machine changes both, so each round times the
loop just before what it is compared with, and the table gives the median round and the range. "per
core" compares processor time, "wall" the time that passed with ``--workers`` processes.

    python benchmarks/bench_lab.py --rounds 5 --workers 2
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

from tailguard.engine import map_shards
from tailguard.lab.draws import Normals, moments, normal_moments
from tailguard.lab.families.gaussian import Gaussian
from tailguard.lab.recursion import recurse
from tailguard.lab.simulate import Setting, planned, simulate

N, GENERATIONS = 100, 100
PLAIN_STEPS = 3_000
# Replicates run at once: few enough for the cache, many enough to hide what a generation costs.
AT_ONCE = {"statistics": 40_000, "samples": 4_000}


def plain_loop() -> None:
    """Replicates one by one, in NumPy; a replicate of no variance would be no slower."""
    rng = np.random.default_rng(0)
    mu, sd = 0.0, 1.0
    for step in range(PLAIN_STEPS):
        x = rng.normal(mu, sd, N)
        mu, sd = x.mean(), x.std()
        if step % GENERATIONS == 0:
            mu, sd = 0.0, 1.0


def kernels(path: str, times: int) -> None:
    """Only the draws and moments of one generation, again and again."""
    rng, size = np.random.default_rng(0), AT_ONCE[path]
    mean, var = np.zeros(size), np.ones(size)
    for _ in range(times):
        if path == "statistics":
            normal_moments(mean, var, N, rng=rng)
        else:
            moments(Normals(mean, var, N, rng=rng))


def recursions(path: str, seed: int) -> int:
    """A whole recursion under replacement, nothing measured."""
    family = Gaussian()
    steps = recurse(
        family.truth(AT_ONCE[path]), family, generations=GENERATIONS, n=N, seed=seed, path=path
    )
    return sum(1 for _ in steps)


def gaussian(path: str, replicates: int, *names: str) -> Setting:
    return Setting(
        n=N, generations=GENERATIONS, replicates=replicates, path=path, measurements=names
    )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of this process."""
    wall, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - busy


def compare(name: str, work: Callable[[], object], steps: int, rounds: int, wall: bool) -> None:
    """Print a row: nanoseconds a replicate and generation, and how often the plain loop's."""
    work()
    found, ours = [], []
    for _ in range(rounds):
        plain = seconds(plain_loop)[0 if wall else 1] / PLAIN_STEPS
        ours.append(seconds(work)[0 if wall else 1] / steps)
        found.append(plain / ours[-1])
    how = "wall" if wall else "per core"
    middle, each = float(np.median(found)), float(np.median(ours))
    span = f"{min(found):,.0f}–{max(found):,.0f}"
    print(f"| {name} | {how} | {each * 1e9:.1f} | {middle:,.0f} | {span} |", flush=True)


def ratios(rounds: int, workers: int) -> None:
    """The Gaussian, n = 100, 100 generations, replaced."""
    print("| Gaussian, n = 100 | time | ns | × plain loop | range |")
    print("|---|---|---:|---:|---:|")
    for path, size in AT_ONCE.items():
        steps = size * GENERATIONS
        compare(f"{path}: kernel", partial(kernels, path, GENERATIONS), steps, rounds, False)
        compare(f"{path}: recursion", partial(recursions, path, 0), steps, rounds, False)
        for names in (("var",), ("var", "log_var", "mean_sq")):
            setting = gaussian(path, planned(gaussian(path, 10**7, *names))[1], *names)
            compare(
                f"{path}: simulate {', '.join(names)}",
                partial(simulate, setting, engine="serial"),
                setting.replicates * GENERATIONS,
                rounds,
                False,
            )

        def pooled(path: str = path) -> None:
            work = partial(recursions, path)
            list(map_shards(work, range(20 * workers), engine="local", workers=workers))

        # The first round starts the workers and is not counted.
        name = f"{path}: recursion, {workers} workers"
        compare(name, pooled, 20 * workers * steps, rounds, True)


def peak(setting: Setting) -> tuple[float, float, float]:
    """Wall and processor seconds and peak gigabytes of a run, in this process."""
    wall, busy = seconds(partial(simulate, setting, engine="serial"))
    return wall, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def runs() -> None:
    """Whole runs in fresh processes: time, memory, and whether cost is linear."""
    types = Setting(
        family="categorical",
        family_settings={"k": 100},
        n=100,
        generations=100,
        replicates=10_000,
        measurements=("heterozygosity", "survivors"),
    )
    zipf = Setting(
        family="zipf", n=20_000, generations=30, replicates=100, measurements=("unseen_mass",)
    )
    cases = {
        "categorical K = n = 100, 100 generations, 10⁴ replicates (mark: 5 s)": types,
        "Zipf V = n = 20,000, 30 generations, 100 replicates": zipf,
        "Gaussian statistics, 10⁵ replicates": gaussian("statistics", 10**5, "var"),
        "Gaussian statistics, 10⁶ replicates (mark: 2 GB)": gaussian("statistics", 10**6, "var"),
        "Gaussian samples, 10⁴ replicates": gaussian("samples", 10**4, "var"),
        "Gaussian samples, 10⁵ replicates": gaussian("samples", 10**5, "var"),
    }
    print("\n| run, one process | wall s | processor s | peak GB |")
    print("|---|---:|---:|---:|")
    for name, setting in cases.items():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            wall, busy, memory = fresh.submit(peak, setting).result()
        print(f"| {name} | {wall:.2f} | {busy:.2f} | {memory:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair is timed")
    parser.add_argument("--workers", type=int, default=2, help="processes of the rows in wall time")
    parser.add_argument("--skip-runs", action="store_true", help="only the ratios")
    options = parser.parse_args()
    ratios(options.rounds, options.workers)
    if not options.skip_runs:
        runs()


if __name__ == "__main__":
    main()
