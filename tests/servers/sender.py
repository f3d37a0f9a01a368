"""A client that sends like an MTA: the same message again until it is accepted or refused for good; and what it saw of that."""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from servers.dialogue import ClosedError, Dialogue
from servers.sink import Sink

_number = itertools.count(1)
_PAUSE_S = 0.01  # before a message is tried again


@dataclass(slots=True)
class Sent:
    """One message: the sender's side of the story."""

    name: str  # in its Subject
    recipients: Sequence[str]
    code: int = 0  # of the last word, 2xx or 5xx; 0 while there is none
    attempts: int = 0
    unanswered: int = 0  # times that the connection was lost after the final dot: it may have been taken each time
    last: str = ""  # the last reply

    @property
    def wire(self) -> bytes:
        return f"From: <sender@example.net>\r\nSubject: {self.name}\r\n\r\ntext\r\n.\r\n".encode()


class Sender:
    """Sends message after message in a thread of its own, over one connection as long as that lives, until `finish`."""

    def __init__(self, port: int, recipients: Sequence[str], *, timeout_s: float = 20.0) -> None:
        self.sent: list[Sent] = []
        self.connections = 0
        self.before_greeting: list[str] = []  # why connections were lost before their greeting
        self._port, self._recipients, self._timeout_s = port, recipients, timeout_s
        self._dialogue: Dialogue | None = None
        self._ending, self._giving_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self, timeout_s: float = 30.0) -> list[Sent]:
        """Let the message in hand come to its last word; return all. AssertionError where that takes too long."""
        self._ending.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"no last word for {self.sent[-1]}"
        return self.sent

    def give_up(self) -> list[Sent]:
        """End with the attempt in hand, whatever it brings; return all."""
        self._giving_up.set()
        return self.finish()

    def _run(self) -> None:
        while not self._ending.is_set():
            sent = Sent(f"message-{next(_number)}", self._recipients)
            self.sent.append(sent)
            while not sent.code and not self._giving_up.is_set():
                self._attempt(sent)
                if not sent.code:
                    self._ending.wait(_PAUSE_S)
        if self._dialogue:
            self._dialogue.socket.close()

    def _attempt(self, sent: Sent) -> None:
        sent.attempts += 1
        dotted = False
        try:
            dialogue = self._dialogue = self._dialogue or self._connect()
            answers = dialogue.envelope("sender@example.net", *sent.recipients)
            if any(200 <= answer.code < 300 for answer in answers[1:]):
                go = dialogue.say("DATA")
                if go.code == 354:
                    dotted = True
                    dialogue.send(sent.wire)
                    answers.append(dialogue.reply())
                    dotted = False
                else:
                    answers.append(go)
            self._judge(sent, answers[-1].code, answers[-1].text)
        except (OSError, ClosedError) as error:  # a time-out is an OSError
            sent.unanswered += dotted
            sent.last = repr(error)
            if self._dialogue:
                self._dialogue.socket.close()
            self._dialogue = None

    def _judge(self, sent: Sent, code: int, text: str) -> None:
        sent.last = f"{code} {text}"
        if 200 <= code < 300 or code >= 500:
            sent.code = code
        elif self._dialogue:
            if code == 421:
                self._dialogue.socket.close()
                self._dialogue = None
            else:
                self._dialogue.say("RSET")

    def _connect(self) -> Dialogue:
        self.connections += 1
        try:
            dialogue = Dialogue(self._port, timeout_s=self._timeout_s)
        except (OSError, ClosedError) as error:
            self.before_greeting.append(repr(error))
            raise
        dialogue.hello()
        return dialogue


def deliveries(sink: Sink) -> dict[tuple[str, str], list[str]]:
    """What the next hop answered after the dot, by message and recipient: one entry for each time the message came."""
    found: dict[tuple[str, str], list[str]] = {}
    for message in list(sink.messages):
        name = message.data.partition(b"\r\nSubject: ")[2].partition(b"\r\n")[0].decode()
        for number, recipient in enumerate(message.recipients):
            replies = message.replies[number:] if sink.lmtp else message.replies
            found.setdefault((name, recipient), []).append(replies[0] if replies else "")
    return found


def account(sent: Sequence[Sent], sink: Sink) -> list[str]:
    """Return what is wrong: lost messages, and copies that no lost answer explains. Empty where all is well.

    A copy that the next hop has not refused counts, its answer heard or not; one more than the answers lost is one too many.
    """
    came, wrong = deliveries(sink), []
    for message in sent:
        for recipient in message.recipients:
            replies = came.get((message.name, recipient), [])
            if 200 <= message.code < 300 and not any(reply.startswith("2") for reply in replies):
                wrong.append(f"lost: {message} for {recipient}: {replies}")
            if sum(reply[:1] in ("", "2") for reply in replies) > 1 + message.unanswered:
                wrong.append(f"twice: {message} for {recipient}: {replies}")
    return wrong
