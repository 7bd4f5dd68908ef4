"""``tailguard gold``: freeze trusted data, and prove later that it is unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(
    help="Freeze trusted data, and prove later that it is unchanged.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Data = Annotated[list[str], typer.Argument(help="A folder, files or globs.")]
LockFile = Annotated[Path, typer.Argument(help="The lock file.")]
Trusted = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--key", help="Public key to believe; default: trusted publishers and your own."),
]
Store = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--trust", help="File of trusted keys; default: the one of this user."),
]
Engine = Annotated[str, typer.Option(help="Where the work runs: local, serial or ray.")]
Workers = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="Worker processes; default: all cores.", min=1),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def keygen(
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="File for the secret; default: the one of this user."),
    ] = None,
    name: Annotated[str, typer.Option(help="What signatures are called.")] = "gold-signer",
    json: Json = False,
) -> None:
    """Make a signing key: the secret in one file, the public half beside it (.pub)."""
    from tailguard.cli.show import print_json
    from tailguard.provenance import keys
    from tailguard.provenance.trust import default_key

    path = default_key() if output is None else output
    if output is None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = keys.generate(name)
    public = keys.save(key, path)
    if json:
        print_json({"secret": str(path), "public": str(public), "key": key.public.key_id})
        return
    print(f"secret key (keep it to yourself): {path}")
    print(f"public key (hand it out): {public}")


@app.command()
def lock(
    data: Data,
    by: Annotated[str, typer.Option(help="Who answers for this gold.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Lock file to write.")],
    key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Secret key to sign with; default: the one of this user."),
    ] = None,
    profile: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Saved profile of the same data, to enter its fingerprint."),
    ] = None,
    previous: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Lock of the release before this one."),
    ] = None,
    old_data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Data of the release before, needed where records were removed."),
    ] = None,
    group_rows: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Rows of a group, a power of two; default: 4096, or as before."),
    ] = None,
    keyless: Annotated[
        bool, typer.Option(help="Sign through Sigstore as well (network; extra: sigstore).")
    ] = False,
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Freeze data: the Merkle roots of its records, signed. One pass; no record is kept."""
    from tailguard.cli.outputs import check_output
    from tailguard.provenance import envelope, keys
    from tailguard.provenance.gold import lockfile, locking, releases
    from tailguard.provenance.gold.base import GROUP_ROWS
    from tailguard.provenance.keyless import bundle_path, sign_keyless
    from tailguard.provenance.trust import default_key, trusted_keys

    for used in (key, profile, previous):
        check_output(output, [*data, *([str(used)] if used else [])])
    fingerprint = None if profile is None else _fingerprint(profile)
    unnamed = keyless and key is None
    signer = keys.generate("keyless") if unnamed else keys.load(key or default_key())
    work: dict[str, Any] = {"profile": fingerprint, "engine": engine, "workers": workers}
    if previous is None:
        _refuse_old_data(old_data)
        rows = GROUP_ROWS if group_rows is None else group_rows
        signed = locking.lock(data, by=by, key=signer, group_rows=rows, **work)
    else:
        before = lockfile.load(previous)
        _check_rows(group_rows, lockfile.read(before, who=str(previous)).group_rows)
        signed = releases.release(
            data, previous=before, by=by, key=signer, trusted=trusted_keys(), old_data=old_data,
            **work,
        )  # fmt: skip
    bundle = bundle_path(output) if keyless else None
    if bundle is not None:
        sign_keyless(signed, bundle)
    envelope.save(signed, output)
    _show_lock(lockfile.read(signed), output, bundle, as_json=json)


@app.command()
def verify(
    lock_file: LockFile,
    data: Data,
    key: Trusted = None,
    trust: Store = None,
    identity: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Who signed through Sigstore, as in someone@example.org."),
    ] = None,
    issuer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Who vouches for that identity, as an address."),
    ] = None,
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> int:
    """Prove data unchanged, or name the files and rows that differ. Exit code: 0 yes, 1 no."""
    from tailguard.cli.show import console, print_json
    from tailguard.provenance.gold import lockfile, locking, wording
    from tailguard.provenance.trust import trusted_keys
    from tailguard.report.words import clean

    signed = lockfile.load(lock_file)
    trusted = trusted_keys(key or (), trust)
    if identity or issuer:
        trusted = [*trusted, _vouched(signed, lock_file, identity, issuer)]
    found = locking.verify(signed, data, trusted=trusted, engine=engine, workers=workers)
    if json:
        print_json(wording.told(found))
        return 0 if found.ok else 1
    out = console()
    mark, colour = ("✔", "green") if found.ok else ("✘", "red")
    out.print(f"{mark} {clean(wording.headline(found))}", style=colour)
    for line in wording.details(found):
        out.print(f"  {clean(line)}")
    if found.unchanged and not found.ok:
        out.print("next: ask the signer for the public key, and pass it with --key", style="dim")
    return 0 if found.ok else 1


