"""Human and machine texts for the studies behind docs/metrics.md.

English comes from ``../shared/data`` beside the project, code from the running Python. Data sets
of human/machine pairs hold the same human text several times, cut differently for each machine:
one text per opening of 60 letters is kept, else gold and batch would share documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tailguard.corpus import open_corpus
from tailguard.measure.tokens import tokenize

DATA = Path(__file__).parents[2] / "shared" / "data"
PAIRED = (
    "outfox/valid.jsonl",
    "rexshijaku/all.jsonl",
    "basemodel_pairs/gpt2xl_neo_opt.jsonl",
    "imbd/gen_polish.jsonl",
    "modern_pairs/fast-detect-gpt.jsonl",
    "modern_pairs/glimpse.jsonl",
)
OPENING = 60
LEAST_WORDS = 20
MOST_CHARACTERS = 6_000

Document = NDArray[np.int64]


@dataclass(frozen=True)
class Documents:
    """Documents as token numbers: ``words[number]`` is a token's text; one domain per document."""

    words: NDArray[np.object_]
    rows: list[Document]
    domains: list[str]

    def text(self, row: Document) -> str:
        """The document with one space between tokens, which tokenizes to the same tokens."""
        return " ".join(self.words[row])


def rows_of(path: str) -> list[dict[str, str]]:
    with open(DATA / path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def opening(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())[:OPENING]


@lru_cache(maxsize=1)
def paired_texts() -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Per data set and domain, (pair, text) of human and of machine rows: {key: {"H", "M"}}.

    Human texts are kept once over all data sets.
    """
    told: set[str] = set()
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for path in PAIRED:
        for row in rows_of(path):
            key = f"{path.partition('/')[0]}/{row['domain']}"
            sides = found.setdefault(key, {"H": [], "M": []})
            if int(row["label"]):
                sides["M"].append((row["pair"], row["text"]))
            elif (start := opening(row["text"])) not in told:
                told.add(start)
                sides["H"].append((row["pair"], row["text"]))
    return found


def book(name: str) -> str:
    """A whole work; Moby Dick without the publisher's header and footer."""
    text = (DATA / name).read_text("utf-8", "replace").replace("<unk>", "")
    inside = re.search(r"\*\*\* ?START[^\n]*\n(.*?)\*\*\* ?END", text, re.DOTALL)
    return inside[1] if inside else text


def works() -> Iterator[tuple[str, str]]:
    for split in ("test", "valid"):
        yield "wikitext2", book(f"wikitext2/{split}.txt")
    yield "moby dick", book("books/moby_dick.txt")
    yield "shakespeare", book("tinyshakespeare/input.txt")


def wiki_articles() -> list[str]:
    """Articles of WikiText-2, cut where a line is `` = Title = ``."""
    text = "".join(book(f"wikitext2/{split}.txt") for split in ("valid", "test"))
    return re.split(r"(?m)^(?= = [^=\n]+ = ?$)", text)


def records(name: str) -> list[tuple[str, str]]:
    """(source, text) of a bundled corpus: from 20 words, cut to 6,000 characters."""
    return [
        (source, text[:MOST_CHARACTERS])
        for batch in open_corpus(f"builtin:{name}").batches()
        for source, text in zip(
            batch.column("source").to_pylist(), batch.column("text").to_pylist(), strict=True
        )
        if len(text.split()) >= LEAST_WORDS
    ]


def pieces(streams: Iterable[tuple[str, Iterable[str]]], size: int) -> Documents:
    """Documents of exactly ``size`` tokens cut from (domain, texts run together)."""
    streams = [(domain, list(texts)) for domain, texts in streams]
    tokens = tokenize(pa.array([t for _, texts in streams for t in texts], pa.large_string()))
    _, first, numbers = np.unique(tokens.hashes, return_index=True, return_inverse=True)
    words = np.array([tokens.text(int(i)).lower() for i in first], object)
    rows, domains = [], []
    at = 0
    for domain, texts in streams:
        run = numbers[tokens.offsets[at] : tokens.offsets[at + len(texts)]]
        at += len(texts)
        cut = [run[i : i + size] for i in range(0, len(run) - size + 1, size)]
        rows += cut
        domains += [domain] * len(cut)
    return Documents(words, rows, domains)


def human_streams(seed: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Short texts of each domain in random order; whole works as they are."""
    rng = np.random.default_rng(seed)
    for key, sides in sorted(paired_texts().items()):
        texts = [text for _, text in sides["H"]]
        yield key, [texts[i] for i in rng.permutation(len(texts))]
    for name, text in works():
        yield name, [text]


@lru_cache(maxsize=1)
def english(size: int = 2_000) -> Documents:
    return pieces(human_streams(), size)


@lru_cache(maxsize=1)
def code(size: int = 2_000) -> Documents:
    """Each source file of the standard library cut up by itself; domains are its packages."""
    return pieces(
        (
            (source, [text])
            for batch in open_corpus("builtin:python-code").batches()
            for source, text in zip(
                batch.column("source").to_pylist(), batch.column("text").to_pylist(), strict=True
            )
        ),
        size,
    )


def arxiv_sentences() -> list[str]:
    """Human sentences of computer science abstracts, lower case without marks."""
    table = pq.read_table(DATA / "liang_arxiv/training/CS/human_data.parquet")
    return [" ".join(words) for words in table.column("human_sentence").to_pylist()]
