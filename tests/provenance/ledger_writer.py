"""A process that appends to a ledger until it is killed, and says what was acknowledged.

    python ledger_writer.py LEDGER KEY

Reads commands from stdin and forks for each, so that the start of Python is paid once:
``forever SEED`` appends batches until killed; ``batches SEED N`` appends N of them;
``event K`` appends once and kills itself at the K-th file operation. Writes ``pid N``, then
``ack FIRST COUNT NUMBER`` for each append that returned, then ``done STATUS``.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback

from ledger_cases import entry

from tailguard.provenance.keys import load
from tailguard.provenance.ledger.log import Ledger

WATCHED = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.scandir"}
SPAN = 4


def series(seed: int, number: int, count: int) -> list[bytes]:
    """Entries that tell writer and place in its series."""
    return [entry(seed * 1_000_000 + i) for i in range(number, number + count)]


def told(text: str) -> None:
    """One write, so that a line is there as a whole or not at all."""
    os.write(1, text.encode() + b"\n")


def append(ledger: Ledger, seed: int, number: int, count: int) -> None:
    """Append, and tell once it is acknowledged."""
    entries = series(seed, number, count)
    first = ledger.append(entries, KEY).start
    told(f"ack {first} {count} {number}")


def work(command: list[str]) -> None:
    """Do what a command says, in a process of its own."""
    ledger, number = Ledger.open(sys.argv[1]), 0
    if command[0] == "event":
        left = int(command[1])

        def strike(event: str, arguments: object) -> None:
            nonlocal left
            left -= event in WATCHED
            if left == 0 and event in WATCHED:  # killing is an event, too
                os.kill(os.getpid(), signal.SIGKILL)

        entries = series(9, 0, SPAN)
        sys.addaudithook(strike)
        first = ledger.append(entries, KEY).start
        told(f"ack {first} {SPAN} 0")
        return
    rng = random.Random(int(command[1]))
    batches = int(command[2]) if command[0] == "batches" else 1 << 30
    for _ in range(batches):
        count = rng.choice([1, 1, 3, 20, 140])
        append(ledger, int(command[1]), number, count)
        number += count


if __name__ == "__main__":
    KEY = load(sys.argv[2])
    told("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                work(line.split())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        told(f"pid {child}")
        _, status = os.waitpid(child, 0)
        told(f"done {status}")
