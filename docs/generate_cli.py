"""Writes docs/cli.md from the program itself: ``python docs/generate_cli.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer import Typer
from typer.models import ArgumentInfo

from tailguard.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = """\
# The command line

Made by `python docs/generate_cli.py`; do not edit.

| exit code | meaning |
|---|---|
| 0 | pass or warn, or the command did its work |
| 1 | the verdict is fail |
| 2 | bad usage or bad input; one line on stderr says what was expected |
| 3 | inconclusive: too little data |
| 130 | interrupted (Ctrl-C); nothing is left half-written |

`tailguard --version` prints the version; `--help` works after every command.
"""
VALUES = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH", bool: ""}


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command."""

    names: tuple[str, ...]
    value: str
    help: str
    argument: bool
    required: bool
    many: bool

    @property
    def usage(self) -> str:
        """How it stands in the usage line; options that may be left out stand in the table."""
        if self.argument:
            word = self.names[0] + ("..." if self.many else "")
            return word if self.required else f"[{word}]"
        return f"{self.names[0]} {self.value}" if self.required else ""

    @property
    def row(self) -> str:
        """Its row of the table."""
        names = ", ".join(f"`{name}`" for name in self.names)
        more = " May be given more than once." if self.many and not self.argument else ""
        value = "" if self.argument else self.value.replace("|", "\\|")
        return f"| {names} | {value} | {self.help}{more} |"


def commands(typer: Typer = app, path: str = "tailguard") -> Iterator[tuple[str, Any]]:
    """Every command with its full name and its function."""
    for command in typer.registered_commands:
        assert command.callback is not None
        yield f"{path} {command.name or command.callback.__name__}", command.callback
    for group in typer.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{path} {group.name}")


def parameters(function: Any) -> Iterator[Parameter]:
    """The arguments and options of a command's function."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])
        many = "list[" in str(kind)
        while inner := [part for part in get_args(kind) if part is not type(None)]:
            kind = inner[0]
        argument = isinstance(info, ArgumentInfo)
        # Typer keeps the first name of an annotated option where a default would stand.
        named = [n for n in (info.default, *(info.param_decls or ())) if isinstance(n, str)]
        names = named or [f"--{name.replace('_', '-')}"]
        required = parameter.default is inspect.Parameter.empty
        shown = str(getattr(parameter.default, "value", parameter.default))
        told = not required and kind is not bool and shown not in ("None", "")
        default = f" Default: {shown}." if told else ""
        yield Parameter(
            (name.upper(),) if argument else tuple(names),
            "|".join(kind) if issubclass(kind, StrEnum) else VALUES[kind],
            f"{info.help}{' Required.' if required else ''}{default}",
            argument,
            required,
            many,
        )


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, function in commands():
        found = list(parameters(function))
        usage = " ".join([name, *(p.usage for p in found if p.usage)])
        options = "" if all(p.usage for p in found) else " [OPTIONS]"
        parts.append(f"## {name}\n\n{inspect.getdoc(function)}\n\n```\n{usage}{options}\n```\n")
        if found:
            head = ["| argument or option | value | meaning |", "|---|---|---|"]
            parts.append("\n".join([*head, *(p.row for p in found)]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
