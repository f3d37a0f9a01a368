"""`mpp store verify`: is everything in the store's log as it was when it was signed?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail
from mpp.cli.options import JsonOption, SettingsOption
from mpp.cli.placed import FolderOption, catalog_of, settings_of
from mpp.cli.store_files import check, compact, rebuild

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from mpp.gateway.settings import Settings
    from mpp.store.catalog import Catalog
    from mpp.store.checkpoint import Checkpoint

app = typer.Typer(name="store", help="Look after what is kept.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def store() -> None:
    """Look after what is kept."""


app.command()(check)
app.command()(rebuild)
app.command()(compact)


@app.command()
def verify(
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the log there, for packaging/verify-log.py.")
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option("--known", metavar="FILE", help="A checkpoint kept elsewhere, which the log must still lead to."),
    ] = None,
    message: Annotated[
        str, typer.Option("--message", metavar="ID", help="Prove that this stored message is in the log.")
    ] = "",
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose message.")] = "default",
    public_key: Annotated[bool, typer.Option("--public-key", help="Print the key that verifies, and end.")] = False,
    as_json: JsonOption = False,
    settings: SettingsOption = None,
    data: FolderOption = None,
) -> None:
    """Verify the log of events and stored messages: nothing changed, put in or taken out. Exit 1 if there is."""
    import json

    from mpp.mail.escape import printable
    from mpp.store.checkpoint import public_text
    from mpp.store.evidence import verify as look

    value = settings_of(settings, data)
    key = _public_key(value)
    if public_key:
        typer.echo(public_text(key))
        return
    with catalog_of(value) as catalog:
        if message:
            _prove(catalog, tenant, message, key)
            return
        if export is not None:
            _export(catalog, export, key)
        with catalog.read() as connection:
            found = look(connection, key, _known(known))
    if as_json:
        about = {"leaves": found.leaves, "checkpoints": found.checkpoints, "waiting": found.waiting}
        typer.echo(json.dumps({"problems": list(found.problems), **about}))
    for problem in found.problems if not as_json else ():
        typer.echo(printable(problem), err=True)
    if found.problems:
        raise typer.Exit(1)
    if not as_json:
        coming = f"; {found.waiting} not yet in the log" if found.waiting else ""
        typer.echo(f"verified: {found.leaves} leaves, {found.checkpoints} checkpoints{coming}")


def _public_key(settings: "Settings") -> "Ed25519PublicKey":
    from mpp.mail.escape import printable
    from mpp.store import master
    from mpp.store.checkpoint import signing_key
    from mpp.store.errors import StoreError

    try:
        where = master.reference(settings.store.master_key, settings.node.data)
        return signing_key(master.read_master_key(where)).public_key()
    except StoreError as error:
        fail(printable(str(error), 500))


def _known(path: Path | None) -> "Checkpoint | None":
    from mpp.mail.escape import printable
    from mpp.store.checkpoint import read_note

    if path is None:
        return None
    try:
        return read_note(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fail(f"--known: {printable(str(path))} holds no checkpoint: {printable(str(error), 200)}")


def _export(catalog: "Catalog", path: Path, key: "Ed25519PublicKey") -> None:
    import json

    from mpp.mail.escape import printable
    from mpp.store.evidence import exported

    try:
        with path.open("w", encoding="utf-8") as file, catalog.read() as connection:
            for item in exported(connection, key):
                file.write(json.dumps(item, ensure_ascii=False) + "\n")
    except OSError as error:
        fail(f"--export: {printable(str(error), 300)}")


def _prove(catalog: "Catalog", tenant: str, message: str, key: "Ed25519PublicKey") -> None:
    """Print the proof that a message is in the log: its leaf, the way to the root, and the checkpoint with that root."""
    import json

    from mpp.mail.escape import printable
    from mpp.store.evidence import prove

    with catalog.read() as connection:
        proof = prove(connection, "messages", tenant, message)
    if proof is None:
        fail(
            f"{printable(message, 100)} is not in the store, or not yet under a checkpoint (one is signed each minute)"
        )
    told = {"data": proof.data.decode(), "index": proof.index, "path": [each.hex() for each in proof.path]}
    typer.echo(json.dumps({**told, "checkpoint": proof.checkpoint.note(key)}, ensure_ascii=False))
