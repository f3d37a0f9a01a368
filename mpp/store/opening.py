"""From settings to an open store: what is made at start, and what each process opens.

`prepare_store` runs once at start, in a process that may hold the master key and then ends; gateway workers call `open_writer` and
never see it. Raises KeysError and CatalogRefusedError, which a start must not go on with, and CatalogError where the catalog is
away: the gateway starts then all the same, and each writer tries again.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.errors import KeysError
from mpp.store.segment import Limits, SegmentWriter, segments_folder
from mpp.store.settings import Store
from mpp.store.tenants import Public, prepare_tenants, read_tenants
from mpp.store.writer import Writer


def secret(reference: str) -> str:
    """Return what "file:/PATH", "env:NAME" or "credential:NAME" refers to. Raises KeysError."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        if rest not in os.environ:
            raise KeysError(f"{reference}: the environment has no such variable")
        return os.environ[rest]
    path = (
        Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/credentials/mpp")) / rest
        if kind == "credential"
        else Path(rest)
    )
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{reference} cannot be read: {error}") from None


def url_of(data: Path, settings: Store) -> URL:
    """Return the catalog's address. Raises KeysError where its password cannot be read."""
    return catalog_url(settings.catalog, secret(settings.catalog_password) if settings.catalog_password else "", data)


def prepare_store(data: Path, settings: Store, tenants: Iterable[str] = (DEFAULT_TENANT,)) -> None:
    """Make folders, keys and schema, or bring them up to date."""
    segments_folder(data).mkdir(mode=0o700, parents=True, exist_ok=True)
    prepare_tenants(data, settings.master_key, tenants)
    prepare(url_of(data, settings))


def open_store_catalog(data: Path, settings: Store) -> Catalog:
    """Open the catalog that `prepare_store` made."""
    return open_catalog(url_of(data, settings))


def open_writer(data: Path, settings: Store, node: str) -> Writer:
    """Start the writer thread of this process; to be called in the running loop. Touches neither disk nor catalog yet."""
    url = url_of(data, settings)

    def opened() -> Catalog:
        prepare(url)  # in case the catalog was away at the start
        catalog = open_catalog(url)
        catalog.for_one_thread()
        return catalog

    return Writer(opened, SegmentWriter(data, Limits.of(settings)), _Tenants(data), node)


class _Tenants:
    """The tenants' public keys; the file is read again where a tenant is not known yet."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._known: Mapping[str, Public] = {}

    def __call__(self, tenant: str) -> Public:
        if tenant not in self._known:
            self._known = read_tenants(self._data)
        try:
            return self._known[tenant]
        except KeyError:
            raise KeysError(
                f"tenant {tenant} has no keys yet; they are made at the next start of `mpp serve`"
            ) from None
