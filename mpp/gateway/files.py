"""Do the files that the settings name exist, can they be read, do they belong together? Reads them, changes nothing."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from mpp.checks.content.problems import file_problems
from mpp.gateway.settings import Settings
from mpp.mail.escape import printable
from mpp.settings.problem import Path as KeyPath
from mpp.settings.problem import Problem


def files(settings: Settings) -> Iterator[Problem]:
    """Certificates, their key, authorities, tables of recipients, tables and word lists of filters."""
    tls = settings.tls
    named: list[tuple[KeyPath, Path]] = [
        (("tls", key), path)
        for key, path in (("certificate", tls.certificate), ("key", tls.key), ("ca", tls.ca))
        if path is not None
    ]
    named += [
        (("routes", number, "recipients"), Path(route.recipients.removeprefix("file:")))
        for number, route in enumerate(settings.routes)
        if route.recipients
    ]
    named += [
        (("scanners", number, key), path)
        for number, scanner in enumerate(settings.scanners)
        for key in ("password_file", "token_file")
        if (path := getattr(scanner, key, None)) is not None
    ]
    problems = [problem for key, path in named if (problem := _unreadable(key, path))]
    yield from problems
    bad = {problem.path for problem in problems}
    yield from file_problems(settings.filters)
    if tls.certificate and tls.key and not bad & {("tls", "certificate"), ("tls", "key")}:
        yield from _pair(tls.certificate, tls.key)
    if tls.ca and ("tls", "ca") not in bad:
        yield from _authorities(tls.ca)


def _unreadable(key: KeyPath, path: Path) -> Problem | None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        cure = "name a file that is there and that node.user may read"
        return Problem(key, f'"{printable(str(path))}" cannot be read: {printable(cause)}', cure)
    return None


def _pair(certificate: Path, key: Path) -> Iterator[Problem]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            what, cure = "is no key of tls.certificate", "name the key that the certificate was made for"
        else:
            what = f"and tls.certificate cannot be used: {printable(error.reason or str(error))}"
            cure = "name PEM files; the key without a pass phrase"
        yield Problem(("tls", "key"), what, cure)
    except (OSError, ValueError) as error:
        what = f"and tls.certificate cannot be used: {printable(str(error))}"
        yield Problem(("tls", "key"), what, "name PEM files; the key without a pass phrase")


def _authorities(path: Path) -> Iterator[Problem]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        what = f'"{printable(str(path))}" holds no certificates: {printable(str(error))}'
        yield Problem(("tls", "ca"), what, "name a PEM file")


def _no_password() -> str:
    """Nobody can be asked at a reload; without it OpenSSL would ask on the terminal."""
    raise ValueError("the key has a pass phrase")
