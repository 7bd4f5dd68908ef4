"""Origin kinds and the IPTC vocabulary ``digitalSourceType``, both ways."""

from __future__ import annotations

from tailguard.corpus.base import Kind
from tailguard.corpus.origin import IPTC, KIND_OF_SOURCE_TYPE

CODE_OF_KIND: dict[Kind, str] = {
    "human": "digitalCreation",
    "synthetic": "trainedAlgorithmicMedia",
    "mixed": "compositeWithTrainedAlgorithmicMedia",
}
"""The code written for a kind that came without one; an unknown kind has none."""


def kind_of_source_type(value: str) -> Kind:
    """The kind that an IPTC URI, QCode or bare code says; ``unknown`` for codes that say nothing of
    the author, and for codes that are not known.

    >>> kind_of_source_type(IPTC + "algorithmicMedia"), kind_of_source_type("digsrctype:Print")
    ('synthetic', 'human')
    """
    short = value.strip().rstrip("/").replace(":", "/").rsplit("/", 1)[-1].lower()
    known = {code.lower(): kind for code, kind in KIND_OF_SOURCE_TYPE.items()}
    return known.get(short, "unknown")


def source_type_of(kind: str) -> str | None:
    """The URI for a kind, none for ``unknown``.

    >>> source_type_of("mixed")
    'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia'
    """
    for known, code in CODE_OF_KIND.items():
        if known == kind:
            return IPTC + code
    return None
