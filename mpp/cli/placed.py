"""Where a command finds the store: by the settings file, or by the data folder alone of a gateway that was started by options."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail
from mpp.cli.options import DEFAULT_DATA, DEFAULT_FILE

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.store.catalog import Catalog

FolderOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder of a gateway without a settings file; default ./mpp-data."),
]


def settings_of(file: Path | None, data: Path | None) -> "Settings":
    """Return the settings that say where the store is. Ends the command where there are none."""
    from mpp.cli.options import read_file
    from mpp.gateway.settings import Settings
    from mpp.mail.escape import printable
    from mpp.settings.common import Node

    if data is not None and file is not None:
        fail("--data and --settings exclude each other: a settings file names its folder")
    path = file or (DEFAULT_FILE if data is None and DEFAULT_FILE.exists() else None)
    if path is not None:
        return read_file(path)
    folder = data or DEFAULT_DATA
    if not folder.is_dir():
        fail(
            f"{printable(str(folder))} is no folder; name the gateway's settings with --settings, or its folder with --data"
        )
    return Settings(node=Node(data=folder))


@contextmanager
def catalog_of(settings: "Settings") -> "Iterator[Catalog]":
    """The catalog, open. What goes wrong with it ends the command with words for the operator."""
    from mpp.mail.escape import printable
    from mpp.store.errors import StoreError
    from mpp.store.opening import open_store_catalog

    try:
        catalog = open_store_catalog(settings.node.data, settings.store)
        try:
            yield catalog
        finally:
            catalog.close()
    except StoreError as error:
        fail("\n".join(map(printable, str(error).splitlines())))
