"""The trace of one transaction: what came, what was found, which rule decided, what became of each recipient's copy.

Made by the gateway for every message, and for transactions in which something was refused; kept as a line (mpp.store.trace_line),
told by mpp.insights. All texts are as they came: whoever shows them escapes them.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from mpp.mail.envelope import Client
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.verdict.finding import Finding

Kind = Literal["message", "refused", "discard", "counted"]


class CopyTrace(NamedTuple):
    """What became of one recipient's copy."""

    recipient: str
    state: str = ""  # of the outcome: accepted, refused, deferred, unknown
    disposition: str = ""  # what the plan said; "" where nothing was decided
    rule: str = ""  # the settings key that decided
    verdict: str = ""
    score: float = 0.0
    reply: str = ""  # the next hop's, or ours
    host: str = ""  # the next hop; "" where it was not asked
    cause: str = ""
    edits: tuple[str, ...] = ()  # "+X-Spam-Flag", "-X-Spam-Status", "=Subject"
    tenant: str = DEFAULT_TENANT


class Trace(NamedTuple):
    """One transaction. Of kind `refused`: it ended without content; `counted`: refusals beyond those that are told one by
    one; `discard`: written before the reply of a message that is thrown away, and followed by the whole trace.
    """

    id: str
    at_ms: int  # of the end; milliseconds since 1970
    kind: Kind = "message"
    listener: str = ""
    direction: str = ""
    client: Client = Client("")
    reverse_path: str = ""
    size: int = 0
    message_id: str = ""  # of the header
    took_ms: float = 0.0  # from the end of data to our reply
    checked_ms: float = 0.0  # of it for the checks
    verdict: str = ""
    score: float = 0.0
    findings: tuple[Finding, ...] = ()
    timings: Mapping[str, float] = MappingProxyType({})  # milliseconds by check
    why: tuple[str, ...] = ()  # sentences of the decision
    breaks: tuple[str, ...] = ()  # signatures that the edits break: "domain/selector" of DKIM, types of signed parts
    copies: tuple[CopyTrace, ...] = ()
    reply: str = ""  # ours; "" where each recipient has its own
    settings: str = ""  # revision or digest of the settings that held
    stored: bool = False  # the message itself is in the store, under the same id
    number: int = 0  # of a `counted` trace

    @property
    def tenants(self) -> frozenset[str]:
        return frozenset([copy.tenant for copy in self.copies] or [DEFAULT_TENANT])


def words(trace: Trace, tenant: str) -> Iterator[str]:
    """Yield what a trace can be found by, for one tenant: ids, Message-ID, queue ids, addresses, the client."""
    yield trace.id
    if trace.message_id:
        yield folded(trace.message_id)
    yield folded(trace.reverse_path)
    yield trace.client.address
    for copy in trace.copies:
        if copy.tenant == tenant:
            yield folded(copy.recipient)
            if copy.host and (queued := queue_id(copy.reply)):
                yield queued


def folded(word: str) -> str:
    """Return a word as it is looked up: addresses and Message-IDs without angle brackets and letter case."""
    return word.strip().removeprefix("<").removesuffix(">").lower() if "@" in word else word.strip()


_BEFORE_ID = ("queued as ", "queued mail for delivery as ", " ok id=", "ok: id=", " id=")


def queue_id(reply: str) -> str:
    """Return the queue id that a next hop named in its reply to the data, "" where it named none that we know."""
    low = reply.lower()
    for before in _BEFORE_ID:
        at = low.find(before)
        if at >= 0:
            rest = reply[at + len(before) :].split(None, 1)
            return rest[0].rstrip(".,;)]")[:64] if rest else ""
    return ""


def seen_by(trace: Trace, tenant: str | None) -> Trace | None:
    """Return what a tenant may see of a trace: its own recipients and what was found for them. None: nothing.

    Without a tenant it is the operator who looks, and sees all.
    """
    if tenant is None:
        return trace
    if tenant not in trace.tenants:
        return None
    if len(trace.tenants) == 1:
        return trace
    copies = tuple(copy for copy in trace.copies if copy.tenant == tenant)
    own = {copy.recipient for copy in copies}
    findings = tuple(each for each in trace.findings if not each.recipients or each.recipients & own)
    # Where recipients differ a sentence names those it is about, so none that names others' is shown.
    why = tuple(each for each in trace.why if not each.startswith("For "))
    return trace._replace(copies=copies, findings=findings, why=why)
