"""The one way from a settings file to `Settings`: at start, at reload, for `mpp settings check` and `mpp check`."""

from pathlib import Path

from mpp.gateway.files import files
from mpp.gateway.rules import RULES
from mpp.gateway.settings import Settings
from mpp.mail.escape import printable
from mpp.settings.problem import SettingsError
from mpp.settings.read import Loaded, load

ALL_RULES = (*RULES, files)
MAX_SIZE = 16 << 20  # octets; a file beyond it is no settings file


def load_settings(path: Path) -> Loaded[Settings]:
    """Read, check and return the settings of a file. Raises SettingsError, also where the file cannot be read."""
    return load(text_of(path), printable(str(path)), Settings, ALL_RULES)


def text_of(path: Path) -> str:
    """Return what a settings file holds. Raises SettingsError where it cannot be read, or is none."""
    name = printable(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        cure = "name another with --settings, or make one: mpp settings example >mpp.toml"
        raise SettingsError([f"{name}: cannot be read: {error.strerror or error}; {cure}"]) from None
    if len(data) > MAX_SIZE:
        raise SettingsError([f"{name}: is larger than {MAX_SIZE >> 20} MiB, so it is no settings file; name another"])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError([f"{name}:{line}: is no UTF-8 at octet {error.start}; save the file as UTF-8"]) from None
