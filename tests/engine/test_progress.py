"""The progress bar shows only to a person who has waited."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

CODE = """
import time
from tailguard.engine import map_shards
for result in map_shards({fn}, [{pause}] * 3, engine="serial", label="reading", sizes=[1000] * 3):
    print(result)
"""


def stderr_of(pause: float, *, terminal: bool) -> tuple[str, str]:
    """What a map that pauses in each of three shards writes to stdout and stderr."""
    code = CODE.format(fn="time.sleep", pause=pause)
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=secondary if terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        text=True,
    )
    os.close(secondary)
    drawn = b""
    while terminal:
        try:
            drawn += os.read(primary, 65536)
        except OSError:
            break
    stdout, stderr = process.communicate(timeout=30)
    os.close(primary)
    return stdout, drawn.decode() if terminal else stderr


def test_work_of_some_seconds_shows_a_bar_in_bytes() -> None:
    stdout, stderr = stderr_of(0.9, terminal=True)
    assert stdout == "None\n" * 3
    assert "reading" in stderr and "3.0 kB" in stderr


@pytest.mark.parametrize(("pause", "terminal"), [(0.1, True), (0.7, False)])
def test_quick_work_and_piped_output_show_no_bar(pause: float, terminal: bool) -> None:
    assert stderr_of(pause, terminal=terminal) == ("None\n" * 3, "")
