"""The schema's versions: all of them together make the tables of the model, and each earlier one is upgraded with what it holds."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Connection, Float, LargeBinary, MetaData, Table, Text, insert, select, text
from sqlalchemy.engine import URL

from mpp.store import migrations
from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.errors import CatalogRefusedError
from mpp.store.schema import metadata

VERSIONS = sorted(path.name[:4] for path in (Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))
_SQLITE = "select name, sql from sqlite_master where name not like 'alembic%' and sql is not null"
_COLUMNS = (
    "select table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, ordinal_position, column_default) "
    "from information_schema.columns where table_schema = 'public' and table_name not like 'alembic%'"
)
_INDEXES = "select indexname, indexdef from pg_indexes where schemaname = 'public' and tablename not like 'alembic%'"


def described(connection: Connection) -> dict[str, str]:
    """Everything that a database says of its tables and indexes, by name."""
    queries = [_SQLITE] if connection.dialect.name == "sqlite" else [_COLUMNS, _INDEXES]
    rows = [row for query in queries for row in connection.execute(text(query))]
    return {name: " ".join(definition.split()) for name, definition in rows}


def empty(catalog: Catalog) -> None:
    with catalog.write() as connection:
        found = MetaData()
        found.reflect(connection)
        found.drop_all(connection)


def value_of(kind: Any, number: int) -> Any:
    if isinstance(kind, LargeBinary):
        return bytes([number]) * 32
    if isinstance(kind, Text):
        return f"{number} \u00e4 '\\"
    if isinstance(kind, Boolean):
        return bool(number % 2)
    return number + 0.5 if isinstance(kind, Float) else number


def filled(connection: Connection) -> dict[Table, list[tuple[Any, ...]]]:
    """Put rows into every table that is there, and return what they hold."""
    found = MetaData()
    found.reflect(connection)
    tables = [table for table in found.sorted_tables if not table.name.startswith("alembic")]
    for table in tables:
        rows = [{column.name: value_of(column.type, number) for column in table.columns} for number in (1, 2)]
        connection.execute(insert(table), rows)
    return contents(connection, tables)


def contents(connection: Connection, tables: Any) -> dict[Table, list[tuple[Any, ...]]]:
    return {table: sorted(tuple(row) for row in connection.execute(select(table))) for table in tables}


def at_version(url: URL, version: str) -> dict[Table, list[tuple[Any, ...]]]:
    """Make a catalog as an earlier MPP left it, with rows in all of its tables."""
    prepare(url)
    catalog = open_catalog(url)
    empty(catalog)
    with catalog.write() as connection:
        migrations.upgrade(connection, version)
        assert migrations.current(connection) == version
        held = filled(connection)
    catalog.close()
    return held


def test_the_newest_is_the_last():
    assert VERSIONS[-1] == migrations.NEWEST


def test_the_migrations_together_make_the_model(catalog: Catalog):
    with catalog.read() as connection:
        migrated = described(connection)
    empty(catalog)
    with catalog.write() as connection:
        metadata.create_all(connection)
        assert described(connection) == migrated


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_an_earlier_schema_is_upgraded_with_what_it_holds(catalog_setting: str, tmp_path: Path, version: str):
    url = catalog_url(catalog_setting, "", tmp_path)
    held = at_version(url, version)
    assert all(len(rows) == 2 for rows in held.values())
    with pytest.raises(CatalogRefusedError, match=f"has schema {version}"):
        open_catalog(url)
    prepare(url)
    catalog = open_catalog(url)
    with catalog.read() as connection:
        assert migrations.current(connection) == migrations.NEWEST
        assert contents(connection, held) == held
        upgraded = described(connection)
    empty(catalog)
    catalog.close()
    prepare(url)
    fresh = open_catalog(url)
    with fresh.read() as connection:
        assert described(connection) == upgraded
    fresh.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_catalog_from_before_the_frozen_versions_is_refused(catalog_setting: str, tmp_path: Path, version: str):
    """It says "0001" as well, and its tables are others: each insert would fail."""
    url = catalog_url(catalog_setting, "", tmp_path)
    prepare(url)
    catalog = open_catalog(url)
    empty(catalog)
    with catalog.write() as connection:
        migrations.upgrade(connection, version)
        connection.execute(text("alter table segments drop column unfinished"))
    catalog.close()
    with pytest.raises(CatalogRefusedError, match=r"move catalog.db\* away .* `mpp store rebuild`"):
        prepare(url)


def test_an_upgrade_that_ends_half_way_leaves_the_earlier_schema(
    catalog_setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = catalog_url(catalog_setting, "", tmp_path)
    held = at_version(url, VERSIONS[0])

    real = migrations.upgrade

    def ends_before_its_commit(connection: Connection) -> None:
        real(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "upgrade", ends_before_its_commit)
        with pytest.raises(KeyboardInterrupt):
            prepare(url)
    with pytest.raises(CatalogRefusedError, match=f"has schema {VERSIONS[0]}"):
        open_catalog(url)
    prepare(url)
    catalog = open_catalog(url)
    with catalog.read() as connection:
        assert contents(connection, held) == held
    catalog.close()
