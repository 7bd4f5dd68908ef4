"""Recursion: each generation is trained on what the one before it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.base import Family, Model


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation: its records, the model that wrote the synthetic ones, the real share.

    ``model`` was fitted on the generation before; it is None for generation 0, which is real.
    """

    index: int
    data: Sequence[str]
    model: Model[Sequence[str]] | None
    real_frac: float


def recurse(
    real: Sequence[str],
    family: Family[Sequence[str]],
    *,
    generations: int,
    n: int | None = None,
    seed: int,
    real_frac: float = 0.0,
) -> Iterator[Generation]:
    """Train on real text, then on the model's own text, again and again.

    Yields generation 0 (``real`` itself), then generations 1 … ``generations`` of exactly ``n``
    records each (default: as many as ``real``). Of these round(``real_frac``·n) are real, the same
    ones in every generation, drawn once without replacement; the model of the generation before
    writes the rest. ``real_frac`` = 0 replaces all. Same seed, same bytes.

    Raises InputError, on the first step, for arguments out of range, or when ``real_frac`` asks
    for more records than are real.

    >>> from tailguard.lab.families.ngram import NGram
    >>> runs = recurse(["to be or not to be"] * 4, NGram(order=2), generations=2, seed=0)
    >>> [(g.index, len(g.data), g.real_frac) for g in runs]
    [(0, 4, 1.0), (1, 4, 0.0), (2, 4, 0.0)]

    Source: Shumailov et al. 2024 (replace), Alemohammad et al. 2023 (fixed real share).
    """
    size = len(real) if n is None else n
    for ok, expected, got in (
        (generations >= 0, "generations at least 0", f"{generations}"),
        (size >= 1, "n at least 1", f"{size}"),
        (0.0 <= real_frac <= 1.0, "real_frac in [0, 1]", f"{real_frac}"),
    ):
        if not ok:
            raise InputError("recurse", expected, got, f"change {expected.split()[0]}")
    kept = round(real_frac * size)
    if kept > len(real):
        raise InputError(
            "recurse",
            f"at most {len(real)} real records in a generation",
            f"{kept} (real_frac {real_frac:g} of n {size})",
            "lower n or real_frac, or give more real records",
        )
    keep_seed, *seeds = np.random.SeedSequence(seed).spawn(generations + 1)
    rows = np.random.default_rng(keep_seed).choice(len(real), kept, replace=False)
    anchor = [real[i] for i in np.sort(rows).tolist()]

    data = real
    yield Generation(0, data, None, 1.0)
    for index, generation_seed in enumerate(seeds, start=1):
        fit_rng, sample_rng = map(np.random.default_rng, generation_seed.spawn(2))
        model = family.fit(data, rng=fit_rng)
        data = [*anchor, *model.sample(size - kept, rng=sample_rng)]
        yield Generation(index, data, model, kept / size)
