"""The section [store]: where what must be durable lies, how long, and when there is too little room for more.

`catalog`, `catalog_password`, `master_key` belong to the start of a node and never to a revision of the settings.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from mpp.settings.model import Section
from mpp.settings.values import Duration, Size

_POSTGRESQL = re.compile(r"postgresql://[^/\s]*/[^\s]+")
_PASSWORD = re.compile(r"postgresql://[^@/]*:[^@/]*@")


def _catalog(value: str) -> str:
    if value and not value.startswith("sqlite:/") and not _POSTGRESQL.fullmatch(value):
        raise ValueError('is no catalog; write "postgresql://USER@HOST/DATABASE", "sqlite:/PATH" or nothing')
    if _PASSWORD.match(value):
        raise ValueError("holds a password; write it into a file and name that in catalog_password")
    return value


def _secret(value: str) -> str:
    if value and not re.fullmatch(r"file:/.+|env:\w+|credential:[\w.-]+", value):
        raise ValueError('is no reference; write "file:/PATH", "env:NAME" or "credential:NAME" (systemd)')
    return value


def _master_key(value: str) -> str:
    if value and not re.fullmatch(r"file:/.+|credential:[\w.-]+|command:/.+", value):
        raise ValueError(
            'is no reference; write "file:/PATH", "credential:NAME" (systemd) or "command:/PATH ARGUMENTS"'
        )
    return value


class Store(Section):
    """Quarantine, archive and trace. The first three keys are read at start; a change needs a restart."""

    catalog: Annotated[str, AfterValidator(_catalog)] = Field(
        "",
        description='Database: "postgresql://USER@HOST/DATABASE" (15 or later); empty: SQLite, catalog.db in node.data',
    )
    catalog_password: Annotated[str, AfterValidator(_secret)] = Field(
        "", description='Where its password is: "file:/PATH", "env:NAME", "credential:NAME"; empty: none'
    )
    master_key: Annotated[str, AfterValidator(_master_key)] = Field(
        "",
        description='The key over all keys: "file:/PATH" (mode 0600, outside node.data), "credential:NAME" (systemd), "command:/PATH ..." '
        "(prints it in hexadecimal); empty: a file beside node.data, made at the first start. Keep a copy: what is held cannot be read without it",
    )
    keep_held: Duration = Field(30 * 86400.0, gt=0, description="How long a held copy is kept")
    keep_archived: Duration = Field(3650 * 86400.0, gt=0, description="How long an archived message is kept")
    keep_traces: Duration = Field(30 * 86400.0, gt=0, description="How long traces are kept; then only counts")
    trace_spool: Size = Field(
        256 << 20,
        ge=1 << 20,
        description="Octets of traces of a node that may wait for the catalog; more are lost and counted",
    )
    min_free: Size = Field(
        256 << 20, ge=0, description="Free octets of the disk below which nothing more is held or archived: 452"
    )
    segment_size: Size = Field(256 << 20, ge=1 << 20, description="Octets from which a segment is sealed")
    segment_age: Duration = Field(86400.0, gt=0, description="Age from which a segment is sealed")
