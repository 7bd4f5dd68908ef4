"""``tailguard lab collapse``: stage by stage, and by each of the eight definitions."""

from __future__ import annotations

from typing import Annotated

import typer

from tailguard.cli import lab


def add_commands(app: typer.Typer) -> None:
    """Hang the command onto the app of ``tailguard lab``."""
    app.command(name="collapse")(collapse)


def collapse(
    family: lab.Family = "gaussian",
    regime: lab.Regime = "replace",
    n: lab.Size = 100,
    generations: lab.Generations = 100,
    replicates: Annotated[int, typer.Option(help="Independent repetitions.")] = 2_000,
    definitions: Annotated[
        str, typer.Option(help="Definitions to judge by, comma-separated; default: all eight.")
    ] = "all",
    regime_set: lab.Set = None,
    family_set: lab.FamilySet = None,
    truth: lab.TruthName = None,
    truth_set: lab.TruthSet = None,
    seed: lab.Seed = 0,
    json: lab.Json = False,
) -> None:
    """Has it collapsed? By stage, and by each of the eight definitions in use."""
    from tailguard.cli.lab_settings import setting_of
    from tailguard.cli.show import console, figure, print_json
    from tailguard.lab.collapse import ALL_DEFINITIONS, chosen_definitions, judge
    from tailguard.lab.stages import stages

    wanted = chosen_definitions(definitions)
    setting = setting_of(
        {"family": family, "regime": regime, "truth": truth, "n": n, "generations": generations,
         "replicates": replicates, "seed": seed},
        regime=regime_set, family=family_set, truth=truth_set, measurements="var",
    )  # fmt: skip
    run, judged = judge(setting, scaling="scaling_law" in wanted)
    judged = tuple(j for j in judged if j.definition in wanted)
    found = stages(run)
    if json:
        print_json({"stage": found.stage, "structural": found.structural,
                    "functional": found.functional, "definitions": judged})  # fmt: skip
        return
    out = console()
    reached = {name: found.stage.index(name) for name in dict.fromkeys(found.stage)}
    told = ", ".join(f"{name} first at generation {t}" for name, t in reached.items())
    out.print(f"stage at the end: {found.stage[-1]} ({told}; medians over replicates)")
    first = next((t for t, wrong in enumerate(found.functional) if wrong), None)
    if first is not None:
        out.print(f"functional collapse, single samples are wrong: from generation {first}")
    wide = max(map(len, ALL_DEFINITIONS))
    for j in judged:
        mark = {True: "✘ collapsed", False: "✔ sound", None: "? undecided"}[j.collapsed]
        share = f"{figure(j.share, 3)} ({figure(j.lo, 3)} – {figure(j.hi, 3)})"
        out.print(f"{j.definition:<{wide}}  {mark:<12} {share:<24} {j.meaning}")
