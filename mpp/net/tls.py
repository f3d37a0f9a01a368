"""TLS contexts from settings: one for the doors, one for each policy towards next hops (RFC 3207, 8314).

Raises OSError (ssl.SSLError among them) where a file cannot be read or does not fit.
"""

import ssl
from collections.abc import Callable
from functools import lru_cache

from mpp.settings.common import Tls

_MINIMUM = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def server_context(tls: Tls) -> ssl.SSLContext | None:
    """Return the context of the doors, None where no certificate is set."""
    if tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM[tls.minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def client_contexts(tls: Tls) -> Callable[[str], ssl.SSLContext | None]:
    """Return a function from a route's policy (none, may, must, verify) to its context.

    `may` and `must` encrypt against listeners only; `verify` also checks chain and name.
    """

    @lru_cache
    def context_for(policy: str) -> ssl.SSLContext | None:
        if policy == "none":
            return None
        if policy == "verify":
            context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
        else:  # without the authorities, whose reading would hold up the loop for 70 ms
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.options |= ssl.OP_NO_COMPRESSION
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.minimum_version = _MINIMUM[tls.minimum]
        return context

    return context_for
