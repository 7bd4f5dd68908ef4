"""Folders of models: what is refused, before and after a detector was stored."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neural_cases import (
    NO_ARRAYS,
    edit_config,
    ready,
    reopened,
    save_families,
    save_model,
    save_tokenizer,
    sentences,
)

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window, canonical
from tailguard.detect.detectors.registry import DETECTORS
from tailguard.detect.drift import DriftGate
from tailguard.detect.neural import folder as folder_module
from tailguard.detect.neural.causal import (
    BinocularsDetector,
    FastDetectGPTDetector,
    LikelihoodDetector,
)
from tailguard.detect.neural.classifier import ClassifierDetector
from tailguard.detect.neural.kinds import open_neural
from tailguard.detect.store import SavedDetector, load_detector, save_detector
from tailguard.errors import InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

ALL = Window(0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_families(tmp_path_factory.mktemp("models"))


@pytest.fixture
def gpt2(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(folders["gpt2"], tmp_path / "model"))


KEYS = ("_attn_implementation", "attn_implementation", "_experts_implementation")


@pytest.mark.parametrize("key", KEYS)
def test_a_folder_does_not_choose_the_kernels_it_runs_on(key: str, gpt2: Path) -> None:
    edit_config(gpt2, **{key: "eager"})
    open_neural("likelihood", gpt2)
    edit_config(gpt2, **{key: "someone/kernel"})
    with pytest.raises(DetectorError, match=f"{key} in config.json"):
        open_neural("likelihood", gpt2)


def test_opening_a_folder_is_offline_and_leaves_the_library_as_it_was(gpt2: Path) -> None:
    from huggingface_hub import constants, get_session, is_offline_mode

    log = transformers.logging
    before = (constants.HF_HUB_OFFLINE, log.get_verbosity(), log.is_progress_bar_enabled())
    with folder_module._offline(transformers):
        assert is_offline_mode()
        with pytest.raises(Exception, match="offline mode is enabled"):
            get_session().get("https://invalid.invalid")
    open_neural("likelihood", gpt2)
    assert (constants.HF_HUB_OFFLINE, log.get_verbosity(), log.is_progress_bar_enabled()) == before


def test_a_detector_file_keeps_a_neural_detector(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DETECTORS, "binoculars", BinocularsDetector)
    one, two = sentences(60, seed=20), sentences(60, seed=21)
    detector = open_neural("binoculars", folders["llama"], reference=folders["observer"])
    detector.fit(one, two)
    gate = DriftGate.fit(canonical(one), canonical(two), detector.window)
    saved = SavedDetector(detector, gate, np.zeros(0, np.uint64), {"human": 60, "synthetic": 60})
    save_detector(saved, tmp_path / "some.detector")
    assert load_detector(tmp_path / "some.detector").detector == detector


def test_a_changed_or_lost_folder_is_refused_before_it_is_opened(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = ready("likelihood", gpt2).fit(sentences(25, seed=7), sentences(25, seed=8))
    pieces = {name: (gpt2 / name).read_bytes() for name in ("config.json", "tokenizer.json",
                                                            "model.safetensors")}  # fmt: skip
    monkeypatch.setattr(LikelihoodDetector, "_open", lambda self: pytest.fail("opened"))
    for name, content in pieces.items():
        (gpt2 / name).write_bytes(content + b" ")
        with pytest.raises(DetectorError, match="that was fitted") as refusal:
            reopened(fitted).score(["w1 w2"])
        assert "\n" not in str(refusal.value)
        (gpt2 / name).write_bytes(content)
    (gpt2 / "README.md").write_text("what is not read may change")
    reopened(fitted)._verify()
    shutil.rmtree(gpt2)
    with pytest.raises(DetectorError, match="no such file or directory"):
        reopened(fitted).score(["w1 w2"])


def test_a_changed_reference_is_refused_too(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders["observer"], tmp_path / "observer"))
    fitted = ready("binoculars", folders["llama"], reference=copy)
    fitted.fit(sentences(25, seed=7), sentences(25, seed=8))
    edit_config(copy, note=1)
    with pytest.raises(DetectorError, match="that was fitted"):
        reopened(fitted).score(["w1 w2"])


@pytest.mark.parametrize(
    ("key", "value"),
    [("folder", ""), ("folder", "a\0b"), ("folder", 7), ("folder", "x" * 5000), ("digest", "00"),
     ("digest", None), ("max_tokens", True), ("max_tokens", 10**9), ("max_tokens", "512"),
     ("device", "cuda; rm"), ("device", 0), ("area", 2.0), ("area", float("nan")), ("area", "1"),
     ("reference", "x"), ("reference_digest", "0" * 64)],
)  # fmt: skip
def test_hostile_settings_are_refused_without_opening_a_folder(key: str, value: Any) -> None:
    usual = {"folder": "somewhere", "digest": "0" * 64, "max_tokens": 64, "device": "cpu",
                "area": 0.7, "reference": None, "reference_digest": None}  # fmt: skip
    FastDetectGPTDetector.restore(ALL, usual, NO_ARRAYS)
    with pytest.raises((ValueError, InputError)):
        FastDetectGPTDetector.restore(ALL, usual | {key: value}, NO_ARRAYS)
    with pytest.raises(ValueError):
        ClassifierDetector.restore(ALL, usual | {"label": [1]}, NO_ARRAYS)


def spoil(folder: Path, how: str) -> None:
    """Spoil a folder in one way."""
    weights = folder / "model.safetensors"
    if how in ("auto_map", "quantization_config", "transformers_weights", "configuration_files"):
        edit_config(folder, sub={"deeper": [{how: {"x": "y"}}]})
    elif how == "pickled":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif how in ("adapter_config.json", "shard-00001-model-00001-of-00001.safetensors"):
        (folder / how).write_text("{}")
    elif how in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / how).write_bytes(b"{")
    elif how == "index":
        target = weights.rename(folder.parent / "other.safetensors")
        listed = {"weight_map": {"x": f"../{target.name}"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(listed))
    elif how == "list":
        (folder / "config.json").write_text("[]")
    elif how == "strange":
        edit_config(folder, model_type="strange")
    elif how == "remote":
        weights.unlink()
        weights.mkdir()


SPOILT = {
    "auto_map": "auto_map", "quantization_config": "quantization_config",
    "transformers_weights": "transformers_weights", "configuration_files": "configuration_files",
    "pickled": "pickled weights", "adapter_config.json": "adapter", "index": "names others",
    "shard-00001-model-00001-of-00001.safetensors": "distributed checkpoint",
    "config.json": "config.json: ", "tokenizer.json": "a tokenizer that can be opened",
    "model.safetensors": "that can be opened", "list": "an object in config.json",
    "strange": "can be opened", "remote": "a regular file model.safetensors",
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_folder_is_one_clear_line(how: str, gpt2: Path) -> None:
    spoil(gpt2, how)
    with pytest.raises(DetectorError, match=SPOILT[how]) as refusal:
        open_neural("likelihood", gpt2)
    assert "\n" not in str(refusal.value) and str(gpt2) in str(refusal.value)


@pytest.mark.parametrize("how", ["nan", "inf"])
def test_weights_that_are_not_finite_are_named_and_refused(how: str, tmp_path: Path) -> None:
    model = save_model(tmp_path, "llama")
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] = float(how)
    model.save_pretrained(str(tmp_path))
    save_tokenizer(tmp_path)
    with pytest.raises(DetectorError, match=r"nan or infinity in model\.layers\.1\.mlp"):
        open_neural("likelihood", tmp_path)


def test_a_model_of_another_task_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    save_tokenizer(folders["gpt2-base"])
    with pytest.raises(DetectorError, match="a whole sequence classifier"):
        ready("classifier", folders["gpt2-base"], label=0)
    with pytest.raises(DetectorError, match="sees the token it predicts"):
        ready("likelihood", folders["bert-lm"])
    save_model(tmp_path, "bert", num_labels=1)
    save_tokenizer(tmp_path)
    with pytest.raises(DetectorError, match="two labels or more"):
        ready("classifier", tmp_path, label=0)


def test_another_vocabulary_is_refused_and_a_wider_output_is_not(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    save_model(tmp_path / "wide", "llama", seed=9, vocab_size=80)
    save_tokenizer(tmp_path / "wide", begin=True)
    scorer = ready("fast-detectgpt", folders["llama"], reference=tmp_path / "wide")
    assert np.isfinite(scorer.score(["w1 w2 w3"])).all()
    save_tokenizer(tmp_path / "wide", begin=True, more=5)
    with pytest.raises(DetectorError, match="72 tokens against 67, 67 of one name"):
        ready("fast-detectgpt", folders["llama"], reference=tmp_path / "wide")
    save_tokenizer(tmp_path / "wide", more=50)
    with pytest.raises(DetectorError, match="a tokenizer of 80 tokens"):
        ready("likelihood", tmp_path / "wide")


@pytest.mark.parametrize("name", ["torch", "transformers", "tokenizers"])
def test_a_missing_library_names_the_extra(
    name: str, gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DetectorError, match=rf"{name}, got none.*tailguard\[transformers\]"):
        open_neural("likelihood", gpt2)


def test_settings_that_do_not_exist_are_one_clear_line(folders: dict[str, Path]) -> None:
    folder = folders["gpt2"]
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("curvature", {}, "one of classifier"),
        ("lrr", {"reference": folder}, "one folder"),
        ("lrr", {"label": 0}, "no label"),
        ("lrr", {"max_tokens": 1}, "8 to"),
        ("lrr", {"device": "tpu"}, "cpu, cuda"),
    ]
    if not torch.cuda.is_available():
        bad.append(("lrr", {"device": "cuda"}, "a CUDA device"))
    for kind, options, match in bad:
        with pytest.raises(DetectorError, match=match):
            open_neural(kind, folder, **options)
    with pytest.raises(DetectorError, match="no such file"):
        open_neural("likelihood", "gpt2")
    with pytest.raises(DetectorError, match="a printable path"):
        open_neural("likelihood", "a\nb")
    with pytest.raises(DetectorError, match="name the folder"):
        LikelihoodDetector()
