"""``tailguard lab reproduce``: published figures, run again."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def add_commands(app: typer.Typer) -> None:
    """Hang the command onto the app of ``tailguard lab``."""
    app.command(name="reproduce")(reproduce)


def reproduce(
    rows: Annotated[str, typer.Argument(help="all, quick, or rows as in 1,3-5.")] = "quick",
    seed: Annotated[int, typer.Option(help="Seed of all that is random.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Run published results again: 0 when every figure is met, 1 when one is not."""
    from tailguard.cli.show import console, figure, print_json
    from tailguard.engine.progress import progress
    from tailguard.lab.reproductions import choose
    from tailguard.lab.reproductions import reproduce as run

    chosen = choose(rows)
    out, found = console(), []
    with progress("reproducing", len(chosen), in_bytes=False) as advance:
        for outcome in run(chosen, seed=seed):
            found.append(outcome)
            advance(1)
            if json:
                continue
            row = outcome.reproduction
            mark, colour = _MARKS[outcome.status]
            out.print(f"{mark} {row.row:>2}  {row.title}", style=colour, end="")
            out.print(f"  {outcome.seconds:.1f} s", style="dim")
            out.print(f"      {row.cite}; {row.setting}", style="dim")
            for check in outcome.checks:
                error = "" if check.error != check.error else f" ± {figure(check.error, 2)}"
                sign = "  " if check.passed else "✘ "
                got = f"{figure(check.got)}{error}"
                out.print(f"    {sign}{check.what}: {check.asked} expected, {got} found")
            if row.reason:
                out.print(f"      {row.reason}")
    counts = {status: sum(o.status == status for o in found) for status in _MARKS}
    if json:
        print_json({"counts": counts, "rows": [_plain(outcome) for outcome in found]})
    else:
        seconds = sum(o.seconds for o in found)
        told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
        out.print(f"{told}; {seconds:.0f} s", style="bold")
    return 1 if counts["fail"] else 0


_MARKS = {"pass": ("✔", "green"), "fail": ("✘", "red"), "underspecified": ("?", "blue")}


def _plain(outcome: Any) -> dict[str, Any]:
    row = outcome.reproduction
    return {
        "row": row.row,
        "title": row.title,
        "cite": row.cite,
        "setting": row.setting,
        "status": outcome.status,
        "reason": row.reason,
        "seconds": round(outcome.seconds, 2),
        "checks": [
            {
                "what": c.what, "expected": c.expected, "got": c.got, "error": c.error,
                "low": c.low, "high": c.high, "passed": c.passed,
            }
            for c in outcome.checks
        ],
    }  # fmt: skip
