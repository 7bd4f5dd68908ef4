"""Whether a detector fits, scores and is stored as calibration and commands take for granted."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from tailguard.checks.spies import chance_elsewhere
from tailguard.detect.base import Detector, DetectorError, Texts
from tailguard.detect.calibration import Target, threshold
from tailguard.detect.detectors.base import LEAST, Stored, TextDetector
from tailguard.detect.detectors.registry import detector_state, restored
from tailguard.detect.leaks import auroc
from tailguard.measure.base import Floats
from tailguard.measure.store import DTYPES, Container, pack

FITTED, HELD = 120, 200
CHANCE = 5.0
"""Standard errors by which a rate may exceed what was promised."""
ODD = (
    "word", "7", "…", "?!?!?!", "a" * 200_000, "na " * 100_000, "Ünïcödé ẞtraße",
    "漢字かな交じり文", "العربية", "👩‍👩‍👧 🎉", "x\u0000y\u0007z", "\u202eright to left",
    "{'a': 1}" * 50, "e\u0301" * 99,
)  # fmt: skip
"""Texts that hold something, and must get a number."""
EMPTY = ("", " ", "\n\t \u200b", "\ufeff")
"""Texts that hold nothing, and must get nan."""


def check_detector(detector: Detector, *, human: Texts = (), synthetic: Texts = ()) -> None:
    """Check that an unfitted detector keeps the laws of detectors; a few seconds for most.

    ``fit`` returns the detector and draws from no global generator; fitted twice alike, it scores
    alike. Held-out synthetic texts score higher than human ones, and lower when the classes change
    places. A text's score is finite, does not depend on the texts beside it or on their order, nor
    on how white space is laid; a text without a word scores nan. A threshold set on 200 human
    texts keeps its false-positive rate on 200 others. Too few texts, and classes of the same texts,
    are refused with a :class:`DetectorError`. A :class:`TextDetector` also comes back from its
    file as it was.

    ``human`` and ``synthetic`` are at least 320 texts each, for a detector that needs other ones
    than the two small languages that are made here. Raises ``AssertionError`` with one sentence.

    >>> from tailguard.detect.detectors.linear import LinearDetector
    >>> check_detector(LinearDetector(bits=10))
    """
    who = type(detector).__name__
    rng = np.random.default_rng(0)
    given = (list(human) or _language("h", rng=rng), list(synthetic) or _language("s", rng=rng))
    fit = tuple(side[:FITTED] for side in given)
    held = [side[FITTED : FITTED + HELD] for side in given]
    assert all(len(side) == HELD for side in held), "give at least 320 texts of each class"
    fresh = deepcopy(detector)
    fitted = _fitted(fresh, fit, who)
    _classes_are_told_apart(detector, fitted, fit, held, who)
    _fits_are_alike(detector, fitted, fit, held, who)
    _scores_stand_alone(fitted, held, who)
    _a_threshold_keeps_its_rate(fitted, held[0], who)
    _bad_classes_are_refused(detector, fit, who)
    if isinstance(fitted, TextDetector):
        _the_file_gives_it_back(fitted, held, who)


def _language(kind: str, *, rng: np.random.Generator) -> list[str]:
    """Sentences of 30 to 90 words; the languages share most words, and differ in some and in order.

    Neither is told by its length or by its punctuation alone.
    """
    n = FITTED + HELD
    law = 1.0 / np.arange(1, 401)
    law /= law.sum()
    own = 0.25 if kind == "s" else 0.0
    out = []
    for _ in range(n):
        length = int(rng.integers(30, 91))
        drawn = rng.choice(400, length, p=law)
        # The synthetic language says some things again, and prefers words of its own.
        words = [
            f"so{w % 17}" if rng.random() < own else f"term{w}" if w > 40 else f"of{w}"
            for w in drawn.tolist()
        ]
        stops = sorted({*rng.choice(length, 4).tolist(), length - 1})
        text = " ".join(word + "." if at in stops else word for at, word in enumerate(words))
        out.append(text.capitalize())
    return out


def _fitted(detector: Detector, sides: tuple[Any, ...], who: str) -> Detector:
    before = deepcopy(sides)
    found = detector.fit(*sides)
    assert found is detector, f"{who}: fit must return the detector itself"
    assert sides == before, f"{who}: fit changes the texts"
    return found


def _scores(detector: Detector, texts: Texts, who: str) -> Floats:
    found = detector.score(texts)
    assert isinstance(found, np.ndarray) and found.shape == (len(texts),), (
        f"{who}: score must give one number per text, as an array of shape (n,)"
    )
    assert found.dtype == np.float64, f"{who}: scores must be float64, not {found.dtype}"
    return found


def _classes_are_told_apart(
    detector: Detector, fitted: Detector, fit: tuple[Any, ...], held: list[Any], who: str
) -> None:
    area = _area(fitted, held, who)
    assert area > 0.6, f"{who}: held-out synthetic texts must score higher (AUROC {area:.2f})"
    turned = deepcopy(detector).fit(fit[1], fit[0])
    area = _area(turned, held, who)
    learns = getattr(detector, "learns", True)
    assert area < 0.4 or not learns, f"{who}: classes exchanged, the score must turn ({area:.2f})"


def _area(fitted: Detector, held: list[Any], who: str) -> float:
    """Of all texts scored together, so that what looks at the others is found as just that."""
    both = _scores(fitted, [*held[0], *held[1]], who)
    return auroc(both[: len(held[0])], both[len(held[0]) :])


def _fits_are_alike(
    detector: Detector, fitted: Detector, fit: tuple[Any, ...], held: list[Any], who: str
) -> None:
    first = _scores(fitted, held[1], who)
    chance = chance_elsewhere()  # only now: a first fit imports libraries, which may draw
    twin = deepcopy(detector).fit(*fit)
    assert chance_elsewhere() == chance, f"{who}: fit draws from a global generator"
    assert np.array_equal(first, _scores(twin, held[1], who)), f"{who}: two fits alike differ"
    assert np.array_equal(first, _scores(fitted, held[1], who)), f"{who}: scoring changes it"


def _scores_stand_alone(fitted: Detector, held: list[Any], who: str) -> None:
    some = [*held[0][:20], *ODD, *EMPTY, *held[1][:20]]
    together = _scores(fitted, some, who)
    last = len(held[0][:20]) + len(ODD)
    for text, value in zip(some, together.tolist(), strict=True):
        shown = repr(text[:30])
        assert np.isnan(value) == (text in EMPTY), f"{who}: {shown} scores {value}"
    assert np.isnan(together[last : last + len(EMPTY)]).all()
    order = np.random.default_rng(1).permutation(len(some))
    mixed = _scores(fitted, [some[i] for i in order], who)
    same = np.allclose(mixed, together[order], rtol=1e-4, atol=1e-6, equal_nan=True)
    assert same, f"{who}: the order of the texts changes their scores"
    for i in range(0, len(some), 7):
        alone = _scores(fitted, [some[i]], who)
        near = np.allclose(alone, together[i], rtol=1e-4, atol=1e-6, equal_nan=True)
        assert near, f"{who}: a text scores otherwise alone than among others"
    wide = [text.replace(" ", "\r\n \t") + "\n\n" for text in held[0][:20]]
    laid = np.allclose(_scores(fitted, wide, who), together[:20], rtol=1e-4, atol=1e-6)
    assert laid, f"{who}: white space changes the score"
    assert _scores(fitted, [], who).shape == (0,), f"{who}: no texts must give no scores"


def _a_threshold_keeps_its_rate(fitted: Detector, human: Any, who: str) -> None:
    target = Target(0.05, 0.95)
    half = len(human) // 2
    limit = threshold(_scores(fitted, human[:half], who), target)
    over = float((_scores(fitted, human[half:], who) > limit).mean())
    most = target.max_fpr + CHANCE * float(np.sqrt(target.max_fpr * 0.95 / half))
    assert over <= most, f"{who}: a threshold at {target.max_fpr} lets {over:.2f} of humans fall"


def _bad_classes_are_refused(detector: Detector, fit: tuple[Any, ...], who: str) -> None:
    cases = {
        "no texts of a class": (fit[0], []),
        "too few texts of a class": (fit[0][: LEAST - 1], fit[1]),
        "texts without words": (fit[0], [" "] * FITTED),
        "the same texts on both sides": (fit[0], fit[0]),
    }
    for name, sides in cases.items():
        error = _refusal(lambda sides=sides: deepcopy(detector).fit(*sides))  # type: ignore[misc]
        assert error is not None, f"{who}: {name} must be refused"
        assert "\n" not in error, f"{who}: {name} must be refused in one line"
    unfitted = _refusal(lambda: deepcopy(detector).score(["an unfitted detector"]))
    assert unfitted is not None, f"{who}: scoring before fit must be refused"


def _refusal(act: Callable[[], object]) -> str | None:
    try:
        act()
    except DetectorError as error:
        return str(error)
    return None


def _the_file_gives_it_back(fitted: TextDetector, held: list[Any], who: str) -> None:
    settings, arrays = detector_state(fitted)
    known = {array.dtype.str for array in arrays.values()}
    assert known <= set(DTYPES), f"{who}: arrays of types {sorted(known - set(DTYPES))}"
    data = pack(b"TGCHECK\x00", json.loads(json.dumps({"detector": settings})), arrays)
    size = int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + size])
    back = restored(header["detector"], Stored(Container(header, data[16 + size : -32])))
    same = np.array_equal(_scores(back, held[1], who), _scores(fitted, held[1], who))
    assert same, f"{who}: the detector of a file scores otherwise"
    again, others = detector_state(back)
    assert again == settings and list(others) == list(arrays), f"{who}: a file changes on the way"
    for array in arrays:
        assert np.array_equal(arrays[array], others[array]), f"{who}: {array} changes on the way"
