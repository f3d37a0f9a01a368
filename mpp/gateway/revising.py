"""A settings file and the revisions in the catalog brought together: which settings hold, and a new revision where there is one.

`revise` runs in a child of the supervisor (the catalog is opened by no process that forks) and writes the settings that hold to
settings.good.toml; the command line calls it too. Where the catalog is away the last good settings hold on, unless the file has
changed since: then it is taken as it is, and becomes a revision later. Raises SettingsError, CatalogError, OSError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from mpp.gateway.load import ALL_RULES, load_settings
from mpp.gateway.settings import Settings
from mpp.settings.own import Own, overlaid, own_rule
from mpp.settings.problem import SettingsError, report
from mpp.settings.read import Loaded, load
from mpp.settings.revisions import Revision, Standing, body_of, differences, digest, merged, standing
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.catalog import Catalog
from mpp.store.revisions import append, newest

# Raises SettingsError where what would hold is not to be taken; with the revision that says it, None: the file does.
Judge = Callable[[Settings, Loaded[Settings] | None], None]

_SAID = "# file "  # the first line of the good settings: the digest of what the file said when they were taken


@dataclass(frozen=True, slots=True)
class Taken:
    """The settings that hold; `refused` has the differences where the file's were not taken."""

    settings: Settings
    revision: Revision
    refused: tuple[str, ...] = ()
    tenants_refused: tuple[str, ...] = ()  # what of the tenants' own revisions cannot hold (any more)


def unjudged(_settings: Settings, _revision: Loaded[Settings] | None) -> None:
    """At the start, and by commands, nothing is refused for its samples."""


def revise(catalog: Catalog, file: Settings, *, who: str, why: str, judge: Judge = unjudged) -> Taken:
    """Return what holds, having made a revision of a file that says something new. The judge may refuse it first: no lock is held then."""
    body = body_of(file)
    with catalog.read() as connection:
        last = newest(connection, DEFAULT_TENANT)
        stands = standing(body, last)
        if last is None or stands is Standing.FILE:
            revision, settings = None, file
        else:
            revision = read(last, file)
            settings = revision.settings
        whole, tenants_refused = with_tenants(connection, settings)
    judge(whole, revision)
    if last is not None and revision is not None:
        refused = tuple(map(str, differences(settings, file))) if stands is Standing.BOTH else ()
        return Taken(whole, last, refused, tenants_refused)
    number = last.number if last else 0
    with catalog.write() as connection:
        made = append(connection, DEFAULT_TENANT, body, who=who, why=why, file=digest(body), after=number)
    return Taken(whole, made, (), tenants_refused)


def newest_over(
    catalog: Catalog, start: Settings, judge: Callable[[Settings, Loaded[Settings]], None] = unjudged
) -> Taken | None:
    """Return what the newest revision says with a node's own start, whatever its file says now; None where there is no revision."""
    with catalog.read() as connection:
        last = newest(connection, DEFAULT_TENANT)
        if last is None:
            return None
        revision = read(last, start)
        whole, tenants_refused = with_tenants(connection, revision.settings)
    judge(whole, revision)
    return Taken(whole, last, (), tenants_refused)


def with_tenants(connection: Connection, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with each tenant's newest own revision over them, and what of these cannot hold (any more)."""
    told: list[str] = []
    whole = settings
    for tenant in settings.tenants:
        revision = newest(connection, tenant) if tenant != DEFAULT_TENANT else None
        try:
            whole = overlaid(whole, tenant, read_own(revision, tenant, settings).settings) if revision else whole
        except SettingsError as error:
            told += error.lines
    return whole, tuple(told)


def read_own(revision: Revision, tenant: str, settings: Settings) -> Loaded[Own]:
    """Return what a tenant's own revision says. Raises SettingsError where it cannot hold (any more)."""
    name = f"{revision.name} of {tenant}"
    return load(revision.body, name, Own, (own_rule(tenant, settings.tenants, settings.groups),))


def read(revision: Revision, start: Settings) -> Loaded[Settings]:
    """Return the settings of a revision with a node's own start. Raises SettingsError where they cannot be taken (any more)."""
    loaded = load(revision.body, revision.name, Settings)
    settings = merged(start, loaded.settings)
    problems = [problem for rule in ALL_RULES for problem in rule(settings)]
    told = report(problems, revision.name, loaded.lines)
    if any(problem.severity == "error" for problem in problems):
        raise SettingsError(told, problems, loaded.lines)
    return Loaded(settings, revision.name, tuple(told), tuple(problems), loaded.lines)


def good_text(text: str, file: Settings) -> str:
    """Return what settings.good.toml holds: the settings, and what the file said then."""
    return f"{_SAID}{digest(body_of(file)).hex()}\n{text}"


def good_again(text: str, path: Path) -> str:
    """Return what settings.good.toml holds after new settings of which the file knows nothing: what it said then is as it was."""
    try:
        with path.open("r", encoding="utf-8") as good:
            said = good.readline()
    except (FileNotFoundError, UnicodeDecodeError):
        said = ""
    return (said if said.startswith(_SAID) else "") + text


def last_good(path: Path, file: Settings) -> Settings | None:
    """Return the last good settings with the file's own start; None where there are none, or the file has changed since."""
    try:
        with path.open("r", encoding="utf-8") as good:
            said = good.readline().strip()
        if said != f"{_SAID}{digest(body_of(file)).hex()}":
            return None
        return merged(file, load_settings(path).settings)
    except (FileNotFoundError, UnicodeDecodeError, SettingsError):
        return None
