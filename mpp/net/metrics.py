"""What the node counts: the fixed list of counters, gauges and histograms, with the names that operators see.

Workers add by number (mpp.net.table), the status page prints by name (mpp.gateway.status). A name and its labels
never change their meaning; new ones go to the end of their class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import TypeVar


class _Numbered(IntEnum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count


class Counter(_Numbered):
    """Only ever grows, also over the death of a worker."""

    CONNECTIONS = auto()
    REFUSED_TOTAL_LIMIT = auto()
    REFUSED_HOST_LIMIT = auto()
    REFUSED_HOST_ERRORS = auto()
    REFUSED_PROXY_HEADER = auto()
    REFUSED_TLS = auto()
    COMMANDS_REFUSED = auto()
    BYTES_RECEIVED = auto()
    BYTES_DELIVERED = auto()
    RECIPIENTS_ACCEPTED = auto()
    RECIPIENTS_REFUSED = auto()
    RECIPIENTS_DEFERRED = auto()
    MESSAGES_DELIVERED = auto()
    MESSAGES_TAGGED = auto()
    MESSAGES_QUARANTINED = auto()
    MESSAGES_REFUSED = auto()
    MESSAGES_DEFERRED = auto()
    MESSAGES_DISCARDED = auto()
    MESSAGES_REDIRECTED = auto()
    MESSAGES_OVER_BUDGET = auto()
    MESSAGES_POISONED = auto()
    SPAMD_ANSWERS = auto()
    SPAMD_FAILURES = auto()
    CLAMD_ANSWERS = auto()
    CLAMD_FAILURES = auto()
    NEXT_HOP_ACCEPTED = auto()
    NEXT_HOP_DEFERRED = auto()
    NEXT_HOP_REFUSED = auto()
    NEXT_HOP_LOST = auto()
    NEXT_HOP_UNREACHED = auto()
    MEMO_CHANGES = auto()
    LOG_LINES_DROPPED = auto()
    FAULTS = auto()
    TRACES_SPOOLED = auto()
    TRACES_LOST = auto()
    TRACES_LOADED = auto()
    REFUSALS_COUNTED = auto()
    BACKGROUND_RUNS = auto()
    BACKGROUND_FAILURES = auto()


class Gauge(_Numbered):
    """What holds now in one process; the node's value is the sum (LOOP_LAG_MICROSECONDS: the largest)."""

    MEMORY_IN_FLIGHT = auto()
    LOOP_LAG_MICROSECONDS = auto()
    SPOOL_BYTES = auto()
    BACKGROUND_ROUND = auto()
    SILENT_MAIL = auto()
    SILENT_QUARANTINE = auto()
    SILENT_SIGNATURES = auto()
    SILENT_BACKGROUND = auto()


class Histogram(_Numbered):
    """Times in seconds."""

    MESSAGE = auto()
    CHECKS = auto()
    DELIVERY = auto()
    RECIPIENT_ASKED = auto()
    SPAMD = auto()
    CLAMD = auto()
    LOOP_LAG = auto()


# Upper ends of the buckets in seconds; one more bucket takes the rest.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Described:
    """A metric's name without `_total`, its labels, and what it means."""

    name: str
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)


N = TypeVar("N", bound=_Numbered)


def _each(name: str, text: str, label: str, **numbers: N) -> dict[N, Described]:
    return {number: Described(name, text, {label: value.replace("_", "-")}) for value, number in numbers.items()}


