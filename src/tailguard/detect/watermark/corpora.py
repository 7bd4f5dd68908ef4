"""Watermarks in a corpus: every record's finding, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.corpus.base import Corpus
from tailguard.corpus.quarantine import Quarantine
from tailguard.detect.watermark.base import WatermarkError
from tailguard.detect.watermark.detection import Detection, Finding
from tailguard.engine.progress import progress

Tokenizer = Callable[[Sequence[str]], list[NDArray[np.integer[Any]]]]
"""Texts to their token ids."""


def examine(
    corpus: Corpus, detection: Detection, tokenizer: Tokenizer, *, quarantine: Quarantine
) -> Iterator[tuple[str, Finding]]:
    """Id and finding of each record, in order; afterwards ``detection.overall()`` is of them all.

    Holds one batch at a time, and the units pooled. Rows that cannot be read go to ``quarantine``.
    Raises :class:`WatermarkError` for a corpus without text.

    >>> from tailguard.corpus import open_corpus
    >>> from tailguard.detect.watermark import Scheme, WatermarkKey, word_ids
    >>> split = lambda texts: [word_ids(text.split()) for text in texts]
    >>> test = Detection(Scheme("kgw"), [WatermarkKey(bytes(range(32)))])
    >>> found = examine(open_corpus(["a b c", ""]), test, split, quarantine=Quarantine())
    >>> [finding.units for _, finding in found]
    [2, 0]
    """
    if corpus.modality != "text":
        raise WatermarkError(corpus.name, "records of text", corpus.modality, "name other files")
    with progress("watermark", corpus.n_bytes, in_bytes=True) as advance:
        for shard in corpus.shards:
            for batch in shard.batches(quarantine):
                names = batch.column("id").to_pylist()
                ids = tokenizer(batch.column("text").to_pylist())
                yield from zip(names, detection.update(ids), strict=True)
            advance(shard.n_bytes)


def folder_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer that ``transformers`` finds in a local folder, without special tokens.

    Nothing is downloaded and no code of the folder runs. Raises :class:`WatermarkError` where the
    folder or the library is missing, or the folder holds no tokenizer.
    """
    path = Path(folder)
    if not path.is_dir():
        raise WatermarkError(str(path), "a folder with a tokenizer", "no folder", "check the path")
    try:
        loader = import_module("transformers").AutoTokenizer
    except ImportError:
        raise WatermarkError(
            "tokenizer",
            "the library transformers",
            "none installed",
            "pip install 'tailguard[transformers]'",
        ) from None
    try:
        found = loader.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise WatermarkError(
            str(path), "a tokenizer", str(error)[:120], "save one with save_pretrained"
        ) from None

    def split(texts: Sequence[str]) -> list[NDArray[np.integer[Any]]]:
        if not texts:
            return []
        encoded = found(list(texts), add_special_tokens=False)["input_ids"]
        return [np.asarray(ids, np.int64) for ids in encoded]

    return split
