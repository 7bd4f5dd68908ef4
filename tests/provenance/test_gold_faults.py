"""Signed locks under mutation, kill -9 and a full disk."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gold_cases import KEY, STRANGER, locked, make_gold

from tailguard.provenance import envelope
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.gold import lockfile
from tailguard.provenance.gold.locking import standing

PROGRAM = Path(__file__).with_name("lock_under_fire.py")


def outcome(data: bytes) -> str:
    """What becomes of a lock file: refused, or the standing of its signature."""
    try:
        found = envelope.parse(data)
        lock = lockfile.read(found)
        return standing(found, lock, [KEY.public, STRANGER.public])[0]
    except ProvenanceError as error:
        return "refused" if "\n" not in str(error) and len(str(error)) < 500 else "a long story"


def mutations(data: bytes, other: bytes) -> Iterator[tuple[str, bytes]]:
    """Every bit flipped, every length cut to, and random bytes, swaps, repeats and splices."""
    for at in range(len(data)):
        for bit in range(8):
            yield "bit", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    for length in range(len(data)):
        yield "cut", data[:length]
    chance = random.Random(1)
    for _ in range(1_000):
        a, b = sorted(chance.sample(range(len(data)), 2))
        c = chance.randrange(len(data))
        yield "byte", data[:a] + chance.randbytes(1) + data[a + 1 :]
        yield "insert", data[:a] + chance.randbytes(1 + c % 4) + data[a:]
        yield "delete", data[:a] + data[b:]
        yield "swap", data[:a] + data[b : b + 1] + data[a + 1 : b] + data[a : a + 1] + data[b + 1 :]
        yield "repeat", data[:b] + data[a:]
        yield "splice", data[:a] + other[a:]


def test_every_mutation_of_a_signed_lock_is_noticed(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    data = locked(gold, group_rows=1 << 12).to_bytes()
    other = locked(gold / "sub", group_rows=1 << 12, by="another").to_bytes()
    assert outcome(data) == outcome(other) == "trusted"
    seen: Counter[tuple[str, str]] = Counter()
    for kind, broken in mutations(data, other):
        if broken not in (data, other):
            seen[kind, outcome(broken)] += 1
    assert sum(seen.values()) >= 20_000
    assert {found for _, found in seen} == {"refused", "wrong"}, seen
    assert {kind for kind, _ in seen} == {"bit", "cut", "byte", "insert", "delete", "swap",
                                         "repeat", "splice"}  # fmt: skip


def test_a_lock_without_the_signature_it_names_is_wrong_whoever_else_signed(
    tmp_path: Path,
) -> None:
    signed = locked(make_gold(tmp_path), group_rows=1 << 12)
    both = envelope.sign(signed.payload, signed.payload_type, KEY, STRANGER)
    assert outcome(both.to_bytes()) == "trusted"
    for kept in both.signatures:
        alone = envelope.Envelope(both.payload_type, both.payload, (kept,))
        expected = "trusted" if kept[0] == KEY.public.key_id else "wrong"
        assert outcome(alone.to_bytes()) == expected
    data = both.to_bytes()
    start = data.index(KEY.public.key_id.encode())
    for at in range(start, start + 64):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert outcome(broken) in ("refused", "wrong")


def fired(*arguments: str | Path) -> str:
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROGRAM.parent, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_lock_killed_at_any_point_is_there_or_not_but_never_half(tmp_path: Path) -> None:
    told = fired("kill", tmp_path, "200")
    complete = int(re.findall(r"(\d+) of 200 were complete", told)[0])
    assert 10 < complete < 190, told  # the kills fell on both sides of the end


def test_a_full_disk_leaves_the_lock_of_before_and_one_line(tmp_path: Path) -> None:
    told = fired("full", tmp_path).splitlines()
    assert told[-1] == "left: gold gold.lock"
    assert len(told) == 4 and all("expected to write" in line for line in told[:3])
