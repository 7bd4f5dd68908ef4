"""From a C2PA manifest store to an origin: what a picture is made of, who says so, and how surely.

A manifest store is a graph: the active manifest names its ingredients, each may bring a manifest of
its own. What a picture is made of is a set of *parts* out of human, synthetic and unknown:

* a ``c2pa.created`` action adds the parts that its IPTC ``digitalSourceType`` means;
* a parent or a component adds all of its own parts; one without credentials adds unknown, unless
  the action that opened or placed it says what it is;
* any other action with a ``digitalSourceType`` adds parts: a retouched picture stays what it was,
  augmentation by a generative model adds synthetic;
* a manifest that tells no beginning adds unknown, and so does one that does not validate.

Human and synthetic together are ``mixed``, and so is synthetic beside unknown: IPTC's
compositeSynthetic is "several elements, at least one of which is Generative AI". Human beside
unknown is ``unknown``. The evidence is that of the weakest manifest the kind rests on: else one
could sign a synthetic picture as a photograph, and have a trusted editor open and sign it again.

Source: C2PA Technical Specification 2.2, sections 9.3 (ingredients), 15 (validation) and 18.15
(actions); IPTC Digital Source Type NewsCodes; CAWG Training and Data Mining Assertion 1.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tailguard.corpus.base import Evidence, Kind
from tailguard.provenance.standards.base import text_of
from tailguard.provenance.standards.c2pa_manifest import (
    actions_of,
    agent_of,
    claim_generator_of,
    date_of,
    described_types,
    ingredients_of,
    mapping,
    parents_of,
    rights_of,
    signals_of,
    targets_of,
    types_by_ingredient,
    word_of,
)
from tailguard.provenance.standards.c2pa_status import State, Verdicts, verdicts_of
from tailguard.provenance.standards.opt_out import denies
from tailguard.provenance.standards.source_types import kind_of_source_type

DEEPEST_CHAIN = 32
"""Ingredients of ingredients are followed this far; what lies deeper is unknown."""

MOST_MANIFESTS = 1_000
"""And so many manifests of one file."""

RETOUCHES = frozenset(("minorhumanedits", "humanedits", "algorithmicallyenhanced"))
"""Codes that, said of an edit, leave the edited picture what it was."""

AUGMENTS = "compositewithtrainedalgorithmicmedia"
"""IPTC: augmentation, correction or enhancement using a Generative AI model."""

_GENERATIVE = frozenset((AUGMENTS, "compositesynthetic"))
_BLANK = "empty"  # C2PA's own code for a canvas without content

Part = Literal["human", "synthetic", "unknown"]
_PARTS: dict[Kind, frozenset[Part]] = {
    "human": frozenset(("human",)),
    "synthetic": frozenset(("synthetic",)),
    "mixed": frozenset(("human", "synthetic")),
    "unknown": frozenset(("unknown",)),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin columns of one record; ``generation`` is 0 for human and else null, as the depth
    of the model is nowhere in the credentials. ``parents`` are the ingredients: the label of the
    manifest they bring, or the instance id of one without credentials."""

    kind: Kind = "unknown"
    generation: int | None = None
    generator: str | None = None
    created: str | None = None
    license: str | None = None
    creator: str | None = None
    parents: tuple[str, ...] = ()
    evidence: Evidence = "none"
    digital_source_type: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one file's credentials say: the origin that follows, and what it follows from.

    ``state`` is ``absent``, ``invalid`` (with ``failures``, C2PA's status codes), ``valid`` (signed
    by somebody) or ``trusted`` (signed under an anchor of the user). ``signed`` is the time of
    its time stamp, if it has one. ``opt_out`` holds signals for
    :func:`~tailguard.provenance.standards.opt_out.denies`. Of an invalid file the rest is as
    stated, and not to be believed.
    """

    at: str
    state: State
    origin: Origin = Origin()
    failures: tuple[str, ...] = ()
    manifest: str | None = None
    claim_generator: str | None = None
    signer: str | None = None
    signed: str | None = None
    source_types: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    opt_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def kind_of_parts(parts: frozenset[Part]) -> Kind:
    """The kind that parts amount to.

    >>> [kind_of_parts(frozenset(p)) for p in (["human"], ["human", "unknown"], [])]
    ['human', 'unknown', 'unknown']
    >>> kind_of_parts(frozenset(["synthetic"])), kind_of_parts(frozenset(["synthetic", "unknown"]))
    ('synthetic', 'mixed')
    """
    if parts == {"human"}:
        return "human"
    if "synthetic" in parts:
        return "synthetic" if parts == {"synthetic"} else "mixed"
    return "unknown"


def credentials_of(store: Any, *, anchored: bool, at: str = "") -> Credentials:
    """Read a manifest store, as c2pa-python writes it in JSON, with the validation inside.

    ``anchored`` says whether the user gave trust anchors: without, nothing is trusted, whatever the
    store says. A store that does not validate is of unknown kind and evidence ``none``; of its
    opt-out signals those that deny are kept, as a forged refusal grants nothing. Never raises.

    >>> made = {"action": "c2pa.created", "digitalSourceType": "digitalCapture"}
    >>> manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}]}
    >>> store = {"active_manifest": "a", "manifests": {"a": manifest}, "validation_state": "Valid"}
    >>> origin = credentials_of(store, anchored=False).origin
    >>> origin.kind, origin.generation, origin.evidence
    ('human', 0, 'declared')
    >>> credentials_of(store | {"validation_state": "Invalid"}, anchored=False).origin.kind
    'unknown'
    """
    store = mapping(store)
    verdicts = verdicts_of(store, anchored=anchored)
    label = text_of(store.get("active_manifest")) or ""
    chain = _Chain(mapping(store.get("manifests")), verdicts, at)
    found = chain.content(label, ())
    active = mapping(chain.manifests.get(label))
    signature = mapping(active.get("signature_info"))
    believed = verdicts.state in ("valid", "trusted")
    signals = tuple(dict.fromkeys(chain.signals))
    if not believed:
        chain.notes.append("credentials do not validate: nothing they say is believed")
    return Credentials(
        at=at,
        state=verdicts.state,
        origin=_origin(active, found, verdicts) if believed else Origin(),
        failures=verdicts.failures,
        manifest=word_of(label),
        claim_generator=claim_generator_of(active),
        signer=word_of(signature.get("issuer")) or word_of(signature.get("common_name")),
        signed=date_of(signature.get("time")),
        source_types=found.source_types,
        generators=found.generators,
        opt_out=signals if believed else tuple(s for s in signals if denies(s)),
        notes=tuple(dict.fromkeys(chain.notes)),
    )


@dataclass(frozen=True, slots=True)
class _Content:
    """What a manifest's picture is made of; ``rests`` names the manifests that say so."""

    parts: frozenset[Part] = frozenset()
    rests: frozenset[str] = frozenset()
    source_types: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    created: str | None = None

    def __or__(self, other: _Content) -> _Content:
        return _Content(
            self.parts | other.parts,
            self.rests | other.rests,
            tuple(dict.fromkeys(self.source_types + other.source_types)),
            tuple(dict.fromkeys(self.generators + other.generators)),
            self.created or other.created,
        )


