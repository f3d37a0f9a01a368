"""Where a command finds the store: by the settings file, or by the data folder alone of a gateway that was started by options;
and how it opens it. Whatever goes wrong with the store ends the command with words for the operator, and all is closed.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail
from mpp.cli.options import DEFAULT_DATA, DEFAULT_FILE

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.store.catalog import Catalog
    from mpp.store.reader import Reader

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
def told(code: int = 1, opening: str = "", *also: type[Exception]) -> "Iterator[None]":
    """A StoreError within, or one of `also`, ends the command with `code` and what it says, behind `opening`."""
    from mpp.mail.escape import printable
    from mpp.store.errors import StoreError

    errors: tuple[type[Exception], ...] = (StoreError, *also)
    try:
        yield
    except BrokenPipeError:  # of what the command prints into
        raise
    except errors as error:
        fail(opening + "\n".join(map(printable, str(error).splitlines())), code)


@contextmanager
def catalog_of(settings: "Settings") -> "Iterator[Catalog]":
    """The catalog, open."""
    from mpp.store.opening import open_store_catalog

    with told(), closing(open_store_catalog(settings.node.data, settings.store)) as catalog:
        yield catalog


@contextmanager
def store_of(settings: "Settings", code: int = 1, opening: str = "") -> "Iterator[tuple[Catalog, Reader]]":
    """The catalog, and what opens the messages: that needs the master key."""
    from mpp.store.opening import open_store_catalog
    from mpp.store.reader import Reader

    with (
        told(code, opening, OSError),
        closing(Reader.open(settings.node.data, settings.store.master_key)) as reader,
        closing(open_store_catalog(settings.node.data, settings.store)) as catalog,
    ):
        yield catalog, reader