@app.command()
def history(
    locks: Annotated[list[Path], typer.Argument(help="Lock files, oldest first.")],
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Data of the newest release, to check lists of removed records."),
    ] = None,
    key: Trusted = None,
    trust: Store = None,
    json: Json = False,
) -> int:
    """Check that each release follows from the one before. Exit code: 0 yes, 1 no."""
    from tailguard.cli.show import print_json
    from tailguard.provenance.gold import lockfile, releases
    from tailguard.provenance.trust import trusted_keys
    from tailguard.report.words import clean

    signed = [lockfile.load(path) for path in locks]
    links = releases.check_chain(signed, trusted=trusted_keys(key or (), trust), data=data)
    code = 1 if any(link.fault for link in links) else 0
    if json:
        print_json(
            [{"lock": str(p), "ok": not k.fault, "fault": k.fault or None,
              "append_only": k.append_only, "removed": k.removed}
             for p, k in zip(locks, links, strict=True)]
        )  # fmt: skip
        return code
    for number, (path, link) in enumerate(zip(locks, links, strict=True)):
        kept = "appended only" if link.append_only else f"{link.removed:,} records removed"
        holds = kept if number else "the first release"
        print(f"{'✘' if link.fault else '✔'} {clean(str(path))}: {clean(link.fault) or holds}")
    return code


@app.command()
def trust(
    public_key: Annotated[Path, typer.Argument(help="File with the publisher's public key.")],
    publisher: Annotated[str, typer.Option(help="Whose key it is.")],
    store: Store = None,
    json: Json = False,
) -> None:
    """Believe what a publisher signs from now on. Make sure the key is really theirs."""
    from tailguard.cli.show import print_json
    from tailguard.provenance.keys import load_public
    from tailguard.provenance.trust import default_store, load_store

    path = default_store() if store is None else store
    held = load_store(path)
    added = load_public(public_key)
    held.add(publisher, added)
    held.save(path)
    if json:
        print_json({"store": str(path), "publisher": publisher, "key": added.key_id})
        return
    print(f"{publisher}: key {added.key_id} is trusted, in {path}")


@app.command()
def attest(
    data: Data,
    signed: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The lock or manifest (DSSE) that came with the data."),
    ] = None,
    store: Store = None,
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> int:
    """Is this shipment from a publisher you trust? Exit code: 0 attested, 1 less than that."""
    from dataclasses import asdict

    from tailguard.cli.show import print_json
    from tailguard.provenance import publisher
    from tailguard.provenance.trust import default_store, load_store
    from tailguard.report.words import clean

    held = load_store(default_store() if store is None else store)
    found = publisher.attest(data, signed, held, engine=engine, workers=workers)
    if json:
        print_json(asdict(found))
    else:
        print(f"evidence {found.evidence}: {clean(found.reason)}")
    return 0 if found.evidence == "attested" else 1


def _fingerprint(path: Path) -> str:
    from tailguard.measure.store import load_profile

    return f"sha256:{load_profile(path).fingerprint()}"


def _vouched(signed: Any, lock_file: Path, identity: str | None, issuer: str | None) -> Any:
    """The key that a lock names, once Sigstore's bundle says who made that lock."""
    from tailguard.errors import InputError
    from tailguard.provenance.gold import lockfile
    from tailguard.provenance.keyless import bundle_path, verify_keyless
    from tailguard.provenance.keys import parse_vkey

    if not identity or not issuer:
        raise InputError("keyless signature", "--identity and --issuer", "one", "pass both")
    verify_keyless(signed, bundle_path(lock_file), identity=identity, issuer=issuer)
    return parse_vkey(lockfile.read(signed, who=str(lock_file)).key)


def _refuse_old_data(old_data: Path | None) -> None:
    from tailguard.errors import InputError

    if old_data is not None:
        raise InputError("--old-data", "--previous beside it", "none", "name the lock before")


def _check_rows(asked: int | None, before: int) -> None:
    from tailguard.errors import InputError

    if asked not in (None, before):
        raise InputError("--group-rows", f"{before}, as before", str(asked), "leave it out")


def _show_lock(lock: Any, output: Path, bundle: Path | None, *, as_json: bool) -> None:
    from tailguard.cli.show import console, print_json
    from tailguard.report.words import clean

    told = {
        "lock": str(output),
        "root": lock.root.hex(),
        "rows": lock.rows,
        "files": len(lock.files),
        "by": lock.by,
        "created": lock.created,
        "key": lock.key,
        "profile": lock.profile,
        "bundle": None if bundle is None else str(bundle),
    }
    if as_json:
        print_json(told)
        return
    out = console()
    out.print(f"{lock.rows:,} records in {len(lock.files):,} files locked by {clean(lock.by)}")
    out.print(f"root: {lock.root.hex()}")
    out.print(f"signed by: {clean(lock.key)}")
    out.print(f"lock: {output}")
    if bundle is not None:
        out.print(f"bundle: {bundle}")
