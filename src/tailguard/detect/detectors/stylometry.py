"""The stylometry detector: how a text is written, apart from what it is about.

Sentence rhythm, marks, function words, endings, connectives and letters, each as a rate. The word
lists are English; in another language their rates are zero and say nothing, the rest remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numba import njit

from tailguard.detect.detectors.base import Labels, Prepared
from tailguard.detect.detectors.dense import (
    DenseDetector,
    ends_sentence,
    find,
    is_word,
    local_variation,
    open_table,
    ratio,
    variance,
    word_hashes,
)
from tailguard.measure.base import Floats, Ints

MARKS = ("comma", "semicolon", "colon", "full stop", "question mark", "exclamation mark",
         "parenthesis", "quotation mark", "single quote", "hyphen", "dash", "ellipsis", "slash",
         "sign")  # fmt: skip
(COMMA, SEMI, COLON, STOP, QUESTION, EXCLAIM, PAREN, QUOTE, SINGLE, HYPHEN, DASH, ELLIPSIS, SLASH,
 SIGN) = range(len(MARKS))  # fmt: skip
ASCII_MARKS = (COMMA, SEMI, COLON, STOP, QUESTION, EXCLAIM, PAREN, PAREN, PAREN, PAREN, PAREN,
               PAREN, QUOTE, SINGLE, SINGLE, SLASH)  # fmt: skip
ENDINGS = ("ing", "ly", "ed", "tion sion", "ity", "ness", "ment", "ive", "al", "ous", "able ible",
           "er", "ize ise", "ism", "ance ence", "s")  # fmt: skip
ING, LY, ED = range(3)
CLASSES = {
    "article": "the a an",
    "demonstrative": "this that these those",
    "I": "i me my mine myself i'm i've i'd i'll",
    "we": "we us our ours ourselves we're we've we'll we'd",
    "you": "you your yours yourself yourselves you're you've you'll you'd",
    "he or she": "he him his himself she her hers herself he's she's he'd she'd he'll she'll",
    "it": "it its itself it's it'd it'll",
    "they": "they them their theirs themselves they're they've they'd they'll",
    "be": "is are was were be been being am",
    "have": "has have had having",
    "do": "do does did doing done",
    "modal": "will would shall should can could may might must cannot ought",
    "negation": "not no nor never none nothing nobody neither nowhere don't doesn't didn't isn't "
    "aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't ain't",
    "preposition": "of in to for on with at by from about into over after under between through "
    "during against among within without toward towards across along behind beyond near upon per "
    "via around above below beside besides amid inside outside onto off up down out",
    "coordination": "and or but yet so plus",
    "subordination": "because although though while whereas if unless since when until whether as "
    "than once before till lest",
    "relative or question": "who whom whose which what where why how whatever whichever",
    "quantity": "all some any many much more most few several each every both other another such "
    "own same less least enough half",
    "adverb": "just only even still too very there here now again already often always quite "
    "rather well back away ago almost maybe perhaps ever sometimes soon later never then",
    "addition": "also additionally furthermore moreover similarly likewise alongside further",
    "contrast": "however nevertheless nonetheless despite conversely instead otherwise regardless "
    "contrast contrary",
    "cause": "therefore thus hence consequently accordingly thereby due resulting result",
    "order": "first second third firstly secondly thirdly finally next lastly last",
    "summary": "overall ultimately conclusion summary conclude short essence essentially",
    "example": "example instance including particularly especially specifically namely notably",
    "hedge": "possibly likely potentially probably seems seem appear appears suggest suggests "
    "suggesting indicate indicates potential generally typically",
    "emphasis": "really clearly certainly indeed highly truly deeply greatly actually definitely "
    "simply completely absolutely",
    "importance": "important essential crucial key significant significantly vital critical "
    "importance significance",
    "speech": "said says told say asked added according",
    "number": "one two three four five six seven eight nine ten hundred thousand million",
}
COMMONEST = (
    "the a an of to in and or but for on with at by from as is are was were be been has have had "
    "it its this that these i he she they his her their my we you not who which can will would "
    "could may more also such into through while so if when there than all one out up about what no"
)
WORDS = tuple(COMMONEST.split())
N_CLASSES, N_WORDS, N_LENGTHS = len(CLASSES), len(WORDS), 12
CONTENT = N_CLASSES
"""The class of a word of no list."""
OPENERS = (*CLASSES, "another word", "-ing", "-ly", "a number")
_BE, _RELATIVE = list(CLASSES).index("be"), list(CLASSES).index("relative or question")
_AND, _BUT = WORDS.index("and"), WORDS.index("but")
LETTERS = 200
"""Letters in a block within which their entropy is taken."""

# Columns of a text's counts: single ones, then blocks.
(
    WORD, LETTER, SQUARE, CAPITAL, UPPER, DIGIT, CONTRACTION, POSSESSIVE, LONG, ENDED,
    COMMA_AND, COMMA_BUT, COMMA_ING, COMMA_RELATIVE, PASSIVE, SENT, SENT_LOG, SENT_LOG2, SENT_STEP,
    SENT_STEPS, SENT_VARIES, SENT_SHORT, SENT_LONG, BLOCKS, ENTROPY, LETTER_PAIRS,
) = range(26)  # fmt: skip
MARKS_AT = 26
LENGTHS_AT = MARKS_AT + len(MARKS)
ENDINGS_AT = LENGTHS_AT + N_LENGTHS
CLASSES_AT = ENDINGS_AT + len(ENDINGS)
WORDS_AT = CLASSES_AT + N_CLASSES
OPENERS_AT = WORDS_AT + N_WORDS
WIDTH = OPENERS_AT + len(OPENERS)


@njit(inline="always")
def _mark(data: Any, i: Any, j: Any, begin: Any, end: Any, ascii_marks: Any) -> Any:
    """Which mark the token of bytes i to j is, in a text of bytes begin to end."""
    byte = data[i]
    if byte == 45:  # a hyphen stands between two signs, a dash beside a space or as "--"
        tight = j - i == 1 and i > begin and j < end and data[i - 1] > 32 and data[j] > 32
        return HYPHEN if tight else DASH
    if byte == 46 and j - i > 1:
        return ELLIPSIS
    if byte == 0xE2 and j - i == 3 and data[i + 1] == 0x80:
        third = data[i + 2]
        if 0x90 <= third <= 0x95:
            return HYPHEN if third <= 0x91 else DASH
        if third == 0xA6:
            return ELLIPSIS
    return ascii_marks[byte]


@njit(inline="always")
def _ending(data: Any, i: Any, j: Any, endings: Any) -> Any:
    """Which ending the word of bytes i to j has; -1 for none, or for fewer than five bytes."""
    if j - i < 5:
        return -1
    tail = 0
    for k in range(j - 4, j):
        tail = tail << 8 | (data[k] | 32)
    for e in range(len(endings)):
        if tail & endings[e, 0] == endings[e, 1]:
            return endings[e, 2]
    return -1


@njit(inline="always")
def _shape(data: Any, i: Any, j: Any, first: Any, row: Any) -> Any:
    """Count a word's letters, capitals and apostrophe; whether it has the last."""
    letters, capitals, apostrophe = 0, 0, -1
    for k in range(i, j):
        letters += (data[k] & 0xC0) != 0x80
        capitals += 65 <= data[k] <= 90
        if data[k] == 39:
            apostrophe = k
    row[WORD] += 1
    row[LETTER] += letters
    row[SQUARE] += letters * letters
    row[LENGTHS_AT + min(letters, N_LENGTHS) - 1] += 1
    row[LONG] += letters > 6
    row[DIGIT] += 48 <= data[i] <= 57
    row[CAPITAL] += capitals > 0 and not first
    row[UPPER] += capitals == j - i and letters > 1
    if apostrophe >= 0:
        row[POSSESSIVE if apostrophe == j - 2 and data[j - 1] | 32 == 115 else CONTRACTION] += 1
    return apostrophe >= 0


