"""Writing a report: its form follows the suffix, and it appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tailguard.corpus.atomic import replacing
from tailguard.errors import InputError
from tailguard.report.base import Verdict
from tailguard.report.codec import from_json, to_json
from tailguard.report.junit import to_junit
from tailguard.report.markdown import to_markdown
from tailguard.report.page import to_html
from tailguard.report.sarif import to_sarif

__all__ = ["from_json", "to_html", "to_json", "to_junit", "to_markdown", "to_sarif", "write_report"]

FORMS: dict[str, Callable[[Verdict], str]] = {
    ".html": to_html,
    ".json": to_json,
    ".md": to_markdown,
    ".xml": to_junit,
    ".sarif": to_sarif,
}


def check_report_path(path: str | Path) -> None:
    """Raise :class:`InputError` when the suffix of ``path`` names no form of report.

    Worth calling before a long audit, so that a slip in ``-o`` shows at once.

    >>> check_report_path("report.pdf")
    Traceback (most recent call last):
    tailguard.errors.InputError: report.pdf: expected a report ending in .html, .json, .md, \
.xml, .sarif, got '.pdf'; choose one of these endings
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMS:
        expected = f"a report ending in {', '.join(FORMS)}"
        got = repr(suffix) if suffix else "no ending"
        raise InputError(str(path), expected, got, "choose one of these endings")


def write_report(verdict: Verdict, path: str | Path) -> None:
    """Write the verdict to ``path`` as HTML, JSON, Markdown, JUnit or SARIF, by its suffix.

    The text is written under another name in the same folder and renamed, so that a reader never
    sees half a report, and a failure leaves an older one untouched. Raises :class:`InputError`
    for an unknown suffix and whenever the file cannot be written.
    """
    check_report_path(path)
    text = FORMS[Path(path).suffix.lower()](verdict)
    # A lone surrogate becomes \\udxxx, which in JSON is just what it stood for.
    data = text.encode("utf-8", "backslashreplace")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except ValueError as error:  # a NUL in the path
        next_step = "choose another path"
        raise InputError(repr(str(path)), "the path of a file", str(error), next_step) from None
