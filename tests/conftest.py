"""What every test run says at its end."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests that were left out for want of the real data sets."""
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = sum("data" in getattr(report, "keywords", ()) for report in skipped)
    terminalreporter.write_sep("-", f"{left_out} tests skipped that need the real data sets")
