"""What an opened model can take, and running it on a batch."""

from __future__ import annotations

from typing import Any

from tailguard.detect.base import DetectorError
from tailguard.detect.neural.folder import library
from tailguard.measure.base import Ints


def positions(model: Any, wanted: int) -> int:
    """The most tokens that a model takes, at most ``wanted``.

    RoBERTa and its like count positions from behind their padding index.
    """
    found = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = min(wanted, found) if type(found) is int and found > 0 else wanted
    for name, module in model.named_modules():
        index = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and type(index) is int:
            limit = min(limit, module.num_embeddings - index - 1)
    return limit


def embedded(model: Any, folder: str, tokenizer: Any) -> int:
    """How many token ids the model knows; :class:`DetectorError` if the tokenizer has more."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if not 0 <= largest < rows:
        got = f"one with ids up to {largest}"
        raise DetectorError(folder, f"a tokenizer of {rows:,} tokens", got, "use its own tokenizer")
    return rows


def padding(model: Any, rows: int) -> int | None:
    """The padding id of the model's configuration; None where it has none it can embed."""
    found = getattr(model.config.get_text_config(), "pad_token_id", None)
    return found if type(found) is int and 0 <= found < rows else None


def forward(model: Any, ids: Ints, mask: Ints, who: str) -> Any:
    """The logits of a batch, on the model's device, without gradients.

    :class:`DetectorError` where the model fails, as for want of memory.
    """
    torch = library("torch")
    device = model.device
    try:
        with torch.inference_mode():
            return model(
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=torch.from_numpy(mask).to(device),
            ).logits
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DetectorError(who, "a model that can read texts", reason,
                            "lower max_tokens, or use another model") from None  # fmt: skip


def not_finite(who: str) -> DetectorError:
    """The refusal of a model that puts out nan or infinity."""
    return DetectorError(who, "finite logits", "nan or infinity", "check the model's weights")
