"""Neural detectors of local folders: their scores, their limits, and what they refuse."""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_cases import (
    edit_config,
    logits_of,
    published,
    ready,
    reopened,
    samples,
    save_families,
    save_model,
    save_tokenizer,
    sentences,
)

from tailguard.checks import check_detector
from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Prepared
from tailguard.detect.detectors.combination import CombinationDetector
from tailguard.detect.detectors.registry import DETECTORS
from tailguard.detect.neural import base as neural_base
from tailguard.detect.neural import encoding
from tailguard.detect.neural.base import NeuralDetector
from tailguard.detect.neural.causal import (
    LikelihoodDetector,
)
from tailguard.detect.neural.classifier import label_index
from tailguard.detect.neural.kinds import NEURAL, open_neural

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

CAUSAL = [found.kind for found in NEURAL if found.kind != "classifier"]
PAIRED = ["fast-detectgpt", "binoculars"]
ALL = Window(0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_families(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_scores_equal_the_published_formula_text_by_text(
    kind: str, name: str, folders: dict[str, Path]
) -> None:
    paired = kind in PAIRED and name == "llama"
    reference = folders["observer"] if paired else None
    detector = ready(kind, folders[name], reference=reference, window=ALL)
    load = transformers.AutoModelForCausalLM.from_pretrained
    scoring, other = load(folders[name]), load(reference or folders[name])
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folders[name])
    texts = sentences(6, seed=1)
    direction = -1 if kind == "binoculars" else 1
    for text, score in zip(texts, detector.score(texts), strict=True):
        ids = tokenizer(text).input_ids
        logits = [logits_of(model, ids) for model in (scoring, other)]
        expected = published("binoculars" if direction < 0 else kind, *logits, ids[1:])
        assert score == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert direction > 0 or score < 0


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "roberta", "gpt2-classifier"])
def test_a_score_is_the_same_alone_and_among_others(name: str, folders: dict[str, Path]) -> None:
    kinds = CAUSAL if name in ("gpt2", "llama") else ["classifier"]
    texts = [*sentences(12, seed=2), "", "w1", "w3 " * 500]
    for kind in kinds:
        label = 0 if kind == "classifier" else None
        detector = ready(kind, folders[name], window=ALL, label=label)
        alone = np.concatenate([detector.score([text]) for text in texts])
        assert np.allclose(detector.score(texts), alone, atol=1e-4, equal_nan=True)
        assert np.isnan(alone[12]) and np.isfinite(alone[:12]).all()


def test_only_texts_with_a_predicted_token_have_a_score(folders: dict[str, Path]) -> None:
    texts = ["", "w1", "w1 w2", "!"]
    bare = ready("likelihood", folders["gpt2"]).score(texts)
    begun = ready("likelihood", folders["llama"]).score(texts)
    assert np.isnan(bare).tolist() == [True, True, False, True]
    assert np.isnan(begun).tolist() == [True, False, False, False]


def test_classifier_scores_are_log_odds_of_the_label(folders: dict[str, Path]) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folders["roberta"])
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folders["roberta"])
    texts = sentences(5, seed=3)
    for label in range(3):
        scores = ready("classifier", folders["roberta"], label=label).score(texts)
        for text, score in zip(texts, scores, strict=True):
            ids = torch.tensor([tokenizer(text).input_ids])
            p = torch.softmax(model(input_ids=ids).logits[0].double(), 0)[label].item()
            assert score == pytest.approx(np.log(p / (1 - p)), abs=1e-4)


def test_independent_labels_are_scored_by_their_own_logit(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "model"))
    plain = ready("classifier", folder, label=1).score(["w1 w2"])
    other = ready("classifier", folder, label=0).score(["w1 w2"])
    assert plain == pytest.approx(-other, abs=1e-5)
    edit_config(folder, problem_type="multi_label_classification")
    one, two = (ready("classifier", folder, label=i).score(["w1 w2"])[0] for i in (1, 0))
    assert one - two == pytest.approx(plain[0], abs=1e-5)
    assert one != pytest.approx(plain[0], abs=1e-3)


def test_the_label_is_found_by_name_or_all_are_listed() -> None:
    assert label_index({0: "Fake", 1: "Real"}, None, "m") == 0
    assert label_index({0: "human", 1: "AI-generated"}, None, "m") == 1
    assert label_index({0: "LABEL_0", 1: "LABEL_1"}, None, "m") == 1
    assert label_index({0: "1", 1: "0"}, "1", "m") == 0
    assert label_index({0: "a", 1: "b"}, "1", "m") == 1
    three = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    for names, label in ((three, None), ({0: "up", 1: "down"}, None), ({0: "ai", 1: "bot"}, None),
                         (three, "9"), (three, -1), (three, "synthetic")):  # fmt: skip
        with pytest.raises(DetectorError, match="labels 0 '"):
            label_index(names, label, "model")


