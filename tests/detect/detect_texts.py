"""Two small languages whose texts a detector can tell apart, but not perfectly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

COMMON = [f"word{i}" for i in range(300)]
HUMAN = [f"plain{i}" for i in range(60)]
MACHINE = [f"delve{i}" for i in range(60)]
FOREIGN = [f"court{i}" for i in range(300)]


def texts(
    kind: str, n: int, rng: np.random.Generator, words: int = 60, own: float = 0.06
) -> list[str]:
    """``n`` texts of ``words`` words; a share ``own`` comes from the kind's own vocabulary."""
    general = FOREIGN if kind == "foreign" else COMMON
    special = MACHINE if kind == "machine" else HUMAN
    law = 1.0 / np.arange(1, len(general) + 1)
    law /= law.sum()
    out = []
    for _ in range(n):
        drawn = rng.choice(general, words, p=law)
        mine = rng.random(words) < own
        drawn = np.where(mine, rng.choice(special, words), drawn)
        out.append(" ".join(drawn.tolist()))
    return out


def write_jsonl(path: Path, values: list[str], **columns: list[str]) -> str:
    """Write texts as JSON lines, with further columns."""
    rows = ({"text": t} | {k: v[i] for k, v in columns.items()} for i, t in enumerate(values))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
