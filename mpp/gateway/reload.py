"""A reload: the settings file read again, or a new revision taken; what of it can be taken now, and the last good settings kept on disk.

For the supervisor. Wrong settings change nothing. Raises SettingsError and OSError.
"""

import os
from collections.abc import Callable
from pathlib import Path

from mpp.gateway import log, storage
from mpp.gateway.assembly import rules_of
from mpp.gateway.load import load_settings
from mpp.gateway.revising import Judge, Taken, good_again, good_text, last_good, newest_over, revise, unjudged
from mpp.gateway.settings import Settings
from mpp.gateway.trial import sample_problems
from mpp.mail.escape import printable
from mpp.settings.problem import SettingsError, report
from mpp.settings.read import Loaded
from mpp.settings.revisions import merged
from mpp.settings.write import write
from mpp.store.opening import open_store_catalog

GOOD = "settings.good.toml"


def read_again(path: Path, running: Settings) -> Settings | None:
    """Return the settings to be taken, also written to `<node.data>/settings.good.toml`; None where they cannot be.

    Node and listeners stay as they are until the next start. What is wrong or has to wait is logged.
    """
    try:
        loaded = load_settings(path)
    except SettingsError as error:
        _refused(error)
        return None
    for line in loaded.warnings:
        log.event("warning", "settings.warning", problem=line)
    for part in ("node", "listeners"):
        if getattr(loaded.settings, part) != getattr(running, part):
            log.event("warning", "settings.at_restart", part=part, cure="restart mpp for this change to take effect")
    file = loaded.settings.model_copy(update={"node": running.node, "listeners": running.listeners})
    return take(file, "reload", lambda settings, revision: _judge(settings, revision or loaded))


def newest_again(running: Settings) -> Settings | None:
    """Return the newest revision over what runs, whatever the file says now: it may be broken, or half edited. None as above."""
    return _taken(running, lambda: _newest(running), lambda: None)


def take(file: Settings, why: str, judge: Judge = unjudged) -> Settings | None:
    """Bring a file's settings and the catalog's revisions together, and keep what holds; None where that cannot be.

    Where the catalog is away the last good settings hold on, unless the file has changed since: it is taken as it is then.
    """

    def without_catalog() -> Settings:
        taken = last_good(file.node.data / GOOD, file)
        if taken is None:
            judge(file, None)
        keep(good_text(write(taken or file), file), file.node.data)
        return taken or file

    return _taken(file, lambda: _revise(file, why, judge), without_catalog)


def _taken(start: Settings, work: Callable[[], None], otherwise: Callable[[], Settings | None]) -> Settings | None:
    """Have the catalog asked in a child, which keeps what holds. Without the catalog: what is said otherwise."""
    taken: Settings | None
    try:
        if storage.in_a_child(work):
            taken = merged(start, load_settings(start.node.data / GOOD).settings)
        else:
            log.event("warning", "settings.catalog_away", cure="it is asked again at the next reload")
            taken = otherwise()
        if taken is not None:
            rules_of(taken)  # its patterns are compiled here, so that no worker has to
    except (storage.StorageError, SettingsError, OSError, ValueError) as error:
        _refused(error)
        return None
    return taken


def _refused(error: Exception) -> None:
    problem = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    for line in problem.splitlines():
        log.event("error", "settings.refused", problem=line)


def _judge(settings: Settings, said: Loaded[Settings]) -> None:
    """Refuse settings under which a sample would not become what it must, or whose filters cannot be made."""
    try:
        broken = report(sample_problems(settings), said.name, said.lines)
        rules_of(settings)
    except (OSError, ValueError) as error:
        broken = [f"{said.name}: the filters cannot be made: {printable(str(error))}; mend them"]
    if broken:
        raise SettingsError(broken)


def _revise(file: Settings, why: str, judge: Judge) -> None:
    """In a child: the catalog is asked, and what holds is written to the file from which all take it."""
    catalog = open_store_catalog(file.node.data, file.store)
    try:
        taken = revise(catalog, file, who="file", why=why, judge=judge)
    finally:
        catalog.close()
    for each in taken.refused:
        cure = f"revision {taken.revision.number} holds; compare: mpp settings diff"
        log.event("error", "settings.refused", problem=f"file and catalog have both changed: {each}", cure=cure)
    _tell_tenants(taken)
    keep(good_text(write(taken.settings), file), file.node.data)


def _newest(running: Settings) -> None:
    """In a child, as above."""
    catalog = open_store_catalog(running.node.data, running.store)
    try:
        taken = newest_over(catalog, running, _judge)
    finally:
        catalog.close()
    if taken:
        _tell_tenants(taken)
        keep(good_again(write(taken.settings), running.node.data / GOOD), running.node.data)


def _tell_tenants(taken: Taken) -> None:
    for line in taken.tenants_refused:
        log.event(
            "error", "settings.refused", problem=line, cure="what the provider's settings say holds for that tenant"
        )


def keep(text: str, folder: Path) -> None:
    """Write the last good settings so that a crash leaves the old or the new ones, whole."""
    fresh = folder / f"{GOOD}.new"
    with fresh.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / GOOD)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
