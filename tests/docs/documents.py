"""Reads the code blocks of the documents, and the folder they are run in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w.-]+\.(?:py|yaml|yml))\n")
_STATED = re.compile(r"# exit code (\d+)$")


@dataclass(frozen=True)
class Command:
    """A line of a console block: what is typed, and the exit code the text states (else 0)."""

    text: str
    exit_code: int


def blocks(path: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return [(found[1], found[2]) for found in _BLOCK.finditer(path.read_text())]


def commands(block: str) -> list[Command]:
    """The lines of a console block that begin with a prompt."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            stated = _STATED.search(line)
            code = int(stated[1]) if stated else 0
            found.append(Command(_STATED.sub("", line[2:]).rstrip(), code))
    return found


def run_document(path: Path, folder: Path) -> list[Command]:
    """Do what the document says, in ``folder``: write its named files, run its commands in order.

    A block of Python or YAML whose first line is a comment with a file name is that file.
    """
    done: list[Command] = []
    for language, block in blocks(path):
        named = _NAMED.match(block)
        if named:
            (folder / named[1]).write_text(block)
        if language == "console":
            for command in commands(block):
                check(command, folder)
                done.append(command)
    return done


def check(command: Command, folder: Path) -> str:
    """Run one command and require its exit code; returns what it printed."""
    here = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": here + os.pathsep + os.environ["PATH"]}
    ran = subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    said = f"$ {command.text}\nexit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
    assert ran.returncode == command.exit_code, said
    assert "Traceback" not in ran.stderr, said
    return ran.stdout
