"""Sealing and opening: AES-256-GCM with a key for each record, under a key for each segment and tenant (design section 6).

    master key > tenant's private key (X25519) > segment's key of that tenant > data key > record

Whoever writes a segment makes a key pair for it, of which the public half goes into the segment's key file. Its private half and
the tenant's public key give the segment's key (X25519, HKDF-SHA256): so a gateway worker seals by public keys alone, and what it keeps
in memory opens only the segment that it is writing. To open takes the tenant's private key, and so the master key.
"""

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpp.store.errors import KeysError

WRAPPED = 48  # octets of a wrapped data key
_ONCE = bytes(12)  # the nonce of a key that seals one thing only


class Sealed(NamedTuple):
    content: bytes
    wrapped: bytes  # its data key


class SegmentKeys:
    """The writing side of one segment. Dropped with it."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()
        self._wrapping: dict[bytes, AESGCM] = {}

    def seal(self, content: bytes, covers: bytes, slot: int, tenant_public: bytes) -> Sealed:
        """Seal one record with a key of its own, wrapped for its slot."""
        key = os.urandom(32)
        return Sealed(AESGCM(key).encrypt(_ONCE, content, covers), self.wrap(key, slot, tenant_public))

    def wrap(self, key: bytes, slot: int, tenant_public: bytes) -> bytes:
        wrapping = self._wrapping.get(tenant_public)
        if wrapping is None:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(tenant_public))
            wrapping = self._wrapping[tenant_public] = _wrapping(shared, self.public, tenant_public)
        return wrapping.encrypt(slot.to_bytes(12, "big"), key, None)


class TenantKeys:
    """The opening side, for one tenant: of any segment."""

    def __init__(self, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()
        self._wrapping: dict[bytes, AESGCM] = {}

    def unwrap(self, wrapped: bytes, slot: int, segment_public: bytes) -> bytes:
        """Return a data key. Raises KeysError where it is not for this tenant, slot and segment."""
        wrapping = self._wrapping.get(segment_public)
        if wrapping is None:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(segment_public))
            wrapping = self._wrapping[segment_public] = _wrapping(shared, segment_public, self.public)
        try:
            return wrapping.decrypt(slot.to_bytes(12, "big"), wrapped, None)
        except InvalidTag:
            raise KeysError(f"the key in slot {slot} is damaged or of another tenant") from None

    def open(self, sealed: Sealed, covers: bytes, slot: int, segment_public: bytes) -> bytes:
        """Return the content of a record. Raises KeysError."""
        key = self.unwrap(sealed.wrapped, slot, segment_public)
        try:
            return AESGCM(key).decrypt(_ONCE, sealed.content, covers)
        except InvalidTag:
            raise KeysError("the seal is broken: this is not what was stored") from None


def _wrapping(shared: bytes, segment_public: bytes, tenant_public: bytes) -> AESGCM:
    info = b"mpp segment 1" + segment_public + tenant_public
    return AESGCM(HKDF(SHA256(), 32, None, info).derive(shared))
