"""Silence alarms: what the background process hears of mail, quarantine, signatures and its own tasks, judged and told.

Times come from the traces' counts, from what scanners say of their signatures, and from the tasks; mpp.gateway.silence judges them.
An alarm is told in the log when it begins, each hour that it lasts, and when it ends; in the metrics (`mpp_silence_seconds`); and
by `mpp check`, to which it comes through the catalog. Raises StoreError, OSError.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mpp.checks.scanners.scanner import ScannerCheck, Tools
from mpp.gateway import silence
from mpp.gateway.log import event as log
from mpp.gateway.settings import Settings
from mpp.gateway.silence import Silence
from mpp.net.metrics import Gauge
from mpp.net.table import SlotWriter
from mpp.net.tls import client_contexts
from mpp.store.catalog import Catalog
from mpp.store.engine_updates import note, times
from mpp.store.trace_batch import SLOT_MS
from mpp.store.trace_days import TraceDays

AGAIN_S = 3600.0
DAYS = 7 * (silence.WEEKS + 6)  # of counts that are looked at: an alarm for mail ends after six weeks
Kind = Literal["mail", "quarantine", "signatures", "background"]
CURES: Mapping[Kind, str] = {
    "mail": "see that mail reaches this gateway: DNS, firewall, the server before it",
    "quarantine": "see that the scanners answer and that the policies still hold what they should",
    "signatures": "see why they are not updated there (freshclam, sa-update, or the vendor's own)",
    "background": "see the log (background.failed, background.waits)",
}
_GAUGES: Mapping[Kind, Gauge] = {
    "mail": Gauge.SILENT_MAIL,
    "quarantine": Gauge.SILENT_QUARANTINE,
    "signatures": Gauge.SILENT_SIGNATURES,
    "background": Gauge.SILENT_BACKGROUND,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    of: Kind
    text: str


@dataclass(slots=True)
class _Lasting:
    kind: Kind
    text: str
    told_at: float


class Alarms:
    """Which alarms last, and what of them has been told."""

    def __init__(self, settings: Settings, table: SlotWriter, node: str, began: float) -> None:
        """Nothing is missed of what was before `began`, when the gateway did."""
        self._settings, self._table, self._node, self._began = settings, table, node, began
        self._lasting: dict[str, _Lasting] = {}

    def now(self) -> list[Alarm]:
        return [Alarm(each.kind, each.text) for each in self._lasting.values()]

    def hear_streams(self, days: TraceDays, loaded: float) -> None:
        """Mail and quarantine, of which everything is known up to the moment `loaded`."""
        limits = self._settings.silence
        if limits.mail == limits.quarantine == "off":
            return
        streams = days.streams(int(loaded // 86400) - DAYS)
        now, began = _local(loaded), _local(self._began)
        came = silence.of_stream(_by_local(streams.came), now, limits.mail, least=limits.least, began=began)
        held = silence.of_stream(_by_local(streams.held), now, limits.quarantine, least=limits.least, began=began)
        self._tell("mail", {"no message came": came})
        self._tell("quarantine", {"no message was held": held})

    def end_streams(self) -> None:
        """Another node hears mail and quarantine from now on."""
        self._tell("mail", {})
        self._tell("quarantine", {})

    def hear_tasks(self, tasks: Iterable[tuple[str, float, float]]) -> None:
        """The background process's own tasks: name, when last done (0: never yet), and how often they are to be."""
        now, limit = time.time(), self._settings.silence.background
        found = {
            f"background task {name} was not done": silence.of_task(max(last, self._began), every, now, limit)
            for name, last, every in tasks
        }
        self._tell("background", found)

    def ask_engines(self, catalog: Catalog) -> None:
        """Ask the scanners from when their signatures are, and write it down, unless nobody wants to know."""
        if self._settings.silence.signatures == "off":
            return
        if told := asyncio.run(_updates(self._settings)):
            with catalog.write() as connection:
                for (scanner, server), at in told.items():
                    note(connection, f"{self._node} {scanner} {server}", int(at * 1000))

    def hear_engines(self, catalog: Catalog) -> None:
        with catalog.read() as connection:
            known = times(connection)
        now, limit, found = time.time(), self._settings.silence.signatures, {}
        for scanner in self._settings.scanners:
            for server in getattr(scanner, "servers", ()):
                told = [at / 1000 for at in known.get(f"{self._node} {scanner.name} {server}", ())]
                name = f"{server} of scanner {scanner.name} has had no newer signatures or rules"
                found[name] = silence.of_updates(told, now, limit)
        self._tell("signatures", found)

    def _tell(self, kind: Kind, found: Mapping[str, Silence | None]) -> None:
        """Take what is silent now of one kind; what is no longer has ended."""
        now, quiet = time.monotonic(), {name: each for name, each in found.items() if each}
        for name in [name for name, each in self._lasting.items() if each.kind == kind and name not in quiet]:
            del self._lasting[name]
            log("info", "silence.over", of=kind, what=name)
        for name, each in quiet.items():
            before = self._lasting.get(name)
            text = f"{name} for {silence.words(each.seconds)}, and {each.usual}"
            due = before is None or now - before.told_at >= AGAIN_S
            self._lasting[name] = _Lasting(kind, text, now if due or before is None else before.told_at)
            if due:
                log("warning", "silence", of=kind, what=text, cure=CURES[kind])
        self._table.set(_GAUGES[kind], int(max((each.seconds for each in quiet.values()), default=0)))


async def _updates(settings: Settings) -> dict[tuple[str, str], float]:
    tools = Tools(contexts=client_contexts(settings.tls), resolvers=settings.node.resolvers)
    checks = [check for scanner in settings.scanners if isinstance(check := scanner.check(tools), ScannerCheck)]
    told = await asyncio.gather(*(check.updates() for check in checks))
    return {(check.name, server): at for check, found in zip(checks, told, strict=True) for server, at in found.items()}


def _local(at: float) -> float:
    """Return seconds that count as the clock on the wall does: people keep to it, summer or winter."""
    return at + time.localtime(at).tm_gmtoff


def _by_local(slots: Mapping[int, int]) -> Counter[int]:
    found: Counter[int] = Counter()
    for slot, number in slots.items():
        found[int(_local(slot * SLOT_MS / 1000)) // silence.SLOT_S] += number
    return found
