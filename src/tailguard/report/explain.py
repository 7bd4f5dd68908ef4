"""A diagnosis of text in words: its wording, findings with examples, and caveats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tailguard.measure.base import Axis
from tailguard.measure.evidence import Shown
from tailguard.measure.profile import Profile
from tailguard.measure.stage import Diagnosis
from tailguard.report.base import Finding
from tailguard.report.wording import Wording, axis_finding, unseen_losses

WHAT: dict[Axis, str] = {
    "T": "rare words",
    "S": "variety of the next word",
    "N": "variety between documents",
    "R": "text that does not repeat itself",
}
MEANING: dict[Axis, str] = {
    "T": "Words that are rare in gold are rarer still in the batch. A model trained on it forgets "
    "them first, and does not get them back.",
    "S": "The batch takes the likeliest next word more often than gold does: the mark of text "
    "sampled from a model, or of a low temperature.",
    "N": "Documents of the batch resemble each other more than gold's do: shared phrases, "
    "templates or missing topics.",
    "R": "Documents loop, repeat themselves or are copies of each other.",
}
FIX: dict[Axis, str] = {
    "T": "Add human text of the same kind, or lower the synthetic share, and audit again.",
    "S": "Sample with a higher temperature, or mix in human text.",
    "N": "Drop templates, spread prompts over more topics, or sample fewer texts per prompt.",
    "R": "Filter looping and duplicated documents before anything else.",
}
STATISTICS: dict[str, str] = {
    "rare_words": "words that hardly any other document has",
    "rare_mass": "mass of words that hardly any other document has",
    "next_word_variety": "next words other than the likeliest",
    "surprise": "surprise of the words",
    "own_phrases": "four-word phrases that no other document has",
    "no_pet_phrase": "documents without the batch's pet phrase",
    "no_repeats": "four-word phrases not repeated nearby",
    "not_overly_repeating": "documents that repeat no more than most",
    "no_loops": "documents without a loop",
    "not_a_copy": "documents that are no near-copy of another",
    "topic_spread": "distance between documents' topics",
    "same_topics": "topics as in gold",
    "degenerate_documents": "documents that are neither empty nor mostly a loop",
}


def statistic_name(metric: str) -> str:
    """A tested statistic in words.

    >>> statistic_name("surprise|topic")
    'surprise of the words, topic held fixed'
    """
    name, _, adjusted = metric.partition("|")
    return STATISTICS.get(name, name) + (", topic held fixed" if adjusted else "")


def _lost(metric: str) -> str:
    statistic = statistic_name(metric)
    word = "less" if statistic.startswith(("mass", "surprise")) else "fewer"
    return f"{word} {statistic}"


def _moved(foreign: bool) -> str:
    ground = "it has many words that gold lacks" if foreign else "its topics differ"
    return f"other text than gold ({ground})"


OF_TEXT = Wording(
    WHAT,
    MEANING,
    FIX,
    _lost,
    "documents",
    "There is too little text",
    "more documents, of a few hundred words at least,",
    _moved,
)


def collapse_findings(diagnosis: Diagnosis, shown: Shown, lost: Sequence[str]) -> Iterable[Finding]:
    """One finding for each axis that fired, and one for a change of topics."""
    examples: dict[Axis, tuple[str, ...]] = {
        "T": ("words of gold that the batch lacks: " + ", ".join(lost),) if lost else (),
        "S": (),
        "N": shown.phrases,
        "R": (*shown.looping, *shown.copied),
    }
    for axis in diagnosis.axes:
        if axis.alarm:
            yield axis_finding(axis, examples[axis.axis], OF_TEXT)
    other = [e for e in diagnosis.alarms if e.axis is None]
    if diagnosis.foreign or other:
        detail = (
            "The batch uses many words or word pairs that gold does not have, more than text of "
            "gold's own kind would. Gold cannot vouch for another domain."
            if diagnosis.foreign
            else "Topics differ from gold's by more than chance"
            + (
                ", and documents lie closer together."
                if any(e.name == "topic_spread" for e in other)
                else "."
            )
        )
        # Topics also move when a model mixes them: that alone is no reason for other gold.
        alone = diagnosis.foreign or not any(axis.alarm for axis in diagnosis.axes)
        fix = "Audit it against gold of its own domain." if alone else ""
        title = "The batch is about other things than gold"
        yield Finding("shift", title, "warn" if alone else "info", detail, fix)


def caveats_of(diagnosis: Diagnosis, batch: Profile, gold: Profile) -> tuple[str, ...]:
    """What a reader must know before acting."""
    out = []
    if diagnosis.foreign:
        out.append(
            "The batch is of another domain, so losses on T, S and N may be properties of that "
            "domain; only loops and copies were counted."
        )
    for name, profile in (("batch", batch), ("gold", gold)):
        if empty := profile.table.total("empty"):
            out.append(
                f"{empty:,} of the {name}'s {profile.n_documents:,} documents are empty; "
                "the test left them out."
            )
        if len(profile.documents) < profile.n_documents - profile.table.total("empty"):
            out.append(
                f"The test used a random sample of {len(profile.documents):,} of the {name}'s "
                f"{profile.n_documents:,} documents, and at most 4,096 tokens of each."
            )
    if gold.n_tokens < batch.n_tokens / 4:
        out.append("Gold is much smaller than the batch and limits what can be seen.")
    ours, theirs = batch.length_quantile(0.5), gold.length_quantile(0.5)
    if math.isfinite(ours / theirs) and not 1 / 3 < ours / theirs < 3:
        out.append(
            f"Documents differ in length (median about {ours:,.0f} against {theirs:,.0f} tokens)."
        )
    return (*out, *unseen_losses(diagnosis))
