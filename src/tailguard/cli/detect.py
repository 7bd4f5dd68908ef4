"""``tailguard detect``: fit, calibrate and use detectors of synthetic text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Detect synthetic text with guaranteed false-positive rates.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

# Spelled out, because the registry loads what makes --help slow; a test compares the two.
KINDS = (
    "linear, language-model, stylometry, token-statistics, compression, combination (of these), "
    "or several as a+b; with --model: classifier, likelihood, log-rank, lrr, entropy, "
    "fast-detectgpt, binoculars"
)

Human = Annotated[str, typer.Argument(help="Human texts: a file, glob or folder.")]
Synthetic = Annotated[str, typer.Argument(help="Synthetic texts: a file, glob or folder.")]
Sources = Annotated[list[str], typer.Argument(help="Files, globs, folders, or builtin:NAME.")]
Text = Annotated[Optional[str], typer.Option("--text-column", help="Column with the text.")]  # noqa: UP045
Words = Annotated[int, typer.Option(help="Words looked at in each text; 0 for all.", min=0)]
Side = Annotated[str, typer.Option(help="Which end they are taken from: last or first.")]
Kind = Annotated[str, typer.Option(help="Detector: " + KINDS + ".")]
Group = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Column of what belongs together (prompt, source); folds keep it whole."),
]
Model = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Folder with a transformers model, for the kinds that ask one."),
]
Reference = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Folder with the second model (fast-detectgpt, binoculars)."),
]
Label = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="The classifier's label that means synthetic."),
]
Device = Annotated[str, typer.Option(help="Where the model runs: cpu or cuda.")]
Calibrated = Annotated[Path, typer.Option("--detector", "-d", help="Calibrated detector file.")]
HeldOut = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="Synthetic texts not fitted on, one per maker; else the detector's."),
]
Seed = Annotated[int, typer.Option(help="Seed of what is drawn at random.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Rate = Annotated[float, typer.Option(help="False-positive rate that is promised.")]
Confidence = Annotated[float, typer.Option(help="Chance over calibrations that it holds.")]
OwnRate = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--max-fpr", help="False-positive rate; as calibrated for without it."),
]
OwnConfidence = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--confidence", help="Chance that it holds; as calibrated for without it."),
]


@app.command()
def fit(
    human: Human,
    synthetic: Synthetic,
    output: Annotated[Path, typer.Option("--output", "-o", help="Detector file to write.")],
    kind: Kind = "combination",
    group_by: Group = None,
    words: Words = 100,
    side: Side = "last",
    model: Model = None,
    reference: Reference = None,
    label: Label = None,
    device: Device = "cpu",
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Fit a detector on human and synthetic texts, and write it with its leak probe."""
    from tailguard.cli.detecting import Wanted, run_fit
    from tailguard.cli.outputs import check_output

    check_output(output, [human, synthetic])
    wanted = Wanted(kind, words, side, model, reference, label, device)
    run_fit(human, synthetic, output, wanted, group_by, text_column, as_json=json)


@app.command()
def fingerprint(
    samples: Annotated[list[str], typer.Argument(help="Texts that your model wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Detector file to write.")],
    human: Annotated[
        str, typer.Option(help="Human texts of the same domain.")
    ] = "builtin:python-docs",
    other: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Texts of another model; once for each."),
    ] = None,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The model's name; by default that of the first file."),
    ] = None,
    kind: Kind = "combination",
    words: Words = 100,
    side: Side = "last",
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Fit a detector for the outputs of your own model, and tell how well it knows them."""
    from tailguard.cli.detecting import Wanted, run_fingerprint
    from tailguard.cli.outputs import check_output

    check_output(output, [*samples, human, *(other or [])])
    against = human, list(other or [])
    wanted = Wanted(kind, words, side)
    run_fingerprint(samples, against, output, name, wanted, text_column, as_json=json)


@app.command()
def calibrate(
    detector: Annotated[Path, typer.Argument(help="Detector file; it is updated.")],
    human: Annotated[list[str], typer.Option("--human", help="Human texts not fitted on.")],
    max_fpr: Rate = 0.01,
    confidence: Confidence = 0.95,
    cluster: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Column of what belongs together (author, prompt); one text of each."),
    ] = None,
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="Write another file instead.")  # noqa: UP045
    ] = None,
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Find operating points with P(false-positive rate > max-fpr) <= 1 - confidence."""
    from tailguard.cli.detecting import run_calibrate
    from tailguard.cli.outputs import check_output

    check_output(output or detector, human)
    limits = max_fpr, confidence
    run_calibrate(detector, human, limits, cluster, output, text_column, as_json=json)


