"""The combination: several detectors weighed by how each scores texts that it was not fitted on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Labels, Prepared, Stored, TextDetector, unfitted
from tailguard.engine.progress import progress
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand

FOLDS = 5
MOST_PARTS = 16
_RIDGE = 1.0
"""Strength of the penalty |w|^2 / 2 against a log-likelihood summed over texts: it only matters
where a weight would run away because the classes are separable."""


@dataclass(slots=True)
class CombinationDetector(TextDetector):
    """Log-odds of "synthetic" from the scores z of several detectors: b + sum w_k z_k, w_k >= 0.

    Each part scores every training text from a fit that did not see the text's fold (stacking,
    Wolpert 1992), so that a part that remembers its texts gains nothing by it. z is that score,
    less its mean and over its standard deviation, the classes weighing alike, and cut at ±8. The
    weights are not negative (Breiman 1996): a part's evidence for "synthetic" never speaks against.
    Afterwards every part is fitted on all texts.

    Folds keep groups whole. Grouped by prompt, the weights suit texts of the same domains; grouped
    by source, they favour what carries over from one source to the next.

    After ``fit``: ``weights``, ``centre`` and ``scale``, shape (parts,), and ``bias``.
    """

    kind: ClassVar[str] = "combination"

    window: Window = field(default_factory=Window)
    parts: Sequence[TextDetector] = ()
    weights: Floats | None = None
    centre: Floats = field(default_factory=lambda: np.zeros(0))
    scale: Floats = field(default_factory=lambda: np.ones(0))
    bias: float = 0.0

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        if not self.parts:
            self.parts = _usual(self.window)
        for part in self.parts:
            part.window = self.window
        folds = whole_folds(groups, FOLDS)
        held = np.full((len(texts), len(self.parts)), np.nan)
        rounds = int(folds.max()) + 1
        with progress("fitting", (rounds + 1) * len(self.parts), in_bytes=False) as advance:
            for fold in range(rounds):
                out = folds == fold
                if len(set(synthetic[~out].tolist())) < 2:
                    got = f"without fold {fold + 1} only one class is left"
                    raise DetectorError("combination", "both classes in several groups", got,
                                        "group the texts otherwise")  # fmt: skip
                rest, ours = texts.rows(~out), texts.rows(out)
                for k, part in enumerate(self.parts):
                    fresh = copy.deepcopy(part)
                    fresh._fit(rest, synthetic[~out], groups[~out])
                    held[out, k] = fresh.score_prepared(ours)
                    advance(1)
            for part in self.parts:
                part._fit(texts, synthetic, groups)
                advance(1)
        balance = np.where(synthetic, 0.5 / synthetic.sum(), 0.5 / (~synthetic).sum())
        self.centre, self.scale = _standard(held, balance)
        z = _standardised(held, self.centre, self.scale)
        self.weights, self.bias = _nonnegative(z, synthetic, balance * len(texts))

    def _score(self, texts: Prepared) -> Floats:
        return self._contributions(texts).sum(axis=1) + self.bias

    def _contributions(self, texts: Prepared) -> Floats:
        """w_k z_k of every text, shape (n, parts)."""
        if self.weights is None:
            raise unfitted()
        found = np.zeros((len(texts), len(self.parts)))
        for k, part in enumerate(self.parts):
            if self.weights[k]:
                found[:, k] = part.score_prepared(texts)
        return _standardised(found, self.centre, self.scale) * self.weights

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """Each part's share of the log-odds in nats, then what moved the weightiest part most."""
        found = Prepared.of([text], self.window)
        rows = np.flatnonzero(found.usable)
        return self.evidence_prepared(found, rows, most)[0] if len(rows) else []

    def evidence_prepared(
        self, texts: Prepared, rows: Ints, most: int = 5
    ) -> list[list[tuple[str, float]]]:
        chosen = texts.rows(rows)
        shares = self._contributions(chosen)
        best = np.argmax(np.abs(shares), axis=1)
        out = []
        for share in shares.tolist():
            named = [(f"({p.kind})", v) for p, v in zip(self.parts, share, strict=True) if v]
            out.append(sorted(named, key=lambda row: -abs(row[1])))
        assert self.weights is not None
        for k, part in enumerate(self.parts):
            mine = np.flatnonzero(best == k)
            rate = float(self.weights[k] / self.scale[k])
            told = part.evidence_prepared(chosen, mine, most)
            for row, inside in zip(mine.tolist(), told, strict=True):
                out[row] += [(name, value * rate) for name, value in inside]
        return out

    def state(self) -> tuple[dict[str, Any], Arrays]:
        from tailguard.detect.detectors.registry import detector_state

        if self.weights is None:
            raise unfitted()
        arrays: Arrays = {"weights": self.weights, "centre": self.centre, "scale": self.scale}
        parts = []
        for number, part in enumerate(self.parts):
            settings, own = detector_state(part)
            parts.append(settings)
            arrays |= {f"part{number}.{name}": values for name, values in own.items()}
        return {"parts": parts, "bias": self.bias}, arrays

    @classmethod
    def restore(
        cls, window: Window, settings: dict[str, Any], stored: Stored
    ) -> CombinationDetector:
        from tailguard.detect.detectors.registry import restored

        given = settings["parts"]
        demand(isinstance(given, list) and 0 < len(given) <= MOST_PARTS, "a bad list of parts")
        demand(all(part["kind"] != cls.kind for part in given), "a combination in a combination")
        parts = [restored(part, stored.within(f"part{k}")) for k, part in enumerate(given)]
        demand(all(part.window == window for part in parts), "parts of different windows")
        weights, centre, scale = (
            stored.take(name, "<f8", (len(parts),)) for name in ("weights", "centre", "scale")
        )
        demand(bool((weights >= 0).all() and (scale > 0).all()), "a bad weight")
        bias = float(settings["bias"])
        demand(bool(np.isfinite(bias)), "a bad bias")
        return cls(window, parts, weights, centre, scale, bias)


