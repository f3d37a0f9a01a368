"""The catalog on SQLite and PostgreSQL: made, refused where it does not fit, one transaction a use."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select

from mpp.store import catalog as catalogs
from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.errors import CatalogError, CatalogRefusedError
from mpp.store.schema import NODE_TABLES, metadata, versions

ROW = {"tenant": "default", "name": "lists", "number": 1}


def test_the_tenant_leads_every_key():
    for table in set(metadata.tables.values()) - NODE_TABLES:
        assert next(iter(table.primary_key.columns)).name == "tenant", table.name


def test_preparing_again_changes_nothing(catalog: Catalog):
    with catalog.write() as connection:
        connection.execute(insert(versions), ROW)
    prepare(catalog.engine.url)
    with catalog.read() as connection:
        assert [row._asdict() for row in connection.execute(select(versions))] == [ROW]


def test_a_write_that_fails_leaves_nothing(catalog: Catalog):
    def twice():
        with catalog.write() as connection:
            connection.execute(insert(versions), ROW)
            connection.execute(insert(versions), ROW)

    with pytest.raises(CatalogError):
        twice()
    with catalog.read() as connection:
        assert connection.execute(select(versions)).all() == []


def test_an_empty_catalog_is_refused(catalog_setting: str, tmp_path):
    with pytest.raises(CatalogRefusedError, match="has schema none"):
        open_catalog(catalog_url(catalog_setting, "", tmp_path))


def test_sqlite_is_durable_and_its_own(tmp_path):
    url = catalog_url("", "", tmp_path)
    prepare(url)
    opened = open_catalog(url)
    with opened.read() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2)):
            assert connection.exec_driver_sql(f"pragma {pragma}").scalar() == value
    opened.close()


@pytest.mark.parametrize("opening", [prepare, open_catalog])
def test_an_older_sqlite_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch, opening):
    monkeypatch.setattr(catalogs.sqlite, "sqlite_version_info", (3, 51, 2))
    with pytest.raises(CatalogRefusedError, match=r"3\.51\.3"):
        opening(catalog_url("", "", tmp_path))


def test_an_older_postgresql_is_refused(postgresql, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(catalogs, "LEAST_POSTGRESQL", 99)
    with pytest.raises(CatalogRefusedError, match=r"PostgreSQL .* too old"):
        prepare(catalog_url(postgresql.database(), "", tmp_path))


def test_a_password_is_put_in_by_reference_only():
    url = catalog_url("postgresql://mpp@db.example.org/mpp", "secret", None)
    assert url.password == "secret"
    assert "secret" not in url.render_as_string()


def test_two_processes_that_prepare_at_once(catalog_setting: str, tmp_path):
    url = catalog_url(catalog_setting, "", tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(prepare, [url] * 4)) == [None] * 4
