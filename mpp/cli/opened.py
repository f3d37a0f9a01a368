"""The store for a command: opened by the settings file, for one tenant, with a name for who does what.

Imports stand in the functions: commands that need no store stay quick.
"""

import getpass
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail
from mpp.cli.options import DEFAULT_FILE
from mpp.cli.placed import catalog_of, told

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.store.catalog import Catalog
    from mpp.store.reader import Reader

TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose; default: the tenant `default`.")]


@dataclass(frozen=True, slots=True)
class Opened:
    settings: "Settings"
    catalog: "Catalog"
    tenant: str
    actor: str  # for events: "command:root"

    @property
    def provider(self) -> bool:
        """True where it is about the tenant whose settings are everybody's."""
        return self.tenant == "default"

    def acting_as(self, role: str) -> str:
        """Return who acts, for events."""
        return self.actor if role == "admin" else f"{self.actor} as {role}"

    def reader(self) -> "AbstractContextManager[Reader]":
        """What opens the messages; needs the master key."""
        from mpp.store.reader import Reader

        return closing(Reader.open(self.settings.node.data, self.settings.store.master_key))


@contextmanager
def opened(file: Path | None, tenant: str, *, records: bool = False) -> Iterator[Opened]:
    """Open the store; what goes wrong ends the command with words for the operator.

    The settings are those that hold: the newest revision's, with the file's own start. `records`: events are written down. Not while the catalog is made anew, and the journal is told of them also while no gateway runs;
    what only the journal knows is put back before, else a catalog from a backup would give its numbers again.
    """
    from mpp.cli.options import read_file
    from mpp.mail.escape import printable
    from mpp.settings.tenants import Directory

    path = file or DEFAULT_FILE
    if not path.exists():
        fail(f"{printable(str(path))} is not there; name the settings file of the gateway with --settings")
    settings = read_file(path)
    with _joined(settings.node.data) if records else nullcontext(), catalog_of(settings) as catalog:
        settings = _held(settings, catalog)
        names = Directory(settings.tenants, settings.groups).names
        if tenant not in names:
            fail(f"--tenant: there is no tenant {printable(tenant, 60)}; there are: {', '.join(names)}")
        if records:
            _journal(settings.node.data, catalog)
        try:
            yield Opened(settings, catalog, tenant, f"command:{_user()}")
        finally:
            if records:
                _journal(settings.node.data, catalog)


def _held(file: "Settings", catalog: "Catalog") -> "Settings":
    """Return what the newest revision says; the file where there is none, or where it cannot be taken here, which is said."""
    from mpp.gateway.revising import newest_over
    from mpp.settings.problem import SettingsError

    try:
        taken = newest_over(catalog, file)
    except SettingsError as error:
        typer.echo(f"{error}\nthe newest revision cannot be taken here, so the settings file is gone by", err=True)
        return file
    return taken.settings if taken else file


@contextmanager
def _joined(data: Path) -> Iterator[None]:
    """Be at work in the data folder beside gateways, and not beside `mpp store rebuild`, which has read what it goes by."""
    import os

    from mpp.store.alone import join

    with told(1, "", OSError):
        descriptor = join(data)
    try:
        yield
    finally:
        os.close(descriptor)


def _journal(data: Path, catalog: "Catalog") -> None:
    """Have what is done outlive the catalog. Done it is: a fault here is told, and the gateway writes it at its next start."""
    from mpp.mail.escape import printable
    from mpp.store.errors import StoreError
    from mpp.store.journal import take_beside

    try:
        take_beside(data, catalog)
    except (StoreError, OSError) as error:
        typer.echo(f"not yet in events.log: {printable(str(error), 300)}; a gateway that runs writes it", err=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