_UNKNOWN = _Content(frozenset(("unknown",)))


@dataclass(slots=True)
class _Chain:
    """Walks a store from the active manifest down; each manifest is read once."""

    manifests: Mapping[str, Any]
    verdicts: Verdicts
    at: str
    notes: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    seen: dict[str, _Content] = field(default_factory=dict)

    def content(self, label: str, path: tuple[str, ...]) -> _Content:
        """What the manifest of this label says; ``path`` are the labels above it."""
        if label in self.seen:
            return self.seen[label]
        if label in path:
            self.notes.append("ingredients run in a circle: unknown from there on")
        elif len(path) >= DEEPEST_CHAIN or len(self.seen) >= MOST_MANIFESTS:
            self.notes.append("more ingredients than are followed: unknown from there on")
        elif not mapping(self.manifests.get(label)):
            self.notes.append("a manifest that is named is not there")
        else:
            self.seen[label] = self._read(label, path)
            return self.seen[label]
        return _UNKNOWN

    def _read(self, label: str, path: tuple[str, ...]) -> _Content:
        manifest = mapping(self.manifests[label])
        broken = self.verdicts.broken.get(label, ())
        told = signals_of(manifest, f"{self.at}#{label}" if path else self.at)
        self.signals += [line for line in told if not broken or denies(line)]
        if broken and path:
            self.notes.append(f"an ingredient does not validate ({', '.join(broken[:5])})")
            return _UNKNOWN
        ingredients = ingredients_of(manifest)
        actions = list(actions_of(manifest))
        named = types_by_ingredient(actions)
        parents = any(one.get("relationship") == "parentOf" for one in ingredients)
        found = _Content(rests=frozenset((label,)))
        for ingredient in ingredients:
            if ingredient.get("relationship") in ("parentOf", "componentOf"):
                found |= self._ingredient(ingredient, named, (*path, label))
        for action in actions:
            found |= _action(action, manifest)
        for code in described_types(manifest):
            found |= _edit(code) if parents else _stated(code)
        created = any(action.get("action") == "c2pa.created" for action in actions)
        if not (parents or created or found.source_types):
            self.notes.append("a manifest does not say how its picture began")
            found |= _UNKNOWN
        return found

    def _ingredient(
        self, ingredient: Mapping[str, Any], named: Mapping[str, str], path: tuple[str, ...]
    ) -> _Content:
        label = text_of(ingredient.get("active_manifest"))
        said = named.get(str(ingredient.get("label")))
        if label is None:
            if said is None:
                self.notes.append("an ingredient has no credentials")
                return _UNKNOWN
            return _stated(said)
        below = self.content(label, path)
        # A component's date is not that of the whole; a parent's is, if nothing nearer is known.
        if ingredient.get("relationship") != "parentOf":
            below = _Content(below.parts, below.rests, below.source_types, below.generators)
        return below if said is None else below | _edit(said)


