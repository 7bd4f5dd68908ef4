"""Regimes by name: settings, refusals, texts, and the page that lists them."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mix_stubs import StubPast, StubReal

from tailguard.errors import InputError
from tailguard.lab.families.gaussian import Gaussian
from tailguard.lab.families.ngram import NGram
from tailguard.lab.recursion import Generation, recurse
from tailguard.mix.base import Block, Regime
from tailguard.mix.policy import Policy
from tailguard.mix.regimes.pools import subsample
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays

PAGE = Path(__file__).parents[2] / "docs" / "regimes.md"

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("window", {"width": 0}, "width at least 1"),
    ("growing", {"growth": float("nan")}, "a finite growth"),
    ("growing", {"ratio": 0.0}, "a finite ratio above 0"),
    ("growing", {"ratio": float("inf")}, "a finite ratio above 0"),
    ("fixed-real", {"real_frac": 1.1}, "real_frac in"),
    ("fresh-real", {"real_frac": float("nan")}, "real_frac in"),
    ("anchor", {"m": -1}, "m at least 0"),
    ("anchor", {"fixed": 1}, "fixed as bool"),
    ("weighted", {"weight": -0.1}, "weight in"),
    ("weighted", {"real_frac": 2}, "real_frac in"),
    ("contaminated", {"real_frac": -1.0}, "real_frac in"),
    ("contaminated-stream", {"counts": "yes"}, "counts as bool"),
    ("prior", {"strength": 0.0}, "strength above 0"),
    ("prior", {"points": 0}, "points at least 1"),
    ("refresh", {"every": 0}, "every at least 1"),
    ("refresh", {"real_frac": 1.5}, "real_frac in"),
    ("verified", {"accept_correct": 1.5}, "accept_correct in"),
    ("verified", {"accept_wrong": -0.5}, "accept_wrong in"),
    ("curated", {"candidates": 0}, "candidates at least 1"),
    ("curated", {"scale": float("inf")}, "a finite scale"),
    ("corrected", {"strength": -1.0}, "strength from 0"),
    ("token-edited", {"edited": 1.01}, "edited in"),
    ("detector-filtered", {"oversample": 0.5}, "oversample from 1"),
    ("detector-resampled", {"real_frac": 7.0}, "real_frac in"),
    ("ecosystem", {"models": 1}, "models at least 2"),
    ("ecosystem", {"others": 1.2}, "others in"),
    ("bias", {"sampling_bias": 1.5}, "bias in"),
    ("temperature", {"temperature": 0.0}, "temperature above 0"),
    ("top-k", {"top_k": 0}, "top_k at least 1"),
    ("top-p", {"top_p": 0.0}, "top_p in"),
    ("anchor", {"k": 2}, "a known setting"),
    ("curated", {"candidate": 2}, "did you mean 'candidates'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "message"), WRONG)
def test_a_setting_out_of_range_is_refused_in_one_line(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        REGIMES.make(name, **settings)
    assert "\n" not in str(caught.value)


def run(
    regime: Regime | str, *, n: int = 10, path: str = "samples", replicates: int = 6, **more: Any
) -> list[Generation]:
    family = Gaussian()
    runs = recurse(
        family.truth(replicates), family, regime, generations=3, n=n, seed=1, path=path, **more
    )
    return list(runs)


@pytest.mark.parametrize(
    ("regime", "arguments", "message"),
    [
        (REGIMES.make("anchor", m=11), {}, "n of at least m = 11, got 10"),
        (REGIMES.make("anchor", m=11, fixed=True), {}, "n of at least m = 11, got 10"),
        (REGIMES.make("growing", ratio=1e9), {}, "1 to 1e.08 samples"),
        (REGIMES.make("growing", ratio=1e-9), {}, "1 to 1e.08 samples"),
        (REGIMES.make("growing", growth=1e9), {}, "1 to 1e.08 samples, got inf"),
        (REGIMES.make("ecosystem", models=4), {}, "a multiple of the 4 models, got 6"),
        (REGIMES.make("contaminated"), {"path": "statistics"}, "path 'samples'"),
        (REGIMES.make("accumulate-subsample"), {"path": "statistics"}, "path 'samples'"),
        (REGIMES.make("top-k"), {}, "bias or temperature"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(
    regime: Regime, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(regime, **arguments)
    assert "\n" not in str(caught.value)


def test_real_fractions_are_exact_on_samples_and_on_statistics() -> None:
    expected: dict[str, tuple[dict[str, Any], list[float]]] = {
        "accumulate": ({}, [1, 1 / 2, 1 / 3, 1 / 4]),
        "window": ({"width": 2}, [1, 1 / 2, 0, 0]),
        "growing": ({"growth": 1.0}, [1, 0, 0, 0]),
        "fixed-real": ({"real_frac": 0.25}, [1, 0.2, 0.2, 0.2]),
        "anchor": ({"m": 3}, [1, 0.3, 0.3, 0.3]),
        "contaminated-stream": ({"counts": True, "real_frac": 0.2}, [1, 0.6, 14 / 30, 0.4]),
        "prior": ({"points": 5}, [1, 1 / 3, 1 / 3, 1 / 3]),
        "refresh": ({"every": 2, "real_frac": 0.7}, [1, 0, 0.7, 0]),
        "ecosystem": ({"models": 3, "real_frac": 0.1}, [1, 0.1, 0.1, 0.1]),
    }
    for name, (settings, shares) in expected.items():
        for path in ("samples", "statistics"):
            runs = run(REGIMES.make(name, **settings), path=path)
            assert [r.real_frac for r in runs] == pytest.approx(shares), (name, path)


def test_fixed_anchors_are_the_same_points_and_fresh_ones_are_not() -> None:
    same = run(REGIMES.make("anchor", m=2, fixed=True))
    new = run(REGIMES.make("anchor", m=2))
    assert np.array_equal(same[1].data[:, :2], same[3].data[:, :2])
    assert np.array_equal(same[0].data[:, :2], same[3].data[:, :2])
    assert not np.isin(new[1].data[:, :2], [new[0].data, new[3].data]).any()


def test_chance_decides_how_much_of_a_stream_is_real_in_each_replicate() -> None:
    runs = run(REGIMES.make("contaminated", real_frac=0.3), n=50, replicates=400)
    shares = np.asarray(runs[2].real_frac)
    assert shares.shape == (400,)
    assert abs(shares.mean() - 0.3) < 4 * (0.21 / 50 / 400) ** 0.5
    assert 0.5 < shares.var() / (0.21 / 50) < 1.6
    # Samples that are called real come from the real data: they repeat nothing of the past.
    assert runs[2].training.depth.max() == 2


def test_depth_counts_models_between_a_sample_and_real_data() -> None:
    depth = [r.training.depth.max(axis=-1).tolist() for r in run("replace")]
    assert depth == [0, 1, 2, 3]
    refreshed = run(REGIMES.make("refresh", every=2))
    assert [int(r.training.depth.max()) for r in refreshed] == [0, 1, 0, 1]
    mixed = run(REGIMES.make("accumulate-subsample"))[3].training
    assert mixed.depth.shape == (6, 10) and set(np.unique(mixed.depth)) <= {0, 1, 2, 3}
    # Old data keep their depth when a pool holds them.
    assert [int((mixed.pool[0].depth[0] == g).sum()) for g in range(4)] == [10, 10, 10, 10]


def test_models_of_an_ecosystem_read_each_other_and_no_one_else() -> None:
    # Each replicate's truth is a number of its own, so that every sample names its author.
    class Named:
        replicated = True

        def fit(self, data: Any, *, rng: np.random.Generator) -> Any:
            return NamedModel(np.arange(6.0))

    class NamedModel:
        def __init__(self, names: Any) -> None:
            self.names = names

        def sample(self, n: int, *, rng: np.random.Generator) -> Any:
            return np.repeat(self.names[:, None], n, axis=1)

    regime = REGIMES.make("ecosystem", models=3, others=0.7, real_frac=0.2)
    runs = list(recurse(NamedModel(np.arange(6.0)), Named(), regime, generations=1, n=20, seed=1))
    for replicate, row in enumerate(runs[1].data):
        real, own, foreign = row[:4], row[4:9], row[9:]
        group = {3 * (replicate // 3) + i for i in range(3)}
        assert set(real) == set(own) == {replicate}
        assert set(foreign) == group - {replicate}
        assert sorted(np.unique(foreign, return_counts=True)[1].tolist()) == [5, 6]


@pytest.mark.parametrize(("n", "size"), [(3, 6), (4, 6), (6, 6), (2, 50)])
def test_a_subsample_holds_no_sample_twice_and_every_one_as_often(n: int, size: int) -> None:
    replicates = 6_000
    block = Block(Arrays(np.tile(np.arange(size), (replicates, 1))), np.arange(size))
    chosen = subsample(block, n, rng=np.random.default_rng(0))
    rows = chosen.samples.values
    assert rows.shape == (replicates, n) and (np.diff(rows, axis=1) > 0).all()
    assert np.array_equal(chosen.depth, rows)
    share = n / size
    often = np.bincount(rows.ravel(), minlength=size) / replicates
    assert (np.abs(often - share) <= 4.5 * (share * (1 - share) / replicates) ** 0.5).all()
    # Pairs too: P(both) = n(n - 1) / (size (size - 1)).
    both = ((rows == 0).any(axis=1) & (rows == size - 1).any(axis=1)).mean()
    pair = n * (n - 1) / (size * (size - 1))
    assert abs(both - pair) <= 4.5 * (pair * (1 - pair) / replicates) ** 0.5


def test_depths_that_differ_between_models_are_read_with_the_samples() -> None:
    class Deep(StubPast):
        def draw(self, n: int, **how: Any) -> Block:
            block = super().draw(n, **how)
            return Block(block.samples, np.repeat([[1], [2], [3]], n, axis=1))

    past = Deep(lambda n, rng: np.repeat([[1.0], [2.0], [3.0]], n, axis=1))
    regime = REGIMES.make("ecosystem", models=3, others=0.6)
    made = regime(StubReal(past.write), [past], n=10, rng=np.random.default_rng(0))
    assert np.array_equal(made.depth, made.data)
    assert made.depth[0].tolist() == [1] * 4 + [2] * 3 + [3] * 3


TEXTS = [f"the {a} cat saw {b} dogs, and {a} mice" for a in ("old", "red", "big") for b in "3579"]
FOR_TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("accumulate", {}), ("accumulate-subsample", {}), ("window", {"width": 2}),
    ("growing", {"growth": 1.0}), ("fixed-real", {"real_frac": 0.5}), ("fresh-real", {}),
    ("anchor", {}), ("contaminated", {"real_frac": 0.1}),
    ("contaminated-stream", {"real_frac": 0.1}),
    ("refresh", {"every": 9}), ("token-edited", {}),
    ("verified", {"correct": lambda docs: np.array(["old" in doc for doc in docs])}),
    ("curated", {"reward": lambda docs: np.array([len(doc) for doc in docs])}),
    ("corrected", {"move": lambda docs, real: [doc.lower() for doc in docs]}),
    ("detector-filtered", {"detector": lambda real, docs: np.array([len(doc) for doc in docs])}),
    ("detector-resampled", {"detector": lambda real, docs: np.zeros(len(docs))}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), FOR_TEXTS)
def test_regimes_run_on_texts_with_exact_sizes(name: str, settings: dict[str, Any]) -> None:
    regime = REGIMES.make(name, **settings)
    real = TEXTS * 3
    runs = list(recurse(real, NGram(order=2), regime, generations=3, n=12, seed=1))
    assert isinstance(regime, Policy) and regime.promise is not None
    for run in runs:
        assert len(run.data) == regime.promise.size(run.index, 12)
        called_real = [t for t, d in zip(run.data, run.training.depth, strict=True) if d == 0]
        assert set(called_real) <= set(real)
        assert run.real_frac == len(called_real) / len(run.data)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weighted", "a family that can weigh samples, got NGram"),
        ("prior", "at most 36 real records"),
        ("ecosystem", "samples with a replicate axis, got rows"),
        ("verified", "give correct="),
        ("curated", "give reward="),
        ("corrected", "give move="),
        ("detector-filtered", "give detector="),
        ("bias", "a model that can be sampled in other ways, got NGramModel"),
    ],
)
def test_regimes_that_texts_do_not_fit_are_refused_in_one_line(name: str, message: str) -> None:
    runs = recurse(TEXTS * 3, NGram(), name, generations=2, n=12, seed=1)
    with pytest.raises(InputError, match=message) as caught:
        list(runs)
    assert "\n" not in str(caught.value)


def test_arrays_that_are_given_are_used_as_one_replicate_or_many() -> None:
    data = np.random.default_rng(0).standard_normal((3, 40))
    runs = list(recurse(Arrays(data), Gaussian(), "anchor", generations=2, n=20, seed=1))
    assert [r.data.shape for r in runs] == [(3, 20)] * 3
    assert runs[1].real_frac == 0.05


def rows() -> Sequence[str]:
    return [
        "| `{}` | {} | {} | {} |".format(
            sheet.name,
            ", ".join(f"`{key}={_shown(value)}`" for key, value in sheet.settings.items()) or "–",
            sheet.meaning,
            sheet.cite,
        )
        for sheet in REGIMES
    ]


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"


def test_the_page_of_regimes_lists_each_with_its_settings_and_source() -> None:
    page = PAGE.read_text()
    listed = [line for line in page.splitlines() if line.startswith("| `")]
    assert listed == rows(), "put these rows into docs/regimes.md:\n" + "\n".join(rows())


def test_the_examples_on_the_page_of_regimes_come_out_as_printed() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 10 and not failed


def test_every_regime_says_what_it_means_in_one_sentence_with_a_source() -> None:
    for sheet in REGIMES:
        assert sheet.meaning.endswith(".") and len(sheet.meaning) <= 100, sheet.name
        assert any(c.isdigit() for c in sheet.cite), sheet.name
        documented = inspect.getdoc(sheet.make) or ""
        for setting in sheet.settings:
            assert f"{setting}" in documented, (sheet.name, setting)
