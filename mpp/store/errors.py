"""What the store's callers must be ready for. Whatever the cause, nothing was promised: the sender is told to come back."""


class StoreError(Exception):
    """Something durable cannot be done now: disk, catalog or keys. The text names the cause, for log and operator."""


class CatalogError(StoreError):
    """The catalog cannot be reached, read or written."""


class ValueRefusedError(CatalogError):
    """The catalog works, and refuses what it was given. Nothing of the transaction is there."""


class CommitLostError(CatalogError):
    """The answer to a commit was lost: the transaction is there as a whole, or not at all."""


class CatalogRefusedError(CatalogError):
    """The catalog must not be used as it is: too old a SQLite or PostgreSQL, or another schema. Says the cure."""


class KeysError(StoreError):
    """A key is missing, wrong or cannot be read. Says the cure; nothing was overwritten."""
