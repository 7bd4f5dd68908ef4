"""What the validation of a C2PA manifest store found: of which manifest, and whom to trust.

c2pa-python validates; this reads its results. Two traps are met here. Results of an ingredient are
reported as a *difference* to what was recorded when the ingredient was taken in, so a failure that
the record has already, under whatever heading, is not told again: recorded failures count, and
codes of failure under the heading of successes too. And the record was written by whoever made the
file, so a recorded success counts only where it is not contradicted anywhere.

Source: C2PA Technical Specification 2.2, section 15 (validation), 15.2 (status codes); the
difference is taken in c2pa-rs, sdk/src/validation_results.rs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["absent", "invalid", "valid", "trusted"]

HARMLESS = frozenset(
    ("signingCredential.untrusted", "timeStamp.untrusted", "timeStamp.untrusted.ca")
)
"""Failures that leave a signature valid: who signed, or stamped the time, is merely not trusted."""

TRUSTED, UNTRUSTED = "signingCredential.trusted", "signingCredential.untrusted"

MOST_STATUSES = 10_000
"""More status entries than this in one file are not read, and the file is invalid."""

_SUCCESSES = (".validated", ".trusted", ".match", ".insideValidity", ".notRevoked", ".skipped")
_FAILURES = (
    ".mismatch", ".missing", ".invalid", ".malformed", ".expired", ".revoked", ".untrusted",
    ".multiple", ".outsideValidity", ".undeclared", ".notRedacted", ".selfRedacted",
)  # fmt: skip
_MANIFEST = re.compile(r"/c2pa/([^/]+)")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The state of the active manifest, the failures of the file, and of each manifest: the codes
    by which it is ``broken``, and whether it is among the ``trusted``."""

    state: State
    failures: tuple[str, ...] = ()
    broken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trusted: frozenset[str] = frozenset()


def verdicts_of(store: Mapping[str, Any], *, anchored: bool) -> Verdicts:
    """Read the validation in a manifest store; without anchors of the user nothing is trusted.

    ``invalid`` is whatever is not said to be valid. A failure that is of no manifest that can be
    told makes the whole file invalid.

    >>> verdicts_of({"validation_state": "Trusted"}, anchored=False).state
    'valid'
    >>> verdicts_of({}, anchored=True).state
    'invalid'
    """
    active = str(store.get("active_manifest"))
    results = store.get("validation_results")
    now = list(_results(results, active))
    recorded = list(_recorded(store))
    failing = [one for one in (*now, *recorded) if one.failed]
    broken: dict[str, tuple[str, ...]] = {}
    for one in failing:
        if one.code not in HARMLESS:
            broken[one.label] = tuple(dict.fromkeys((*broken.get(one.label, ()), one.code)))
    told = [str(_of(one, "code")) for one in _list(store.get("validation_status"))]
    codes = (*told, *(one.code for one in now if one.failed))
    failures = tuple(dict.fromkeys(code[:200] for code in codes))
    sound = active not in broken and "" not in broken
    if len(now) + len(recorded) > MOST_STATUSES:
        sound, failures = False, (*failures, "tailguard.tooManyStatuses")
    said = store.get("validation_state")
    if not sound or said not in ("Valid", "Trusted"):
        return Verdicts("invalid", failures or ("tailguard.stateNotValid",), broken)
    trusted = _trusted(now, recorded) if anchored else frozenset[str]()
    state: State = "trusted" if said == "Trusted" and active in trusted else "valid"
    return Verdicts(state, failures, broken, trusted)


@dataclass(frozen=True, slots=True)
class _Status:
    code: str
    label: str
    failed: bool


def _trusted(now: list[_Status], recorded: list[_Status]) -> frozenset[str]:
    """Manifests whose signer chains to an anchor.

    A success that is told now was found now. One that was only recorded holds when nothing now or
    in any record says untrusted: were the signer untrusted now, it would be told, unless a record
    said so already.
    """
    found = {one.label for one in now if one.code == TRUSTED and not one.failed}
    if not any(one.code == UNTRUSTED for one in (*now, *recorded)):
        found |= {one.label for one in recorded if one.code == TRUSTED and not one.failed}
    return frozenset(found)


def _results(results: Any, active: str) -> Iterator[_Status]:
    """The entries of one set of results, of the manifest ``active`` and of its ingredients."""
    yield from _codes(_of(results, "activeManifest"), active)
    for delta in _list(_of(results, "ingredientDeltas")):
        yield from _codes(_of(delta, "validationDeltas"), "")


def _recorded(store: Mapping[str, Any]) -> Iterator[_Status]:
    """The entries that manifests hold about their ingredients."""
    manifests = store.get("manifests")
    for manifest in manifests.values() if isinstance(manifests, Mapping) else ():
        for ingredient in _list(_of(manifest, "ingredients")):
            of = _of(ingredient, "active_manifest")
            label = of if isinstance(of, str) else ""
            if not label:  # no credentials, and so nothing to believe or not
                continue
            yield from _results(_of(ingredient, "validation_results"), label)
            for one in _list(_of(ingredient, "validation_status")):
                code = str(_of(one, "code"))
                yield _Status(code, label, _fails("success", code))


def _codes(statuses: Any, label: str) -> Iterator[_Status]:
    for key in ("success", "informational", "failure"):
        for one in _list(_of(statuses, key)):
            place = _MANIFEST.search(str(_of(one, "url")))
            of = place.group(1) if place else label
            code = str(_of(one, "code"))
            yield _Status(code, of, _fails(key, code))


def _fails(heading: str, code: str) -> bool:
    """Whether an entry is a failure; the heading is the writer's, the code is the standard's."""
    if heading == "success":
        return not code.endswith(_SUCCESSES)
    # A time stamp that does not hold is information, not failure: it counts as none.
    hidden = code.endswith(_FAILURES) and not code.startswith("timeStamp.")
    return heading == "failure" or hidden


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _list(value: Any) -> list[Any]:
    return value[: MOST_STATUSES + 1] if isinstance(value, list) else []
