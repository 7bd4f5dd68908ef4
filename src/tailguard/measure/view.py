"""A view: some of a profile's document blocks, measured as if they were a corpus of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.blocks import block_of
from tailguard.measure.documents import gather
from tailguard.measure.features import FeatureMap
from tailguard.measure.profile import Profile
from tailguard.measure.richness import Spectrum

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """The blocks of ``profile`` where ``chosen`` (2**bits,) is true.

    Metrics take views, so that one definition serves the whole corpus, its parts at equal size,
    the groups of a jackknife and the random halves of a null.
    """

    profile: Profile
    chosen: Mask

    @classmethod
    def whole(cls, profile: Profile) -> View:
        """All blocks that hold documents."""
        return cls(profile, profile.table.column("documents") > 0)

    @cached_property
    def blocks(self) -> Ints:
        """Numbers of the chosen blocks."""
        return np.flatnonzero(self.chosen)

    def total(self, name: str) -> int:
        """Sum of a block scalar."""
        return int(self.profile.table.column(name)[self.chosen].sum())

    def ratio(self, part: str, whole: str) -> float:
        """Quotient of two block scalars, nan when the second is zero."""
        below = self.total(whole)
        return self.total(part) / below if below else float("nan")

    @property
    def tokens(self) -> int:
        """Tokens in view."""
        return self.total("tokens")

    @property
    def n_documents(self) -> int:
        """Documents in view, empty ones included."""
        return self.total("documents")

    def n_grams(self, order: int) -> int:
        """N-grams in view, sampled or not; none crosses a document border."""
        return int(self.profile.table.n_grams(order)[self.chosen].sum())

    def counts(self, order: int) -> Ints:
        """Occurrences in view of every sampled type of n-grams, zeros included."""
        if order not in self._counted:
            self._counted[order] = self.profile.grams[order - 1].totals_in(self.chosen)
        return self._counted[order]

    @cached_property
    def _counted(self) -> dict[int, Ints]:
        return {}

    def beside(self, candidate: View, order: int) -> tuple[Ints, Ints]:
        """Counts of the n-grams sampled in both corpora: in ``candidate`` and in here, each (K,).

        Where a type stands in both is worked out once per pair of profiles.
        """
        key = (id(candidate.profile), order)
        if key not in self._aligned:
            ours, theirs = candidate.profile.grams[order - 1], self.profile.grams[order - 1]
            tau = min(ours.tau, theirs.tau)
            mine, known = ours.restrict(tau).types, theirs.restrict(tau).types
            types = np.union1d(mine, known)
            counts = np.zeros(len(types), np.int64)
            counts[np.searchsorted(types, known)] = self.counts(order)[: len(known)]
            # The profile is kept along, so that its id stays its own.
            self._aligned[key] = (candidate.profile, np.searchsorted(types, mine), counts)
        _, places, counts = self._aligned[key]
        found = np.zeros(len(counts), np.int64)
        found[places] = candidate.counts(order)[: len(places)]
        return found, counts

    @cached_property
    def _aligned(self) -> dict[tuple[int, int], tuple[Profile, Ints, Ints]]:
        return {}

    def spectrum(self, order: int) -> Spectrum:
        """Frequencies of frequencies of the n-grams in view, scaled up from the type sample."""
        sample = self.profile.grams[order - 1]
        counts = self.counts(order)
        if sample.rate == 1.0:
            return Spectrum.of(counts[counts > 0])
        return Spectrum.of(counts[counts > 0], scale=1 / sample.rate, n=self.n_grams(order))

    @cached_property
    def _rows(self) -> Ints:
        block = block_of(self.profile.documents.content, self.profile.table.bits)
        return np.flatnonzero(self.chosen[block])

    @cached_property
    def document_tokens(self) -> tuple[Hashes, Ints]:
        """Tokens and offsets of the sampled documents in view, exact copies repeated."""
        sample = self.profile.documents
        rows = np.repeat(self._rows, np.minimum(sample.copies[self._rows], 64))
        return gather(sample.tokens, sample.offsets, rows)

    @cached_property
    def _maps(self) -> dict[int, tuple[View | None, FeatureMap]]:
        return {}

    def feature_map(self, other: View | None = None) -> FeatureMap:
        """A feature map fitted on the sampled documents in view, and those of ``other``.

        A map holds more of the documents it was fitted on than of others, so a comparison in the
        map of one side alone would find the other side shrunken.
        """
        if id(other) not in self._maps:
            tokens, offsets = self.document_tokens
            if other is not None:
                more, at = other.document_tokens
                offsets = np.append(offsets, at[1:] + len(tokens))
                tokens = np.append(tokens, more)
            # The other view is kept beside its map, so that its id stays its own.
            self._maps[id(other)] = other, FeatureMap.fit(tokens, offsets)
        return self._maps[id(other)][1]

    def features(self, other: View | None = None) -> Floats:
        """Feature vectors of the sampled documents in view, in the map of both."""
        return self.feature_map(other).transform(*self.document_tokens)

    def part(self, chosen: Mask) -> View:
        """The blocks that are in view and ``chosen``."""
        return View(self.profile, self.chosen & chosen)

    def random_part(self, tokens: int, *, rng: np.random.Generator) -> View:
        """Random blocks holding about ``tokens`` tokens; all of them if there are fewer."""
        return self._first(rng.permutation(self.blocks), tokens)

    def leading_part(self, tokens: int) -> View:
        """The blocks of smallest number holding about ``tokens`` tokens.

        Numbers come from content hashes, so this is a random part that is the same every time.
        """
        return self._first(self.blocks, tokens)

    def _first(self, order: Ints, tokens: int) -> View:
        size = self.profile.table.column("tokens")[order]
        # A block joins if more than half of it still fits.
        keep = order[np.cumsum(size) - size / 2 <= tokens]
        chosen = np.zeros(len(self.chosen), bool)
        chosen[keep] = True
        return View(self.profile, chosen)

    def without_group(self, group: int, groups: int) -> View:
        """The view with every ``groups``-th block left out, from ``group`` on (jackknife)."""
        chosen = self.chosen.copy()
        chosen[self.blocks[group::groups]] = False
        return View(self.profile, chosen)


def at_equal_size(candidate: View, gold: View) -> tuple[View, View]:
    """Both, the larger cut to the tokens of the smaller."""
    tokens = min(candidate.tokens, gold.tokens)
    return candidate.leading_part(tokens), gold.leading_part(tokens)
