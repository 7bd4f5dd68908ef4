"""A diagnosis of rows (tables, embeddings, images) in words: their wording and findings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tailguard.measure.base import Axis
from tailguard.measure.stage import Diagnosis
from tailguard.measure.vectors.summary import VectorProfile
from tailguard.report.base import Finding
from tailguard.report.wording import Wording, axis_finding, unseen_losses

WHAT: dict[Axis, str] = {
    "T": "extreme values",
    "S": "spread",
    "N": "variety between rows",
    "R": "rows that are no copies",
}
MEANING: dict[Axis, str] = {
    "T": "Values that are extreme in gold are rarer in the batch. A model trained on it forgets "
    "the tails first, and does not get them back.",
    "S": "The batch lies closer around its middle than gold does: the mark of data sampled from a "
    "fitted model, or filtered for the typical.",
    "N": "The batch leaves out regions or directions that gold fills: modes are missing.",
    "R": "Rows are copies or near-copies of each other, or one value is repeated.",
}
FIX: dict[Axis, str] = {
    "T": "Add real data of the same kind, or lower the synthetic share, and audit again.",
    "S": "Sample with more variance, undo filters for quality, or mix in real data.",
    "N": "Find what is missing (compare by class or source) and add it.",
    "R": "Remove copied rows before anything else.",
}
STATISTICS: dict[str, str] = {
    "outer_1": "values in the outer 1% of their column",
    "outer_5": "values in the outer 5% of their column",
    "far_1": "rows among the 1% farthest from the middle",
    "far_5": "rows among the 5% farthest from the middle",
    "spread": "squared deviation of values",
    "room": "distance to neighbouring rows",
    "own_values": "values other than the column's most frequent",
    "not_a_copy": "rows without an equal",
    "not_a_near_copy": "rows without a near-copy",
    "modes": "clusters of rows that are reached",
    "reached": "clusters of gold that are reached",
    "effective_rank": "directions that rows spread in",
    "no_copies": "rows without an equal in the whole corpus",
}
SHOWN = 6
MOST_SHOWN_COLUMNS = 2_000


def _moved(foreign: bool) -> str:
    ground = "it lies beside gold" if foreign else "its middle or its places differ"
    return f"other data than gold ({ground})"


OF_ROWS = Wording(
    WHAT,
    MEANING,
    FIX,
    lambda metric: f"less: {STATISTICS[metric]}",
    "rows",
    "There are too few rows",
    "many more rows",
    _moved,
)


def collapse_findings(
    diagnosis: Diagnosis, batch: VectorProfile, gold: VectorProfile
) -> Iterable[Finding]:
    """One finding for each axis that fired, and one for a move."""
    for axis in diagnosis.axes:
        if axis.alarm:
            examples = narrowed_columns(batch, gold) if axis.axis in ("T", "S") else ()
            yield axis_finding(axis, examples, OF_ROWS)
    other = [e for e in diagnosis.alarms if e.axis is None]
    if diagnosis.foreign or other:
        what = {"same_middle": "the mean", "same_places": "where rows lie",
                "same_missing": "which values are missing"}  # fmt: skip
        listed = ", ".join(what[e.name] for e in other)
        detail = (
            "Rows of the batch are nearer to each other than to gold, and farther from gold than "
            "gold from itself. Gold cannot vouch for another domain."
            if diagnosis.foreign
            else f"The batch differs from gold by more than chance in {listed}."
        )
        fix = "Audit it against gold of its own domain."
        yield Finding("shift", "The batch lies elsewhere than gold", "warn", detail, fix)


def narrowed_columns(batch: VectorProfile, gold: VectorProfile) -> tuple[str, ...]:
    """The columns whose middle 99% shrank most, with where it lies on either side."""
    found = []
    for column, name in enumerate(gold.names[:MOST_SHOWN_COLUMNS]):
        ours, theirs = (
            [p.sketch.quantile(column, q) for q in (0.005, 0.995)] for p in (batch, gold)
        )
        wide = theirs[1] - theirs[0]
        if wide > 0 and (ours[1] - ours[0]) < wide:
            text = (
                f"{name[:60]}: 99% of values from {ours[0]:.3g} to {ours[1]:.3g}, "
                f"in gold from {theirs[0]:.3g} to {theirs[1]:.3g}"
            )
            found.append(((ours[1] - ours[0]) / wide, column, text))
    return tuple(text for _, _, text in sorted(found)[:SHOWN])


def overlap_findings(batch: VectorProfile, gold: VectorProfile) -> Iterable[Finding]:
    """Rows that batch and gold share, where rows hardly ever repeat by themselves."""
    limit = np.uint64(min(batch.contents.limit, gold.contents.limit))
    held = gold.contents.keys <= limit
    ours = batch.contents.keys[batch.contents.keys <= limit]
    if not len(ours) or not held.any() or (gold.contents.counts[held] > 1).mean() > 0.01:
        return
    share = float(np.isin(ours, gold.contents.keys[held]).mean())
    if share > 0:
        yield Finding(
            "overlap", f"{share:.1%} of the batch's rows are in gold, number for number", "warn",
            "Gold's own rows in a batch hide damage to the others.",
            "Remove them from the batch and audit the rest.",
        )  # fmt: skip


def caveats_of(diagnosis: Diagnosis, batch: VectorProfile, gold: VectorProfile) -> tuple[str, ...]:
    """What a reader must know before acting."""
    out = []
    if diagnosis.foreign:
        out.append(
            "The batch is of another domain, so losses on T, S and N may be properties of that "
            "domain; only exact copies were counted."
        )
    for name, profile in (("batch", batch), ("gold", gold)):
        if profile.n_rows > profile.rows.k:
            out.append(
                f"The test used a random sample of {profile.rows.k:,} of the {name}'s "
                f"{profile.n_rows:,} rows; copies were looked for in all."
            )
        if lost := int(profile.moments.infinite.sum()):
            out.append(f"{lost:,} of the {name}'s values are infinite and were left out.")
        if gone := int(profile.moments.missing.sum()):
            out.append(f"{gone:,} of the {name}'s values are missing.")
    return (*out, *unseen_losses(diagnosis))
