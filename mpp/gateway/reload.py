"""A reload: the settings file read again, what of it can be taken now, and the last good settings kept on disk.

For the supervisor. Wrong settings change nothing. Raises SettingsError and OSError.
"""

import os
from pathlib import Path

from mpp.gateway import log, storage
from mpp.gateway.assembly import rules_of
from mpp.gateway.load import load_settings
from mpp.gateway.revising import good_text, last_good, revise
from mpp.gateway.settings import Settings
from mpp.gateway.trial import sample_problems
from mpp.mail.escape import printable
from mpp.settings.problem import SettingsError, report
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
        for line in str(error).splitlines():
            log.event("error", "settings.refused", problem=line)
        return None
    for line in loaded.warnings:
        log.event("warning", "settings.warning", problem=line)
    for part in ("node", "listeners"):
        if getattr(loaded.settings, part) != getattr(running, part):
            log.event("warning", "settings.at_restart", part=part, cure="restart mpp for this change to take effect")
    taken = loaded.settings.model_copy(update={"node": running.node, "listeners": running.listeners})
    try:
        broken = report(sample_problems(taken), printable(str(path)), loaded.lines)
        rules_of(taken)  # its patterns are compiled here, so that no worker has to
    except (OSError, ValueError) as error:
        broken = [f"{printable(str(path))}: the filters cannot be made: {printable(str(error))}; mend them"]
    if broken:
        for line in broken:
            log.event("error", "settings.refused", problem=line)
        return None
    return take(taken, "reload")


def take(file: Settings, why: str) -> Settings | None:
    """Bring a file's settings and the catalog's revisions together, and keep what holds; None where that cannot be.

    Where the catalog is away the last good settings hold on, unless the file has changed since: it is taken as it is then.
    """
    good = file.node.data / GOOD
    try:
        if storage.in_a_child(lambda: _revise(file, why)):
            taken = merged(file, load_settings(good).settings)
        else:
            log.event("warning", "settings.catalog_away", cure="it is asked again at the next reload")
            taken = last_good(good, file) or file
            keep(good_text(write(taken), file), file.node.data)
        rules_of(taken)  # its patterns are compiled here, so that no worker has to
    except (storage.StorageError, SettingsError, OSError, ValueError) as error:
        problem = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        log.event("error", "settings.refused", problem=problem)
        return None
    return taken


def _revise(file: Settings, why: str) -> None:
    """In a child: the catalog is asked, and what holds is written to the file from which all take it."""
    catalog = open_store_catalog(file.node.data, file.store)
    try:
        taken = revise(catalog, file, who="file", why=why)
    finally:
        catalog.close()
    for each in taken.refused:
        cure = f"revision {taken.revision.number} holds; compare: mpp settings diff"
        log.event("error", "settings.refused", problem=f"file and catalog have both changed: {each}", cure=cure)
    for line in taken.tenants_refused:
        log.event(
            "error", "settings.refused", problem=line, cure="what the provider's settings say holds for that tenant"
        )
    keep(good_text(write(taken.settings), file), file.node.data)


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