COUNTERS: dict[Counter, Described] = {
    Counter.CONNECTIONS: Described("mpp_connections", "Connections taken"),
    **_each(
        "mpp_connections_refused",
        "Connections refused at their start or before mail",
        "reason",
        limit=Counter.REFUSED_TOTAL_LIMIT,
        host_limit=Counter.REFUSED_HOST_LIMIT,
        host_errors=Counter.REFUSED_HOST_ERRORS,
        proxy_header=Counter.REFUSED_PROXY_HEADER,
        tls=Counter.REFUSED_TLS,
    ),
    Counter.COMMANDS_REFUSED: Described("mpp_commands_refused", "Commands answered with an error"),
    **_each(
        "mpp_message_bytes",
        "Octets of messages",
        "direction",
        received=Counter.BYTES_RECEIVED,
        delivered=Counter.BYTES_DELIVERED,
    ),
    **_each(
        "mpp_recipients",
        "Recipients at RCPT",
        "answer",
        accepted=Counter.RECIPIENTS_ACCEPTED,
        refused=Counter.RECIPIENTS_REFUSED,
        deferred=Counter.RECIPIENTS_DEFERRED,
    ),
    **_each(
        "mpp_messages",
        "What became of messages, counted once for each disposition that a recipient got",
        "disposition",
        deliver=Counter.MESSAGES_DELIVERED,
        tag=Counter.MESSAGES_TAGGED,
        quarantine=Counter.MESSAGES_QUARANTINED,
        reject=Counter.MESSAGES_REFUSED,
        defer=Counter.MESSAGES_DEFERRED,
        discard=Counter.MESSAGES_DISCARDED,
        redirect=Counter.MESSAGES_REDIRECTED,
    ),
    Counter.MESSAGES_OVER_BUDGET: Described("mpp_messages_over_budget", "Messages answered 452 for want of memory"),
    Counter.MEMO_CHANGES: Described("mpp_memo_changes", "Changes of what retries must know"),
    Counter.MESSAGES_POISONED: Described("mpp_messages_poisoned", "Messages held unread: in hand at two crashes"),
    **_each(
        "mpp_scanner_answers",
        "Answers of scanners",
        "scanner",
        spamd=Counter.SPAMD_ANSWERS,
        clamd=Counter.CLAMD_ANSWERS,
    ),
    **_each(
        "mpp_scanner_failures",
        "Scanners asked without an answer that counts",
        "scanner",
        spamd=Counter.SPAMD_FAILURES,
        clamd=Counter.CLAMD_FAILURES,
    ),
    **_each(
        "mpp_next_hop",
        "What next hops made of transactions",
        "answer",
        accepted=Counter.NEXT_HOP_ACCEPTED,
        deferred=Counter.NEXT_HOP_DEFERRED,
        refused=Counter.NEXT_HOP_REFUSED,
        lost=Counter.NEXT_HOP_LOST,
        unreached=Counter.NEXT_HOP_UNREACHED,
    ),
    Counter.LOG_LINES_DROPPED: Described("mpp_log_lines_dropped", "Log lines that nobody took in time"),
    Counter.FAULTS: Described("mpp_faults", "Faults of our own at the edge of a task; the client was told 451"),
    **_each(
        "mpp_traces",
        "Traces of transactions: written to the spool, lost since the spool took no more, loaded into the catalog",
        "state",
        spooled=Counter.TRACES_SPOOLED,
        lost=Counter.TRACES_LOST,
        loaded=Counter.TRACES_LOADED,
    ),
    Counter.REFUSALS_COUNTED: Described("mpp_refusals_counted", "Refusals that have no trace of their own"),
    Counter.BACKGROUND_RUNS: Described("mpp_background_runs", "Runs of the background process's tasks"),
    Counter.BACKGROUND_FAILURES: Described("mpp_background_failures", "Runs that failed; they are tried again"),
}

GAUGES: dict[Gauge, Described] = {
    Gauge.MEMORY_IN_FLIGHT: Described("mpp_memory_in_flight_bytes", "Octets reserved for messages in work"),
    Gauge.LOOP_LAG_MICROSECONDS: Described("mpp_loop_lag_microseconds", "Latest delay of the slowest event loop"),
    Gauge.SPOOL_BYTES: Described("mpp_trace_spool_bytes", "Octets of traces that wait for the catalog"),
    Gauge.BACKGROUND_ROUND: Described(
        "mpp_background_round_seconds",
        "When all tasks last were done here, or were another gateway's on this folder; since 1970",
    ),
    **_each(
        "mpp_silence_seconds",
        "How long something has been silent, where that is longer than usual; else 0",
        "of",
        mail=Gauge.SILENT_MAIL,
        quarantine=Gauge.SILENT_QUARANTINE,
        signatures=Gauge.SILENT_SIGNATURES,
        background=Gauge.SILENT_BACKGROUND,
    ),
}

HISTOGRAMS: dict[Histogram, Described] = {
    Histogram.MESSAGE: Described("mpp_message_seconds", "From the end of data to our reply"),
    Histogram.CHECKS: Described("mpp_checks_seconds", "All checks of a message"),
    Histogram.DELIVERY: Described("mpp_delivery_seconds", "One transaction at a next hop"),
    Histogram.RECIPIENT_ASKED: Described("mpp_recipient_asked_seconds", "Asking a next hop about a recipient"),
    Histogram.SPAMD: Described("mpp_scanner_seconds", "One answer of a scanner", {"scanner": "spamd"}),
    Histogram.CLAMD: Described("mpp_scanner_seconds", "One answer of a scanner", {"scanner": "clamd"}),
    Histogram.LOOP_LAG: Described("mpp_loop_lag_seconds", "Delay of an event loop, by a probe"),
}

# By the disposition's name (mpp.verdict.plan), which this floor does not know.
MESSAGES: Mapping[str, Counter] = {
    described.labels["disposition"]: counter
    for counter, described in COUNTERS.items()
    if "disposition" in described.labels
}
