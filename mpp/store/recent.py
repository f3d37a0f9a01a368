"""The stored messages of the last days, one after the other: for replay of new filters over what was held or archived.

Read in pages by id, so that nothing is locked while each is judged. What was deleted meanwhile is left out.
"""

from collections.abc import Iterator

from sqlalchemy import select

from mpp.store.catalog import Catalog
from mpp.store.reader import ForgottenError, Reader, Stored
from mpp.store.schema import messages

_PAGE = 500


def recent(catalog: Catalog, reader: Reader, tenant: str, since_ms: int) -> Iterator[Stored]:
    """Yield what came since then (milliseconds since 1970). Raises StoreError: also for what cannot be read."""
    last = ""
    while True:
        with catalog.read() as connection:
            where = (messages.c.tenant == tenant, messages.c.id > last, messages.c.received >= since_ms)
            found = connection.execute(select(messages.c.id).where(*where).order_by(messages.c.id).limit(_PAGE))
            identifiers = [row.id for row in found]
            page: list[Stored] = []
            for identifier in identifiers:
                try:
                    stored = reader.message(connection, tenant, identifier)
                except ForgottenError:
                    continue
                if stored is not None:
                    page.append(stored)
        yield from page
        if len(identifiers) < _PAGE:
            return
        last = identifiers[-1]
