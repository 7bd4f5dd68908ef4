"""Renews what the README quotes from the demonstration: ``python docs/generate_readme.py``.

The table, the verdict on generation 3, and, where a ``chromium`` is found, the picture.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tailguard import audit
from tailguard.cli.demo import MODEL, real_documents, run_demo
from tailguard.cli.show import show_verdict
from tailguard.lab.recursion import recurse

ROOT = Path(__file__).parents[1]
GENERATION = 3


def verdict_text() -> str:
    """What the terminal says first about the generation, on the demonstration's own data."""
    split, chain = np.random.SeedSequence(0).spawn(2)
    documents = real_documents(rng=np.random.default_rng(split))
    gold = documents[: len(documents) // 2]
    seed = int(chain.generate_state(1)[0])
    *_, last = recurse(gold, MODEL, generations=GENERATION, seed=seed)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show_verdict(audit(list(last.data), gold, engine="serial"), [])
    return out.getvalue().split("\n\n")[0]


def demo_table(folder: Path) -> str:
    """The table of the demonstration; its reports go to ``folder``."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run_demo(folder, generations=6, seed=0, as_json=False)
    return out.getvalue().split("\n\n")[1]


def take_picture(report: Path, picture: Path) -> None:
    """The top of a report, as headless Chromium shows it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium: the picture stays as it is")
        return
    with tempfile.TemporaryDirectory() as profile:
        options = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
            "--disable-background-networking --disable-component-update --disable-sync"
        )
        where = (f"--user-data-dir={profile}", f"--screenshot={picture}", "--window-size=1100,1500")
        command = [chromium, *options.split(), *where, report.as_uri()]
        subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    """Renew all three."""
    page = ROOT / "README.md"
    text = page.read_text()
    with tempfile.TemporaryDirectory() as folder:
        table = demo_table(Path(folder))
        take_picture(
            Path(folder) / f"generation-{GENERATION}.html", ROOT / "docs/images/report.png"
        )
    for first, fresh in ((r"✘ FAIL  ", verdict_text()), (r"batch {2,}verdict ", table)):
        block = re.compile(rf"(?<=^```\n){first}.*?(?=\n```$)", re.MULTILINE | re.DOTALL)
        text, n = block.subn(fresh.rstrip().replace("\\", r"\\"), text)
        assert n == 1, first
    page.write_text(text)


if __name__ == "__main__":
    main()
