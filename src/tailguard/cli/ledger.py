"""``tailguard ledger``: enter what is known of data and models, and prove what was entered."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(
    help="An append-only, signed log of data and models, and proofs from it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class OriginKind(StrEnum):
    """Who made the data."""

    human = "human"
    synthetic = "synthetic"
    mixed = "mixed"
    unknown = "unknown"


class EvidenceGrade(StrEnum):
    """How the origin is known."""

    attested = "attested"
    watermark = "watermark"
    audited = "audited"
    declared = "declared"
    detected = "detected"
    none = "none"


Text = Optional[str]  # noqa: UP045
Texts = Optional[list[str]]  # noqa: UP045
Number = Optional[int]  # noqa: UP045
Place = Optional[Path]  # noqa: UP045
Folder = Annotated[Path, typer.Option("--ledger", "-l", help="Folder of the ledger.")]
Key = Annotated[Path, typer.Option(help="File of the ledger's secret key.")]
Signer = Annotated[
    Place,
    typer.Option(help="File of the secret key of who makes the claim, to sign the entry."),
]
Output = Annotated[Place, typer.Option("--output", "-o", help="File to write.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HERE = Path("ledger")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    key: Annotated[Path, typer.Option(help="File of a secret key; made if it is not there.")],
    name: Annotated[Text, typer.Option(help="Name of a new key, and so of the ledger.")] = None,
    json: Json = False,
) -> None:
    """Make an empty ledger. Keep the secret key apart from it; give the .pub file to others."""
    from tailguard.provenance import keys
    from tailguard.provenance.ledger.log import Ledger

    if not key.exists():
        keys.save(keys.generate(name or folder.absolute().name), key)
    ledger = Ledger.init(folder, keys.load(key))
    told = {"ledger": str(folder), "name": ledger.key.name, "key": ledger.key.vkey}
    _show(told, f"{folder}: ledger {ledger.key.name}, public key {ledger.key.vkey}", json)


@app.command()
def register(
    data: Annotated[list[str], typer.Argument(help="Files, globs or folders.")],
    origin: Annotated[OriginKind, typer.Option(help="Who made the data.")],
    key: Key,
    ledger: Folder = HERE,
    name: Annotated[Text, typer.Option(help="Name of the data; default: of the file.")] = None,
    evidence: Annotated[
        EvidenceGrade, typer.Option(help="How the origin is known.")
    ] = EvidenceGrade.declared,
    generation: Annotated[
        Number, typer.Option(help="0: human; g: output of a model trained on g - 1.", min=0)
    ] = None,
    generator: Annotated[Text, typer.Option(help="The model that made it, model@revision.")] = None,
    source: Annotated[Text, typer.Option(help="Where it comes from.")] = None,
    created: Annotated[Text, typer.Option(help="When it was made.")] = None,
    captured: Annotated[Text, typer.Option(help="When it was collected.")] = None,
    license: Annotated[Text, typer.Option(help="Its licence.")] = None,
    creator: Annotated[Text, typer.Option(help="Who made it.")] = None,
    parents: Annotated[
        Texts, typer.Option("--parent", help="Name of data that it was derived from.")
    ] = None,
    source_type: Annotated[
        Text, typer.Option("--digital-source-type", help="IPTC digital source type, a URI.")
    ] = None,
    signer: Signer = None,
    keep_map: Annotated[
        bool,
        typer.Option(
            "--map/--no-map", help="Keep the map of records, for proofs without the data."
        ),
    ] = True,
    engine: Annotated[str, typer.Option(help="Where the work runs: local, serial, ray.")] = "local",
    workers: Annotated[Number, typer.Option(help="Worker processes; default: all cores.")] = None,
    json: Json = False,
) -> None:
    """Enter data: its origin, and roots over all its records."""
    from dataclasses import asdict

    from tailguard.provenance.ledger import register as registering

    told = {
        "kind": origin.value, "evidence": evidence.value, "generation": generation,
        "generator": generator, "source": source, "created": created, "captured": captured,
        "license": license, "creator": creator, "parents": parents or None,
        "digital_source_type": source_type,
    }  # fmt: skip
    made = registering.register(
        _opened(ledger),
        data[0] if len(data) == 1 else data,
        {field: value for field, value in told.items() if value is not None},
        _secret(key),
        name=name,
        signer=None if signer is None else _secret(signer),
        keep_map=keep_map,
        engine=engine,
        workers=workers,
    )
    text = f"entry {made.sequence}: {made.name}, {made.records:,} records, root {made.root}"
    _show(asdict(made), text, json)


@app.command()
def enter(
    kind: Annotated[str, typer.Argument(help="model-trained, samples-drawn, verdict, ...")],
    subject: Annotated[
        list[str], typer.Option(help="What it is about: a file, or NAME=ALGORITHM:HEX.")
    ],
    predicate: Annotated[Path, typer.Option(help="JSON file with what is claimed.")],
    key: Key,
    ledger: Folder = HERE,
    signer: Signer = None,
    json: Json = False,
) -> None:
    """Enter a statement of another kind: an in-toto statement of its subjects."""
    from tailguard.provenance.envelope import parse_json, read_bounded
    from tailguard.provenance.ledger.statements import parse_subject, statement

    claim = parse_json(read_bounded(predicate, 1 << 16), who=str(predicate))
    by = None if signer is None else _secret(signer)
    entry = statement(kind, [parse_subject(one) for one in subject], claim, signer=by)
    (sequence,) = _opened(ledger).append([entry], _secret(key))
    _show({"sequence": sequence, "kind": kind}, f"entry {sequence}: {kind}", json)


@app.command()
def log(
    ledger: Folder = HERE,
    n: Annotated[int, typer.Option("-n", help="Entries to print, the newest.", min=1)] = 20,
    kind: Annotated[Text, typer.Option(help="Only entries of this kind.")] = None,
    about: Annotated[
        Text, typer.Option(help="Only entries that name this: name or digest.")
    ] = None,
    json: Json = False,
) -> None:
    """List entries, the oldest first."""
    from tailguard.provenance.ledger.index import listed
    from tailguard.provenance.ledger.statements import kind_of, names_in
    from tailguard.report.words import one_line

    rows: list[dict[str, Any]] = [
        {
            "sequence": entry.sequence,
            "kind": kind_of(entry.statement) or entry.statement["predicateType"],
            "names": [one for one in names_in(entry.statement) if one.startswith("name:")],
            "signers": list(entry.signers),
            "statement": entry.statement,
        }
        for entry in listed(_opened(ledger), newest=n, kind=kind, about=about)
    ]
    lines = (
        f"{row['sequence']:>8}  {_recorded(row['statement']):20}  {one_line(row['kind']):16}  "
        + ", ".join(one_line(one.removeprefix("name:")) for one in row["names"])
        for row in rows
    )
    _show(rows, "\n".join(lines) if rows else "no entries", json)


@app.command()
def verify(
    ledger: Folder = HERE,
    key: Annotated[Text, typer.Option(help="The ledger's public key: .pub file or vkey.")] = None,
    since: Annotated[
        Place, typer.Option(help="An older checkpoint that the ledger must have grown from.")
    ] = None,
    json: Json = False,
) -> int:
    """Check every byte of a ledger against its signed head. Exit code: 0 sound, 1 not."""
    from tailguard.provenance.envelope import read_bounded
    from tailguard.provenance.ledger.notes import LONGEST_NOTE_BYTES
    from tailguard.provenance.ledger.verifying import verify as run

    opened = _opened(ledger, None if key is None else _public(key))
    older = None if since is None else read_bounded(since, LONGEST_NOTE_BYTES)
    found = run(opened, older=older)
    head, kinds = found.checkpoint, dict(sorted(found.kinds.items()))
    told = {
        "ok": found.ok, "name": head.origin, "size": head.size, "root": head.root.hex(),
        "kinds": kinds, "signed": found.signed, "problems": found.problems, "notes": found.notes,
    }  # fmt: skip
    mark = "sound" if found.ok else "NOT SOUND"
    counts = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items())
    lines = [f"{mark}: {head.origin}, {head.size:,} entries" + (f" ({counts})" if counts else "")]
    lines += [f"  problem: {one}" for one in found.problems]
    lines += [f"  note: {one}" for one in found.notes]
    if key is None:
        lines.append("  note: checked with the key that the ledger names; pass --key to be sure")
    _show(told, "\n".join(lines), json)
    return 0 if found.ok else 1


@app.command()
def prove(
    record: Annotated[
        Text, typer.Argument(help="RECORD_ID, 64 hex digits; see: ledger ids.")
    ] = None,
    ledger: Folder = HERE,
    entry: Annotated[
        Number, typer.Option(help="Number of an entry: itself, or with RECORD_ID its data.", min=0)
    ] = None,
    absent: Annotated[bool, typer.Option("--absent", help="Prove that it is not there.")] = False,
    about: Annotated[
        Text, typer.Option(help="With --absent: a name or digest not entered.")
    ] = None,
    since: Annotated[
        Place, typer.Option(help="An older checkpoint: prove that the ledger only grew since.")
    ] = None,
    data: Annotated[Text, typer.Option(help="The data, where its map is not kept.")] = None,
    via: Annotated[
        Place,
        typer.Option(help="Folder of a ledger that refers to this one, to be checked by its key."),
    ] = None,
    output: Output = None,
) -> None:
    """Make a proof, as one file that can be checked without the ledger."""
    from tailguard.cli.outputs import check_output
    from tailguard.provenance.envelope import canonical_json
    from tailguard.provenance.ledger.proofs import prove as run
    from tailguard.provenance.ledger.proofs import save_proof

    check_output(output, [] if data is None else [data])
    made = run(
        _opened(ledger), record, entry=entry, absent=absent, about=about, since=since, data=data,
        via=None if via is None else _opened(via),
    )  # fmt: skip
    if output is None:
        print(canonical_json(made).decode())
        return
    save_proof(made, output)
    print(f"{made['claim']['kind']}: proof written to {output}")


@app.command()
def check(
    proof: Annotated[Path, typer.Argument(help="File of a proof.")],
    key: Annotated[str, typer.Option(help="The ledger's public key: .pub file or vkey.")],
    witness: Annotated[
        Texts, typer.Option(help="Public key of a witness that must have cosigned.")
    ] = None,
    quorum: Annotated[
        Number, typer.Option(help="How many of the witnesses; default: all.", min=0)
    ] = None,
    signer: Annotated[
        Texts, typer.Option(help="Public key of who must have signed the statement.")
    ] = None,
    json: Json = False,
) -> int:
    """Check a proof offline. Exit code: 0 it holds, 1 it does not, 2 it is no proof."""
    from tailguard.provenance.ledger.base import LedgerBroken
    from tailguard.provenance.ledger.checking import check as run
    from tailguard.provenance.ledger.proofs import load_proof

    held = load_proof(proof)
    try:
        found = run(
            held, _public(key), witnesses=[_cosigner(one) for one in witness or []],
            quorum=quorum, signers=[_public(one) for one in signer or []], who=str(proof),
        )  # fmt: skip
    except LedgerBroken as error:
        if not json:
            raise
        _show({"ok": False, "problem": str(error)}, "", json)
        return 1
    _show(found.told(), found.words(), json)
    return 0


@app.command()
def inventory(key: Key, ledger: Folder = HERE, json: Json = False) -> None:
    """Enter an inventory of all entries so far, under which absence can be proved."""
    from tailguard.provenance.ledger.inventory import take

    sequence = take(_opened(ledger), _secret(key))
    _show({"sequence": sequence}, f"entry {sequence}: inventory", json)


@app.command()
def witness(
    key: Annotated[Path, typer.Option(help="File of the witness's own secret key.")],
    state: Annotated[Path, typer.Option(help="File where the witness keeps what it has seen.")],
    ledger: Folder = HERE,
    log_key: Annotated[
        Text, typer.Option(help="The ledger's public key: .pub file or vkey.")
    ] = None,
    json: Json = False,
) -> None:
    """Cosign a ledger's newest checkpoint, if it grew from the last one seen."""
    from tailguard.provenance.ledger.witness import witness as run

    opened = _opened(ledger, None if log_key is None else _public(log_key))
    seen = run(opened, _secret(key), state)
    told = {"size": seen.checkpoint.size, "before": seen.before, "key": seen.vkey}
    text = f"cosigned {seen.checkpoint.size:,} entries, {seen.before:,} seen before; {seen.vkey}"
    _show(told, text, json)


