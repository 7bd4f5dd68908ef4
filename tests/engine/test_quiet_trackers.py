"""What is tidied up after a process that died is nobody's news."""

from __future__ import annotations

import subprocess
import sys

DIES = """
import os
from tailguard.engine.local import _pool
assert list(_pool(2).map(len, [[1], [2]])) == [1, 1]
os.write(1, b"worked")
os._exit(1)
"""


def test_a_process_that_dies_in_the_middle_leaves_no_warnings_of_what_is_tidied() -> None:
    done = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, timeout=120)
    # The pipes close when the last process that holds them, a tracker, has ended.
    assert (done.stdout, done.stderr) == ("worked", "")
