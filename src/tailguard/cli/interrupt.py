"""Ctrl-C that is heard, whatever the libraries underneath were doing when it came."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A tidy end (workers killed, temporary files gone) takes less than this.
PATIENCE_S = 2.0


@contextmanager
def insistent() -> Iterator[Callable[[], bool]]:
    """Raise KeyboardInterrupt on Ctrl-C, and again every two seconds until the block has ended.

    A library that meets the exception inside an import it only tried, or inside a compiled
    callback, may swallow it or turn it into another error; once is therefore not enough. Yields a
    function that says whether Ctrl-C has come. Systems without interval timers raise once.

    >>> with insistent() as asked:
    ...     asked()
    False
    """
    came = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal came
        came = True
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
        raise KeyboardInterrupt

    handled = [signal.SIGINT, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield lambda: came
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