@app.command()
def refer(
    other: Annotated[Path, typer.Argument(help="Folder of another ledger.")],
    key: Key,
    ledger: Folder = HERE,
    other_key: Annotated[Text, typer.Option(help="The other's public key.")] = None,
    json: Json = False,
) -> None:
    """Enter another ledger's newest checkpoint, so that its proofs can be checked by this one's."""
    from tailguard.provenance.ledger.witness import refer as run

    beside = _opened(other, None if other_key is None else _public(other_key))
    sequence = run(_opened(ledger), beside, _secret(key))
    text = f"entry {sequence}: {beside.key.name} at {beside.size:,} entries"
    _show({"sequence": sequence, "name": beside.key.name}, text, json)


@app.command()
def ids(
    data: Annotated[str, typer.Argument(help="A file, glob or folder.")],
    n: Annotated[int, typer.Option("-n", help="Records to print.", min=1)] = 10,
    json: Json = False,
) -> None:
    """Print the RECORD_IDs of the first records, with their file and row."""
    from itertools import islice

    from tailguard.provenance.ledger.register import record_ids

    found = list(islice(record_ids(data), n))
    text = "\n".join(f"{record}  {file}#{row}" for file, row, record in found)
    _show([{"record": r, "file": f, "row": i} for f, i, r in found], text, json)


def _opened(path: Path, key: Any = None) -> Any:
    from tailguard.provenance.ledger.log import Ledger

    return Ledger.open(path, key)


def _secret(path: Path) -> Any:
    from tailguard.provenance.keys import load

    return load(path)


def _public(text: str) -> Any:
    from tailguard.provenance.keys import load_public, parse_vkey

    return parse_vkey(text) if "+" in text and not Path(text).exists() else load_public(text)


def _cosigner(text: str) -> Any:
    from tailguard.provenance.ledger.witness import parse_cosigner

    return _public(text) if Path(text).exists() else parse_cosigner(text)


def _recorded(statement: Any) -> str:
    from tailguard.report.words import one_line

    return one_line(str(statement["predicate"].get("recorded", "")), 20)


def _show(told: Any, text: str, as_json: bool) -> None:
    from tailguard.cli.show import print_json
    from tailguard.report.words import clean

    if as_json:
        print_json(told)
    else:
        print("\n".join(clean(line) for line in text.split("\n")))