@pytest.mark.parametrize("name", ["gpt2", "bert"])
@pytest.mark.parametrize("side", ["last", "first"])
def test_long_texts_are_cut_at_the_side_of_the_window(
    side: Any, name: str, folders: dict[str, Path]
) -> None:
    kind = "likelihood" if name == "gpt2" else "classifier"
    detector = ready(kind, folders[name], window=Window(0, side), max_tokens=20)
    words = sentences(1, seed=4, least=200, most=200)[0].split()
    room = 20 if name == "gpt2" else 18
    kept = words[-room:] if side == "last" else words[:room]
    other = words[:room] if side == "last" else words[-room:]
    whole, part, wrong = detector.score([" ".join(part) for part in (words, kept, other)])
    assert detector.truncated == 1
    assert whole == pytest.approx(part, abs=1e-5) and abs(whole - wrong) > 1e-3


class Watched:
    """A tokenizer that remembers the longest string it was given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.longest = tokenizer, 0

    def encode_batch_fast(self, strings: list[str]) -> Any:
        self.longest = max(self.longest, *(len(text.encode()) for text in strings))
        return self.tokenizer.encode_batch_fast(strings)


@pytest.mark.parametrize("side", ["last", "first"])
def test_ten_megabytes_are_cut_quickly_and_counted(side: Any, folders: dict[str, Path]) -> None:
    detector = ready("likelihood", folders["gpt2"], window=Window(0, side))
    words = sentences(1, seed=5, least=3000, most=3000)[0]
    long = " ".join([words] * (10_000_000 // len(words)))
    kept = long.split()[-64:] if side == "last" else long.split()[:64]
    watched = Watched(detector.opened().tokenizer)
    detector._opened = replace(detector.opened(), tokenizer=watched)
    began = time.perf_counter()
    found = detector.score([long, "é" * 5_000_000, "w1 w2"])
    assert time.perf_counter() - began < 10
    assert watched.longest <= 64 * 64 and detector.truncated == 2
    assert found[0] == pytest.approx(detector.score([" ".join(kept)])[0], abs=1e-5)


@settings(deadline=None)
@given(st.text("ab é字", max_size=60), st.integers(1, 40), st.booleans(), st.integers(1, 9))
def test_a_cut_keeps_whole_characters_of_one_side(
    text: str, most: int, last: bool, edge: int
) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    begin, end = 0, len(data)
    if end > most:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoding, "_EDGE", edge)
            begin, end = encoding._cut(data, 0, len(data), most, last)
    kept = data[begin:end].tobytes().decode()
    assert len(kept.encode()) <= most and (text.endswith(kept) if last else text.startswith(kept))
    # No more is lost than a space's search or the rest of a character.
    assert len(kept.encode()) >= min(most, len(data)) - max(edge, 3)


def test_models_with_fewer_positions_take_fewer_tokens(folders: dict[str, Path]) -> None:
    # RoBERTa's 66 positions begin behind its padding index, 1.
    for name, most in (("gpt2", 64), ("llama", 66), ("bert", 66), ("roberta", 64)):
        kind = "classifier" if "bert" in name else "likelihood"
        label = 0 if "bert" in name else None
        detector = ready(kind, folders[name], window=ALL, label=label)
        assert detector.opened().limit == most
        assert np.isfinite(detector.score(["w1 " * 400])).all()


def test_names_of_control_tokens_in_a_text_are_only_text(tmp_path: Path) -> None:
    save_model(tmp_path, "gpt2", vocab_size=68)
    found = save_tokenizer(tmp_path)
    found.add_special_tokens({"additional_special_tokens": ["[CONTROL]"]})
    found.save_pretrained(str(tmp_path))
    assert 67 in found("w1 [CONTROL] w2").input_ids
    detector = ready("likelihood", tmp_path)
    control, unknown = detector.score(["w1 [CONTROL] w2", "w1 strange w2"])
    assert control == unknown


def test_a_control_token_after_the_text_is_not_scored(tmp_path: Path) -> None:
    save_model(tmp_path, "llama")
    save_tokenizer(tmp_path, begin=True)
    before = ready("likelihood", tmp_path).score(["w1 w2 w3"])
    save_tokenizer(tmp_path, classify=True)
    detector = ready("likelihood", tmp_path)
    assert len(detector.opened().tokenizer.encode("w1 w2 w3").ids) == 5
    assert detector.score(["w1 w2 w3"]) == pytest.approx(before)


def test_fitting_records_the_direction_and_never_flips_it(folders: dict[str, Path]) -> None:
    one, two = sentences(40, seed=6), ["delve " * n + "boat" for n in range(3, 43)]
    first = cast(LikelihoodDetector, ready("likelihood", folders["gpt2"])).fit(one, two)
    other = cast(LikelihoodDetector, ready("likelihood", folders["gpt2"])).fit(two, one)
    assert first.area == pytest.approx(1 - other.area)
    assert first.inverted is not other.inverted
    assert np.array_equal(first.score(one), other.score(one))
    with pytest.raises(DetectorError, match="that the model can score"):
        LikelihoodDetector(folder=str(folders["gpt2"])).fit(one, [f"x{i}" for i in range(30)])
    for act in (NeuralDetector.state, lambda unfitted: unfitted.score(one)):
        with pytest.raises(DetectorError, match="a fitted detector"):
            act(open_neural("likelihood", folders["gpt2"]))


@pytest.mark.parametrize("kind", [found.kind for found in NEURAL])
def test_a_restored_detector_scores_as_before(kind: str, folders: dict[str, Path]) -> None:
    folder = folders["bert" if kind == "classifier" else "llama"]
    reference = folders["observer"] if kind in PAIRED else None
    label = 0 if kind == "classifier" else None
    detector = ready(
        kind, folder, reference=reference, window=Window(9, "first"), max_tokens=30, label=label
    ).fit(sentences(25, seed=7), sentences(25, seed=8))
    again = reopened(detector)
    assert again == detector and again._opened is None
    texts = sentences(5, seed=9)
    assert np.array_equal(again.score(texts), detector.score(texts))


@pytest.mark.parametrize("kind", ["likelihood", "log-rank", "lrr", *PAIRED])
def test_what_the_model_wrote_scores_higher_than_what_it_did_not(
    kind: str, folders: dict[str, Path]
) -> None:
    other, own = sentences(60, seed=12, least=30, most=30), samples(folders["llama"], 60)
    detector = open_neural(kind, folders["llama"]).fit(other, own)
    assert detector.area > 0.9 and not detector.inverted


@pytest.mark.parametrize("kind", ["binoculars", "classifier"])
def test_a_neural_detector_keeps_the_laws_of_detectors(
    kind: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DETECTORS, kind, {found.kind: found for found in NEURAL}[kind])
    detector = open_neural(kind, folders["llama"] if kind == "binoculars" else folders["roberta"],
                           label=1 if kind == "classifier" else None)  # fmt: skip
    # Random weights know nothing of the two kinds, so their own score says which text is which.
    texts = sentences(640, seed=12, least=20)
    high = (scores := detector._asked(Prepared.of(texts))) > np.median(scores)
    sides = [[text for text, up in zip(texts, high, strict=True) if up == side]
             for side in (False, True)]  # fmt: skip
    check_detector(detector, human=sides[0], synthetic=sides[1])


def test_a_combination_shares_one_opened_model(folders: dict[str, Path]) -> None:
    part = open_neural("lrr", folders["gpt2"])
    whole = CombinationDetector(part.window, [part])
    human, made = sentences(60, seed=13), ["delve " * n + "boat" for n in range(3, 63)]
    whole.fit(human, made)
    assert copy.deepcopy(part).opened() is part.opened()
    assert np.isfinite(whole.score(human)).all()


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_numbers_that_are_not_finite_are_refused_at_scoring(
    name: str, folders: dict[str, Path]
) -> None:
    kind, label = ("classifier", 0) if name == "bert" else ("likelihood", None)
    detector = ready(kind, folders[name], label=label)
    (model,) = detector.opened().models
    # A late position, so that only a long text meets it.
    table = model.bert.embeddings.position_embeddings if label == 0 else model.transformer.wpe
    table.weight.data[40] = float("nan")
    assert np.isfinite(detector.score(["w1 w2"])).all()
    with pytest.raises(DetectorError, match="finite logits"):
        detector.score(["w1 w2", "w1 " * 50])


def test_more_texts_than_one_slice_are_scored_in_order(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = ready("lrr", folders["gpt2"])
    texts = [*sentences(7, seed=10), "", *sentences(6, seed=11)]
    whole = detector.score(texts)
    monkeypatch.setattr(neural_base, "SLICE", 4)
    monkeypatch.setattr(neural_base, "BUDGET", 67 * 40)
    assert np.allclose(detector.score(texts), whole, atol=1e-5, equal_nan=True)
