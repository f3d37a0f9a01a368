"""A signed word about the Merkle log: "at this time it had so many leaves, and this root". Pure.

The text is that of a C2SP signed note (tlog-checkpoint), so that tools made for transparency logs read it; the signature
is Ed25519. The key is made from the master key, so whoever has that can sign, and a backup of it is a backup of both.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NAME = "mpp"
LOGS = ("events", "messages")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    log: str  # "events" or "messages"
    size: int
    root: bytes
    at_ms: int
    signature: bytes = b""

    def text(self) -> bytes:
        """Return what is signed."""
        at = datetime.fromtimestamp(self.at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{NAME}/{self.log}\n{self.size}\n{_base64(self.root)}\ntime {at} {self.at_ms}\n".encode()

    def note(self, key: Ed25519PublicKey) -> str:
        """Return the signed note."""
        signed = _key_id(key) + self.signature
        return f"{self.text().decode()}\n\u2014 {NAME} {_base64(signed)}\n"


def signing_key(master: bytes) -> Ed25519PrivateKey:
    """Return the log's key, made from the master key."""
    seed = HKDF(SHA256(), 32, salt=None, info=b"mpp: signing key of the log, 1").derive(master)
    return Ed25519PrivateKey.from_private_bytes(seed)


def sign(key: Ed25519PrivateKey, log: str, size: int, root: bytes, at_ms: int) -> Checkpoint:
    unsigned = Checkpoint(log, size, root, at_ms)
    return Checkpoint(log, size, root, at_ms, key.sign(unsigned.text()))


def is_signed(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    try:
        key.verify(checkpoint.signature, checkpoint.text())
    except InvalidSignature:
        return False
    return True


def read_note(note: str) -> Checkpoint:
    """Return the checkpoint that a signed note holds; the signature is not yet judged. Raises ValueError."""
    text, _, signatures = note.partition("\n\n")
    origin, size, root, time, *more = text.split("\n")
    name, _, log = origin.partition("/")
    if name != NAME or log not in LOGS or more or not signatures.startswith(f"\u2014 {NAME} "):
        raise ValueError("no checkpoint of MPP")
    signed = base64.b64decode(signatures.split()[2], validate=True)
    return Checkpoint(log, int(size), base64.b64decode(root, validate=True), int(time.split()[2]), signed[4:])


def public_text(key: Ed25519PublicKey) -> str:
    """Return the public key as a note's verifier key: name+id+key."""
    return f"{NAME}+{_key_id(key).hex()}+{_base64(bytes([1]) + key.public_bytes_raw())}"


def _key_id(key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(NAME.encode() + b"\n\1" + key.public_bytes_raw()).digest()[:4]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
