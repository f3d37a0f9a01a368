"""The store within the gateway's processes: made ready at the start, opened by each worker, and the memo's count of changes.

What needs the master key runs in a child that then ends: neither the supervisor nor the workers, which are its forks, ever hold it.
"""

import os
from collections.abc import Callable
from typing import NoReturn

from mpp.gateway import log, privileges
from mpp.gateway.settings import Settings
from mpp.net.metrics import Counter
from mpp.net.table import SlotWriter
from mpp.settings.problem import SettingsError
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store import alone, master
from mpp.store.errors import CatalogError, CatalogRefusedError, StoreError
from mpp.store.opening import prepare_store
from mpp.store.tenants import tenants_file

_AWAY = 3  # exit status of a child that could not reach the catalog
_MOST = 4096  # octets of what a child says


class StorageError(Exception):
    """The store cannot be made ready. The text says the cure."""


def make_master_key(settings: Settings) -> None:
    """Make the first master key where there is none, for node.user. To be called while privileged."""
    data, where = settings.node.data, master.reference(settings.store.master_key, settings.node.data)
    if master.exists(where) or tenants_file(data).exists():
        return  # a key that is lost is never replaced by another: opening the store says so
    owner = privileges.identity(settings.node.user, settings.node.group) if os.geteuid() == 0 else None
    in_a_child(lambda: master.make_master_key(where, data, owner))


def join(settings: Settings) -> int:
    """Be a gateway of its data folder, which no command then has for itself. Returns the descriptor to keep. Raises StorageError, OSError."""
    try:
        return alone.join(settings.node.data)
    except alone.InUseError as error:
        raise StorageError(str(error)) from None


def prepare(settings: Settings) -> None:
    """Bring folders, keys and catalog up to date. To be called after privileges were dropped."""
    if not in_a_child(lambda: prepare_store(settings.node.data, settings.store, (DEFAULT_TENANT, *settings.tenants))):
        log.event("error", "catalog.away", cure="mail that needs the store is answered 452 until the catalog is back")


def in_a_child(work: Callable[[], None]) -> bool:
    """Do it in a process of its own. False: the catalog was away. Raises StorageError with what the child said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _work_and_exit(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read(_MOST).decode("utf-8", "replace")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, _AWAY):
        raise StorageError(said or f"the process that prepares the store ended with {status}")
    return status == 0


def _work_and_exit(work: Callable[[], None], writing: int) -> NoReturn:
    status, said = 0, ""
    try:
        work()
    except CatalogRefusedError as error:
        status, said = 1, str(error)
    except CatalogError:
        status = _AWAY
    except (StoreError, SettingsError, OSError) as error:
        status, said = 1, str(error)
    except BaseException as error:  # noqa: BLE001 the edge of a process
        status, said = 1, f"{type(error).__name__}: {error}"
    os.write(writing, said.encode("utf-8", "replace")[:_MOST])
    os._exit(status)


class MemoChanges:
    """The node's count of changes of the memo, in its shared table."""

    def __init__(self, table: SlotWriter) -> None:
        self._table = table
        self.number = table.table.reader(Counter.MEMO_CHANGES)

    def add(self) -> None:
        self._table.add(Counter.MEMO_CHANGES)
