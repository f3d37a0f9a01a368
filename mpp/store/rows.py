"""From a message's description to its rows in the catalog: when it is stored, and when the catalog is rebuilt. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mpp.store.mailbox import mailbox
from mpp.store.record import Record

if TYPE_CHECKING:
    from sqlalchemy import Column, Table


class Place(NamedTuple):
    """Where a record is."""

    segment: str
    position: int
    length: int
    slot: int

    @classmethod
    def of(cls, segment: str, record: Record) -> "Place":
        return cls(segment, record.position, record.length, record.slot)


def place_columns(table: "Table") -> "list[Column[Any]]":
    """The columns of messages or blobs that make a Place, in its order."""
    return [table.c[name] for name in Place._fields]


HELD = "held"


def message_row(described: Mapping[str, Any], place: Place) -> dict[str, Any]:
    return {
        "tenant": described["tenant"],
        "id": described["id"],
        "received": described["received"],
        "sender": text(described["from"]),
        "sender_box": mailbox(text(described["from"])),
        "author": text(described["author"]),
        "subject": text(described["subject"]),
        "message_id": text(described["message_id"]),
        "size": described["size"],
        "digest": bytes.fromhex(described["digest"]),
        "direction": described["direction"],
        "client": text(described["client"][0]),
        "archived_until": described["archived"],
        **place._asdict(),
    }


def segment_row(identifier: str, node: str, *, unfinished: bool = False) -> dict[str, Any]:
    """The row of a segment that was just begun; its id begins with the time (mpp.store.segment)."""
    return {"id": identifier, "node": node, "made": int(identifier[:12], 16), "unfinished": unfinished}


def copy_rows(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "tenant": described["tenant"],
            "message": described["id"],
            "recipient": text(recipient),
            "mailbox": mailbox(text(recipient)),
            "received": described["received"],
            "state": HELD,
            "on_hold": False,
            "verdict": verdict,
            "rule": rule,
            "score": score,
            "reply": text(reply),
            "expires": described["held"] if until is None else until,
            "changed": described["received"],
            "claim": "",
        }
        for recipient, verdict, rule, score, reply, until in described["copies"]
    ]


def use_rows(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The blobs that a message uses, each once."""
    digests = dict.fromkeys(digest for *_, digest in described["cuts"])
    key = {"tenant": described["tenant"], "message": described["id"]}
    return [{**key, "digest": bytes.fromhex(digest)} for digest in digests]


def text(value: str) -> str:
    """Return what a database takes as text: neither NUL nor halves of surrogates."""
    if value.isprintable():
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