@njit(inline="always")
def _sentence(row: Any, words: Any, before: Any) -> Any:
    """Count a sentence of so many words, ``before`` in the one before (0: there is none)."""
    log = np.log(words)
    row[SENT] += 1
    row[SENT_LOG] += log
    row[SENT_LOG2] += log * log
    row[SENT_SHORT] += words <= 8
    row[SENT_LONG] += words >= 30
    if before > 0:
        row[SENT_STEP] += abs(log - np.log(before))
        row[SENT_VARIES] += local_variation(words, before)
        row[SENT_STEPS] += 1


@njit(nogil=True, cache=True)
def _letters(data: Any, begin: Any, end: Any, row: Any) -> None:
    """Entropy of ASCII letters and number of different pairs of them, in blocks end to end."""
    counts, seen = np.zeros(26, np.int64), np.zeros(676, np.int64)
    n, before, block = 0, -1, 1
    for i in range(begin, end):
        letter = int(data[i] | 32) - 97
        if not 0 <= letter < 26:
            before = -1
            continue
        counts[letter] += 1
        n += 1
        if before >= 0 and seen[26 * before + letter] < block:
            seen[26 * before + letter] = block
            row[LETTER_PAIRS] += 1
        before = letter
        if n == LETTERS:
            for k in range(26):
                if counts[k]:
                    row[ENTROPY] -= counts[k] / n * np.log(counts[k] / n)
                counts[k] = 0
            row[BLOCKS] += 1
            n, before, block = 0, -1, block + 1
    for k in range(676):  # the last block is not whole, and does not count
        row[LETTER_PAIRS] -= seen[k] == block