@app.command()
def score(
    sources: Sources,
    detector: Calibrated,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    max_fpr: OwnRate = None,
    confidence: OwnConfidence = None,
    fdr: Annotated[
        Optional[float], typer.Option(help="Decide by Benjamini-Hochberg at this rate instead.")  # noqa: UP045
    ] = None,
    seed: Seed = 0,
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Score records: score, conformal p, decision (synthetic, human-like, abstain), evidence."""
    from tailguard.cli.detecting import run_score
    from tailguard.cli.outputs import check_output

    check_output(output, [*sources, str(detector)])
    limits = (max_fpr, confidence, fdr)
    run_score(sources, detector, output, limits, seed, text_column, as_json=json)


@app.command()
def prevalence(
    sources: Sources,
    detector: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--detector", "-d", help="Calibrated detector; else origin columns alone."),
    ] = None,
    synthetic: HeldOut = None,
    by: Annotated[
        str, typer.Option(help="Columns to slice by; month is that of created, else captured.")
    ] = "source",
    audited: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Column with what people found in a random sample."),
    ] = None,
    seed: Seed = 0,
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Estimate the synthetic share of every slice, and the human share by all evidence."""
    from tailguard.cli.detect_prevalence import run_prevalence

    made, how = synthetic or [], (by, audited)
    run_prevalence(sources, detector, made, how, seed, text_column, as_json=json)


@app.command()
def tails(
    sources: Sources,
    detector: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--detector", "-d", help="Calibrated detector file; else column decision."),
    ] = None,
    by: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Column of groups, such as writer or language; once for each."),
    ] = None,
    cluster: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Column of what belongs together; one record of each is looked at."),
    ] = None,
    max_fpr: OwnRate = None,
    confidence: OwnConfidence = None,
    synthetic: HeldOut = None,
    share: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Synthetic share at which deleting is compared with weighing."),
    ] = None,
    seed: Seed = 0,
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Report which human tails the filter would delete from human records."""
    from tailguard.cli.detect_tails import run_tails

    groups, weighing = (by or [], cluster), (synthetic or [], share)
    limits = (max_fpr, confidence)
    run_tails(sources, detector, groups, limits, weighing, seed, text_column, as_json=json)


@app.command()
def weigh(
    sources: Sources,
    detector: Calibrated,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    synthetic: HeldOut = None,
    cap: Annotated[
        Optional[float], typer.Option(help="Largest weight; the root of the records without it.")  # noqa: UP045
    ] = None,
    share: Annotated[
        Optional[float], typer.Option(help="Synthetic share, where it is known.")  # noqa: UP045
    ] = None,
    seed: Seed = 0,
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Weigh records towards the law of the human ones instead of deleting any."""
    from tailguard.cli.detect_tails import run_weigh
    from tailguard.cli.outputs import check_output

    made = synthetic or []
    check_output(output, [*sources, str(detector), *made])
    run_weigh(sources, detector, made, output, (cap, share), seed, text_column, as_json=json)


@app.command()
def leaks(
    human: Human,
    synthetic: Synthetic,
    words: Words = 0,
    side: Side = "last",
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Tell whether newline count, length or endings give the label away."""
    from tailguard.cli.detecting import run_leaks

    run_leaks(human, synthetic, (words, side), text_column, as_json=json)
