"""The house rules, each a function from one file to its complaints."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath


@dataclass(frozen=True)
class File:
    """A file of the project: its path from the root, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))


Rule = Callable[[File], Iterator[str]]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# "path" or "path::function" -> why it is longer than the rest.
LONG_FOR_A_REASON: dict[str, str] = {}

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "legacy", "common", "misc"}
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
WORDS_IN_A_SENTENCE = 4

# In pieces, so that this file keeps the rules it checks.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(work|root|home|tmp/v)" + r"(?=/)")
HOSTS = ["pypi" + r"\.org", "python" + "hosted", "index" + "-url", "npm" + "js", "ghcr" + r"\.io"]
REGISTRY = re.compile("|".join(HOSTS))


def files_are_short(file: File) -> Iterator[str]:
    lines = file.text.count("\n")
    if lines > MAX_FILE_LINES and file.path not in LONG_FOR_A_REASON:
        yield f"{lines} lines"


def functions_are_short(file: File) -> Iterator[str]:
    """Counts the code of a function; its docstring is welcome to be long."""
    for function in file.functions:
        lines = (function.end_lineno or 0) - function.lineno + 1
        if ast.get_docstring(function) is not None:
            lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
        reason = LONG_FOR_A_REASON.get(f"{file.path}::{function.name}")
        if lines > MAX_FUNCTION_LINES and not reason:
            yield f"{function.name} has {lines} lines"


def names_say_something(file: File) -> Iterator[str]:
    for part in PurePosixPath(file.path).with_suffix("").parts:
        if VAGUE_NAMES & set(part.split("_")):
            yield f"'{part}' could hold anything"


def public_names_have_docstrings(file: File) -> Iterator[str]:
    if ast.get_docstring(file.tree) is None and file.text.strip():
        yield "the module"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in (node for node in file.tree.body if isinstance(node, kinds)):
        if not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node.name


def nothing_runs_strange_bytes(file: File) -> Iterator[str]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else named
            for module in {module.split(".")[0] for module in modules} & UNSAFE_MODULES:
                yield f"line {node.lineno}: imports {module}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            unpickles = any(
                k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords
            )
            if called in UNSAFE_CALLS or unpickles:
                yield f"line {node.lineno}: calls {called}"


def rng_is_keyword_only_and_required(file: File) -> Iterator[str]:
    for function in file.functions:
        arguments = function.args
        if any(a.arg == "rng" for a in [*arguments.posonlyargs, *arguments.args]):
            yield f"{function.name} takes rng by position"
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if argument.arg == "rng" and default is not None:
                yield f"{function.name} has a default rng"


def tests_are_sentences(file: File) -> Iterator[str]:
    for function in file.functions:
        words = [word for word in function.name.split("_") if word]
        if words[0] == "test" and len(words) - 1 < WORDS_IN_A_SENTENCE:
            yield function.name


def no_machine_is_named(file: File) -> Iterator[str]:
    for number, line in enumerate(file.text.splitlines(), start=1):
        for found in (MACHINE_PATH.search(line), REGISTRY.search(line)):
            if found:
                yield f"line {number}: '{found.group()}'"