@njit(nogil=True, cache=True)
def _count(
    hashes: Any, spans: Any, data: Any, begin: Any, end: Any, tables: Any, row: Any
) -> None:  # fmt: skip
    """Count everything of one text but its letters."""
    keys, classes, words, endings, ascii_marks = tables
    length, before, first, comma, since_be = 0, 0, False, False, 9
    for t in range(len(hashes)):
        i, j = spans[t, 0], spans[t, 1]
        if not is_word(data, i, end):
            mark = _mark(data, i, j, begin, end, ascii_marks)
            row[MARKS_AT + mark] += 1
            comma, since_be = mark == COMMA, 9
            if length and ends_sentence(data, i, j, end):
                row[ENDED] += 1
                _sentence(row, length, before)
                before, length, first = length, 0, True
            continue
        length += 1
        apostrophe = _shape(data, i, j, length == 1, row)
        slot = find(keys, hashes[t])
        class_, word = (classes[slot], words[slot]) if slot >= 0 else (CONTENT, -1)
        ending = -1
        if class_ < CONTENT:
            row[CLASSES_AT + class_] += 1
        elif not apostrophe:
            ending = _ending(data, i, j, endings)
        if word >= 0:
            row[WORDS_AT + word] += 1
        if ending >= 0:
            row[ENDINGS_AT + ending] += 1
        if first:  # of a sentence whose beginning is known
            opener = class_
            if class_ == CONTENT and ending in (ING, LY):
                opener += 1 if ending == ING else 2
            elif class_ == CONTENT and 48 <= data[i] <= 57:
                opener += 3
            row[OPENERS_AT + opener] += 1
        if comma:
            row[COMMA_AND] += word == _AND
            row[COMMA_BUT] += word == _BUT
            row[COMMA_ING] += ending == ING
            row[COMMA_RELATIVE] += class_ == _RELATIVE
        row[PASSIVE] += since_be < 2 and ending == ED
        since_be = 0 if class_ == _BE else since_be + 1
        first = comma = False


@njit(nogil=True, cache=True)
def _counts(
    hashes: Any, at: Any, spans: Any, data: Any, offsets: Any, tables: Any, out: Any
) -> None:  # fmt: skip
    for d in range(len(at) - 1):
        a, b = at[d], at[d + 1]
        _count(hashes[a:b], spans[a:b], data, offsets[d], offsets[d + 1], tables, out[d])
        _letters(data, offsets[d], offsets[d + 1], out[d])


@cache
def _tables() -> tuple[Any, ...]:
    """The lists as the kernels read them, made once."""
    every = sorted({*" ".join(CLASSES.values()).split(), *WORDS})
    keys, slots = open_table(word_hashes(every))
    classes, words = np.full(len(keys), CONTENT), np.full(len(keys), -1)
    of = {word: k for k, listed in enumerate(CLASSES.values()) for word in listed.split()}
    classes[slots] = [of.get(word, CONTENT) for word in every]
    words[slots] = [WORDS.index(word) if word in WORDS else -1 for word in every]
    spelt = [(end.encode(), k) for k, listed in enumerate(ENDINGS) for end in listed.split()]
    spelt.sort(key=lambda one: -len(one[0]))  # -ness before -s
    endings = [[(1 << 8 * len(end)) - 1, int.from_bytes(end, "big"), k] for end, k in spelt]
    marks = np.full(256, SIGN)
    for sign, mark in zip(",;:.?!()[]{}\"'`/", ASCII_MARKS, strict=True):
        marks[ord(sign)] = mark
    return keys, classes, words, np.array(endings), marks


