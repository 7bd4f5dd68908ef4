"""The stylometry detector: rates against their definitions, no leaks, and its file."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Prepared, Stored
from tailguard.detect.detectors.stylometry import CLASSES, COMMONEST, MARKS, StylometryDetector
from tailguard.detect.leaks import auroc
from tailguard.errors import ProfileError
from tailguard.measure.store import Container, pack, unpack

MAGIC = b"TGTEST\x00\x01"
PIECES = [
    "the", "The", "and", "but", "which", "is", "been", "moved", "walked", "running", "Quickly",
    "nation", "don't", "John's", "USA", "3", "1990s", "well-known", "kindness", "classes", "table",
    "However", "I", ",", ".", "?", "!", ";", ":", "(", ")", "-", "--", "...", '"', "/", "%", "'",
    "extraordinarily", "Étude", "naïve", "—",
]  # fmt: skip
SOME = st.lists(
    st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join), min_size=1, max_size=3
)
NOUNS = ["dog", "house", "river", "garden", "teacher", "window", "letter", "morning", "engine"]
VERBS = ["saw", "took", "found", "made", "left", "liked", "carried", "opened", "wanted", "heard"]


def story(kind: str, n: int, rng: np.random.Generator, least: int = 6, most: int = 10) -> list[str]:
    """Texts of ``least`` to ``most`` sentences; "machine" ones are even, linked and impersonal."""
    out = []
    for _ in range(n):
        sentences = []
        for _ in range(int(rng.integers(least, most + 1))):
            a, b = rng.choice(NOUNS, 2)
            verb = rng.choice(VERBS)
            if kind == "machine" and rng.random() < 0.7:
                link = rng.choice(["However", "Additionally", "Overall", "Furthermore"])
                sentences.append(f"{link}, the {a} {verb} the {b}, ensuring stability.")
            elif rng.random() < 0.5:
                sentences.append(f"I {verb} it!")
            else:
                more = " ".join(rng.choice(NOUNS, int(rng.integers(0, 12))))
                sentences.append(f"But she {verb} my {a} and didn't know the {b} {more}.")
        out.append(" ".join(sentences))
    return out


@pytest.fixture(scope="module")
def fitted() -> StylometryDetector:
    rng = np.random.default_rng(1)
    detector = StylometryDetector(Window(0))
    return detector.fit(story("human", 100, rng), story("machine", 100, rng))


def features(text: str) -> dict[str, float]:
    detector = StylometryDetector(Window(0))
    row = detector.features(Prepared.of([text]))[0]
    return dict(zip(detector.names, row.tolist(), strict=True))


class Reading:
    """A text taken apart by regular expressions."""

    def __init__(self, text: str) -> None:
        word = r"\w+(?:'\w+)*"
        self.found = [
            (m.group(), m.start(), m.end())
            for m in re.finditer(rf"{word}|([^\w\s])\1*|[^\w\s]", text)
        ]
        self.text = text
        self.words = [t for t, _, _ in self.found if self.is_word(t)]
        self.low = [w.lower() for w in self.words]

    @staticmethod
    def is_word(token: str) -> bool:
        return re.match(r"\w", token) is not None

    def sentences(self) -> list[list[str]]:
        """Sentences that end, and what comes after the last end, words only."""
        out: list[list[str]] = [[]]
        for token, _, end in self.found:
            if self.is_word(token):
                out[-1].append(token)
            elif token[0] in ".!?" and out[-1]:
                rest = self.text[end:]
                after = rest.lstrip(" \"')]")
                if not after or (after != rest and not re.match("[a-z]", after)):
                    out.append([])
        return out

    def after(self, mark: str) -> list[str]:
        """Words that follow a mark at once."""
        both = pairwise(self.found)
        return [b.lower() for (a, _, _), (b, _, _) in both if a[0] == mark and self.is_word(b)]


LISTED = {word for words in CLASSES.values() for word in words.split()}


def ends_in(word: str, *endings: str) -> bool:
    """Whether a word of no list ends so."""
    long = len(word.encode()) >= 5
    return (
        long and word.lower() not in LISTED and "'" not in word and word.lower().endswith(endings)
    )


def passives(tokens: Reading) -> int:
    """Words in -ed one or two words after a form of "be", no mark between."""
    total, since = 0, 9
    for token, _, _ in tokens.found:
        if not Reading.is_word(token):
            since = 9
            continue
        total += since < 2 and ends_in(token, "ed")
        since = 0 if token.lower() in CLASSES["be"].split() else since + 1
    return total


def sentences_by_hand(text: str, n: float) -> dict[str, float]:
    """Features of sentences and of blocks of letters; ``n`` words in all."""
    sentences = Reading(text).sentences()
    whole = [len(s) for s in sentences[:-1]]
    logs = np.log(whole)
    openers = [s[0].lower() for s in sentences[1:] if s]
    out: dict[str, float] = {}

    def mean(values: Any) -> float:
        return float(np.mean(values)) if len(values) else np.nan

    for name in ("article", "be", "contrast", "I"):
        out[f"sentences opened by {name}"] = sum(w in CLASSES[name].split() for w in openers) / n
    out["sentences opened by -ly"] = sum(ends_in(w, "ly") for w in openers) / n
    out["sentences opened by a number"] = sum(w[0] in "0123456789" for w in openers) / n
    out["sentence length (log)"] = mean(logs)
    out["variance of sentence length (log)"] = np.var(logs, ddof=1) if len(logs) > 1 else np.nan
    out["change of sentence length"] = mean(np.abs(np.diff(logs)))
    out["burstiness of sentence length"] = mean(
        [3 * ((a - b) / (a + b)) ** 2 for a, b in pairwise(whole)]
    )
    out["short sentences"] = mean([k <= 8 for k in whole])
    out["long sentences"] = mean([k >= 30 for k in whole])
    blocks = letter_blocks(text)
    out["entropy of letters"] = mean([entropy for entropy, _ in blocks])
    out["different letter pairs"] = mean([pairs for _, pairs in blocks])
    return out


def endings_by_hand(read: Reading, n: float) -> dict[str, float]:
    """Shares of words with each ending."""
    words, out = read.words, {}
    for name in ("ing", "ly", "ed", "ness", "ment", "ity", "al"):
        out[f"words in -{name}"] = sum(ends_in(w, name) for w in words) / n
    out["words in -tion/-sion"] = sum(ends_in(w, "tion", "sion") for w in words) / n
    plural = sum(ends_in(w, "s") and not ends_in(w, "ness", "ous") for w in words)
    out["words in -s"] = plural / n
    return out


def by_hand(text: str) -> dict[str, float]:
    """Features from their definitions."""
    read = Reading(text)
    words, low = read.words, read.low
    n = len(words) or np.nan
    sizes = np.array([len(w) for w in words])
    sentences = read.sentences()
    ends = len(sentences) - 1
    commas = read.after(",")
    marks = [t for t, _, _ in read.found if not Reading.is_word(t)]
    joints = [m.group(1) == "-" for m in re.finditer(r"(?<=\S)(-)(?=\S)", text)]
    heads = [k for k, s in enumerate(sentences) for _ in s]
    first = [k == 0 or heads[k] != heads[k - 1] for k in range(len(words))]
    out = {f"words of {k} letters": (sizes == k).sum() / n for k in range(1, 12)}
    out["words of 12 letters or more"] = (sizes >= 12).sum() / n
    out |= {f"words of {c}": sum(w in CLASSES[c].split() for w in low) / n for c in CLASSES}
    out |= {f"the word {w!r}": low.count(w) / n for w in COMMONEST.split()}
    for name, sign in zip(MARKS[:9], [",", ";", ":", None, "?", "!", "()", '"', "'"], strict=True):
        if sign:
            out[name] = sum(m[0] in sign for m in marks) / n
    out["full stop"] = sum(m == "." for m in marks) / n
    out["ellipsis"] = sum(m == "..." for m in marks) / n
    out["hyphen"] = sum(joints) / n
    out["dash"] = (sum(m[0] in "-—" for m in marks) - sum(joints)) / n
    out["sign"] = sum(m[0] == "%" for m in marks) / n
    out["slash"] = sum(m[0] == "/" for m in marks) / n
    out |= endings_by_hand(read, n)
    out["passive"] = passives(read) / n
    out["numbers"] = sum(w[0] in "0123456789" for w in words) / n
    inner = [bool(re.search("[A-Z]", w)) and not f for w, f in zip(words, first, strict=True)]
    out["capitalised words"] = sum(inner) / n
    out["words in capitals"] = sum(bool(re.fullmatch("[A-Z]{2,}", w)) for w in words) / n
    out["possessives"] = sum(w.endswith("'s") for w in low) / n
    out["contractions"] = sum("'" in w and not w.endswith("'s") for w in low) / n
    out["long words"] = (sizes > 6).sum() / n
    out["sentence ends"] = ends / n
    out["comma and 'and'"] = commas.count("and") / n
    out["comma and 'but'"] = commas.count("but") / n
    out["comma and relative"] = commas.count("which") / n
    out["comma and -ing"] = sum(ends_in(w, "ing") for w in commas) / n
    out["mean word length"] = sizes.sum() / n
    out["variance of word length"] = sizes.var(ddof=1) if len(words) > 1 else np.nan
    out["readability (Coleman-Liau)"] = 5.88 * sizes.sum() / n - 29.6 * ends / n - 15.8

    return out | sentences_by_hand(text, n)


def letter_blocks(text: str) -> list[tuple[float, int]]:
    """Entropy and different pairs of neighbouring letters in whole blocks of 200 letters."""
    places = [m.start() for m in re.finditer("[a-zA-Z]", text)]
    out = []
    for at in range(0, len(places) - 199, 200):
        block = places[at : at + 200]
        letters = [text[k].lower() for k in block]
        share = np.unique(letters, return_counts=True)[1] / 200
        pairs = {text[a : b + 1].lower() for a, b in pairwise(block) if b == a + 1}
        out.append((float(-(share * np.log(share)).sum()), len(pairs)))
    return out


@given(SOME)
@settings(max_examples=40, deadline=None)
def test_every_rate_equals_its_definition(batch: list[str]) -> None:
    detector = StylometryDetector(Window(0))
    found = detector.features(Prepared.of(batch))
    for row, text in zip(found, batch, strict=True):
        named = dict(zip(detector.names, row.tolist(), strict=True))
        for name, value in by_hand(text).items():
            assert named[name] == pytest.approx(value, abs=1e-9, nan_ok=True), (name, text)


def test_the_rates_of_a_written_sentence_are_these() -> None:
    read = features("However, he wasn't moved. The cat (3 kg) was quickly fed: why, she asked?")
    assert read["comma"] == 2 / 14 and read["parenthesis"] == 2 / 14 and read["colon"] == 1 / 14
    assert read["words of contrast"] == 1 / 14 and read["contractions"] == 1 / 14
    assert read["sentence ends"] == 2 / 14 and read["passive"] == 0
    assert read["sentences opened by article"] == 1 / 14
    assert read["comma and relative"] == 0 and features("so, why")["comma and relative"] == 1 / 2
    assert features("It was soon moved")["passive"] == 1 / 4
    assert features("It was so very moved")["passive"] == 0
    assert features("It was, moved")["passive"] == 0


def test_an_abbreviation_within_a_sentence_does_not_end_it() -> None:
    for text, ends in (("a 3.5 b", 0), ("e.g. this", 0), ("One. Two", 1), ('He said "no." Then', 1),
                       ("One! two", 0), ("Is it?", 1), ("我去。他来。", 2)):  # fmt: skip
        read = Prepared.of([text])
        row = StylometryDetector(Window(0)).features(read)[0]
        words = sum(Reading.is_word(t) for t in re.findall(r"\w+|[^\w\s]", text))
        k = StylometryDetector.names.index("sentence ends")
        assert (row[k] * words > 0.5) == (ends > 0), text


def test_no_rate_moves_when_a_text_is_doubled() -> None:
    text = story("human", 1, np.random.default_rng(2), 9, 9)[0]
    one, two = features(text), features(f"{text} {text}")
    still = [name for name in one if name.startswith(("words", "the word", *MARKS, "comma and"))]
    still += ["numbers", "contractions", "passive", "sentence ends", "mean word length",
              "readability (Coleman-Liau)", "short sentences", "sentence length (log)"]  # fmt: skip
    assert len(still) > 130
    for name in still:
        assert one[name] == pytest.approx(two[name], nan_ok=True), name


def test_length_alone_is_not_found_out() -> None:
    rng = np.random.default_rng(3)
    words = " ".join(story("human", 400, rng)).split()

    def some(least: int) -> list[str]:
        """Windows of the same writing, from ``least`` to half as many words more."""
        begins = rng.integers(0, len(words) - 1000, 600)
        return [" ".join(words[k : k + least + int(rng.integers(least // 2))]) for k in begins]

    short, long = some(100), some(300)
    detector = StylometryDetector(Window(0)).fit(short[:300], long[:300])
    found = auroc(detector.score(short[300:]), detector.score(long[300:]))
    # Three standard errors of an AUROC of two samples of 300 without a difference.
    assert abs(found - 0.5) < 3 * np.sqrt(601 / (12 * 300 * 300)), found


def test_higher_scores_mean_more_likely_synthetic(fitted: StylometryDetector) -> None:
    rng = np.random.default_rng(4)
    human, machine = (fitted.score(story(kind, 100, rng)) for kind in ("human", "machine"))
    assert auroc(human, machine) > 0.95
    assert np.median(human) < 0 < np.median(machine)


def test_style_is_found_under_other_subjects(fitted: StylometryDetector) -> None:
    rng = np.random.default_rng(5)
    human, machine = story("human", 80, rng), story("machine", 80, rng)
    other = str.maketrans({"d": "g", "g": "d", "r": "l", "l": "r"})

    def swapped(text: str) -> str:
        """Nouns and verbs become words that no training text holds."""
        return re.sub("|".join(NOUNS + VERBS), lambda m: m.group().translate(other), text)

    scores = [fitted.score([swapped(t) for t in side]) for side in (human, machine)]
    assert auroc(*scores) > 0.9


def test_a_score_does_not_depend_on_its_neighbours(fitted: StylometryDetector) -> None:
    rng = np.random.default_rng(6)
    batch = [*story("human", 3, rng), "", "x", "...", "é漢字🙂", *story("machine", 3, rng, 20, 30)]
    alone = np.concatenate([fitted.score([text]) for text in batch])
    assert np.array_equal(fitted.score(batch), alone, equal_nan=True)
    assert np.isnan(alone[3]) and np.isfinite(np.delete(alone, 3)).all()


def test_fitting_twice_gives_the_same_detector(fitted: StylometryDetector) -> None:
    rng = np.random.default_rng(1)
    again = StylometryDetector(Window(0))
    again.fit(story("human", 100, rng), story("machine", 100, rng))
    assert dump(again) == dump(fitted)


def test_more_of_the_same_texts_leave_the_ridge_as_strong(fitted: StylometryDetector) -> None:
    rng = np.random.default_rng(1)
    human, machine = story("human", 100, rng), story("machine", 100, rng)
    more = StylometryDetector(Window(0)).fit(human * 4, machine * 4)
    assert more.weights is not None and fitted.weights is not None
    assert np.abs(more.weights - fitted.weights).max() < 0.05 * np.abs(fitted.weights).max()


def test_evidence_names_features_and_adds_up(fitted: StylometryDetector) -> None:
    text = "However, the dog saw the house, ensuring stability. " * 6
    parts = fitted.evidence(text, most=1000)
    assert sum(v for _, v in parts) + fitted.bias == pytest.approx(fitted.score([text])[0])
    assert {name.rsplit(": ")[0] for name, _ in parts} <= set(fitted.names)
    assert dict(parts)["comma and -ing: high"] > 0
    assert len(fitted.evidence(text)) == 5
    assert fitted.evidence("") == []


@pytest.mark.parametrize(
    "text",
    ["漢字。" * 300, "Привет, мир! " * 60, "สวัสดี" * 60, "word", "word " * 500, "?!", "🙂 " * 90],
)
def test_strange_texts_have_finite_scores(fitted: StylometryDetector, text: str) -> None:
    assert np.isfinite(fitted.score([text])).all()


def test_ten_megabytes_of_one_word_are_scored(fitted: StylometryDetector) -> None:
    assert np.isfinite(fitted.score(["word " * 2_000_000, "a" * 10_000_000])).all()


def test_an_unfitted_detector_refuses_everything() -> None:
    detector = StylometryDetector()
    for call in (lambda: detector.score(["text"]), detector.state, lambda: detector.evidence("a")):
        with pytest.raises(DetectorError, match="fitted"):
            call()


def dump(detector: StylometryDetector, **change: Any) -> bytes:
    values, arrays = detector.state()
    for name, value in change.items():
        (arrays if name in arrays else values)[name] = value
    return pack(MAGIC, {"settings": values}, arrays)


def load(data: bytes) -> StylometryDetector:
    def build(header: dict[str, Any], body: bytes) -> StylometryDetector:
        stored = Stored(Container(header, body))
        return StylometryDetector.restore(Window(0), header["settings"], stored)

    return unpack(data, MAGIC, "detector", build)


def test_a_file_gives_back_the_same_scores(fitted: StylometryDetector) -> None:
    batch = story("machine", 30, np.random.default_rng(8))
    back = load(dump(fitted))
    assert np.array_equal(back.score(batch), fitted.score(batch))
    assert dump(back) == dump(fitted)


def test_hostile_files_are_one_clear_line(fitted: StylometryDetector) -> None:
    k = len(fitted.names)
    assert fitted.weights is not None
    for change in (
        {"names": list(fitted.names[::-1])}, {"names": 7}, {"penalty": 0.0}, {"penalty": None},
        {"bias": float("inf")}, {"bias": 1e300}, {"scale": np.zeros(k)}, {"scale": np.ones(k - 1)},
        {"center": np.full(k, np.nan)}, {"weights": np.full(k, np.inf)},
        {"weights": np.full(k, 1e200)}, {"weights": fitted.weights.astype("<u8")},
    ):  # fmt: skip
        with pytest.raises(ProfileError, match="well-formed") as caught:
            load(dump(fitted, **change))
        assert "\n" not in str(caught.value), change
