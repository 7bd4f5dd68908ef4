"""Showing it: which words were lost, which phrases and documents stand out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.measure.base import Hashes, Ints
from tailguard.measure.documents import DocumentSample, fingerprint
from tailguard.measure.grams import ngram_hashes
from tailguard.measure.profile import Profile
from tailguard.measure.repetition import minhash, near_duplicates, repetition
from tailguard.measure.tails import counts_under
from tailguard.measure.tokens import Tokens, tokenize
from tailguard.measure.view import View

SHOWN = 8
EXCERPT = 160
LONGEST_QUOTE = 24
"""Four-word phrases in a row that are quoted as one."""
SEARCHED_BYTES = 64 << 20
"""How much of the batch is read again to find the text of what stands out."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Content hashes of documents, and 4-grams, whose text is to be shown."""

    looping: Hashes
    copied: Hashes
    phrases: Hashes


@dataclass(frozen=True, slots=True)
class Shown:
    """Texts of what stands out: each a short excerpt."""

    looping: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()


def lost_words(batch: Profile, gold: Profile, limit: int = 24) -> list[str]:
    """Words of gold that the batch should have by its size and has not, the surest first."""
    ours, theirs = counts_under(View.whole(batch), View.whole(gold))
    tau = min(batch.grams[0].tau, gold.grams[0].tau)
    types = np.union1d(batch.grams[0].restrict(tau).types, gold.grams[0].restrict(tau).types)
    gone = np.flatnonzero((ours == 0) & (theirs > 0))
    best = gone[np.argsort(-theirs[gone], kind="stable")][:limit]
    return gold.names.of_hashes(types[best])


def _common_phrases(batch: DocumentSample, gold: DocumentSample) -> Hashes:
    """4-grams in more of the batch's documents than of gold's, the most one-sided first."""
    found: list[tuple[Hashes, Ints]] = []
    for sample in (batch, gold):
        grams, at = ngram_hashes(sample.tokens, sample.offsets, 4)
        document = np.repeat(np.arange(len(sample)), np.diff(at))
        pairs = np.unique(np.stack([grams, document.astype(np.uint64)], axis=1), axis=0)
        types, counts = np.unique(pairs[:, 0], return_counts=True)
        found.append((types, counts))
    (types, ours), (known, theirs) = found
    if len(types) == 0:
        return types
    at_gold = np.minimum(np.searchsorted(known, types), max(len(known) - 1, 0))
    in_gold = np.where(known[at_gold] == types, theirs[at_gold], 0) if len(known) else 0 * ours
    share = ours / max(len(batch), 1) - 2 * in_gold / max(len(gold), 1)
    top = np.argsort(-share, kind="stable")[: 40 * SHOWN]
    return types[top[(share[top] > 0.02) & (ours[top] >= 3)]]


def wanted(batch: Profile, gold: Profile) -> Wanted:
    """What is worth showing of the sampled documents."""
    sample = batch.documents
    if len(sample) == 0:
        none = np.zeros(0, np.uint64)
        return Wanted(none, none, none)
    loops = repetition(sample.tokens, sample.offsets).loop_tokens / np.diff(sample.offsets)
    worst = np.argsort(-loops, kind="stable")[:SHOWN]
    pairs, _ = near_duplicates(minhash(sample.tokens, sample.offsets, n_hashes=128))
    copied = np.concatenate([np.flatnonzero(sample.copies > 1), pairs[:, 0]])[:SHOWN]
    return Wanted(
        sample.content[worst[loops[worst] >= 0.1]],
        sample.content[copied],
        _common_phrases(sample, gold.documents),
    )


def show(batches: Iterable[pa.RecordBatch], what: Wanted) -> Shown:
    """Read the batch again until the texts are found, at most 64 MB of it."""
    looping: dict[int, str] = {}
    copied: dict[int, str] = {}
    phrases: dict[str, None] = {}
    read = 0
    for batch in batches:
        texts = batch.column("text")
        tokens = tokenize(texts)
        grams, at = ngram_hashes(tokens.hashes, tokens.offsets, 4)
        content, _ = fingerprint(tokens.hashes, tokens.offsets, grams, at)
        for target, into in ((what.looping, looping), (what.copied, copied)):
            for row in np.flatnonzero(np.isin(content, target)):
                into.setdefault(
                    int(content[row]), _excerpt(texts[int(row)].as_py(), into is looping)
                )
        if len(phrases) < SHOWN and len(what.phrases):
            hits = np.isin(grams, what.phrases)
            for phrase in _runs(hits, at, tokens):
                phrases.setdefault(phrase)
        read += texts.nbytes
        done = len(looping) == len(what.looping) and len(copied) == len(what.copied)
        if read > SEARCHED_BYTES or (done and (len(phrases) >= SHOWN or not len(what.phrases))):
            break
    longest = sorted(phrases, key=len, reverse=True)
    kept: list[str] = []
    for phrase in longest:
        if not any(phrase.lower() in other.lower() for other in kept):
            kept.append(phrase)
    return Shown(tuple(looping.values()), tuple(copied.values()), tuple(kept[:SHOWN]))


def _excerpt(text: str, from_end: bool) -> str:
    """The head of a text, or its end, where loops are."""
    flat = " ".join(text.split())
    if len(flat) <= EXCERPT:
        return flat
    return "… " + flat[-EXCERPT:] if from_end else flat[:EXCERPT] + " …"


def _runs(hits: NDArray[np.bool_], at: Ints, tokens: Tokens) -> Iterable[str]:
    """The text of stretches where every 4-gram is wanted, never across documents."""
    for document in np.flatnonzero(np.add.reduceat(np.append(hits, False), at[:-1]) > 0)[:400]:
        inside = hits[at[document] : at[document + 1]].astype(np.int8)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside, [0]])))
        shift = int(tokens.offsets[document])
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            stop = min(stop, start + LONGEST_QUOTE)
            yield tokens.text(shift + int(start), shift + int(stop) + 3)
