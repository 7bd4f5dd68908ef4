"""Locks gold in children that are killed, or run out of disk; run as a program of its own.

python lock_under_fire.py kill FOLDER ROUNDS | python lock_under_fire.py full FOLDER
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from gold_cases import KEY, locked, make_gold, verified

from tailguard.errors import TailguardError
from tailguard.provenance import envelope, keys
from tailguard.provenance.gold import lockfile


def forked(work: object) -> int:
    """A child that does the work and leaves without cleaning up."""
    child = os.fork()
    if child == 0:
        try:
            work()  # type: ignore[operator]
        except TailguardError as error:
            print(error, flush=True)
            os._exit(2)
        except BaseException as error:
            print("not foreseen:", repr(error), flush=True)
            os._exit(3)
        os._exit(0)
    return child


def kill(folder: Path, rounds: int) -> None:
    """Kill a child at random points of locking the same gold again and again.

    After each, the lock is one that verifies: the old or the new one, never half of one.
    """
    gold, output = make_gold(folder / "gold"), folder / "gold.lock"

    def work() -> None:
        envelope.save(locked(gold), output)

    work()  # in this process first, so that children need not load what is compiled
    started = time.perf_counter()
    assert os.waitpid(forked(work), 0)[1] == 0
    span = time.perf_counter() - started
    output.unlink()
    chance = random.Random(4)
    complete = 0
    for _ in range(rounds):
        child = forked(work)
        time.sleep(chance.uniform(0, 1.2 * span))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if output.exists():
            assert verified(lockfile.load(output), gold).ok
            complete += 1
            if chance.random() < 0.7:
                output.unlink()
    print(f"{complete} of {rounds} were complete")


def full(folder: Path) -> None:
    """Nothing can be written beyond 300 bytes, as on a full disk."""
    gold, output = make_gold(folder / "gold"), folder / "gold.lock"
    signed = locked(gold)
    kept = b"the lock of before"
    for before in (None, kept):
        if before is not None:
            output.write_bytes(before)

        def work() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
            envelope.save(signed, output)

        assert os.waitstatus_to_exitcode(os.waitpid(forked(work), 0)[1]) == 2
        assert (output.read_bytes() if output.exists() else None) == before

    def save_key() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
        keys.save(KEY, folder / "key")

    assert os.waitstatus_to_exitcode(os.waitpid(forked(save_key), 0)[1]) == 2
    left = sorted(path.name for path in folder.iterdir())
    print("left:", *left)


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        kill(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        full(Path(sys.argv[2]))
