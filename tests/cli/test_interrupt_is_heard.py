"""Ctrl-C ends the program even when a library swallows it or turns it into another error."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from tailguard.cli.interrupt import PATIENCE_S, insistent


def deaf(seconds: float) -> None:
    """A library that shrugs off one interrupt."""
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(seconds)


def test_an_interrupt_that_a_library_swallows_comes_again() -> None:
    began = time.monotonic()
    with insistent() as asked:
        assert not asked()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        deaf(30)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(30)
    assert PATIENCE_S <= time.monotonic() - began < PATIENCE_S + 2


def test_nothing_is_interrupted_after_the_block_has_ended() -> None:
    before = signal.getsignal(signal.SIGINT)
    with insistent() as asked:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            assert asked()
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
