"""The laws of synthetic scores: texts that were not fitted on, by generator and by source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tailguard.measure.base import Floats

LEAST = 50
"""Texts of each kind below which no share is estimated."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Laws:
    """Sorted scores of synthetic texts not fitted on, each law of ``LEAST`` texts or more.

    ``by_generator`` holds every text once; generators with too few stand together as ``OTHERS``.
    ``by_source`` holds them again by the source that they name.
    """

    by_generator: dict[str, Floats] = field(default_factory=dict)
    by_source: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, scores: Floats, generators: Sequence[str], sources: Sequence[str | None]) -> Laws:
        """The laws of scores, shape (n,), of texts by these generators and from these sources.

        Texts without a score are left out, and so are generators too small even together.

        >>> found = Laws.of(np.arange(150.0), ["a"] * 150, ["x"] * 120 + [None] * 30)
        >>> [(name, len(law)) for name, law in (found.by_generator | found.by_source).items()]
        [('a', 150), ('x', 120)]
        """
        known = np.isfinite(scores)
        makers, places = np.array(generators, object), np.array(sources, object)
        sizes = {name: int((known & (makers == name)).sum()) for name in set(generators)}
        makers = np.array([m if sizes[m] >= LEAST else OTHERS for m in generators], object)
        return cls(*(
            {
                name: np.sort(scores[known & (labels == name)])
                for name in sorted(set(labels[known].tolist()) - {None})
                if int((known & (labels == name)).sum()) >= LEAST
            }
            for labels in (makers, places)
        ))  # fmt: skip
