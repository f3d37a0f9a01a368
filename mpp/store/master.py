"""The master key: a file of mode 0600 outside the data folder, a systemd credential, or what a command prints (for a KMS).

Read where a message is opened (background process, command line, manager) and where a tenant's keys are made; gateway workers
never hold it. 32 octets, written as 64 hexadecimal digits. Raises KeysError, whose text says the cure; nothing is ever overwritten.
"""

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

from mpp.store.errors import KeysError
from mpp.store.keyfile import sync_folder

_DIGITS = re.compile(rb"\s*([0-9a-fA-F]{64})\s*")
_COMMAND_S = 30.0


def reference(setting: str, data: Path) -> str:
    """Return where the key is: what [store] master_key says, or the file beside the data folder."""
    if setting:
        return setting
    folder = data.absolute()
    return f"file:{folder.parent / f'{folder.name}.master.key'}"


def read_master_key(where: str) -> bytes:
    """Return the key that a reference names."""
    kind, _, rest = where.partition(":")
    if kind == "command":
        return _digits(_printed_by(rest), where)
    if kind == "credential":
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise KeysError(f"{where}: systemd handed over no credentials; add LoadCredential={rest}:/PATH to the unit")
        return _digits(_read(Path(folder) / rest, where), where)
    path = Path(rest)
    data = _read(path, where)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeysError(f"{path} can be read by others; chmod 600 {path}")
    return _digits(data, where)


def exists(where: str) -> bool:
    """True where the key is there, or is nothing that MPP makes."""
    return not where.startswith("file:") or Path(where.removeprefix("file:")).exists()


def make_master_key(where: str, data: Path, owner: tuple[int, int] | None = None) -> None:
    """Make the key's file, for `owner` (user, group) where given. For a store that has no keys yet. Raises FileExistsError."""
    kind, _, rest = where.partition(":")
    if kind != "file":
        raise KeysError(f"{where} gives no key, and only a file is made by MPP; make it: openssl rand -hex 32")
    path = Path(rest)
    if path.absolute().is_relative_to(data.absolute()):
        raise KeysError(
            f"{path} lies in node.data, where a backup would take it along; name a place outside in store.master_key"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if owner:
            os.fchown(descriptor, *owner)
        os.write(descriptor, os.urandom(32).hex().encode() + b"\n")
        os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _read(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except FileNotFoundError:
        raise KeysError(
            f"the master key ({where}) is missing; put it back from your backup, nothing can be opened without it"
        ) from None
    except OSError as error:
        raise KeysError(
            f"the master key ({where}) cannot be read: {error.strerror}; give it to the user that runs mpp"
        ) from None


def _printed_by(command: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 the operator's own command, from the settings of the start
            shlex.split(command), capture_output=True, timeout=_COMMAND_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise KeysError(f"store.master_key: the command cannot be run: {error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:200]
        raise KeysError(f"store.master_key: the command ended with {done.returncode}: {said}")
    return done.stdout


def _digits(data: bytes, where: str) -> bytes:
    match = _DIGITS.fullmatch(data)
    if not match:
        raise KeysError(f"the master key ({where}) is not 64 hexadecimal digits; put the right one back")
    return bytes.fromhex(match[1].decode())
