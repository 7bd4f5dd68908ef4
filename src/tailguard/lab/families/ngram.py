"""An n-gram language model over words of real text: small, fast, and it collapses for real.

Text splits into words, marks and runs of white space; a word or mark takes one space before it
along, so that joining tokens gives the text back. The fitted model is an automaton: a state for
every context of 0 … order-1 tokens, an arc for every token seen after it, and from every state a
way back to the same context without its oldest token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TOKEN = re.compile(r" ?\w+| ?[^\w\s]+|\s+")

# The contexts of no tokens: what kind of token came last. Without them a draw from single-token
# counts could put two bare words side by side, and they would read back as one unknown word.
_START, _WORD, _MARK, _SPACE = range(4)
_ROOTS = 4
_BELOW_ONE = float(np.nextafter(1.0, 0.0))


def tokenize(text: str) -> list[str]:
    """Split text into words, marks and white space; ``"".join`` of them is " " + text, stripped.

    >>> tokenize("To be, or\\n  not.")
    [' To', ' be', ',', ' or', '\\n  ', 'not', '.']
    """
    stripped = text.strip()
    return _TOKEN.findall(" " + stripped) if stripped else []


@FAMILIES.register("ngram", cite="Witten & Bell 1991 (method C); Holtzman et al. 2020 (top-p)")
@dataclass(frozen=True)
class NGram:
    """Words given the ``order`` - 1 before them, with Witten–Bell escape to shorter contexts.

    With c(h) tokens of t(h) types seen after context h, and h' the context without its oldest
    token, a draw stays at h with the odds c(h) : ``escape``·t(h) and then takes token w with
    weight c(hw); else it goes on at h':

        p(w | h) = s(h) · q(w | h) + (1 - s(h)) · p(w | h'),
        s(h) ∝ c(h)^(1/T),   1 - s(h) ∝ (escape · t(h))^(1/T),   q(w | h) ∝ c(hw)^(1/T).

    The decoder acts on each choice: ``temperature`` T as above, and ``top_p`` keeps the fewest,
    likeliest tokens that hold this share of q, and never leaves h when s(h) ≥ ``top_p``. The
    empty context keeps all tokens that may stand after the last one (no two bare words in a
    row), so order 1 draws from plain word frequencies. ``escape`` = 1 is Witten–Bell, 0 always
    follows the longest context known. Documents begin like documents, and end at a length drawn
    from those of the training documents.

    Raises InputError for settings out of range, and for text without a token.

    >>> rng = np.random.default_rng(0)
    >>> model = NGram(order=2).fit(["a b a c"], rng=rng)
    >>> bool(np.isclose(model.log_prob(["a"])[0], np.log(1 / 2 * 1 + 1 / 2 * 2 / 4)))
    True
    >>> [len(text.split()) for text in model.sample(3, rng=rng)]
    [4, 4, 4]

    Source: Witten & Bell 1991 (method C); Holtzman et al. 2020 (top-p).
    """

    order: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    escape: float = 1.0

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("order", self.order >= 1, "at least 1"),
            ("temperature", 0.0 < self.temperature < np.inf, "above 0"),
            ("top_p", 0.0 < self.top_p <= 1.0, "in (0, 1]"),
            ("escape", 0.0 <= self.escape < np.inf, "at least 0"),
        ):
            if not ok:
                got = f"{getattr(self, name)}"
                raise InputError("NGram", f"{name} {expected}", got, f"change {name}")

    def fit(self, data: Sequence[str], *, rng: np.random.Generator) -> NGramModel:
        """Count; ``rng`` is not used, since nothing in it is random."""
        documents = [tokenize(text) for text in data]
        lengths = np.fromiter(map(len, documents), np.int64, len(documents))
        flat = [token for document in documents for token in document]
        if not flat:
            raise InputError(
                "NGram", "text with a token", f"{len(documents)} empty documents", "give text"
            )
        vocabulary = list(dict.fromkeys(flat))
        index = {token: i for i, token in enumerate(vocabulary)}
        tokens = np.fromiter(map(index.__getitem__, flat), np.int64, len(flat))
        counts = _count(tokens, lengths, vocabulary, self.order)
        return NGramModel(vocabulary, lengths, _decoder(counts, self))


class NGramModel:
    """A fitted `NGram`: writes documents, and says how likely it was to write given ones."""

    def __init__(self, vocabulary: list[str], lengths: Ints, automaton: _Automaton) -> None:
        self.vocabulary = vocabulary
        self.lengths = lengths
        self._automaton = automaton

    def sample(self, n: int, *, rng: np.random.Generator) -> list[str]:
        """``n`` documents, their lengths drawn with replacement from the training lengths."""
        ends = np.cumsum(rng.choice(self.lengths, n))
        total = int(ends[-1]) if n else 0
        drawn = np.empty(total, np.int64)
        _walk(self._automaton, ends, rng.random(total), drawn)
        words = np.array(self.vocabulary, dtype=object)[drawn].tolist()
        return ["".join(words[i:j]).strip() for i, j in pairwise([0, *ends.tolist()])]

    def log_prob(self, docs: Sequence[str]) -> Floats:
        """Mean log-probability of each document's tokens given its length, in nats per token.

        Shape (len(docs),), ≤ 0; -inf when the decoder can never write the document (such as for a
        word it never saw), nan for a document without tokens.
        """
        index = {token: i for i, token in enumerate(self.vocabulary)}
        documents = [tokenize(text) for text in docs]
        lengths = np.fromiter(map(len, documents), np.int64, len(documents))
        flat = (index.get(token, -1) for document in documents for token in document)
        tokens = np.fromiter(flat, np.int64, int(lengths.sum()))
        out = np.empty(len(documents))
        _score(self._automaton, np.cumsum(lengths), tokens, out)
        with np.errstate(invalid="ignore"):
            return out / lengths


class _Counts(NamedTuple):
    """Arcs sorted by (state, token), states numbered from the shortest contexts up."""

    state: Ints  # per arc: where it leaves
    token: Ints  # per arc
    times: Ints  # per arc: how often it was seen
    target: Ints  # per arc: the longest context known after it
    back: Ints  # per state: its context without the oldest token
    start: int  # the state before a document's first token


class _Automaton(NamedTuple):
    """What sampling needs: the counts as the decoder sees them."""

    first: Ints  # per state, and one more: its first arc
    stay: Floats  # per state: the chance to draw here; 1 at the roots
    back: Ints
    token: Ints
    target: Ints
    cumulative: Floats  # per arc: running share of its state's weight, ends in exactly 1
    start: int


def _roots(vocabulary: list[str]) -> tuple[NDArray[np.bool_], Ints]:
    """Which tokens may follow which kind of last token (4, V), and each token's own kind (V,)."""
    space = np.array([token.isspace() for token in vocabulary])
    bare = np.array([not token[0].isspace() for token in vocabulary])
    word = np.array([token[-1].isalnum() or token[-1] == "_" for token in vocabulary])
    kind = np.where(space, _SPACE, np.where(word, _WORD, _MARK))
    may_follow = np.stack([~bare & ~space, ~(bare & word), ~bare | word, bare])
    return may_follow, kind


def _count(tokens: Ints, lengths: Ints, vocabulary: list[str], order: int) -> _Counts:
    """Count every context of 0 … order-1 tokens, one sort per context length."""
    size = len(vocabulary)
    may_follow, kind = _roots(vocabulary)
    state, token = np.nonzero(may_follow)
    count = np.bincount(tokens, minlength=size)[token]
    if order == 1:
        return _Counts(state, token, count, kind[token], np.zeros(_ROOTS, np.int64), _START)

    # One slot per token and one after each document's last; a slot's context lies before it.
    begin = np.cumsum(lengths + 1) - lengths - 1
    inner = np.ones(len(tokens) + len(lengths), np.bool_)
    inner[begin + lengths] = False
    slots = np.flatnonzero(inner)
    start = _ROOTS + size
    context = np.full(len(inner), start)
    context[slots + 1] = _ROOTS + tokens
    context[begin] = start
    levels = [(state, token, count, _ROOTS + token)]
    backs = [np.zeros(_ROOTS, np.int64), kind, np.array([_START])]
    states = start + 1
    for length in range(1, order):
        key, arc, count = np.unique(
            context[slots] * size + tokens, return_inverse=True, return_counts=True
        )
        if length < order - 1:
            # An arc here and its token make one context of the next length.
            target = states + np.arange(len(key))
            longer = np.full(len(inner), states + len(key))
            longer[slots + 1] = states + arc
            longer[begin] = states + len(key)
            back = np.empty(len(key) + 1, np.int64)
            back[longer - states] = context
            backs.append(back)
            start, states = states + len(key), states + len(key) + 1
            levels.append((key // size, key % size, count, target))
            context = longer
        else:
            target = np.empty(len(key), np.int64)
            target[arc] = context[slots + 1]
            levels.append((key // size, key % size, count, target))
    state, token, count, target = (np.concatenate(column) for column in zip(*levels, strict=True))
    return _Counts(state, token, count, target, np.concatenate(backs), start)


def _decoder(counts: _Counts, family: NGram) -> _Automaton:
    """Weigh tokens and escapes by temperature and top-p."""
    sharpness = 1.0 / family.temperature
    states = len(counts.back)
    types = np.bincount(counts.state, minlength=states)
    first = np.concatenate([[0], np.cumsum(types)])
    # Relative to the state's largest count, so that no temperature overflows.
    largest = np.zeros(states)
    np.maximum.at(largest, counts.state, counts.times.astype(np.float64))
    weight = (counts.times / largest[counts.state]) ** sharpness
    if family.top_p < 1.0:
        weight[~_nucleus(counts.state, weight, first, family.top_p)] = 0.0
    _cumulate(first, weight)

    total = np.bincount(counts.state, weights=counts.times, minlength=states)
    # A context that only ends documents has no arc: it always escapes.
    with np.errstate(over="ignore"):
        odds = (family.escape * types / np.maximum(total, 1.0)) ** sharpness
    stay = np.where(types > 0, 1.0 / (1.0 + odds), 0.0)
    stay[(types > 0) & (stay >= family.top_p)] = 1.0
    stay[:_ROOTS] = 1.0
    return _Automaton(first, stay, counts.back, counts.token, counts.target, weight, counts.start)


def _nucleus(state: Ints, weight: Floats, first: Ints, top_p: float) -> NDArray[np.bool_]:
    """The likeliest arcs of each state up to a share ``top_p``; ties go to the earlier token."""
    order = np.lexsort((-weight, state))
    running = np.cumsum(weight[order])
    before = np.concatenate([[0.0], running])
    base, end = before[first[:-1]], before[first[1:]]
    keep = np.empty(len(state), np.bool_)
    keep[order] = before[:-1] - base[state] < top_p * (end - base)[state]
    return keep


@njit(cache=True, nogil=True)
def _cumulate(first: Ints, weight: Floats) -> None:
    for state in range(len(first) - 1):
        total = 0.0
        for arc in range(first[state], first[state + 1]):
            total += weight[arc]
            weight[arc] = total
        for arc in range(first[state], first[state + 1]):
            weight[arc] /= total


@njit(cache=True, nogil=True)
def _find(auto: _Automaton, state: int, token: int) -> int:
    """The arc of a token, or -1."""
    low, high = auto.first[state], auto.first[state + 1]
    while low < high:
        middle = (low + high) >> 1
        if auto.token[middle] < token:
            low = middle + 1
        else:
            high = middle
    return low if low < auto.first[state + 1] and auto.token[low] == token else -1


@njit(cache=True, nogil=True)
def _walk(auto: _Automaton, ends: Ints, uniform: Floats, out: Ints) -> None:
    i = 0
    for end in ends:
        context = auto.start
        while i < end:
            # One uniform pays for all choices of a token: what is left of it is uniform again.
            u, state = uniform[i], context
            while u >= auto.stay[state]:
                u = min((u - auto.stay[state]) / (1.0 - auto.stay[state]), _BELOW_ONE)
                state = auto.back[state]
            u = min(u / auto.stay[state], _BELOW_ONE)
            low, high = auto.first[state], auto.first[state + 1] - 1
            while low < high:
                middle = (low + high) >> 1
                if auto.cumulative[middle] > u:
                    high = middle
                else:
                    low = middle + 1
            out[i] = auto.token[low]
            arc = low
            if state != context:
                arc = _find(auto, context, out[i])
                while arc < 0:
                    context = auto.back[context]
                    arc = _find(auto, context, out[i])
            context = auto.target[arc]
            i += 1


@njit(cache=True, nogil=True)
def _score(auto: _Automaton, ends: Ints, tokens: Ints, out: Floats) -> None:
    begin = 0
    for document, end in enumerate(ends):
        context, total = auto.start, 0.0
        for i in range(begin, end):
            state, reach, p, longest = context, 1.0, 0.0, -1
            while True:
                arc = _find(auto, state, tokens[i])
                if arc >= 0:
                    share = auto.cumulative[arc]
                    if arc > auto.first[state]:
                        share -= auto.cumulative[arc - 1]
                    p += reach * auto.stay[state] * share
                    longest = max(longest, arc)
                if state < _ROOTS:
                    break
                reach *= 1.0 - auto.stay[state]
                state = auto.back[state]
            total += np.log(p) if p > 0.0 else -np.inf
            if longest < 0:
                break
            context = auto.target[longest]
        out[document] = total
        begin = end
