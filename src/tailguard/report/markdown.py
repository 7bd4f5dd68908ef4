"""A verdict as Markdown, for pull requests and terminals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tailguard.report.base import Finding, Side, Verdict
from tailguard.report.words import (
    AXIS_WORDS,
    STAGE_WORDS,
    STATUS_WORDS,
    axis_state,
    axis_title,
    interval,
    number,
    one_line,
    p_value,
    percent,
    span,
    worst_first,
)

MAX_FINDINGS = 50
MAX_EXAMPLES = 5
MAX_ROWS = 100

_ICONS = {"pass": "✅", "warn": "⚠️", "fail": "❌", "inconclusive": "❔"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")


def to_markdown(verdict: Verdict) -> str:
    """The verdict as GitHub-flavoured Markdown; text from data is escaped or set as code.

    Long lists are cut, and say so; the JSON report holds everything.
    """
    v = verdict
    score_lo_hi = interval(v.score_lo, v.score_hi)
    parts = [
        f"# {_ICONS[v.status]} {STATUS_WORDS[v.status]}: {_text(v.headline)}",
        f"**Stage {v.stage}**: {STAGE_WORDS[v.stage]}. Collapse score {percent(v.score)} "
        f"({score_lo_hi}). Decided by the rule {_code(v.rule)}.",
    ]
    if v.documents_needed is not None:
        parts.append(f"About {number(v.documents_needed)} documents would settle it.")
    parts += _section("What to do", _bullets(v.todo))
    parts += _section("Axes", _axes(v))
    parts += _section("Findings", _findings(worst_first(v.findings)))
    parts += _section("Slices", _slices(v))
    parts += _section("Readings", _readings(v))
    parts += _section("Compared", _sides(v.batch, v.gold))
    parts += _section("Caveats", _bullets(v.caveats))
    created = f", {_text(v.created)}" if v.created else ""
    parts.append(f"---\n\nTailguard {_text(v.version)}, seed {v.seed}{created}.")
    return "\n\n".join(parts) + "\n"


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}", body] if body else []


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", one_line(text, 500))


def _code(text: str, limit: int = 160) -> str:
    """A code span that ``text`` cannot leave: its fence is longer than any run of backticks."""
    text = one_line(text, limit) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _cell(text: str) -> str:
    # A bar ends the cell even inside code, and a backslash before it may not help.
    return _code(text.replace("|", "¦"), 80)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_text(line)}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows[:MAX_ROWS]]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    rest = len(rows) - MAX_ROWS
    return text + (f"\n\n…and {rest} more in the JSON report." if rest > 0 else "")


def _axes(v: Verdict) -> str:
    rows = [
        [
            f"{axis_title(a)}: {AXIS_WORDS[a.axis]}",
            percent(a.retention),
            interval(a.lo, a.hi),
            p_value(a.p),
            percent(a.detectable),
            _cell(a.metric),
            axis_state(a)[1],
        ]
        for a in v.axes
    ]
    head = ["axis", "retention", "interval", "p", "smallest visible loss", "metric", "state"]
    return _table(head, rows)


def _findings(findings: Sequence[Finding]) -> str:
    parts = []
    for f in findings[:MAX_FINDINGS]:
        lines = [f"- **{f.severity}** {_text(f.title)} ({_code(f.section)})"]
        lines += [f"  {_text(text)}" for text in (f.detail, f.fix) if text]
        lines += [f"  - {_code(example)}" for example in f.examples[:MAX_EXAMPLES]]
        parts.append("\n".join(lines))
    rest = len(findings) - MAX_FINDINGS
    if rest > 0:
        parts.append(f"- …and {rest} more in the JSON report.")
    return "\n".join(parts)


def _slices(v: Verdict) -> str:
    rows = [
        [
            _cell(f"{s.by} = {s.value}"),
            number(s.documents),
            s.stage,
            *(percent(s.retention[a][0]) if a in s.retention else "–" for a in AXIS_WORDS),
        ]
        for s in v.slices
    ]
    return _table(["slice", "documents", "stage", *AXIS_WORDS], rows)


def _readings(v: Verdict) -> str:
    rows = [
        [
            _cell(r.metric),
            number(r.value),
            span(r.lo, r.hi),
            number(r.gold),
            p_value(r.null_p),
            number(r.n),
            _text(r.note),
        ]
        for r in v.readings
    ]
    return _table(["metric", "batch", "interval", "gold", "p", "n", "note"], rows)


def _sides(batch: Side, gold: Side) -> str:
    rows = [
        [
            role,
            _cell(side.name),
            number(side.documents),
            number(side.tokens),
            number(side.bytes),
            number(side.quarantined),
            _cell(side.fingerprint),
        ]
        for role, side in (("batch", batch), ("gold", gold))
    ]
    head = ["", "name", "documents", "tokens", "bytes", "quarantined", "fingerprint"]
    return _table(head, rows)