def _features(counts: Floats) -> dict[str, Floats]:
    """Features by name from the counts of texts, each (n,).

    Openers count for each word too: for each sentence, the mean would lean on texts' lengths, as a
    window of given words holds fewer of the long sentences.
    """
    column = counts.T
    n, sentences = column[WORD], column[SENT]
    found: dict[str, Floats] = {}
    sizes = [f"words of {k} letters" for k in range(1, N_LENGTHS)]
    for at, whole, names in (
        (MARKS_AT, n, MARKS),
        (LENGTHS_AT, n, (*sizes, f"words of {N_LENGTHS} letters or more")),
        (ENDINGS_AT, n, tuple(f"words in -{'/-'.join(end.split())}" for end in ENDINGS)),
        (CLASSES_AT, n, tuple(f"words of {name}" for name in CLASSES)),
        (WORDS_AT, n, tuple(f"the word {word!r}" for word in WORDS)),
        (OPENERS_AT, n, tuple(f"sentences opened by {name}" for name in OPENERS)),
    ):
        found |= {name: ratio(column[at + k], whole) for k, name in enumerate(names)}
    rates = {
        "capitalised words": CAPITAL, "words in capitals": UPPER, "numbers": DIGIT,
        "contractions": CONTRACTION, "possessives": POSSESSIVE, "long words": LONG,
        "sentence ends": ENDED, "comma and 'and'": COMMA_AND, "comma and 'but'": COMMA_BUT,
        "comma and -ing": COMMA_ING, "comma and relative": COMMA_RELATIVE, "passive": PASSIVE,
    }  # fmt: skip
    found |= {name: ratio(column[at], n) for name, at in rates.items()}
    found["mean word length"] = letters = ratio(column[LETTER], n)
    found["variance of word length"] = variance(column[LETTER], column[SQUARE], n)
    found["readability (Coleman-Liau)"] = 5.88 * letters - 29.6 * found["sentence ends"] - 15.8
    found["sentence length (log)"] = ratio(column[SENT_LOG], sentences)
    found["variance of sentence length (log)"] = variance(
        column[SENT_LOG], column[SENT_LOG2], sentences
    )
    found["change of sentence length"] = ratio(column[SENT_STEP], column[SENT_STEPS])
    found["burstiness of sentence length"] = ratio(column[SENT_VARIES], column[SENT_STEPS])
    found["short sentences"] = ratio(column[SENT_SHORT], sentences)
    found["long sentences"] = ratio(column[SENT_LONG], sentences)
    found["entropy of letters"] = ratio(column[ENTROPY], column[BLOCKS])
    found["different letter pairs"] = ratio(column[LETTER_PAIRS], column[BLOCKS])
    return found


@dataclass(slots=True)
class StylometryDetector(DenseDetector):
    """Log-odds of "synthetic" from how a text is written.

    Features, in ``names``: rates for each word of marks, of lengths 1 to 12, of endings, of classes
    of function and discourse words and of the commonest function words, of capitals, numbers and
    contractions, of passive-like pairs, of what follows a comma and of what opens a sentence;
    level, variance, movement and burstiness of sentence length (in words, of sentences that end in
    the text); word length and its variance; readability without syllables; entropy of letters and
    number of different letter pairs in blocks of 200 letters. All are rates, unbiased variances, or
    averages over blocks of one size, so that length does not leak. Lists and endings are English.

    After ``fit``: the fields of :class:`~tailguard.detect.detectors.dense.DenseDetector`. The score
    is in nats.

    Source: Mosteller and Wallace 1963 for function words; Coleman and Liau 1975; Stamatatos 2009.

    >>> human = [f"I went. We didn't know {k} of them, but he laughed and ran!" for k in range(30)]
    >>> synthetic = [f"Overall, it is crucial to consider {k} key aspects." for k in range(30)]
    >>> detector = StylometryDetector().fit(human, synthetic)
    >>> low, high = detector.score(["He ran, but we didn't!", "Overall, it is crucial."])
    >>> bool(low < 0 < high)
    True
    """

    kind: ClassVar[str] = "stylometry"
    names: ClassVar[tuple[str, ...]] = tuple(_features(np.zeros((1, WIDTH))))

    def features(self, texts: Prepared) -> Floats:
        """The features of ``names``, shape (n, k); nan where a text is too short for one."""
        counts = np.zeros((len(texts), WIDTH))
        tokens = texts.tokens
        _counts(
            tokens.hashes, tokens.offsets, tokens.spans, texts.data, texts.offsets, _tables(),
            counts,
        )  # fmt: skip
        return np.column_stack(list(_features(counts).values()))

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        self._fit_dense(self.features(texts), synthetic)
