"""Marks in the logits of a neural model: for NumPy arrays, and as a ``transformers`` processor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.detect.watermark.base import GREEN, Scheme, WatermarkError
from tailguard.detect.watermark.keys import WatermarkKey
from tailguard.detect.watermark.sampling import marker, tilt, values

Floats = NDArray[np.float64]


def mark_logits(
    scheme: Scheme, key: WatermarkKey, ids: NDArray[np.integer[Any]], logits: Floats
) -> Floats:
    """Log-probabilities of the next token with a mark, (B, V), from ``ids`` (B, L) and logits.

    Sampling from the softmax of the result marks the text; for exp all mass is on one token. A row
    stays unmarked where it has fewer than ``scheme.context`` tokens, and, for exp and synthid,
    where its last context came before in the row. -inf in the logits stays -inf. Raises
    :class:`WatermarkError` for shapes that do not fit, nan or +inf, or a row of -inf alone.

    >>> key, logits = WatermarkKey(bytes(range(32))), np.zeros((1, 6))
    >>> np.exp(mark_logits(Scheme("exp", width=1), key, np.array([[3]]), logits)).max()
    np.float64(1.0)
    """
    ids, logits = np.asarray(ids), np.asarray(logits, np.float64)
    fits = ids.ndim == 2 and logits.ndim == 2 and len(ids) == len(logits) and logits.shape[1] > 0
    if not fits or ids.dtype.kind not in "iu" or (ids.size and ids.min() < 0):
        raise WatermarkError("watermark", "ids (B, L) and logits (B, V)", "others", "check shapes")
    top = logits.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():  # nan, +inf and rows of -inf all show in the largest
        raise WatermarkError("watermark", "finite logits in each row", "others", "check the model")
    probs = np.exp(logits - top)
    probs /= probs.sum(axis=1, keepdims=True)
    mark = marker(scheme, key)
    vocabulary = np.arange(logits.shape[1], dtype=np.uint64)
    value = np.empty(logits.shape[1], np.uint64)
    for row in range(len(ids)):
        if _takes_mark(scheme, ids[row]):
            values(mark, ids[row].astype(np.uint64), vocabulary, value)
            tilt(mark, value, probs[row])
    with np.errstate(divide="ignore"):
        return np.log(probs)


def _takes_mark(scheme: Scheme, row: NDArray[np.integer[Any]]) -> bool:
    width = scheme.context
    if len(row) < width:
        return False
    if scheme.name in GREEN or len(row) == width:
        return True
    past = np.lib.stride_tricks.sliding_window_view(row[:-1], width)
    return not bool((past == row[-width:]).all(axis=1).any())


class WatermarkLogits:
    """A logits processor for ``transformers``: ``model.generate(logits_processor=[it], ...)``.

    Called with torch tensors ``input_ids`` (B, L) and ``scores`` (B, V), it returns scores of the
    same type and device; torch is not imported here. Use it with ``do_sample=True`` and no beams,
    after temperature and top-k or top-p (put them before it in the list and leave ``generate``'s
    own at their neutral values): exp and synthid mark the very law that is drawn from. Token ids
    are the tokenizer's own, so that detection needs the tokenizer and the key.

    >>> WatermarkLogits(Scheme("synthid"), WatermarkKey(bytes(range(32)), "writer"))
    WatermarkLogits('synthid/v1/width=4/layers=30', WatermarkKey('writer'))
    """

    def __init__(self, scheme: Scheme, key: WatermarkKey) -> None:
        self.scheme, self.key = scheme, key

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        ids = input_ids.detach().cpu().numpy()
        marked = mark_logits(self.scheme, self.key, ids, scores.detach().cpu().double().numpy())
        return scores.new_tensor(marked)

    def __repr__(self) -> str:
        return f"WatermarkLogits({self.scheme.id!r}, {self.key!r})"
