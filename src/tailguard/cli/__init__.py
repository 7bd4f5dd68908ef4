"""The command line: parse, call one function, print."""

from __future__ import annotations

import contextlib
import io
import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Entry point of ``tailguard``; the exit code is the verdict's, or 2 for bad use or input."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character gets its number, not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    from tailguard.cli.interrupt import insistent

    with insistent() as interrupted:
        try:
            code = run(sys.argv[1:])
        except BaseException:  # an interrupted library may fail in a way of its own
            if not interrupted():
                raise
            code = _interrupted()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; errors become one line on stderr."""
    import typer.main

    from tailguard.cli.app import app
    from tailguard.errors import TailguardError

    command = typer.main.get_command(app)
    # Typer carries its own copy of Click; the base of its errors is found through a public one.
    refusal: type[Exception] = next(
        c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
    )
    try:
        # Not command.main(), which answers Ctrl-C and a closed pipe in its own way.
        with command.make_context("tailguard", list(arguments)) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.Exit as done:  # after --help and --version
        return done.exit_code
    except TailguardError as error:
        return _complain(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except MemoryError:
        return _complain("memory: expected enough for the work, got none; use fewer workers", 2)
    except refusal as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message)
            return 2
        return _complain(f"{message.removesuffix('.')}; see: tailguard --help", 2)
    except BrokenPipeError:
        # The reader went away (tailguard ... | head): not an error, but nothing can be printed.
        _drop_output()
        return 0
    except OSError as error:
        if error.filename is None:
            _drop_output()
        reason = error.strerror or str(error)
        where = error.filename or "system"
        return _complain(
            f"{where}: expected to read and write, got {reason.lower()}; "
            "free some space or choose another place",
            2,
        )


def _drop_output() -> None:
    """Nothing more can be printed: keep the interpreter from trying when it ends."""
    with contextlib.suppress(OSError, ValueError):  # an output that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> int:
    return _complain("interrupted; nothing was left half-written", INTERRUPTED)


def _complain(message: str, code: int) -> int:
    print("tailguard: " + " ".join(message.split()), file=sys.stderr)
    return code
