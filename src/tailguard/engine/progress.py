"""A progress bar on stderr, for work that takes long enough to wonder about."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Work done sooner than this shows no bar.
PATIENCE_S = 2.0


@contextmanager
def progress(label: str, total: int, *, in_bytes: bool) -> Iterator[Callable[[int], None]]:
    """Show how far work is; yields the function that advances the bar.

    Shards are counted, or bytes if ``in_bytes``. Nothing is drawn before ``PATIENCE_S`` seconds
    have passed, nor when stderr is not a terminal.

    >>> with progress("reading", 2, in_bytes=False) as advance:
    ...     advance(1)
    """
    if not sys.stderr.isatty():
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.errors import LiveError
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counts = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *counts,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # Results may be printed while the bar shows; they belong on stdout.
        redirect_stdout=False,
    )
    task = bar.add_task(label, total=total)

    def show() -> None:
        with suppress(LiveError):  # a bar of an outer loop is already showing
            bar.start()

    patience = threading.Timer(PATIENCE_S, show)
    patience.daemon = True
    patience.start()
    try:
        yield lambda amount: bar.advance(task, amount)
    finally:
        patience.cancel()
        patience.join()
        bar.stop()
