"""A peer: what one writes in an hour from libraries. aiosmtpd takes mail, aiosmtplib sends it on, both on uvloop.

`python -m bench.proxy PORT NEXT_HOP_PORT`. One kept connection to the next hop for each client connection.
"""

import asyncio
import signal
import sys
from weakref import WeakKeyDictionary

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session


class Forward:
    def __init__(self, port: int) -> None:
        self._port = port
        self._clients: WeakKeyDictionary[Session, aiosmtplib.SMTP] = WeakKeyDictionary()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        client = self._clients.get(session)
        if client is None or not client.is_connected:
            client = aiosmtplib.SMTP(hostname="127.0.0.1", port=self._port, use_tls=False, start_tls=False)
            await client.connect()
            self._clients[session] = client
        assert isinstance(envelope.content, bytes)
        await client.sendmail(envelope.mail_from or "", envelope.rcpt_tos, envelope.content)
        return "250 2.0.0 Ok"


async def _serve(port: int, next_hop: int) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    forward = Forward(next_hop)
    await loop.create_server(lambda: SMTP(forward, data_size_limit=64 << 20, loop=loop), "127.0.0.1", port, backlog=512)
    await stopping.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
