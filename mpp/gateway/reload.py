"""A reload: the settings file read again, what of it can be taken now, and the last good settings kept on disk.

For the supervisor. Wrong settings change nothing. Raises SettingsError and OSError.
"""

import os
from pathlib import Path

from mpp.gateway import log
from mpp.gateway.assembly import rules_of
from mpp.gateway.load import load_settings
from mpp.gateway.settings import Settings
from mpp.gateway.trial import sample_problems
from mpp.mail.escape import printable
from mpp.settings.problem import SettingsError, report
from mpp.settings.write import write

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
    try:
        keep(write(taken), running.node.data)
    except OSError as error:
        log.event("error", "settings.refused", problem=f"{running.node.data}/{GOOD}: {error.strerror}")
        return None
    return taken


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
