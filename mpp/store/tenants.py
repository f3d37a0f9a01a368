"""The tenants' keys: `keys/tenants.keys` in the data folder, a slot each.

A slot holds the public key, by which workers seal; the key of attachments' digests, which they need too; and the private key,
wrapped by the master key. The file's head proves which master key it was made with, so that a wrong one is refused before anything
is done with it. Nodes of one catalog share this file's content: copy it when you add a node. Raises KeysError, OSError.
"""

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mpp.store import master
from mpp.store.errors import KeysError
from mpp.store.keyfile import KeyFile, sync_folder
from mpp.store.record import tenant_mark
from mpp.store.seals import TenantKeys

FILE = "tenants.keys"
_SLOT_SIZE = 320
_SLOT = struct.Struct("<32s32s12s48sB")  # public, of digests, nonce, wrapped private, length of the name
_PROOF = b"the master key of this store"


@dataclass(frozen=True, slots=True)
class Public:
    """What a worker knows of a tenant's keys."""

    name: str
    mark: bytes
    public: bytes
    digests: bytes
    wrapped: bytes  # nonce and private key, for who has the master key


def keys_folder(data: Path) -> Path:
    return data / "keys"


def tenants_file(data: Path) -> Path:
    return keys_folder(data) / FILE


def prepare_tenants(data: Path, setting: str, tenants: Iterable[str]) -> None:
    """Make what lacks: the folder, the first master key, a key pair for each tenant that has none."""
    folder, where = keys_folder(data), master.reference(setting, data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        if not (folder / FILE).exists():
            _begin(folder, data, where)
        known = read_tenants(data)
        lacking = [tenant for tenant in dict.fromkeys(tenants) if tenant not in known]
        if lacking:
            _add(folder, lacking, len(known), master.read_master_key(where))


def _begin(folder: Path, data: Path, where: str) -> None:
    """Make the file, and the master key where this is the first start; a store that has segments is refused."""
    if any(folder.glob("*.keys")):
        raise KeysError(
            f"{folder / FILE} is missing, but the store holds messages; restore it from your backup of keys"
        )
    try:
        key = master.read_master_key(where)
    except KeysError:
        if master.exists(where):
            raise
        master.make_master_key(where, data)
        key = master.read_master_key(where)
    nonce = os.urandom(12)
    half = folder / f"{FILE}.new"
    half.unlink(missing_ok=True)  # of a start that ended half-way; it held no key yet
    KeyFile.create(half, _SLOT_SIZE, nonce + AESGCM(key).encrypt(nonce, _PROOF, None)).close()
    half.rename(folder / FILE)
    sync_folder(folder)


def _add(folder: Path, tenants: list[str], first: int, key: bytes) -> None:
    file = KeyFile(folder / FILE, _SLOT_SIZE, writing=True)
    try:
        _prove(file, key)
        file.write(first, [_new(tenant, key) for tenant in tenants])
        file.sync()
    finally:
        file.close()


def _new(tenant: str, key: bytes) -> bytes:
    name, nonce = tenant.encode(), os.urandom(12)
    private = X25519PrivateKey.generate()
    wrapped = AESGCM(key).encrypt(nonce, private.private_bytes_raw(), name)
    return _SLOT.pack(private.public_key().public_bytes_raw(), os.urandom(32), nonce, wrapped, len(name)) + name


def read_tenants(data: Path) -> Mapping[str, Public]:
    """Return what can be known without the master key, by name."""
    path = keys_folder(data) / FILE
    try:
        file = KeyFile(path, _SLOT_SIZE, writing=False)
    except FileNotFoundError:
        raise KeysError(f"{path} is missing; start `mpp serve` once, or restore it from your backup of keys") from None
    try:
        found = {}
        for content in file.read_all():
            if isinstance(content, KeysError):
                raise content
            if content is None:
                break
            public, digests, nonce, wrapped, length = _SLOT.unpack_from(content)
            name = content[_SLOT.size : _SLOT.size + length].decode()
            found[name] = Public(name, tenant_mark(name), public, digests, nonce + wrapped)
        return found
    finally:
        file.close()


def open_tenants(data: Path, setting: str) -> Mapping[bytes, TenantKeys]:
    """Return the keys that open, by the tenant's mark in records."""
    key = master.read_master_key(master.reference(setting, data))
    tenants = read_tenants(data)
    file = KeyFile(keys_folder(data) / FILE, _SLOT_SIZE, writing=False)
    try:
        _prove(file, key)
    finally:
        file.close()
    opened = {}
    for each in tenants.values():
        try:
            private = AESGCM(key).decrypt(each.wrapped[:12], each.wrapped[12:], each.name.encode())
        except InvalidTag:
            raise KeysError(
                f"the keys of tenant {each.name} are damaged; restore {FILE} from your backup of keys"
            ) from None
        opened[each.mark] = TenantKeys(private)
    return opened


def _prove(file: KeyFile, key: bytes) -> None:
    try:
        AESGCM(key).decrypt(file.head[:12], file.head[12:], None)
    except InvalidTag:
        print_ = sha256(key).hexdigest()[:8]
        what = f"the master key (fingerprint {print_}) is not the one that {file.path} was made with"
        raise KeysError(f"{what}; put the right one back, nothing was changed") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time makes keys. The lock ends with its process."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
