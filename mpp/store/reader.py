"""Opening what is stored: for the background process, the command line and the manager, which have the master key.

Every record is checked on its way: its checksum, its key, its seal, the message's digest. Whatever does not fit raises DamageError,
which names the file and the place. For one thread.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from mpp.mail.envelope import Client, Envelope
from mpp.store import blobs
from mpp.store.content import client_of, envelope_of, read_description, read_octets
from mpp.store.dictionary import Decompressor
from mpp.store.errors import KeysError, StoreError
from mpp.store.keyfile import KeyFile
from mpp.store.record import MOST, DamagedError, Record, read_record
from mpp.store.rows import Place, place_columns
from mpp.store.schema import messages
from mpp.store.seals import WRAPPED, Sealed, TenantKeys
from mpp.store.segment import SLOT_SIZE, Moved, key_path, segment_path
from mpp.store.tenants import open_tenants

_IDENTIFIER = 24  # octets of a key file's head before the segment's public key
_OPEN_FILES = 32


class DamageError(StoreError):
    """Something stored cannot be read: names the file, the octet and what is wrong."""


class ForgottenError(StoreError):
    """The key was overwritten: it was deleted for good."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it came, with its envelope."""

    id: str
    tenant: str
    envelope: Envelope
    client: Client
    raw: bytes
    described: Mapping[str, Any]  # all that was written with it (mpp.store.content)


class Reader:
    def __init__(self, data: Path, tenants: Mapping[bytes, TenantKeys]) -> None:
        self._data, self._tenants = data, tenants
        self._decompressor = Decompressor()
        self._keys: dict[str, KeyFile] = {}

    @classmethod
    def open(cls, data: Path, master_key: str) -> "Reader":
        """Make one by what [store] master_key says. Raises KeysError."""
        return cls(data, open_tenants(data, master_key))

    def message(self, connection: Connection, tenant: str, identifier: str) -> Stored | None:
        """Return a message, or None where the tenant has none of this id. Raises DamageError, ForgottenError."""
        where = (messages.c.tenant == tenant, messages.c.id == identifier)
        row = connection.execute(select(*place_columns(messages)).where(*where)).one_or_none()
        if row is None:
            return None
        place = Place(*row)
        content = self.content(place)
        try:
            described = read_description(content)
            raw = read_octets(content, described, lambda digest: self._blob(connection, tenant, digest))
        except ValueError as error:
            raise _damage(self._data, place, str(error)) from None
        if (described["tenant"], described["id"]) != (tenant, identifier):
            raise _damage(self._data, place, "another message than the catalog says")
        return Stored(identifier, tenant, envelope_of(described), client_of(described), raw, described)

    def _blob(self, connection: Connection, tenant: str, digest: bytes) -> bytes:
        place = blobs.place_of(connection, (tenant, digest))
        if place is None:
            raise ValueError("an attachment is not in the catalog")
        return self.content(place)

    def content(self, place: Place) -> bytes:
        """Return what a record holds. Raises DamageError, ForgottenError."""
        return self.opened(place.segment, self._record(place))

    def opens(self, place: Place) -> bool:
        """False where nothing that can be opened is there."""
        try:
            self.content(place)
        except (DamageError, ForgottenError):
            return False
        return True

    def sealed(self, place: Place) -> Moved:
        """Return a record as it is sealed, with its data key, for compaction. Raises DamageError, ForgottenError."""
        record = self._record(place)
        self.opened(place.segment, record)  # damage does not move on
        keys, tenant = self._key_file(place.segment), self._tenants[record.tenant]
        wrapped = keys.read(record.slot) or b""
        key = tenant.unwrap(wrapped[:WRAPPED], record.slot, keys.head[_IDENTIFIER:])
        return Moved(record.kind, record.tenant, tenant.public, record.dictionary, record.content, key)

    def _record(self, place: Place) -> Record:
        path = segment_path(self._data, place.segment)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DamageError(f"{path}: {error.strerror}; restore it from your backup") from None
        try:
            data = os.pread(descriptor, place.length, place.position)
        finally:
            os.close(descriptor)
        try:
            record = read_record(data, 0, place.position)
        except DamagedError as error:
            raise DamageError(f"{path}: {error}") from None
        if record.slot != place.slot:
            raise _damage(self._data, place, "another record than the catalog says")
        return record

    def opened(self, segment: str, record: Record) -> bytes:
        """Return the content of a record that was read. Raises DamageError, ForgottenError."""
        keys = self._key_file(segment)
        try:
            wrapped = keys.read(record.slot)
            if wrapped is None:
                raise ForgottenError(
                    f"{segment_path(self._data, segment)}: the record at octet {record.position} was deleted for good"
                )
            tenant = self._tenants.get(record.tenant)
            if tenant is None:
                raise KeysError("it is of a tenant without keys; restore tenants.keys from your backup of keys")
            sealed = Sealed(record.content, wrapped[:WRAPPED])
            data = tenant.open(sealed, record.seal, record.slot, keys.head[_IDENTIFIER:])
            return self._decompressor.decompress(record.dictionary, data, MOST)
        except (KeysError, ValueError) as error:
            raise _damage(self._data, Place.of(segment, record), str(error)) from None

    def _key_file(self, segment: str) -> KeyFile:
        keys = self._keys.get(segment)
        if keys is None:
            if len(self._keys) >= _OPEN_FILES:
                self._keys.pop(next(iter(self._keys))).close()
            path = key_path(self._data, segment)
            try:
                keys = KeyFile(path, SLOT_SIZE, writing=False)
            except OSError as error:
                raise DamageError(f"{path}: {error.strerror}; restore it from your backup of keys") from None
            except KeysError as error:
                raise DamageError(str(error)) from None
            if keys.head[:_IDENTIFIER] != segment.encode():
                keys.close()
                raise DamageError(f"{path} is the key file of another segment; restore it from your backup of keys")
            self._keys[segment] = keys
        return keys

    def close(self) -> None:
        while self._keys:
            self._keys.popitem()[1].close()


def _damage(data: Path, place: Place, what: str) -> DamageError:
    return DamageError(f"{segment_path(data, place.segment)}: at octet {place.position}: {what}")
