"""One form of a text, and what formatting alone says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.leaks import auroc, leak_probe
from tailguard.errors import InputError

SPACES = "\n\t \u00a0\u2003\u200b\u3000\ufeff"
WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc", "Cf"]), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(WORDS.filter(lambda w: not set(w) & set("‘’“”")), max_size=12), st.data())
def test_window_keeps_the_words_at_its_end(words: list[str], data: st.DataObject) -> None:
    gaps = [data.draw(st.text(st.sampled_from(SPACES), min_size=1, max_size=3)) for _ in words]
    raw = "".join(gap + word for gap, word in zip(gaps, words, strict=True)) + "\n"
    n = data.draw(st.integers(1, 14))
    assert canonical([raw]).to_pylist() == [" ".join(words)]
    assert canonical([raw, raw], Window(n)).to_pylist() == [" ".join(words[-n:])] * 2
    assert canonical([raw], Window(n, "first")).to_pylist() == [" ".join(words[:n])]


@settings(deadline=None)
@given(st.lists(st.text(), max_size=5), st.integers(0, 5))
def test_canonical_form_is_valid_and_a_fixed_point(texts: list[str], n: int) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    once = canonical(texts, Window(n))
    once.validate(full=True)
    assert canonical(once, Window(n)).equals(once)


def test_slices_of_arrow_arrays_are_read_at_their_place() -> None:
    array = pa.array(["a  b", "c\nd", "“e”"])
    assert canonical(array.slice(1)).to_pylist() == ["c d", '"e"']


def test_formatting_does_not_move_a_score() -> None:
    human = [f"we saw {i} boats near the pier" for i in range(20)]
    machine = [f"in conclusion {i} aspects matter" for i in range(20)]
    detector = LinearDetector(bits=10).fit(human, machine)
    plain = detector.score(["he said 'in conclusion' we saw boats"])
    assert np.array_equal(plain, detector.score(["\n\nhe  said ‘in\nconclusion’ we saw boats \t"]))


def test_leak_probe_finds_planted_newlines_and_clears_canonical_texts() -> None:
    human = [f"one two {'x' * (i % 7)}." for i in range(80)]
    machine = [text.replace(" ", "\n") for text in human]
    raw = {leak.probe: leak for leak in leak_probe(human, machine)}
    clean = leak_probe(canonical(human), canonical(machine))
    assert raw["newline count"].auroc == 1.0 and raw["newline count"].leaks
    assert not any(leak.leaks for leak in clean)


def test_a_probe_pointing_the_other_way_leaks_too() -> None:
    shorter = leak_probe(["long text here."] * 40, ["short."] * 40)[1]
    assert shorter.auroc == 0.0 and shorter.separation == 1.0 and shorter.leaks


def test_auroc_counts_every_pair_of_documents() -> None:
    rng = np.random.default_rng(0)
    human, machine = rng.integers(0, 5, 30).astype(float), rng.integers(1, 6, 20).astype(float)
    wins = [(s > h) + 0.5 * (s == h) for h in human for s in machine]
    assert auroc(human, machine) == pytest.approx(np.mean(wins))


def test_bad_windows_and_missing_classes_are_refused() -> None:
    with pytest.raises(InputError, match="window"):
        Window(-1)
    with pytest.raises(DetectorError, match="synthetic texts: expected at least one"):
        leak_probe(["a"], [])
    with pytest.raises(DetectorError, match="strings without nulls"):
        canonical(pa.array(["a", None]))
