"""The exception tree: every error a user can meet says who, expected, got, and what to do next."""

from __future__ import annotations


class TailguardError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line.

    ``exit_code`` follows the whole project: 0 pass, 1 verdict fail, 2 bad usage or input,
    3 inconclusive.
    """

    exit_code = 2


class InputError(TailguardError):
    """Something handed to Tailguard cannot be used.

    >>> str(InputError("gold.jsonl", "a column 'text'", "column 'body'", "pass --text-column"))
    "gold.jsonl: expected a column 'text', got column 'body'; pass --text-column"
    """

    def __init__(self, who: str, expected: str, got: str, next_step: str) -> None:
        super().__init__(who, expected, got, next_step)
        self.who, self.expected, self.got, self.next_step = who, expected, got, next_step

    def __str__(self) -> str:
        text = f"{self.who}: expected {self.expected}, got {self.got}; {self.next_step}"
        return " ".join(text.split())


class CorpusError(InputError):
    """A corpus cannot be opened or read at all (single bad rows are quarantined instead)."""


class ProfileError(InputError):
    """A saved profile is damaged, or was written by another version."""


class PolicyError(InputError):
    """A policy file is not valid."""


class EngineError(TailguardError):
    """Work could not be finished by the worker pool."""
