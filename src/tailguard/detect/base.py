"""The nouns of detection: detector, texts, decision; and the error of a detector file."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, get_args

import pyarrow as pa

from tailguard.errors import InputError
from tailguard.measure.base import Floats

Texts: TypeAlias = "pa.Array | list[str]"
"""An Arrow string array without nulls, or a list of strings."""

Decision = Literal["synthetic", "human-like", "abstain"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


class DetectorError(InputError):
    """A detector cannot be fitted, calibrated, read or used as asked."""


class Detector(Protocol):
    """Scores records; a higher score means more likely synthetic.

    ``fit(human, synthetic)`` learns from texts of both kinds and returns the detector itself.
    ``score(texts)`` gives one number per text, shape (n,), on no fixed scale; it does not depend
    on the other texts scored with it, and it is nan where a text holds no word. A score is no
    probability: :mod:`tailguard.detect.calibration` turns it into a decision.
    """

    def fit(self, human: Texts, synthetic: Texts) -> Detector: ...

    def score(self, texts: Texts) -> Floats: ...


def as_array(texts: Texts) -> pa.Array:
    """The texts as one Arrow array; :class:`DetectorError` for nulls or what is no text.

    >>> len(as_array(["one", "two"]))
    2
    """
    try:
        array = pa.array(texts, pa.large_string()) if isinstance(texts, list) else texts
    except (pa.ArrowException, UnicodeError) as error:
        raise DetectorError("texts", "strings", str(error)[:80], "decode them first") from None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    strings = (pa.types.is_string(array.type), pa.types.is_large_string(array.type))
    if not any(strings) or array.null_count:
        got = f"{array.type} with {array.null_count} nulls"
        raise DetectorError("texts", "strings without nulls", got, "pass the text column")
    return array
