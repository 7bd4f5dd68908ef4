"""Whether a family fits and samples as the laboratory takes for granted."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from tailguard.checks.spies import chance_elsewhere
from tailguard.errors import InputError
from tailguard.lab.base import Family, FitsStatistics, HasLogProb, Model, WritesStatistics
from tailguard.mix.samples import Floats

REPLICATES = 4
SMALL, FEW, MANY = 6, 32, 4096
TRIALS, ROOM = (100, 4000), 50_000_000
"""Replicates that show whether statistics and samples have one law: as many as the room holds."""
CHANCE = 5.0
"""Standard errors by which two samples of one law may differ."""
NEAR = 0.25
"""Standard deviations by which a model fitted on much data may miss the true mean."""
WIDE = 1.5
"""Factor by which it may miss the true standard deviation."""

TEXTS = tuple(
    f"{who} {does} the {what} {when}."
    for who, does, when in (
        ("A child", "sees", "today"),
        ("The old man", "mends", "at night"),
        ("Nobody", "sold", "in spring, or later"),
    )
    for what in ("boat", "red house", "map", "clock", "long road to town")
)

Truth = Callable[[int], Model[Any]]


def check_family(
    family: Family[Any], *, truth: Truth | None = None, data: Sequence[Any] | None = None
) -> None:
    """Check that a family keeps the laws of families; a second at most for numeric ones.

    The same generator gives the same bytes, another gives others, and no other source of chance
    is touched. ``sample`` gives n samples of the kind that ``fit`` takes, never nan. ``fit``
    leaves data and family as they were, and remembers nothing. ``log_prob``, if it exists, is one
    finite number for each sample of the model's own. A dataclass refuses nan, infinite and
    negative counts as settings with an `InputError`.

    A family of many replicates (``replicated``) also keeps each for itself, in axis 0: fitted
    alone or among others it is the same model, and its draws are its own. On much data it comes
    near the truth: means within 0.25 standard deviations, and these within a factor of 1.5. If
    it steps on statistics, their law is that of samples, also when two blocks are joined.

    ``truth(replicates)`` is by default the family's own method. Other families are fitted on
    ``data``, by default a few sentences.

    Raises ``AssertionError`` with one sentence.

    >>> from tailguard.lab.families.gaussian import Gaussian
    >>> check_family(Gaussian())
    """
    who = type(family).__name__
    _settings_are_checked(family, who)
    if not getattr(family, "replicated", False):
        _Case(family, who, list(TEXTS) if data is None else data).check()
        return
    source = getattr(family, "truth", None) if truth is None else truth
    assert source is not None, f"{who} has no truth: give one to check_family"
    real = source(REPLICATES).sample(FEW, rng=np.random.default_rng(0))
    _Case(family, who, real).check()
    _replicates_are_apart(family, source, who)
    _much_data_come_near_the_truth(family, source, who)
    _weights_are_heard(family, real, who)
    _statistics_have_the_law_of_samples(family, source, who)


@dataclass(frozen=True, slots=True)
class _Case:
    """A family and data to fit it on."""

    family: Family[Any]
    who: str
    data: Any

    def check(self) -> None:
        """The laws of all families."""
        model = self._model(1)
        first = self._written(model, 7, 2)
        self._kind_fits(first, 7)
        for n in (1, 33):
            self._kind_fits(self._written(model, n, 3), n)
        what = f"{self.who}: the model"
        again = self._written(model, 7, 2)
        assert _equal(first, again), f"{what} remembers earlier calls, or has chance of its own"
        other = self._written(model, 33, 4)
        alike = _equal(other, self._written(model, 33, 5))
        assert not alike or _is_constant(other), f"{what} samples without its generator"
        twin = self._written(self._model(1), 7, 2)
        assert _equal(first, twin), f"{self.who} fits another model with the same generator"
        self._nothing_is_remembered(first)
        self._log_prob_is_finite(model)

    def _model(self, seed: int, data: Any = None) -> Model[Any]:
        """A fitted model; what went in must stay as it was."""
        data = self.data if data is None else data
        before, family, chance = deepcopy(data), _fields(self.family), chance_elsewhere()
        model = _fit(self.family, data, self.who, seed)
        assert _equal(before, data), f"{self.who}: fit changes the data"
        assert _same_fields(family, _fields(self.family)), f"{self.who}: fit changes the family"
        assert chance_elsewhere() == chance, f"{self.who}: fit draws from a global generator"
        return model

    def _written(self, model: Model[Any], n: int, seed: int) -> Any:
        chance, before = chance_elsewhere(), _fields(model)
        try:
            samples = model.sample(n, rng=np.random.default_rng(seed))
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(f"{self.who}: sample raises {kind}: {error}") from error
        assert chance_elsewhere() == chance, f"{self.who}: sample draws from a global generator"
        assert _same_fields(before, _fields(model)), f"{self.who}: sample changes the model"
        return samples

    def _kind_fits(self, samples: Any, n: int) -> None:
        if not isinstance(self.data, np.ndarray):
            found = len(samples)
            assert found == n, f"{self.who}: the model writes {found} samples, not {n}"
            kind, own = type(samples[0]).__name__, type(self.data[0]).__name__
            assert kind == own, f"{self.who}: the model writes {kind}, and is fitted on {own}"
            return
        axis = 1 if getattr(self.family, "replicated", False) else 0
        shape, like = np.shape(samples), self.data.shape
        if axis:
            assert shape[:1] == like[:1], (
                f"{self.who}: the model writes shape {shape} for {like[0]} replicates of {n}: "
                "axis 0 counts replicates"
            )
        found = shape[axis] if len(shape) > axis else 0
        assert found == n, f"{self.who}: the model writes {found} samples, not {n}"
        assert shape[axis + 1 :] == like[axis + 1 :], (
            f"{self.who}: the model writes samples of shape {shape[axis + 1 :]}, "
            f"and is fitted on {like[axis + 1 :]}"
        )
        numbers = np.asarray(samples)
        assert numbers.dtype.kind in "biuf" and np.isfinite(numbers).all(), (
            f"{self.who}: the model writes samples that are no finite numbers"
        )

    def _nothing_is_remembered(self, first: Any) -> None:
        """The same fit after one on other data."""
        half = self.data[:, : FEW // 2] if self._replicated else self.data[: len(self.data) // 2]
        self._model(6, half)
        again = self._written(self._model(1), 7, 2)
        assert _equal(first, again), f"{self.who} remembers data of an earlier fit"

    @property
    def _replicated(self) -> bool:
        return bool(getattr(self.family, "replicated", False))

    def _log_prob_is_finite(self, model: Model[Any]) -> None:
        if not isinstance(model, HasLogProb):
            return
        samples = self._written(model, 33, 7)
        found = np.asarray(model.log_prob(samples))
        shape = np.shape(samples)[:2] if self._replicated else (33,)
        assert found.shape == shape, (
            f"{self.who}: log_prob has shape {found.shape}, not one number for each of {shape}"
        )
        assert np.isfinite(found).all(), f"{self.who}: log_prob of own samples is not finite"


def _fit(family: Family[Any], data: Any, who: str, seed: int, **more: Any) -> Model[Any]:
    try:
        return family.fit(data, rng=np.random.default_rng(seed), **more)
    except Exception as error:
        raise AssertionError(f"{who}: fit raises {type(error).__name__}: {error}") from error


def _settings_are_checked(family: Any, who: str) -> None:
    if not dataclasses.is_dataclass(family) or isinstance(family, type):
        return
    wrong: dict[type, tuple[Any, ...]] = {
        float: (float("nan"), float("inf")),
        int: (-1,),
        str: ("no such thing",),
    }
    for field in dataclasses.fields(family):
        for value in wrong.get(type(getattr(family, field.name)), ()) if field.init else ():
            try:
                dataclasses.replace(family, **{field.name: value})
            except InputError:
                continue
            except Exception as error:
                kind = type(error).__name__
                raise AssertionError(f"{who} raises {kind} for {field.name}={value!r}") from error
            raise AssertionError(f"{who} takes {value!r} as {field.name}")


def _replicates_are_apart(family: Family[Any], truth: Truth, who: str) -> None:
    rng = np.random.default_rng(11)
    data = truth(REPLICATES).sample(FEW, rng=rng)
    together = _fit(family, data, who, 1).sample(MANY, rng=rng)
    for replicate in range(REPLICATES):
        alone = _fit(family, data[replicate : replicate + 1], who, 1).sample(MANY, rng=rng)
        apart = _gap(_features(alone)[0], _features(together)[replicate])
        assert apart <= CHANCE, f"{who}: replicate {replicate} is another model among others"
    same = np.repeat(data[:1], REPLICATES, axis=0)
    drawn = _fit(family, same, who, 1).sample(FEW, rng=rng)
    for replicate in range(1, REPLICATES):
        alike = np.array_equal(drawn[0], drawn[replicate])
        assert not alike or _is_constant(drawn[0]), f"{who} writes the same in all replicates"


def _much_data_come_near_the_truth(family: Family[Any], truth: Truth, who: str) -> None:
    rng = np.random.default_rng(12)
    real = truth(2).sample(MANY, rng=rng)
    model = _fit(family, real, who, 1)
    ours, theirs = (_columns(model.sample(MANY, rng=rng)), _columns(truth(2).sample(MANY, rng=rng)))
    spread, own = theirs.std(axis=1), ours.std(axis=1)
    miss = np.abs(ours.mean(axis=1) - theirs.mean(axis=1))
    far = miss > NEAR * spread + 1e-12
    assert not far.any(), (
        f"{who}: fitted on {MANY} samples, the mean is off by {miss[far][0]:.3g} "
        f"at a true standard deviation of {spread[far][0]:.3g}"
    )
    off = (own > WIDE * spread + 1e-12) | (spread > WIDE * own + 1e-12)
    assert not off.any(), (
        f"{who}: fitted on {MANY} samples, the standard deviation is {own[off][0]:.3g}, "
        f"not {spread[off][0]:.3g}"
    )


def _weights_are_heard(family: Any, data: Floats, who: str) -> None:
    if "weights" not in inspect.signature(family.fit).parameters:
        return

    def written(**weights: Any) -> list[tuple[Floats, Floats]]:
        model = _fit(family, data, who, 13, **weights)
        return _features(model.sample(MANY, rng=np.random.default_rng(13)))

    def apart(a: list[tuple[Floats, Floats]], b: list[tuple[Floats, Floats]]) -> float:
        return max(_gap(x, y) for x, y in zip(a, b, strict=True))

    rank = np.argsort(np.argsort(_columns(data).sum(axis=2), axis=1), axis=1)
    plain, equal = written(), written(weights=np.full(FEW, 2.0))
    low = written(weights=np.where(rank < FEW // 2, 9.0, 1.0))
    assert apart(plain, equal) <= CHANCE, f"{who}: equal weights change the fit"
    assert apart(plain, low) > CHANCE, f"{who}: fit takes weights, and does not listen to them"


def _statistics_have_the_law_of_samples(family: Any, truth: Truth, who: str) -> None:
    one = truth(1)
    if not (isinstance(family, FitsStatistics) and isinstance(one, WritesStatistics)):
        return
    rng, trained = np.random.default_rng(14), cast(Any, family)
    held = _fields(one.statistics(SMALL, rng=rng)).values()
    size = sum(part.nbytes for part in held if isinstance(part, np.ndarray))
    real: Any = truth(int(np.clip(ROOM // max(size, 1), *TRIALS)))

    def refitted(other: Any, *, unseen: bool) -> Floats:
        """A model fitted on samples of two, and what it writes."""
        if unseen:
            both = real.statistics(SMALL, rng=rng).join(other.statistics(SMALL, rng=rng))
            assert both.n == 2 * SMALL, f"{who}: joined statistics of {2 * SMALL} count {both.n}"
            model = trained.fit_statistics(both, rng=rng)
        else:
            parts = [source.sample(SMALL, rng=rng) for source in (real, other)]
            model = trained.fit(np.concatenate(parts, axis=1), rng=rng)
        return _columns(model.sample(2 * FEW, rng=rng))

    # The second block is of other models, so that the drift between blocks is tested as well.
    other = trained.fit(real.sample(SMALL, rng=rng), rng=rng)
    by_statistics, by_samples = (
        _moments(refitted(other, unseen=unseen)) for unseen in (True, False)
    )
    apart = _gap(_mean_and_error(by_statistics), _mean_and_error(by_samples))
    assert apart <= CHANCE, (
        f"{who}: models fitted on statistics and on samples differ by {apart:.0f} standard errors"
    )


def _columns(samples: Any) -> Floats:
    """Samples as (R, n, coordinates)."""
    numbers = np.asarray(samples, dtype=np.float64)
    return numbers.reshape(*numbers.shape[:2], -1)


def _moments(columns: Floats) -> Floats:
    """Mean, its square, and variance of each replicate; covariances with the last coordinate."""
    mean = columns.mean(axis=1)
    rest = columns - mean[:, None]
    cross = (rest * rest[..., -1:]).mean(axis=1)
    return np.concatenate([mean, mean**2, (rest**2).mean(axis=1), cross], axis=1)


def _features(samples: Any) -> list[tuple[Floats, Floats]]:
    """For each replicate: mean and standard error of coordinates, squares, and products."""
    columns = _columns(samples)
    terms = np.concatenate([columns, columns**2, columns * columns[..., -1:]], axis=2)
    return [_mean_and_error(row) for row in terms]


def _mean_and_error(values: Floats) -> tuple[Floats, Floats]:
    return values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))


def _gap(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
    """The largest difference, in standard errors."""
    error = np.sqrt(a[1] ** 2 + b[1] ** 2)
    apart = np.abs(a[0] - b[0])
    scale = 1e-9 * (1 + np.abs(a[0]))
    return float((apart / np.maximum(error, scale)).max())


def _is_constant(samples: Any) -> bool:
    if isinstance(samples, np.ndarray):
        return bool((samples == samples.ravel()[0]).all())
    return all(sample == samples[0] for sample in samples)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(np.asarray(a), np.asarray(b)))
    return bool(a == b)


def _fields(thing: Any) -> dict[str, Any]:
    """A copy of what an object holds: its fields and attributes."""
    own = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    names = {field.name for field in own} | set(getattr(thing, "__dict__", {}))
    return {name: deepcopy(getattr(thing, name)) for name in sorted(names)}


def _same_fields(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether nothing has changed; what is new, such as a cached value, does not count."""
    return all(name in after and _alike(held, after[name]) for name, held in before.items())


def _alike(a: Any, b: Any) -> bool:
    """Equal as far as can be told: objects without an equality of their own count as equal."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b, strict=True))
    plain = bool | int | float | str | None
    return bool(a == b) if isinstance(a, plain) else type(a) is type(b)
