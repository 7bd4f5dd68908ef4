"""What the pages say is true: links, commands, examples, the map of the folders."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import DOCUMENTS, ROOT, blocks, check, commands

from tailguard.cli import demo
from tailguard.corpus import open_corpus, write_corpus
from tailguard.measure.base import AXES, AXIS_NAMES
from tailguard.measure.units import SCORES
from tailguard.report.policy import Policy

NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
README = (ROOT / "README.md").read_text()
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
POLICY = "alpha: 0.01\nfail_on: [early, mid, late]\n"


def load_generator(name: str = "generate_cli") -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the README speaks of."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "incoming").mkdir()
    corpus = open_corpus("builtin:python-docs")
    texts = [text for part in corpus.batches() for text in part.column("text").to_pylist()]
    for name, chosen in (("gold", texts[::2]), ("batch", texts[1::2])):
        rows = (
            {"text": t, "source": ("crawl", "vendor")[i % 2], "created": f"2026-0{1 + i % 3}-07"}
            for i, t in enumerate(chosen)
        )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    halves = [text[: len(text) // 2] for text in texts]  # their last words are in no other file
    model = demo.MODEL.fit(halves, rng=np.random.default_rng(0))
    made = model.sample(700, rng=np.random.default_rng(1))
    for name, chosen in (("human", halves), ("synthetic", made)):
        lines = (json.dumps({"text": t}) + "\n" for t in chosen)
        (folder / f"{name}.jsonl").write_text("".join(lines))
    write_corpus(open_corpus(folder / "batch.jsonl").batches(), folder / "incoming" / "a.parquet")
    (folder / "policy.yaml").write_text(POLICY)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_link_to_a_file_of_the_project_leads_somewhere(name: str) -> None:
    path = ROOT / name
    broken = [t for t in _LINK.findall(path.read_text()) if not (path.parent / t).exists()]
    assert not broken


def test_the_page_of_commands_is_current() -> None:
    assert (ROOT / "docs/cli.md").read_text() == load_generator().page(), (
        "run: python docs/generate_cli.py"
    )


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    generator = load_generator()
    parts = dict(zip(re.findall(r"^## (.+)$", page, re.M), page.split("\n## ")[1:], strict=True))
    found = dict(generator.commands())
    assert parts.keys() == found.keys()
    for name, function in found.items():
        for parameter in generator.parameters(function):
            assert parameter.help.strip(" ."), f"{name} {parameter.names[0]} has no help"
            assert all(f"`{option}`" in parts[name] for option in parameter.names), name


def test_the_commands_of_the_readme_work(folder: Path) -> None:
    wanted = [c for language, b in blocks(ROOT / "README.md") if language == "console"
              for c in commands(b)]  # fmt: skip
    assert {command.text.split()[0] for command in wanted} == {"make", "tailguard"}
    makefile = (ROOT / "Makefile").read_text()
    for command in wanted:
        if command.text.startswith("make"):
            assert f"\n{command.text.split()[1]}:" in makefile
        else:
            check(command, folder)
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_python_of_the_readme_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    codes = [block for language, block in blocks(ROOT / "README.md") if language == "python"]
    assert codes
    for code in codes:
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("pass healthy The batch keeps")


def test_the_python_page_is_a_doctest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False)
    assert tried > 20
    assert not failed


def test_the_readme_quotes_the_demo_in_the_form_it_has_now() -> None:
    assert demo._HEAD in README
    fresh = load_generator("generate_readme").verdict_text().splitlines()
    at = README.index("```\n✘ FAIL")
    quoted = README[at:].split("\n```")[0].splitlines()[1:]
    assert [line.split()[:2] for line in quoted] == [line.split()[:2] for line in fresh]


def test_the_map_names_every_package_and_only_those() -> None:
    house = README.split("src/tailguard/\n")[1].split("```")[0]
    inside = set(re.findall(r"^  ([\w./]+)", house, re.M))
    beside = set(re.findall(r"^([\w./]+)", house, re.M))
    package = ROOT / "src/tailguard"
    expected = {p.name + "/" for p in package.iterdir() if (p / "__init__.py").is_file()}
    expected |= {p.name for p in package.glob("*.py")} - {"__init__.py"}
    assert inside == expected
    assert all((ROOT / name).is_dir() for name in beside)


def test_every_extra_is_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"]:
        assert f".[{extra}]" in README, extra


def test_pages_name_all_axes_scores_and_keys_of_the_policy() -> None:
    how = (ROOT / "docs/how-it-works.md").read_text()
    for score, axis, _ in SCORES:
        assert f"| `{score}` | {axis} |" in how
    for axis in AXES:
        assert f"**{axis}** {AXIS_NAMES[axis]}" in README
    used = set(re.findall(r"^(\w+):", (ROOT / "docs/tutorial.md").read_text(), re.M))
    assert used <= Policy.model_fields.keys()


def test_the_picture_is_small_enough_to_clone() -> None:
    picture = ROOT / "docs/images/report.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python audit_table.py", "south: "),
        ("python own_section.py", "fail by finding: language"),
        ("python gate.py batch.jsonl gold.jsonl policy.yaml reports", "pass: "),
        ("python gate.py nothing.jsonl gold.jsonl policy.yaml reports  # exit code 2", ""),
    ],
)
def test_the_examples_of_the_folder_run(folder: Path, line: str, said: str) -> None:
    for example in (ROOT / "examples").glob("*.py"):
        shutil.copy(example, folder)
    (command,) = commands(f"$ {line}")
    assert said in check(command, folder)


def test_every_example_is_run() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for example in (ROOT / "examples").glob("*.py"):
        assert example.name in tests, example.name


def test_continuous_integration_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("\nmake test")
    assert "$ make test" in README


def test_bundled_text_is_what_the_pages_say() -> None:
    for name in set(re.findall(r"builtin:[\w-]+", "".join(p.read_text() for p in DOCUMENTS))):
        if name not in ("builtin:NAME",):
            assert open_corpus(name).modality == "text"