def _origin(active: Mapping[str, Any], found: _Content, verdicts: Verdicts) -> Origin:
    kind = kind_of_parts(found.parts)
    evidence: Evidence = "none"
    if kind != "unknown":
        rests_on_trust = verdicts.state == "trusted" and found.rests <= verdicts.trusted
        evidence = "attested" if rests_on_trust else "declared"
    # A code that means another kind would decide the kind of a reader who does not know it.
    codes = (code for code in found.source_types if kind_of_source_type(code) == kind)
    creators, licenses = rights_of(active)
    return Origin(
        kind=kind,
        generation=0 if kind == "human" else None,
        generator=next(iter(found.generators), None) if kind in ("synthetic", "mixed") else None,
        created=found.created,
        license=licenses[0] if licenses else None,
        creator="; ".join(creators[:20]) or None,
        parents=parents_of(active),
        evidence=evidence,
        digital_source_type=next(codes, None),
    )


def _stated(code: str) -> _Content:
    """What a source type means for content that comes new into a picture."""
    parts = frozenset[Part]() if _short(code) == _BLANK else _PARTS[kind_of_source_type(code)]
    return _Content(parts, source_types=(code,))


def _edit(code: str) -> _Content:
    """What a source type means for a change to content that is there."""
    if _short(code) in RETOUCHES:
        return _Content(source_types=(code,))
    if _short(code) == AUGMENTS:
        return _Content(frozenset(("synthetic",)), source_types=(code,))
    return _stated(code)


def _action(action: Mapping[str, Any], manifest: Mapping[str, Any]) -> _Content:
    """What one action adds; ingredients that it opens or places are added elsewhere."""
    name, code = action.get("action"), word_of(action.get("digitalSourceType"))
    new = name == "c2pa.created"
    if code is None:
        return _UNKNOWN if new or name == "c2pa.unknown" else _Content()
    if name in ("c2pa.opened", "c2pa.placed") and targets_of(action):
        return _Content()
    found = _stated(code) if new else _edit(code)
    if kind_of_source_type(code) == "synthetic" or _short(code) in _GENERATIVE:
        maker = agent_of(action.get("softwareAgent")) or claim_generator_of(manifest)
        found |= _Content(generators=(maker,) if maker else ())
    return found | _Content(created=date_of(action.get("when")) if new else None)


def _short(code: str) -> str:
    return code.strip().rstrip("/").replace(":", "/").rsplit("/", 1)[-1].lower()
