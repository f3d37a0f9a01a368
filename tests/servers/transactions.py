"""A transaction as scanners meet it, and changes to it."""

from typing import Any

from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.verdict.transaction import Transaction


def a_transaction(*recipients: str, reverse_path: str = "sender@example.org", **changes: Any) -> Transaction:
    usual: dict[str, Any] = {
        "id": "id1",
        "envelope": Envelope(reverse_path, tuple(Recipient(each) for each in recipients or ("r@example.com",))),
        "client": Client(
            "192.0.2.7", 25, "mail.example.org", "helo.example.org", "ESMTPS", "TLSv1.3 TLS_AES_256_GCM_SHA384"
        ),
        "message": None,
        "size": 0,
        "listener": "edge",
        "stage": "edge",
        "direction": "inbound",
        "trusted": False,
        "ours": frozenset(),
        "policies": {},
        "hostname": "mx.example.com",
    }
    return Transaction(**usual | changes)
