"""Licences that do not go together, as far as their names tell: a place to look, not advice."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_WORDS = re.compile(r"[a-z]+|[0-9]+")
_PERMISSIVE = frozenset(
    ("cc0", "mit", "apache", "bsd", "pddl", "odc", "isc", "unlicense", "zlib", "ncsa")
)
_COPYLEFT = ("agpl", "lgpl", "gpl", "odbl", "gfdl", "mpl", "epl", "eupl")


class Terms(NamedTuple):
    """What a licence asks: its share-alike family (empty: none), and what it does not allow."""

    share_alike: str = ""
    no_commerce: bool = False
    no_derivatives: bool = False


@lru_cache(maxsize=4096)
def terms_of(licence: str) -> Terms | None:
    """Terms by the licence's name, SPDX id or address; none where the name is not known.

    Read are Creative Commons, GNU, Open Data Commons and the common permissive licences.

    >>> terms_of("CC-BY-NC-SA-4.0"), terms_of("house rules")
    (Terms(share_alike='cc', no_commerce=True, no_derivatives=False), None)
    """
    text = licence.lower()[:200]
    words = _WORDS.findall(text)
    known = set(words)
    if "all rights reserved" in text or "proprietary" in known:
        return Terms(no_commerce=True, no_derivatives=True)
    if "creativecommons" in known or "cc" in known or {"creative", "commons"} <= known:
        if "zero" in known or "publicdomain" in known or "cc0" in text:
            return Terms()
        no_commerce = "nc" in known or "noncommercial" in known
        no_derivatives = bool(known & {"nd", "noderivatives", "noderivs"})
        alike = bool(known & {"sa", "sharealike"})
        by = bool(known & {"by", "attribution"})
        if not (no_commerce or no_derivatives or alike or by):
            return None
        return Terms("cc" if alike else "", no_commerce, no_derivatives)
    for family in _COPYLEFT:
        if family in known:
            return Terms(share_alike=family)
    if known & _PERMISSIVE or "cc0" in text or {"public", "domain"} <= known:
        return Terms()
    return None


def conflict(derived: str | None, parent: str | None) -> str | None:
    """Why what is under licence ``derived`` should not be made of what is under ``parent``.

    None where there is no conflict, or a licence is not known by its name. CC BY-SA 4.0 may become
    GPL (Creative Commons' list of compatible licences, 2015).

    >>> conflict("apache-2.0", "cc-by-nc-4.0")
    'the parent allows no commercial use, the child does'
    >>> conflict("cc-by-4.0", "cc-by-4.0") is None
    True
    """
    if not derived or not parent:
        return None
    child, above = terms_of(derived), terms_of(parent)
    if above is None:
        return None
    if above.no_derivatives:
        return "the parent allows no derivatives"
    if child is None:
        return None
    if above.no_commerce and not child.no_commerce:
        return "the parent allows no commercial use, the child does"
    compatible = {above.share_alike, "gpl" if above.share_alike == "cc" else above.share_alike}
    if above.share_alike and child.share_alike not in compatible:
        return "the parent must be shared alike, the child is not"
    return None
