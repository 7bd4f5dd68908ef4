"""``tailguard watermark``: mark what a model writes, and find the mark again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, cast

import typer

if TYPE_CHECKING:
    from tailguard.detect.watermark import Detection, Finding

app = typer.Typer(
    help="Mark what a model writes, and find the mark again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SHOWN = 20
Sources = Annotated[list[str], typer.Argument(help="Files, globs, folders, or builtin:NAME.")]
SchemeName = Annotated[
    str, typer.Option("--scheme", help="kgw, kgw-self, unigram, exp or synthid.")
]
Width = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="Tokens of context; default: the scheme's usual."),
]
Gamma = Annotated[float, typer.Option(help="Green share (kgw, kgw-self, unigram).")]
Layers = Annotated[int, typer.Option(help="Layers of the tournament (synthid).")]
Text = Annotated[Optional[str], typer.Option("--text-column", help="Column with the text.")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def keygen(
    output: Annotated[Path, typer.Option("--output", "-o", help="New file for the key.")],
    json: Json = False,
) -> None:
    """Make a secret key, in a file that only its owner can open."""
    from tailguard.cli.show import print_json
    from tailguard.detect.watermark import make_key

    make_key(output)
    if json:
        print_json({"secret": str(output)})
    else:
        print(f"secret key (keep it to yourself): {output}")


@app.command()
def embed(
    sources: Sources,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    key_file: Annotated[Path, typer.Option("--key-file", help="The secret key.")],
    scheme: SchemeName = "exp",
    n: Annotated[int, typer.Option("-n", help="Documents to write.", min=1)] = 100,
    width: Width = None,
    gamma: Gamma = 0.25,
    delta: Annotated[float, typer.Option(help="Logit bonus of green tokens, in nats.")] = 2.0,
    layers: Layers = 30,
    order: Annotated[int, typer.Option(help="Order of the word model.")] = 4,
    temperature: Annotated[float, typer.Option(help="Temperature of the word model.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the draw.", min=0)] = 0,
    text_column: Text = None,
    json: Json = False,
) -> None:
    """Fit the laboratory's word model to text, and write marked samples of it with their origin."""
    import numpy as np

    from tailguard.cli.outputs import check_output
    from tailguard.cli.records import open_sources
    from tailguard.cli.show import print_json
    from tailguard.corpus import Quarantine, write_corpus
    from tailguard.detect.watermark import Scheme, load_key
    from tailguard.detect.watermark.base import Name
    from tailguard.lab.families.ngram import NGram
    from tailguard.lab.watermarked import marked_records

    check_output(output, [*sources, str(key_file)])
    setting = Scheme(cast(Name, scheme), width, gamma, delta, layers)
    family = NGram(order=order, temperature=temperature)
    key, bad = load_key(key_file), Quarantine()
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    corpus = open_sources(sources, text_column)
    records = marked_records(corpus, family, setting, key, n=n, rng=rng, quarantine=bad)
    written = write_corpus(records, output)
    if json:
        told = {"written": written, "output": str(output), "scheme": setting.id, "delta": delta}
        print_json({**told, "quarantined": dict(bad.counts)})
        return
    print(f"{written:,} records marked with {setting.id} written to {output}")
    if bad.total:
        print(bad)


@app.command()
def detect(
    sources: Sources,
    key_file: Annotated[
        list[Path], typer.Option("--key-file", help="A secret key; several are corrected for.")
    ],
    scheme: SchemeName = "exp",
    width: Width = None,
    gamma: Gamma = 0.25,
    layers: Layers = 30,
    alpha: Annotated[float, typer.Option(help="False-positive rate of decisions.")] = 1e-4,
    windows: Annotated[
        bool, typer.Option("--windows", help="Search for the best passage of each document.")
    ] = False,
    tokenizer: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of a transformers tokenizer; default: the word model's."),
    ] = None,
    text_column: Text = None,
    json: Json = False,
) -> int:
    """Test text for a mark. Exit code: 0 none found, 1 found overall, 3 too short to tell."""
    from tailguard.cli.records import open_sources
    from tailguard.corpus import Quarantine
    from tailguard.detect.watermark import Detection, Scheme, load_key
    from tailguard.detect.watermark.base import Name
    from tailguard.detect.watermark.corpora import examine, folder_tokenizer
    from tailguard.lab.watermarked import lab_ids

    setting = Scheme(cast(Name, scheme), width, gamma, 0.0, layers)
    test = Detection(setting, [load_key(k) for k in key_file], alpha=alpha, windows=windows)
    split = lab_ids if tokenizer is None else folder_tokenizer(tokenizer)
    bad = Quarantine()
    found = list(examine(open_sources(sources, text_column), test, split, quarantine=bad))
    _show(test, found, bad, as_json=json)
    return {"marked": 1, "abstain": 3}.get(test.decision(), 0)


def _show(test: Detection, found: list[tuple[str, Finding]], bad: Any, *, as_json: bool) -> None:
    import math
    import sys
    from collections import Counter
    from dataclasses import asdict

    from tailguard.cli.show import console, print_json

    overall, decision = test.overall(), test.decision()
    if as_json:
        pooled = test.pooled()
        keys = {
            k: {"p": p, "units": pooled[k][0], "score": pooled[k][1]} for k, p in overall.items()
        }
        told = {"scheme": test.scheme.id, "alpha": test.alpha, "windows": test.windows}
        documents = [{"id": name, **asdict(finding)} for name, finding in found]
        print_json(
            {**told, "decision": decision, "keys": keys, "quarantined": dict(bad.counts),
             "documents": documents}
        )  # fmt: skip
        return
    out = console()
    counts = Counter(finding.decision for _, finding in found)
    summed = ", ".join(f"{counts[word]:,} {word}" for word in ("marked", "not found", "abstain"))
    out.print(f"{test.scheme.id}, α = {test.alpha:g}: {summed}", style="bold")
    ranked = sorted(found, key=lambda pair: (pair[1].units == 0, pair[1].p))
    for name, finding in ranked[:SHOWN]:
        place = (
            "" if finding.tokens is None else f"  tokens {finding.tokens[0]}–{finding.tokens[1]}"
        )
        note = f"  {finding.note}" if finding.note else ""
        chance = "–" if finding.units == 0 else f"{finding.p:.1e}"
        line = f"{name}  {finding.decision}  p {chance}  key {finding.key}  {finding.units:,} units"
        out.print(line + place + note)
    if len(found) > SHOWN:
        out.print(f"… and {len(found) - SHOWN:,} more; --json shows all")
    for name, p in overall.items():
        shown = "–" if math.isnan(p) else f"{p:.1e}"
        out.print(f"overall, key {name}: p {shown}")
    out.print(decision, style="bold")
    if bad.total:
        print(f"tailguard: {bad}", file=sys.stderr)
