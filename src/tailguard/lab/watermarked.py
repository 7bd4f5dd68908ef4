"""A fitted n-gram model that marks what it writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit, uint64
from numpy.typing import NDArray

from tailguard.corpus.base import Corpus
from tailguard.corpus.origin import IPTC
from tailguard.corpus.quarantine import Quarantine
from tailguard.detect.watermark.base import SCHEMES, Scheme
from tailguard.detect.watermark.keys import WatermarkKey
from tailguard.detect.watermark.prf import absorb, finish, start
from tailguard.detect.watermark.sampling import draw, marker, tilt, values
from tailguard.detect.watermark.tokens import word_ids
from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.lab.families.ngram import _ROOTS, NGram, NGramModel, _find, tokenize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_KEEPS_LAW = SCHEMES.index("exp")  # and synthid, after it
_BATCH = 50


class WatermarkedNGram:
    """``model`` with every draw marked by ``scheme`` under ``key``.

    The next-token law is that of the model, all its contexts mixed; the scheme changes the draw.
    exp and synthid leave the law of a token as it is, over the random key: where a context of
    ``width`` tokens comes again in a document, the draw there takes no mark. The first ``width``
    tokens of a document take none. The key is never part of a repr.

    >>> from tailguard.lab.families.ngram import NGram
    >>> rng = np.random.default_rng(0)
    >>> model = NGram(order=2).fit(["a b a c", "b c a b a"], rng=rng)
    >>> marked = WatermarkedNGram(model, Scheme("exp", width=1), WatermarkKey(bytes(range(32))))
    >>> [len(text.split()) for text in marked.sample(2, rng=rng, lengths=[3, 5])]
    [3, 5]
    """

    def __init__(self, model: NGramModel, scheme: Scheme, key: WatermarkKey) -> None:
        self.model, self.scheme = model, scheme
        self._marker = marker(scheme, key)
        self._ids = word_ids(model.vocabulary)

    def sample(
        self, n: int, *, rng: np.random.Generator, lengths: Sequence[int] | Ints | None = None
    ) -> list[str]:
        """``n`` marked documents; lengths in tokens, as given or drawn from the training ones.

        The same ``rng`` and key give the same documents. Raises InputError for lengths that are not
        ``n`` whole numbers of at least 0.
        """
        drawn = rng.choice(self.model.lengths, n) if lengths is None else np.asarray(lengths)
        if drawn.shape != (n,) or drawn.dtype.kind not in "iu" or (n and drawn.min() < 0):
            raise InputError(
                "watermarked model", f"{n} lengths of at least 0", "others", "change lengths"
            )
        ends = np.cumsum(drawn.astype(np.int64))
        total = int(ends[-1]) if n else 0
        tokens = np.empty(total, np.int64)
        _write(self.model._automaton, self._marker, self._ids, ends, rng.random(total), tokens)
        words = np.array(self.model.vocabulary, dtype=object)[tokens].tolist()
        return ["".join(words[i:j]).strip() for i, j in pairwise([0, *ends.tolist()])]

    def log_prob(self, docs: Sequence[str]) -> Floats:
        """As the unmarked model: mean log-probability of each document's tokens, nats per token."""
        return self.model.log_prob(docs)


def lab_ids(texts: Sequence[str]) -> list[NDArray[np.integer[Any]]]:
    """The ids of texts' tokens as the n-gram model splits them: what to detect with.

    >>> [len(ids) for ids in lab_ids(["to be, or not", ""])]
    [5, 0]
    """
    return [word_ids(tokenize(text)) for text in texts]


