"""The form of a segment's records, and how what a torn or damaged file holds is told. Pure: octets in, records out.

    segment = head, record, record, ...
    record  = magic, kind, dictionary, slot, length, tenant, crc of these | sealed content | crc of all before

The content is sealed with a key of its own, which lies in `slot` of the segment's key file. The seal covers kind, dictionary and
tenant, not the slot: compaction moves a record as it is. A crc that fails in the last record is a torn tail (the process or the power
went while it was written, and nobody was promised anything); anywhere else it is damage.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from hashlib import blake2b
from mmap import mmap
from typing import NamedTuple
from zlib import crc32

VERSION = 1
_HEAD = struct.Struct("<4sHH24sQ")  # magic, version, nothing, id, time made
_HEAD_MAGIC, _MAGIC = b"MPPs", b"MPPr"
HEAD_SIZE = _HEAD.size + 4
_RECORD = struct.Struct("<4sBBHII8s")  # magic, kind, dictionary, nothing, slot, length of the content, tenant
_CRC = struct.Struct("<I")
RECORD_HEAD = _RECORD.size + 4
MOST = 1 << 30  # octets of a content: a length beyond is damage


class Kind(IntEnum):
    MESSAGE = 1
    BLOB = 2


class DamagedError(Exception):
    """What is there is no record, or not the one that was written. `position` is where."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"at octet {position}: {what}")
        self.position, self.what = position, what


class Record(NamedTuple):
    kind: int
    dictionary: int  # the version of the zstd dictionary, 0 for none
    slot: int
    tenant: bytes  # tenant_mark of its name
    content: bytes  # sealed
    position: int
    length: int  # of the whole record

    @property
    def seal(self) -> bytes:
        """What the seal covers beside the content."""
        return seal_of(self.kind, self.dictionary, self.tenant)


def tenant_mark(tenant: str) -> bytes:
    """Return what stands for a tenant in a record: it says which key opens it, before anything can be read."""
    return blake2b(tenant.encode(), digest_size=8, person=b"mpp tenant").digest()


def seal_of(kind: int, dictionary: int, tenant: bytes) -> bytes:
    return b"MPP%c%c%b" % (kind, dictionary, tenant)


def write_head(identifier: str, made_ms: int) -> bytes:
    """Return the first octets of a segment; `identifier` is 24 ASCII characters."""
    head = _HEAD.pack(_HEAD_MAGIC, VERSION, 0, identifier.encode("ascii"), made_ms)
    return head + _CRC.pack(crc32(head))


def read_head(data: bytes) -> tuple[str, int]:
    """Return identifier and time of a segment. Raises DamagedError."""
    if len(data) < HEAD_SIZE:
        raise DamagedError(0, "shorter than a segment's head")
    magic, version, _, identifier, made_ms = _HEAD.unpack_from(data)
    if magic != _HEAD_MAGIC or _CRC.unpack_from(data, _HEAD.size)[0] != crc32(data[: _HEAD.size]):
        raise DamagedError(0, "no head of a segment")
    if version != VERSION:
        raise DamagedError(0, f"segment of version {version}, this MPP reads {VERSION}")
    return identifier.decode("ascii", "replace"), made_ms


def write_record(kind: int, dictionary: int, slot: int, tenant: bytes, content: bytes) -> bytes:
    head = _RECORD.pack(_MAGIC, kind, dictionary, 0, slot, len(content), tenant)
    head += _CRC.pack(crc32(head))
    return b"".join((head, content, _CRC.pack(crc32(content, crc32(head)))))


def read_record(data: bytes | mmap, at: int, position: int) -> Record:
    """Return the record at offset `at` of `data`; `position` is where that lies in the file. Raises DamagedError.

    EndError, a kind of DamagedError, says that the data end before the record does.
    """
    if len(data) - at < RECORD_HEAD:
        raise EndError(position, "ends within a record's head")
    head = data[at : at + RECORD_HEAD]
    magic, kind, dictionary, _, slot, length, tenant = _RECORD.unpack_from(head)
    if magic != _MAGIC or _CRC.unpack_from(head, _RECORD.size)[0] != crc32(head[: _RECORD.size]) or length > MOST:
        raise DamagedError(position, "no head of a record")
    whole = RECORD_HEAD + length + _CRC.size
    if len(data) - at < whole:
        raise EndError(position, "ends within a record")
    content = data[at + RECORD_HEAD : at + RECORD_HEAD + length]
    if _CRC.unpack_from(data, at + RECORD_HEAD + length)[0] != crc32(content, crc32(head)):
        raise DamagedError(position, "a record whose checksum is wrong")
    return Record(kind, dictionary, slot, tenant, content, position, whole)


class EndError(DamagedError):
    """The data end before the record does."""


def scan(data: bytes | mmap) -> Iterator[Record | DamagedError]:
    """Yield every record of a whole segment, and each damaged place; after one the next record is looked for.

    A torn tail is the last thing yielded, an EndError or a DamagedError behind which there is no record.
    """
    at = HEAD_SIZE
    while at < len(data):
        try:
            record = read_record(data, at, at)
        except DamagedError as error:
            yield error
            at = _next(data, at + 1)
        else:
            yield record
            at += record.length


def _next(data: bytes | mmap, at: int) -> int:
    """Return where the next whole record's head stands, or the end of the data."""
    while (at := data.find(_MAGIC, at)) >= 0:
        head = data[at : at + RECORD_HEAD]
        if len(head) == RECORD_HEAD and _CRC.unpack_from(head, _RECORD.size)[0] == crc32(head[: _RECORD.size]):
            return at
        at += 1
    return len(data)