def whole_folds(groups: Ints, folds: int) -> Ints:
    """A fold for every text, shape (n,), that keeps groups whole; the largest are laid first.

    As many folds as groups where there are fewer than ``folds``. Deterministic. Raises
    :class:`DetectorError` for one group alone.

    >>> whole_folds(np.array([7, 7, 8, 9]), 2).tolist()
    [0, 0, 1, 1]
    """
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DetectorError("combination", "texts of two groups at least", "one group",
                            "group the texts otherwise")  # fmt: skip
    load = np.zeros(min(folds, len(sizes)), np.int64)
    place = np.zeros(len(sizes), np.int64)
    for group in np.argsort(-sizes, kind="stable").tolist():
        place[group] = np.argmin(load)
        load[place[group]] += sizes[group]
    return place[number]


def _usual(window: Window) -> list[TextDetector]:
    """One detector of each kind that needs no model of others."""
    from tailguard.detect.detectors.registry import USUAL_PARTS, make_detector

    return [make_detector(kind, window) for kind in USUAL_PARTS]


def _standard(scores: Floats, balance: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and standard deviation of each column; 0 and 1 where nothing varies."""
    some = np.isfinite(scores)
    weight = np.where(some, balance[:, None], 0.0)
    total = np.maximum(weight.sum(axis=0), 1e-300)
    values = np.where(some, scores, 0.0)
    centre = (weight * values).sum(axis=0) / total
    spread = np.sqrt((weight * (values - centre) ** 2).sum(axis=0) / total)
    return centre, np.where(spread > 1e-12, spread, 1.0)


def _standardised(scores: Floats, centre: Floats, scale: Floats) -> Floats:
    """Scores on one scale; a part that gives none says nothing."""
    return np.clip(np.nan_to_num((scores - centre) / scale, nan=0.0), -8.0, 8.0)


def _nonnegative(z: Floats, synthetic: Labels, weight: Floats) -> tuple[Floats, float]:
    """Weights w >= 0 and bias of a logistic regression with a small ridge on w.

    ``z`` (n, k); ``weight`` (n,) is how much each text counts. The loss is convex, so L-BFGS-B ends
    in its one minimum.
    """
    from scipy.optimize import minimize

    sign = np.where(synthetic, 1.0, -1.0)

    def loss(x: Floats) -> tuple[float, Floats]:
        margin = sign * (z @ x[:-1] + x[-1])
        pull = -weight * sign * np.exp(-np.logaddexp(0.0, margin))
        value = float(weight @ np.logaddexp(0.0, -margin)) + 0.5 * _RIDGE * float(x[:-1] @ x[:-1])
        return value, np.append(z.T @ pull + _RIDGE * x[:-1], pull.sum())

    k = z.shape[1]
    bounds = [(0.0, None)] * k + [(None, None)]
    found = minimize(loss, np.append(np.ones(k), 0.0), jac=True, method="L-BFGS-B", bounds=bounds)
    return np.maximum(found.x[:-1], 0.0), float(found.x[-1])
