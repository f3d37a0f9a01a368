"""The next hop of every bench: takes any mail, keeps none, counts. `python -m bench.sink PORT`.

HELP tells what came: `214 MESSAGES OCTETS` (octets of data as they came, dots and all). Offers what Postfix offers a
gateway, so that the client side of what is measured does its usual work.
"""

import asyncio
import signal
import sys
from typing import cast

import uvloop

_EHLO = b"250-sink.example.net\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_OK = b"250 2.0.0 Ok\r\n"
_END = b"\r\n.\r\n"
_REPLIES = {
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"RSET": _OK,
    b"NOOP": _OK,
    b"EHLO": _EHLO,
    b"HELO": b"250 sink.example.net\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


class Count:
    messages = 0
    octets = 0


class Sink(asyncio.Protocol):
    def __init__(self, count: Count) -> None:
        self._count = count
        self._held = b""  # an unfinished command, or the last octets of the data so far
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(b"220 sink.example.net ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        replies: list[bytes] = []
        while data:
            data = self._body(data, replies) if self._in_data else self._commands(data, replies)
        if replies:
            self._transport.write(b"".join(replies))

    def _commands(self, data: bytes, replies: list[bytes]) -> bytes:
        """Answer whole lines; return what follows DATA."""
        data = self._held + data
        start = 0
        while (end := data.find(b"\r\n", start)) >= 0:
            verb = data[start : start + 4].upper()
            start = end + 2
            if verb == b"HELP":
                replies.append(b"214 %d %d\r\n" % (self._count.messages, self._count.octets))
                continue
            replies.append(_REPLIES.get(verb, b"502 5.5.2 Unknown\r\n"))
            if verb == b"DATA":
                self._in_data, self._held = True, b"\r\n"
                return data[start:]
            if verb == b"QUIT":
                self._transport.write(b"".join(replies))
                replies.clear()
                self._transport.close()
                return b""
        self._held = data[start:]
        return b""

    def _body(self, data: bytes, replies: list[bytes]) -> bytes:
        """Look for the end of data; return what follows it."""
        self._count.octets += len(data)
        window = self._held + data[:4]  # the end may lie across two reads
        at = window.find(_END)
        end = at - len(self._held) if at >= 0 else data.find(_END)
        if at < 0 and end < 0:
            self._held = (window if len(data) <= 4 else data)[-4:]
            return b""
        self._count.messages += 1
        self._in_data, self._held = False, b""
        replies.append(_OK)
        return data[end + len(_END) :]


async def _serve(port: int) -> None:
    loop, stopping, count = asyncio.get_running_loop(), asyncio.Event(), Count()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    await loop.create_server(lambda: Sink(count), "127.0.0.1", port, backlog=1024)
    await stopping.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
