"""The house rules hold, each rule can bite, and the lint gate is green."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import house_rules
import pytest
from house_rules import LONG_FOR_A_REASON, File, Rule

ROOT = Path(__file__).parents[2]
CODE = ("src/", "tests/", "benchmarks/", "examples/", "docs/")
HEAVY = {"numba", "pyarrow", "scipy", "matplotlib"}

# rule -> where it holds, and an offence that it must see: a path and a text.
RULES: dict[Rule, tuple[tuple[str, ...], str, str]] = {
    house_rules.files_are_short: (CODE, "a.py", "x = 1\n" * 401),
    house_rules.functions_are_short: (CODE, "a.py", "def f():\n" + "    x = 1\n" * 60),
    house_rules.names_say_something: (CODE, "src/text_utils/a.py", ""),
    house_rules.public_names_have_docstrings: (("src/",), "a.py", '"""A."""\ndef f(): pass'),
    house_rules.nothing_runs_strange_bytes: (("src/",), "a.py", "def f():\n    import pickle"),
    house_rules.rng_is_keyword_only_and_required: (("src/",), "a.py", "def f(n, rng): pass"),
    house_rules.tests_are_sentences: (("tests/",), "a.py", "def test_it_works_well(): pass"),
    house_rules.no_machine_is_named: (("",), "a.md", "see " + "/ro" + "ot/x"),
}
MORE_OFFENCES: list[tuple[Rule, str]] = [
    (house_rules.nothing_runs_strange_bytes, "from pickle import loads"),
    (house_rules.nothing_runs_strange_bytes, "yaml.load(text)"),
    (house_rules.nothing_runs_strange_bytes, "eval(text)"),
    (house_rules.nothing_runs_strange_bytes, "np.load(path, allow_pickle=True)"),
    (house_rules.rng_is_keyword_only_and_required, "def f(n, *, rng=None): pass"),
    (house_rules.public_names_have_docstrings, '"""A."""\nclass Thing: pass'),
    (house_rules.no_machine_is_named, "https://" + "py" + "pi.org/simple"),
]
RULE_NAMES = [rule.__name__ for rule in RULES]

LINT_IMPORTS = "from importlinter.cli import lint_imports_command as run; run()"
GATE = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy --strict": ["-m", "mypy", "--strict"],
    "import order": [
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
        "--no-cache",
    ],
}


def project_files() -> Iterator[File]:
    """Every text file of the project that .gitignore does not exclude."""
    ignored = [".git", *((ROOT / ".gitignore").read_text().replace("/", " ").split())]
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not any(fnmatch.fnmatch(f, i) for i in ignored)]
        for path in (Path(folder, name) for name in names):
            if path.is_file() and not any(fnmatch.fnmatch(path.name, i) for i in ignored):
                # Bytes that are no text, as in pictures, name no path.
                text = path.read_text(encoding="utf-8", errors="ignore")
                yield File(path.relative_to(ROOT).as_posix(), text)


FILES = list(project_files())


@pytest.mark.parametrize("rule", RULES, ids=RULE_NAMES)
def test_every_file_keeps_the_house_rule(rule: Rule) -> None:
    folders = RULES[rule][0]
    chosen = [f for f in FILES if f.path.startswith(folders)]
    if folders != ("",):
        chosen = [f for f in chosen if f.path.endswith(".py")]
    assert len(chosen) > 5
    complaints = [f"{file.path}: {complaint}" for file in chosen for complaint in rule(file)]
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize("rule", RULES, ids=RULE_NAMES)
def test_every_house_rule_sees_its_offence(rule: Rule) -> None:
    _, path, text = RULES[rule]
    assert list(rule(File(path, text)))
    assert not list(rule(File("a.py", '"""Harmless."""\n')))
    for other, more in MORE_OFFENCES:
        assert other is not rule or list(rule(File("a.py", more))), more


def test_exceptions_to_the_length_rules_are_still_needed() -> None:
    texts = {file.path: file for file in FILES}
    for entry, reason in LONG_FOR_A_REASON.items():
        path, _, function = entry.partition("::")
        assert reason and path in texts, entry
        assert not function or function in {f.name for f in texts[path].functions}, entry


@pytest.mark.parametrize("gate", GATE)
def test_the_lint_gate_is_green(gate: str) -> None:
    done = subprocess.run([sys.executable, *GATE[gate]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_rule_sees_an_import_that_points_up(tmp_path: Path) -> None:
    package = tmp_path / "tailguard"
    for layer in ("corpus", "measure", "errors"):
        (package / layer).mkdir(parents=True)
        (package / layer / "__init__.py").touch()
    (package / "__init__.py").write_text("import tailguard.measure\n")
    (package / "measure" / "__init__.py").write_text("import tailguard.corpus\n")
    assert import_order(tmp_path).returncode == 0
    (package / "corpus" / "__init__.py").write_text("def f():\n    import tailguard.measure\n")
    assert import_order(tmp_path).returncode == 1
    (package / "corpus" / "__init__.py").write_text("")
    (package / "attic.py").touch()
    assert "attic" in import_order(tmp_path).stdout


def import_order(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check a package of the name ``tailguard`` in ``folder`` against the contract."""
    command = [sys.executable, *GATE["import order"], "--config"]
    return subprocess.run(
        [*command, str(ROOT / ".importlinter")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def fastest(code: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Shortest wall time of three fresh interpreters running ``code``, and the last outcome."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds), done


def test_importing_tailguard_is_quick_and_loads_nothing_heavy() -> None:
    seconds, done = fastest("import sys, tailguard; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())
    assert seconds < 0.5


def test_command_line_help_comes_within_a_second() -> None:
    code = "import sys; sys.argv = ['tailguard', '--help']; from tailguard.cli import main; main()"
    seconds, done = fastest(code)
    assert done.returncode == 0, done.stderr
    assert "audit" in done.stdout
    assert seconds < 1.0
