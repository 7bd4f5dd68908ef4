"""Every registered family keeps the public laws, and families that break one are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tailguard.checks import check_family
from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.families.gaussian import Gaussian, GaussianModel
from tailguard.lab.families.ngram import NGram

NAMES = [sheet.name for sheet in FAMILIES]


@pytest.mark.parametrize("name", NAMES)
def test_a_registered_family_keeps_the_laws(name: str) -> None:
    check_family(FAMILIES.make(name))


def test_settings_other_than_the_defaults_keep_the_laws() -> None:
    check_family(Gaussian(unbiased=True))
    check_family(Gaussian(), truth=lambda replicates: Gaussian().truth(replicates, mean=9.0))
    check_family(NGram(order=1), data=["one fish, two fish", "red fish"])


@dataclass(frozen=True)
class Normal:
    """A sound family; those below break it in one place each."""

    scale: float = 1.0
    replicated = True

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < np.inf:
            raise InputError("normal", "scale above 0", f"{self.scale}", "change scale")

    def truth(self, replicates: int) -> NormalModel:
        return NormalModel(np.zeros((replicates, 2)), np.ones((replicates, 2)))

    def fit(self, data: Any, *, rng: np.random.Generator, weights: Any = None) -> NormalModel:
        weights = np.broadcast_to(1.0 if weights is None else weights, data.shape[:2])[..., None]
        mean = (weights * data).sum(axis=1) / weights.sum(axis=1)
        var = (weights * (data - mean[:, None]) ** 2).sum(axis=1) / weights.sum(axis=1)
        return NormalModel(mean, np.sqrt(var))


@dataclass(frozen=True)
class NormalModel:
    mean: Any
    sd: Any

    def sample(self, n: int, *, rng: np.random.Generator) -> Any:
        draws = rng.standard_normal((len(self.mean), n, 2))
        return self.mean[:, None] + self.sd[:, None] * draws

    def log_prob(self, x: Any) -> Any:
        z = (x - self.mean[:, None]) / self.sd[:, None]
        return (-0.5 * z**2 - np.log(self.sd)[:, None]).sum(axis=-1)


def test_a_family_of_ones_own_passes() -> None:
    check_family(Normal())


Sample = Callable[..., Any]
LAW = NormalModel.sample


def sampling(sample: Sample) -> Any:
    """The family with another ``sample(model, n, *, rng)``."""
    model = type("Model", (NormalModel,), {"sample": sample})

    class Broken(Normal):
        def truth(self, replicates: int) -> Any:
            return Normal().truth(replicates)

        def fit(self, data: Any, *, rng: Any, weights: Any = None) -> Any:
            sound = Normal().fit(data, rng=rng, weights=weights)
            return model(sound.mean, sound.sd)

    return Broken()


def fitting(fit: Callable[..., Any]) -> Any:
    """The family with another ``fit(data, rng)``."""

    class Broken(Normal):
        def fit(self, data: Any, *, rng: Any, weights: Any = None) -> Any:
            return fit(data, rng)

    return Broken()


def sound(data: Any, rng: Any) -> Any:
    return Normal().fit(data, rng=rng)


def counting() -> Sample:
    calls: list[int] = []

    def sample(self: Any, n: int, *, rng: Any) -> Any:
        calls.append(n)
        return LAW(self, n, rng=rng) + 1e-9 * len(calls)

    return sample


def globally(self: Any, n: int, *, rng: Any) -> Any:
    return LAW(self, n, rng=rng) + np.random.random()  # noqa: NPY002


def sorts(data: Any, rng: Any) -> Any:
    data.sort(axis=1)
    return sound(data, rng)


def pools(data: Any, rng: Any) -> Any:
    """Moments over all replicates instead of each."""
    one = sound(data.reshape(1, -1, 2), rng)
    return NormalModel(np.repeat(one.mean, len(data), axis=0), np.repeat(one.sd, len(data), axis=0))


def reverses(data: Any, rng: Any) -> Any:
    return sound(data[::-1], rng)


def squares(data: Any, rng: Any) -> Any:
    model = sound(data, rng)
    return replace(model, sd=2.0 * model.sd)


def shifts(data: Any, rng: Any) -> Any:
    model = sound(data, rng)
    return replace(model, mean=model.mean + 0.5)


def warm() -> Callable[..., Any]:
    seen: list[Any] = []

    def fit(data: Any, rng: Any) -> Any:
        seen.append(data.mean())
        model = sound(data, rng)
        return replace(model, mean=model.mean + 1e-6 * np.mean(seen))

    return fit


class Warm(Normal):
    """Keeps a state in the family."""

    def fit(self, data: Any, *, rng: Any, weights: Any = None) -> Any:
        object.__setattr__(self, "last", float(data.mean()))
        return super().fit(data, rng=rng, weights=weights)


class Unchecked(Normal):
    def __post_init__(self) -> None:
        pass


class Traceback(Normal):
    def __post_init__(self) -> None:
        assert 0.0 < self.scale < np.inf


@dataclass(frozen=True)
class Sums:
    """Sum and sum of squares of n samples in each replicate."""

    n: int
    first: Any
    second: Any

    def join(self, *others: Sums) -> Sums:
        both = (self, *others)
        total = [sum(getattr(s, name) for s in both) for name in ("n", "first", "second")]
        return Sums(*total)


class Stepping(Normal):
    """Steps on statistics, with a chi-squared law of ``free`` degrees too many."""

    free = 0
    drift = True

    def truth(self, replicates: int) -> Any:
        return self._stepping(super().truth(replicates))

    def fit(self, data: Any, *, rng: Any, weights: Any = None) -> Any:
        return self._stepping(super().fit(data, rng=rng, weights=weights))

    def fit_statistics(self, statistics: Sums, *, rng: Any) -> Any:
        mean = statistics.first / statistics.n
        var = statistics.second / statistics.n - mean**2
        return self._stepping(NormalModel(mean, np.sqrt(var)))

    def _stepping(self, model: Any) -> Any:
        free = self.free

        class Model(NormalModel):
            def statistics(self, n: int, *, rng: Any) -> Sums:
                mean = self.mean + self.sd * rng.standard_normal(self.mean.shape) / np.sqrt(n)
                scatter = self.sd**2 * rng.chisquare(n - 1 + free, self.mean.shape)
                return Sums(n, n * mean, scatter + n * mean**2)

        return Model(model.mean, model.sd)


class TooFree(Stepping):
    free = 1


def test_statistics_of_the_right_law_pass() -> None:
    check_family(Stepping())


BROKEN: list[tuple[str, Any, str]] = [
    ("own generator", sampling(lambda s, n, *, rng: LAW(s, n, rng=np.random.default_rng(0))),
     "samples without its generator"),
    ("clock", sampling(lambda s, n, *, rng: LAW(s, n, rng=np.random.default_rng())),
     "has chance of its own"),
    ("global generator", sampling(globally), "sample draws from a global generator"),
    ("counts calls", sampling(counting()), "remembers earlier calls"),
    ("n - 1", sampling(lambda s, n, *, rng: LAW(s, n - 1, rng=rng)), "writes 6 samples, not 7"),
    ("n, R", sampling(lambda s, n, *, rng: np.swapaxes(LAW(s, n, rng=rng), 0, 1)),
     "axis 0 counts replicates"),
    ("R * n", sampling(lambda s, n, *, rng: LAW(s, n, rng=rng).reshape(-1, 2)),
     "axis 0 counts replicates"),
    ("one coordinate", sampling(lambda s, n, *, rng: LAW(s, n, rng=rng)[..., 0]),
     "writes samples of shape"),
    ("nan", sampling(lambda s, n, *, rng: LAW(s, n, rng=rng) * np.nan), "no finite numbers"),
    ("same draws", sampling(lambda s, n, *, rng: s.mean[:, None] + s.sd[:, None]
                            * rng.standard_normal((1, n, 2))), "the same in all replicates"),
    ("a bug", sampling(lambda s, n, *, rng: 1 // 0), "sample raises ZeroDivisionError"),
    ("sorts data", fitting(sorts), "fit changes the data"),
    ("pools", fitting(pools), "is another model among others"),
    ("reverses replicates", fitting(reverses), "is another model among others"),
    ("too wide", fitting(squares), "the standard deviation is"),
    ("beside", fitting(shifts), "the mean is off by"),
    ("fits by the clock", fitting(lambda d, g: shift_by(sound(d, g), np.random.default_rng())),
     "fits another model with the same generator"),
    ("warm start", fitting(warm()), "fits another model|remembers data"),
    ("deaf to weights", fitting(sound), "does not listen"),
    ("a bug in fit", fitting(lambda d, g: d[10**6]), "fit raises IndexError"),
    ("state in the family", Warm(), "fit changes the family"),
    ("takes nan", Unchecked(), "takes nan as scale"),
    ("traceback", Traceback(), "raises AssertionError for scale=nan"),
    ("wrong law of statistics", TooFree(), "differ by .* standard errors"),
]  # fmt: skip


def shift_by(model: Any, rng: Any) -> Any:
    return replace(model, mean=model.mean + 1e-6 * rng.standard_normal())


@pytest.mark.parametrize(
    ("family", "said"), [(made, said) for _, made, said in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_family_that_breaks_a_law_is_caught_in_one_sentence(family: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said) as caught:
        check_family(family)
    assert "\n" not in str(caught.value).split("\nassert ")[0]


def test_weights_that_change_the_fit_when_equal_are_caught() -> None:
    class Heavy(Normal):
        def fit(self, data: Any, *, rng: Any, weights: Any = None) -> Any:
            model = super().fit(data, rng=rng)
            return model if weights is None else replace(model, mean=(weights.sum() * model.mean))

    with pytest.raises(AssertionError, match="equal weights change the fit"):
        check_family(Heavy())


def test_a_log_prob_that_is_not_one_finite_number_each_is_caught() -> None:
    def scoring(log_prob: Callable[..., Any]) -> Any:
        class Broken(Normal):
            def fit(self, data: Any, *, rng: Any, weights: Any = None) -> Any:
                model = type("Model", (NormalModel,), {"log_prob": log_prob})
                sound = super().fit(data, rng=rng, weights=weights)
                return model(sound.mean, sound.sd)

        return Broken()

    with pytest.raises(AssertionError, match="log_prob has shape"):
        check_family(scoring(lambda self, x: np.zeros(x.shape)))
    with pytest.raises(AssertionError, match="log_prob of own samples is not finite"):
        check_family(scoring(lambda self, x: np.full(x.shape[:2], -np.inf)))


def test_a_family_of_single_models_is_checked_on_its_own_data() -> None:
    class Short(NGram):
        def fit(self, data: Any, *, rng: Any) -> Any:
            model = super().fit(data, rng=rng)
            sample = model.sample
            model.sample = lambda n, *, rng: sample(n, rng=rng)[: max(1, n - 1)]  # type: ignore[method-assign]
            return model

    with pytest.raises(AssertionError, match="writes 6 samples, not 7"):
        check_family(Short())
    with pytest.raises(AssertionError, match="has no truth"):
        check_family(type("Homeless", (), {"replicated": True})())


def test_the_gaussian_with_an_n_too_many_in_its_statistics_is_caught() -> None:
    class Biased(Gaussian):
        def fit_statistics(self, statistics: Any, *, rng: Any) -> GaussianModel:
            model = super().fit_statistics(statistics, rng=rng)
            n = statistics.n
            return replace(model, var=model.var * n / (n - 1))

    with pytest.raises(AssertionError, match="standard errors"):
        check_family(Biased())
