"""Running the command line, in this process or in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailguard.cli import run
from tailguard.corpus import open_corpus

Capture = pytest.CaptureFixture[str]
PROGRAM = [sys.executable, "-c", "from tailguard.cli import main; main()"]


@cache
def human_texts() -> tuple[str, ...]:
    """Sections of Python's documentation in random order."""
    batches = open_corpus("builtin:python-docs").batches()
    texts = [t[:3_000] for b in batches for t in b.column("text").to_pylist() if len(t) > 600]
    return tuple(texts[i] for i in np.random.default_rng(5).permutation(len(texts)))


def lines(texts: Any) -> bytes:
    """Texts as JSON lines."""
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def no_nan(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def printed(capture: Capture, *arguments: str | Path, code: int = 0) -> str:
    """What a command prints on stdout; it must end with ``code`` and say nothing on stderr."""
    assert run([str(argument) for argument in arguments]) == code
    out, err = capture.readouterr()
    assert err == ""
    return out


def parsed(capture: Capture, *arguments: str | Path, code: int = 0) -> Any:
    """What a command prints with ``--json``."""
    out = printed(capture, *arguments, "--json", code=code)
    return json.loads(out, parse_constant=no_nan)


def refused(capture: Capture, *arguments: str | Path, code: int = 2) -> str:
    """The one line on stderr with which a command refuses."""
    assert run([str(argument) for argument in arguments]) == code
    out, err = capture.readouterr()
    assert out == ""
    return one_line(err)


def one_line(err: str) -> str:
    """The line, without the program's name."""
    assert err.startswith("tailguard: ") and err.endswith("\n") and err.count("\n") == 1, err
    assert "Traceback" not in err
    return err.removeprefix("tailguard: ").rstrip("\n")


def started(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """A command in a session of its own."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **{"stdout": subprocess.PIPE, **options},
    )
