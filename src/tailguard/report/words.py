"""Plain words and number formats shared by every form of the report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tailguard.measure.base import AXIS_NAMES, AxisResult, Stage
from tailguard.report.base import Finding, Status

NOTHING = "–"

STATUS_WORDS: dict[Status, str] = {
    "pass": "Pass",
    "warn": "Warning",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
}

STAGE_WORDS: dict[Stage, str] = {
    "healthy": "no loss beyond the margin was found on any axis",
    "early": "rare material is being lost, or common choices are being favoured",
    "mid": "modes are narrowing: documents have become more alike",
    "late": "records are degenerating: they repeat themselves or each other",
    "shifted": "the batch is about something else than gold, but not less diverse",
    "insufficient": "there is too little data to tell damage from chance",
}

AXIS_WORDS = {
    "T": "rare material kept",
    "S": "spread over likely and unlikely choices kept",
    "N": "variety between documents kept",
    "R": "freedom from loops and copies kept",
}

# C0 and C1 controls (but tab and newline), and the two code points XML forbids besides.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


def clean(text: str) -> str:
    """``text`` with control characters and lone surrogates made visible, fit for XML and HTML.

    >>> clean("a\\x00b\\x1b[31m")
    'a␀b␛[31m'
    """
    text = _CONTROLS.sub(_picture, text.replace("\r\n", "\n"))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


def one_line(text: str, limit: int = 200) -> str:
    """``text`` cleaned, on one line, cut at ``limit`` characters.

    >>> one_line("two\\nlines"), one_line("abcdef", 4)
    ('two lines', 'abc…')
    """
    return cut(" ".join(clean(text[: 4 * limit]).split()), limit)


def cut(text: str, limit: int) -> str:
    """``text`` shortened to ``limit`` characters, an ellipsis standing for what was left off."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float | None) -> str:
    """A number to four significant digits, whole ones in full; a dash when undefined.

    >>> number(1234567), number(0.0123456), number(float("nan")), number(4.0)
    ('1,234,567', '0.01235', '–', '4')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 10_000 and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage; a dash when undefined.

    >>> percent(0.9314), percent(1.0), percent(0.0004), percent(float("nan"))
    ('93.1%', '100%', '0.04%', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if 0 < abs(value) < 0.001:
        return f"{100 * value:.1g}%"
    return f"{100 * value:.1f}%".replace(".0%", "%")


def interval(lo: float, hi: float) -> str:
    """An interval of shares.

    >>> interval(0.918, 0.944)
    '91.8% to 94.4%'
    """
    if not (math.isfinite(lo) and math.isfinite(hi)):
        return "no interval"
    return f"{percent(lo)} to {percent(hi)}"


def span(lo: float, hi: float) -> str:
    """An interval of plain numbers; a dash when undefined.

    >>> span(3, 4.5), span(float("nan"), float("nan"))
    ('3 to 4.5', '–')
    """
    if math.isnan(lo) and math.isnan(hi):
        return NOTHING
    return f"{number(lo)} to {number(hi)}"


def p_value(p: float) -> str:
    """A p-value.

    >>> p_value(0.00002), p_value(0.034), p_value(1.0)
    ('<0.001', '0.034', '1')
    """
    if math.isnan(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.2g}"


def axis_state(axis: AxisResult) -> tuple[str, str]:
    """How an axis stands, as a key (ok, slight, damaged, unknown) and in words."""
    if math.isnan(axis.retention):
        return "unknown", "not measured"
    if axis.alarm and axis.beyond:
        return "damaged", "loss proven, beyond the margin"
    if axis.alarm:
        return "slight", "loss proven, within the margin"
    if axis.beyond:
        return "slight", "loss seen, not proven"
    return "ok", "no loss proven"


def axis_title(axis: AxisResult) -> str:
    """The axis by its name and letter, as in ``Tail (T)``."""
    return f"{AXIS_NAMES[axis.axis].capitalize()} ({axis.axis})"


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """The findings by severity, those of one severity in the order they came."""
    ranks = {"fail": 0, "warn": 1, "info": 2}
    return sorted(findings, key=lambda finding: ranks[finding.severity])


def damage_words(functional: bool, structural: bool) -> str:
    """What kind of collapse was seen: in single documents, between documents, or both."""
    if functional and structural:
        return "Both the quality of single documents and the diversity between them have suffered."
    if functional:
        return "Single documents have suffered (functional collapse)."
    if structural:
        return "Diversity between documents has suffered (structural collapse)."
    return ""
