"""A transaction to decide about: inbound from outside, to one recipient of ours, under the default policy."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.policy import Policy
from mpp.verdict.transaction import Transaction

PLAIN = b"From: a@example.org\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n"
ANNA = "anna@example.com"

Make = Callable[..., Transaction]


@pytest.fixture
def transaction() -> Make:
    def make(
        raw: bytes | None = PLAIN,
        policy: Policy | None = None,
        recipients: tuple[str, ...] = (ANNA,),
        policies: Mapping[str, tuple[str, Policy]] | None = None,
        **changes: Any,
    ) -> Transaction:
        values: dict[str, Any] = {
            "id": "id1",
            "envelope": Envelope("b@example.org", tuple(map(Recipient, recipients))),
            "client": Client("192.0.2.1", 4242),
            "message": None if raw is None else Message(raw),
            "size": len(raw or b""),
            "listener": "mx",
            "stage": "edge",
            "direction": "inbound",
            "trusted": False,
            "ours": frozenset(recipients),
            "policies": policies or {address: ("default", policy or Policy()) for address in recipients},
            "hostname": "mx.example.com",
        }
        return Transaction(**{**values, **changes})

    return make
