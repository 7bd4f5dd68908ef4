"""Is a text marked with a key? Needs the tokenizer and the key; neither model nor prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.watermark.base import Scheme, WatermarkError
from tailguard.detect.watermark.keys import WatermarkKey
from tailguard.detect.watermark.nulls import attainable, holm, p_values
from tailguard.detect.watermark.tokens import flatten
from tailguard.detect.watermark.units import Units, collect, unit_scores
from tailguard.detect.watermark.windows import Window, best_window
from tailguard.measure.base import Ints

Decision = Literal["marked", "not found", "abstain"]
Documents = Iterable[NDArray[np.integer[Any]] | Sequence[int]]
POOL_UNITS = 4_000_000
"""Distinct units that the pooled test holds at most for each key (32 MB)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one document shows: ``p`` is corrected for keys (Holm) and for windows.

    ``key`` is the name of the key with the least p-value. ``units`` is how many distinct pairs of
    context and token were scored. ``tokens`` is the range of the best window's tokens, where
    windows were searched. ``p`` is nan and the decision ``abstain`` without units; it also is
    ``abstain`` where no text of so few units could reach α, and ``note`` says so.
    """

    decision: Decision
    p: float
    key: str
    units: int
    score: float
    tokens: tuple[int, int] | None
    note: str


class Detection:
    """The test of many documents for one scheme and one or more keys, batch by batch.

    Over the random key, and for any text that does not depend on it, P(p ≤ α) ≤ α for every
    document and for `overall`. p-values of different documents under one key depend on each other
    where documents share units, so `overall` does not multiply them: it is the smaller of two
    tests, doubled. One pools the distinct units of all documents; the other is the least
    p-value of a document times the number of documents (Bonferroni).

    ``alpha`` decides; ``windows`` searches for the best passage of each document. Raises
    :class:`WatermarkError` without a key, or where ``alpha`` is not in (0, 1).

    >>> key = WatermarkKey(bytes(range(32)))
    >>> test = Detection(Scheme("kgw"), [key])
    >>> [finding.decision for finding in test.update([[1, 2, 3], []])]
    ['abstain', 'abstain']
    >>> 0.4 < test.overall()["key"] <= 1
    True
    """

    def __init__(
        self,
        scheme: Scheme,
        keys: Sequence[WatermarkKey],
        *,
        alpha: float = 1e-4,
        windows: bool = False,
    ) -> None:
        names = [key.name for key in keys]
        if not keys or len(set(names)) < len(names):
            got = "none" if not keys else "one name twice: " + ", ".join(names)
            raise WatermarkError("watermark", "keys of different names", got, "rename a key file")
        if any(a.same_secret(b) for i, a in enumerate(keys) for b in keys[:i]):
            raise WatermarkError("watermark", "different keys", "one key twice", "name it once")
        if not 0.0 < alpha < 1.0:
            raise WatermarkError("watermark", "alpha in (0, 1)", f"{alpha}", "change alpha")
        self.scheme, self.keys, self.alpha, self.windows = scheme, list(keys), alpha, windows
        self.documents = 0
        self._pools = [np.zeros(0, np.uint64) for _ in keys]
        self._open = [True for _ in keys]
        self._least = np.full(len(keys), np.inf)

    def update(self, documents: Documents) -> list[Finding]:
        """Test documents of token ids, and add them to the pool; a finding for each."""
        tokens, offsets = flatten(documents)
        count = len(offsets) - 1
        p = np.full((count, len(self.keys)), np.nan)
        found: list[tuple[Units, list[Window | None]]] = []
        for k, key in enumerate(self.keys):
            units = collect(tokens, offsets, self.scheme, key)
            best: list[Window | None] = []
            if self.windows:
                scores, ends = units.scores(), units.offsets
                best = [
                    best_window(self.scheme, scores[ends[d] : ends[d + 1]]) for d in range(count)
                ]
                p[:, k] = [np.nan if w is None else w.p for w in best]
            else:
                p[:, k] = p_values(self.scheme, units.counts, units.sums())
            found.append((units, best))
            self._pool(k, units)
        scored = ~np.isnan(p).all(axis=1)
        self.documents += int(scored.sum())
        if scored.any():
            self._least = np.fmin(self._least, np.fmin.reduce(p[scored], axis=0))
        corrected = holm(p)
        lengths = np.diff(offsets)
        return [self._finding(d, int(lengths[d]), corrected[d], found) for d in range(count)]

    def _pool(self, k: int, units: Units) -> None:
        # Units enter in the order of the text and stop by their number, never by their scores.
        if not self._open[k]:
            return
        fresh = np.union1d(self._pools[k], units.values)
        if len(fresh) <= POOL_UNITS:
            self._pools[k] = fresh
        else:
            self._open[k] = False

    def _finding(
        self,
        d: int,
        length: int,
        p: NDArray[np.float64],
        found: list[tuple[Units, list[Window | None]]],
    ) -> Finding:
        k = 0 if np.isnan(p).all() else int(np.nanargmin(p))
        units, best = found[k]
        first, stop = int(units.offsets[d]), int(units.offsets[d + 1])
        n, name = stop - first, self.keys[k].name
        if n == 0:
            need = self.scheme.context + 1
            note = f"{length} tokens: no unit, which takes {need}"
            return Finding("abstain", float("nan"), name, 0, float("nan"), None, note)
        score = float(unit_scores(self.scheme, units.values[first:stop]).mean())
        window = best[d] if self.windows else None
        places = None if window is None else self._tokens(units.places[first:stop], window)
        least = float(attainable(self.scheme, n)) * len(self.keys)
        if window is not None:
            least *= window.tried
        decision: Decision = "marked" if p[k] <= self.alpha else "not found"
        note = ""
        if decision == "not found" and least > self.alpha:
            decision = "abstain"
            note = f"{n} units: no text so short can reach α = {self.alpha:g}"
        return Finding(decision, float(p[k]), name, n, score, places, note)

    def _tokens(self, places: Ints, window: Window) -> tuple[int, int]:
        """From the first context token of the window's first unit to its last token."""
        first = int(places[window.first]) - self.scheme.context
        return first, int(places[window.stop - 1]) + 1

    def overall(self) -> dict[str, float]:
        """The p-value of all documents so far, by key; corrected for keys. nan without any unit."""
        p = np.full(len(self.keys), np.nan)
        for k, pool in enumerate(self._pools):
            if not self.documents:
                continue
            alone = self._least[k] * self.documents
            total = unit_scores(self.scheme, pool).sum()
            pooled = float(p_values(self.scheme, len(pool), total))
            p[k] = min(1.0, 2.0 * np.fmin(alone, pooled))
        return dict(zip([key.name for key in self.keys], holm(p).tolist(), strict=True))

    def decision(self) -> Decision:
        """Whether the documents so far, taken together, are marked with one of the keys.

        ``abstain`` without any unit, or where even all units green could not reach α.
        """
        overall = [p for p in self.overall().values() if p <= self.alpha]
        if overall:
            return "marked"
        most = max(len(pool) for pool in self._pools)
        least = 2.0 * len(self.keys) * float(attainable(self.scheme, most))
        return "not found" if self.documents and least <= self.alpha else "abstain"

    def pooled(self) -> dict[str, tuple[int, float]]:
        """Distinct units pooled and their mean score, by key."""
        return {
            key.name: (
                len(pool),
                float(unit_scores(self.scheme, pool).mean()) if len(pool) else float("nan"),
            )
            for key, pool in zip(self.keys, self._pools, strict=True)
        }
