"""Tiny models with random weights, saved to folders, and the published formulas in plain NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.detectors.base import Stored
from tailguard.detect.neural.base import NeuralDetector
from tailguard.detect.neural.kinds import open_neural

WORDS = [f"w{i}" for i in range(60)] + ["delve", "boat", "pier", "</s>", "[SEP]"]
Logits = NDArray[np.floating[Any]]
NO_ARRAYS = Stored(cast(Any, None))
"""What a neural detector reads of a file's arrays."""
LARGE = 0.3
"""Spread of the random weights: enough that the laws are far from uniform."""


def sentences(n: int, seed: int, least: int = 3, most: int = 30) -> list[str]:
    """``n`` texts of random words and random lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(least, most + 1, n).tolist()
    return [" ".join(rng.choice(WORDS[:63], size).tolist()) for size in lengths]


def save_tokenizer(
    folder: Path, *, begin: bool = False, classify: bool = False, more: int = 0
) -> Any:
    """A word tokenizer: bare, with a token before each text, or with one at either end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[UNK]", "[PAD]", "<s>", "[EOS]"]
    names = special + WORDS[:63] + [f"more{i}" for i in range(more)]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begin or classify:
        template = "<s> $A [EOS]" if classify else "<s> $A"
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("<s>", 2), ("[EOS]", 3)]
        )
    found = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", bos_token="<s>",
        eos_token="[EOS]",
    )  # fmt: skip
    found.save_pretrained(str(folder))
    return found


def save_model(folder: Path, family: str, seed: int = 0, **settings: Any) -> Any:
    """A model of random weights, with settings of its configuration beside the usual."""
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    few = {"vocab_size": 67, "initializer_range": LARGE, "bos_token_id": 2, "eos_token_id": 3}
    plain = few | {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 66,
    }  # fmt: skip
    kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
        "gpt2": ("GPT2Config", "GPT2LMHeadModel", gpt2(few)),
        "gpt2-classifier": ("GPT2Config", "GPT2ForSequenceClassification", gpt2(few)),
        "gpt2-base": ("GPT2Config", "GPT2Model", gpt2(few)),
        "llama": ("LlamaConfig", "LlamaForCausalLM", plain | {"num_key_value_heads": 1}),
        "bert": ("BertConfig", "BertForSequenceClassification", plain | {"pad_token_id": 1}),
        "bert-lm": ("BertConfig", "BertLMHeadModel", plain | {"pad_token_id": 1}),
        "roberta": (
            "RobertaConfig", "RobertaForSequenceClassification", plain | {"pad_token_id": 1},
        ),
    }  # fmt: skip
    config, model, usual = kinds[family]
    made = getattr(transformers, model)(getattr(transformers, config)(**(usual | settings)))
    made.eval().save_pretrained(str(folder))
    return made


def gpt2(few: dict[str, Any]) -> dict[str, Any]:
    """The names by which GPT-2 knows its sizes."""
    return few | {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}


def save_families(root: Path) -> dict[str, Path]:
    """A folder of each family; the llamas put a token before each text, the classifiers at both
    ends. ``observer`` is a second llama."""
    for name in ("gpt2", "gpt2-classifier", "gpt2-base", "llama", "observer", "bert", "bert-lm",
                 "roberta"):  # fmt: skip
        family = "llama" if name == "observer" else name
        begin, classify = family == "llama", "bert" in name
        more = {"num_labels": 3} if name == "roberta" else {}
        save_model(root / name, family, seed=len(name), **more)
        save_tokenizer(root / name, begin=begin, classify=classify)
    return {path.name: path for path in root.iterdir()}


def ready(kind: str, folder: Path, **options: Any) -> NeuralDetector:
    """A detector as if fitted, which teaches it nothing."""
    detector = open_neural(kind, folder, **options)
    detector.area = 0.5
    return detector


def reopened(detector: NeuralDetector) -> NeuralDetector:
    """The same detector after a journey through JSON."""
    state, arrays = detector.state()
    assert not arrays
    return type(detector).restore(detector.window, json.loads(json.dumps(state)), NO_ARRAYS)


def edit_config(folder: Path, **changes: Any) -> None:
    """Change keys of a folder's ``config.json``."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def samples(folder: Path, n: int, words: int = 30) -> list[str]:
    """``n`` texts that a folder's language model writes, of ``words`` words each."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    names = [*["unknown"] * 4, *WORDS[:63]]
    torch.manual_seed(0)
    ids = torch.full((n, 1), 2)
    with torch.no_grad():
        for _ in range(words):
            logits = model(input_ids=ids).logits[:, -1]
            logits[:, :4] = -torch.inf
            drawn = torch.multinomial(torch.softmax(logits, 1), 1)
            ids = torch.cat([ids, drawn], 1)
    return [" ".join(names[i] for i in row[1:]) for row in ids.tolist()]


def law(logits: Logits) -> NDArray[np.float64]:
    """The softmax of each row, in 64-bit floats."""
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def published(kind: str, scoring: Logits, reference: Logits, ids: list[int]) -> float:
    """A criterion of one text by its paper's formula, token by token.

    Row i of the logits (n, V) predicts token i of ``ids``.
    """
    p, q = law(scoring), law(reference)
    log_p = [float(np.log(p[i, token])) for i, token in enumerate(ids)]
    ranks = [1 + int((p[i] > p[i, token]).sum()) for i, token in enumerate(ids)]
    n = len(ids)
    if kind == "likelihood":
        return sum(log_p) / n
    if kind == "log-rank":
        return -sum(np.log(ranks)) / n
    if kind == "lrr":
        return float(abs(sum(log_p)) / sum(np.log(ranks)))
    if kind == "entropy":
        return float(-(p * np.log(p)).sum()) / n
    if kind == "fast-detectgpt":
        means = [float((q[i] * np.log(p[i])).sum()) for i in range(n)]
        squares = [float((q[i] * np.log(p[i]) ** 2).sum()) for i in range(n)]
        spread = sum(square - mean**2 for square, mean in zip(squares, means, strict=True))
        return float((sum(log_p) - sum(means)) / np.sqrt(spread))
    assert kind == "binoculars"
    return float((sum(log_p) / n) / -(q * np.log(p)).sum(axis=1).mean())


def logits_of(model: Any, ids: list[int]) -> Logits:
    """What a model predicts of every token of one text but the first, (n - 1, V)."""
    import torch

    with torch.no_grad():
        found: Logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].numpy()
    return found
