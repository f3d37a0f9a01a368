"""zstd with dictionaries for small mail: a 2 KiB message becomes half of what it becomes without.

A record names the version of its dictionary; versions are never changed or removed once released. They are trained by
packaging/train_dictionary.py on mail made up for it, never on anybody's. 0 is no dictionary.
"""

from functools import lru_cache
from importlib.resources import files

import zstandard

NEWEST = 1
_SMALL = 1 << 17  # octets up to which a dictionary gains anything
_LEVEL = 3


class Compressor:
    """For one thread. Keeps its tables, which cost more than a small message."""

    def __init__(self) -> None:
        dictionary = _dictionary(NEWEST)
        dictionary.precompute_compress(level=_LEVEL)
        self._small = zstandard.ZstdCompressor(level=_LEVEL, dict_data=dictionary, write_dict_id=False)
        self._large = zstandard.ZstdCompressor(level=_LEVEL)

    def compress(self, data: bytes) -> tuple[int, bytes]:
        """Return the dictionary's version and the compressed octets."""
        if len(data) > _SMALL:
            return 0, self._large.compress(data)
        return NEWEST, self._small.compress(data)


class Decompressor:
    """For one thread."""

    def __init__(self) -> None:
        self._by_version: dict[int, zstandard.ZstdDecompressor] = {}

    def decompress(self, version: int, data: bytes, most: int) -> bytes:
        """Return the octets, at most `most` of them. Raises ValueError on what is no such frame, or a version not known."""
        decompressor = self._by_version.get(version)
        if decompressor is None:
            if version > NEWEST:
                raise ValueError(f"compressed with dictionary {version}, this MPP knows {NEWEST}")
            known = None if version == 0 else _dictionary(version)
            decompressor = self._by_version[version] = zstandard.ZstdDecompressor(dict_data=known)
        try:
            size = zstandard.frame_content_size(data)
            if not 0 <= size <= most:
                raise ValueError(f"{size} octets are announced, at most {most} may be")
            return decompressor.decompress(data)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None


@lru_cache(4)
def _dictionary(version: int) -> zstandard.ZstdCompressionDict:
    data = (files("mpp.store") / "dictionaries" / f"{version}.zdict").read_bytes()
    return zstandard.ZstdCompressionDict(data)
