"""``tailguard lab ablate``: which source of error does the damage."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from tailguard.cli import lab

Exact = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--exact", help="Family setting without approximation error, as unbiased=true."),
]


def add_commands(app: typer.Typer) -> None:
    """Hang the command onto the app of ``tailguard lab``."""
    app.command(name="ablate")(ablate)


def ablate(
    measurement: Annotated[str, typer.Option(help="What is measured at the end.")],
    family: lab.Family = "gaussian",
    regime: lab.Regime = "replace",
    n: lab.Size = 100,
    generations: lab.Generations = 100,
    replicates: Annotated[int, typer.Option(help="Independent repetitions.")] = 1_000,
    regime_set: lab.Set = None,
    family_set: lab.FamilySet = None,
    truth: lab.TruthName = None,
    truth_set: lab.TruthSet = None,
    exact: Exact = None,
    seed: lab.Seed = 0,
    json: lab.Json = False,
) -> None:
    """Share out the damage among finite samples, a family that cannot fit, and a poor estimate."""
    from tailguard.cli.lab_settings import setting_of
    from tailguard.cli.show import console, figure, print_json
    from tailguard.lab.ablation import SOURCES
    from tailguard.lab.ablation import ablate as run
    from tailguard.lab.sweep_file import parsed_pair

    setting = setting_of(
        {"family": family, "regime": regime, "truth": truth, "n": n, "generations": generations,
         "replicates": replicates, "seed": seed},
        regime=regime_set, family=family_set, truth=truth_set, measurements=measurement,
    )  # fmt: skip
    found = run(setting, measurement, exact=dict(parsed_pair(pair) for pair in exact or ()))
    if json:
        values = {"+".join(sorted(on)) or "none": v for on, v in found.values.items()}
        print_json({"share": found.share, "error": found.error, "values": values})
        return
    out = console()
    out.print(f"median {measurement} at generation {generations}, sources of error switched on:")
    for on, value in found.values.items():
        out.print(f"  {figure(value):>10}  {', '.join(sorted(on)) or 'none'}")
    out.print("share of each (Shapley):")
    for source in SOURCES:
        error = f" ± {figure(found.error[source], 2)}" if found.error[source] else ""
        out.print(f"  {figure(found.share[source]):>10}{error}  {source}")
