"""Does the recipient exist? The next hop is asked at RCPT: MAIL, RCPT, RSET (design section 3).

Called by mpp.gateway.session. Asking connections are apart from delivering ones and closed after 8 refusals or 80
resets, below Postfix's limits of 10 errors before it slows down and 100 resets before it calls them junk. Answers are kept: acceptance for
an hour, 5.1.1 for five minutes; 4xx, and refusals that may depend on the sender, never. A 5xx to our MAIL is given to the
client for the recipient, permanent as it is: the next hop would refuse this sender in the delivery too.
"""

import asyncio
from collections.abc import Callable

from mpp.gateway.delivery import DOWN, NO_UTF8, public
from mpp.gateway.hop import Hop, HopError
from mpp.gateway.hops import Hops
from mpp.gateway.targets import Target
from mpp.protocols.smtp.client import Mail, Rcpt, Reset
from mpp.protocols.smtp.reply import Reply

ACCEPTED_S, UNKNOWN_S = 3600.0, 300.0
REFUSALS, RESETS = 8, 80
MOST = 100_000  # recipients kept; the oldest go first
OK = Reply(250, "2.1.5", "Ok")


class Asker:
    def __init__(self, hops: Hops, clock: Callable[[], float]) -> None:
        self._hops, self._clock = hops, clock
        self._known: dict[tuple[Target, str], tuple[float, Reply]] = {}
        self._asking: dict[tuple[Target, str, str], asyncio.Task[Reply]] = {}

    def known(self, target: Target, recipient: str) -> Reply | None:
        """Return the kept answer for a recipient, None where it has to be asked."""
        entry = self._known.get((target, recipient))
        return entry[1] if entry is not None and entry[0] > self._clock() else None

    async def ask(self, target: Target, reverse_path: str, recipient: str, *, smtputf8: bool, deadline: float) -> Reply:
        """Return the reply for RCPT: accepted, the next hop's refusal, or 451 where it cannot be reached."""
        key = (target, reverse_path, recipient)
        task = self._asking.get(key)
        if task is None:
            work = self._ask(target, reverse_path, recipient, smtputf8, deadline)
            task = self._asking[key] = asyncio.create_task(work, name=f"ask {target.name}")
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)  # one client that leaves must not take the answer from the others

    async def _ask(self, target: Target, reverse_path: str, recipient: str, smtputf8: bool, deadline: float) -> Reply:
        fresh = False
        for _ in range(len(target.hosts) + 2):
            try:
                hop = await self._hops.acquire(target.hosts, deadline, fresh=fresh)
            except HopError:
                return DOWN
            used = hop.transactions > 0
            try:
                return await self._one(hop, target, reverse_path, recipient, smtputf8, deadline)
            except HopError as error:
                if not used and self._clock() < deadline:
                    self._hops.distrust(hop, str(error))
                fresh = True
            finally:
                if hop.refusals >= REFUSALS or hop.transactions >= RESETS:
                    hop.quit()
                self._hops.release(hop)
        return DOWN

    async def _one(
        self, hop: Hop, target: Target, reverse_path: str, recipient: str, smtputf8: bool, deadline: float
    ) -> Reply:
        extensions = hop.codec.extensions
        utf8 = smtputf8 and "SMTPUTF8" in extensions
        if not utf8 and not (recipient.isascii() and reverse_path.isascii()):
            return NO_UTF8
        mail = Mail(reverse_path, {"SMTPUTF8": None} if utf8 else {})
        hop.transactions += 1
        if "PIPELINING" in extensions:
            answers = await hop.ask(mail, Rcpt(recipient), Reset(), deadline=deadline)
        else:
            answers = [(await hop.ask(command, deadline=deadline))[0] for command in (mail, Rcpt(recipient), Reset())]
        sender, answer = answers[0].reply, answers[1].reply
        if 421 in (sender.code, answer.code):
            hop.abort()
            raise HopError("421 while asking")
        if not sender.positive:
            hop.refusals += 2  # the RCPT after it was an error of ours in the eyes of the next hop
            return public(sender)
        hop.refusals += not answer.positive
        return self._judge(target, recipient, public(answer))

    def _judge(self, target: Target, recipient: str, reply: Reply) -> Reply:
        lifetime = 0.0
        if reply.code < 300:
            reply, lifetime = OK, ACCEPTED_S
        elif reply.code >= 500 and reply.enhanced == "5.1.1":
            lifetime = UNKNOWN_S
        if lifetime:
            self._known.pop((target, recipient), None)  # it becomes the newest
            if len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[target, recipient] = (self._clock() + lifetime, reply)
        return reply

    def learn(self, target: Target, recipient: str) -> None:
        """A delivery was accepted: that is an answer too, and newer than a refusal."""
        known = self.known(target, recipient)
        if known is None or known.code >= 300:
            self._judge(target, recipient, OK)