def marked_records(
    corpus: Corpus,
    family: NGram,
    scheme: Scheme,
    key: WatermarkKey,
    *,
    n: int,
    rng: np.random.Generator,
    quarantine: Quarantine,
) -> Iterator[pa.RecordBatch]:
    """``n`` marked samples of a model fitted on ``corpus``, with their origin, in batches.

    Columns: text, kind ``synthetic``, generation (one above the highest of the corpus; null unless
    every record states one), generator (the family's settings), evidence ``watermark``,
    digital_source_type, and watermark (the scheme's id; nothing of the key).

    >>> from tailguard.corpus import open_corpus
    >>> corpus, key = open_corpus(["a b a c", "b c a b a"]), WatermarkKey(bytes(range(32)))
    >>> batches = marked_records(corpus, NGram(order=2), Scheme("exp"), key, n=3,
    ...     rng=np.random.default_rng(0), quarantine=Quarantine())
    >>> [(b.num_rows, b.column("evidence")[0].as_py()) for b in batches]
    [(3, 'watermark')]
    """
    if corpus.modality != "text":
        raise InputError(corpus.name, "records of text", corpus.modality, "name other files")
    texts: list[str] = []
    generations: list[int | None] = []
    for batch in corpus.batches(quarantine):
        texts += batch.column("text").to_pylist()
        known = "generation" in batch.schema.names
        generations += batch.column("generation").to_pylist() if known else [None] * len(batch)
    marked = WatermarkedNGram(family.fit(texts, rng=rng), scheme, key)
    stated = [number for number in generations if number is not None]
    following = max(stated) + 1 if stated and len(stated) == len(generations) else None
    with progress("writing", n, in_bytes=False) as advance:
        for first in range(0, n, _BATCH):
            out = marked.sample(min(_BATCH, n - first), rng=rng)
            yield _with_origin(out, first, repr(family), scheme, following)
            advance(len(out))


def _with_origin(
    texts: list[str], first: int, generator: str, scheme: Scheme, generation: int | None
) -> pa.RecordBatch:
    def same(value: Any, kind: Any) -> pa.Array:
        return pa.array([value] * len(texts), kind)

    return pa.record_batch(
        {
            "id": pa.array([f"watermarked#{first + i}" for i in range(len(texts))]),
            "text": pa.array(texts, pa.string()),
            "kind": same("synthetic", pa.string()),
            "generation": same(generation, pa.int64()),
            "generator": same(f"tailguard.lab {generator}", pa.string()),
            "evidence": same("watermark", pa.string()),
            "digital_source_type": same(IPTC + "trainedAlgorithmicMedia", pa.string()),
            "watermark": same(scheme.id, pa.string()),
        }
    )


@njit(cache=True, nogil=True)
def _law(auto: Any, context: Any, mass: Any, candidates: Any, probs: Any) -> Any:
    """Fill ``candidates`` and ``probs`` with the next token's law; how many. ``mass`` stays 0."""
    count, reach, state = 0, 1.0, context
    while True:
        before = 0.0
        share = reach * auto.stay[state]
        if share > 0.0:
            for arc in range(auto.first[state], auto.first[state + 1]):
                weight = share * (auto.cumulative[arc] - before)
                before = auto.cumulative[arc]
                if weight > 0.0:
                    token = auto.token[arc]
                    if mass[token] == 0.0:
                        candidates[count] = token
                        count += 1
                    mass[token] += weight
        reach *= 1.0 - auto.stay[state]
        if state < _ROOTS or reach <= 0.0:
            break
        state = auto.back[state]
    for i in range(count):
        probs[i] = mass[candidates[i]]
        mass[candidates[i]] = 0.0
    return count


@njit(cache=True, nogil=True)
def _write(auto: Any, mark: Any, ids: Any, ends: Any, uniform: Any, out: Any) -> None:
    size = len(ids)
    mass, probs = np.zeros(size), np.empty(size)
    candidates = np.empty(size, np.int64)
    names, keyed = np.empty(size, np.uint64), np.empty(size, np.uint64)
    seen = {uint64(0)}
    begin = 0
    for end in ends:
        seen.clear()
        context = auto.start
        past = np.empty(end - begin, np.uint64)
        for i in range(begin, end):
            n = _law(auto, context, mass, candidates, probs)
            length = i - begin
            marked = length >= mark.width
            if marked and mark.kind >= _KEEPS_LAW:
                state = start(mark.words[2:])
                for j in range(length - mark.width, length):
                    state = absorb(state, past[j])
                before = finish(state, mark.width)
                marked = before not in seen
                seen.add(before)
            if marked:
                for v in range(n):
                    names[v] = ids[candidates[v]]
                values(mark, past[:length], names[:n], keyed)
                tilt(mark, keyed, probs[:n])
            token = candidates[draw(probs[:n], uniform[i])]
            out[i] = token
            past[length] = ids[token]
            arc = _find(auto, context, token)
            while arc < 0:
                context = auto.back[context]
                arc = _find(auto, context, token)
            context = auto.target[arc]
        begin = end
