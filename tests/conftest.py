"""Fixtures of every test: real servers, the gateway as a process, corpora; and what the run says at its end.

    sink, make_sink      a scriptable next hop (servers/sink.py)
    gateway              makes gateways: gateway(sink), gateway(sink, more={...}), gateway(options=[...])
    spamd, clamd         "HOST:PORT" of real ones, started once a run
    postfix_nexthop      a Postfix that holds example.org and hands on to `postfix_mailbox`
    postgresql           a PostgreSQL cluster, started once a run: postgresql.database() is the URL of a fresh database
    own_postgresql       a cluster that a test may stop, and starts again
    catalog_setting      what [store] catalog is: each test that uses it runs on SQLite and on PostgreSQL
    catalog              such a catalog, opened, with its schema
    certificates         a CA and server certificates, right and wrong
    corpora              the folder of the corpora; a test that uses it is marked `corpus`
    soak                 True in `make soak`: repeat faults hundreds of times

A skipped test is a failure with CI=true. Without corpora the tests marked `corpus` are deselected, with a line.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from mpp.cli.programs import free_port, start_clamd, start_spamd
from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from servers import postfix
from servers.certificates import Certificates, make_certificates
from servers.gateway import ROOT, Gateway, MakeGateway, gateway_settings, ports
from servers.installed import installed
from servers.postgresql import Postgresql, binaries
from servers.sink import Sink

_CI = os.environ.get("CI") == "true"
_CORPORA = Path(os.environ.get("MPP_CORPORA") or ROOT.parent / "shared" / "corpora")
_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)
_deselected_key = pytest.StashKey[int]()

# A loaded machine draws slowly, and the first run in a fresh clone makes tables of Unicode: neither is a fault of the code.
hypothesis_settings.register_profile(
    "mpp", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("mpp")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _CORPORA.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("corpus")]
    items[:] = [item for item in items if item not in left_out]
    config.stash[_deselected_key] = len(left_out)
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(_deselected_key, 0)
    if count:
        terminalreporter.write_line(
            f"NO CORPORA at {_CORPORA}: {count} tests that need them were left out. MPP_CORPORA=DIR names another place.",
            yellow=True,
            bold=True,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _no_skip((yield))


def _no_skip(report: _Report) -> _Report:
    """In CI a peer that is absent is a hole in the set-up, not a reason to go on."""
    if _CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nWith CI=true a skipped test is a failure."
    return report


@pytest.fixture(scope="session")
def corpora() -> Path:
    return _CORPORA


@pytest.fixture(scope="session")
def soak() -> bool:
    return os.environ.get("MPP_SOAK") == "1"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that servers under other users can pass through; pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory(prefix="mpp-tests-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def spamd(server_folder: Path) -> Iterator[str]:
    installed("spamd")
    port = free_port()
    with start_spamd(server_folder / "spamd", port):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def clamd(server_folder: Path) -> Iterator[str]:
    installed("clamd")
    port = free_port()
    with start_clamd(server_folder / "clamd", port):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def clamd_socket(clamd: str, server_folder: Path) -> Path:
    """The same clamd's unix socket."""
    return server_folder / "clamd" / "clamd.sock"


def _postgresql(folder: Path) -> Postgresql:
    programs = binaries()
    if programs is None:
        pytest.skip("postgresql is not installed: packaging/apt.sh peers")
    return Postgresql(folder, programs)


@pytest.fixture(scope="session")
def postgresql(server_folder: Path) -> Iterator[Postgresql]:
    with _postgresql(server_folder / "postgresql") as server:
        yield server


@pytest.fixture(scope="session")
def own_postgresql(server_folder: Path) -> Iterator[Postgresql]:
    with _postgresql(server_folder / "stopped") as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_setting(request: pytest.FixtureRequest) -> Iterator[str]:
    """ "" for SQLite, the default; else the URL of an empty database."""
    if request.param == "sqlite":
        yield ""
        return
    server: Postgresql = request.getfixturevalue("postgresql")
    url = server.database()
    yield url
    server.drop(url)


@pytest.fixture
def catalog(catalog_setting: str, tmp_path: Path) -> Iterator[Catalog]:
    url = catalog_url(catalog_setting, "", tmp_path)
    prepare(url)
    opened = open_catalog(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def make_sink() -> Iterator[Callable[..., Sink]]:
    made: list[Sink] = []

    def make(**options: Any) -> Sink:
        made.append(Sink(**options))
        return made[-1]

    yield make
    for sink in made:
        sink.stop()


@pytest.fixture
def sink(make_sink: Callable[..., Sink]) -> Sink:
    return make_sink()


@pytest.fixture(scope="session")
def _postfix_and_mailbox() -> Iterator[tuple[postfix.Postfix, Sink]]:
    recipients = [f"{name}@example.org" for name in ("alice", "bob", "carol", "postmaster")]
    installed("postfix", root=True)
    with (
        Sink(lmtp=True) as mailbox,
        postfix.next_hop(free_port(), f"lmtp:inet:{mailbox.host}:{mailbox.port}", recipients) as hop,
    ):
        yield hop, mailbox


@pytest.fixture
def postfix_nexthop(_postfix_and_mailbox: tuple[postfix.Postfix, Sink]) -> postfix.Postfix:
    """alice, bob, carol and postmaster exist at example.org."""
    return _postfix_and_mailbox[0]


@pytest.fixture
def postfix_mailbox(_postfix_and_mailbox: tuple[postfix.Postfix, Sink]) -> Sink:
    """Where `postfix_nexthop` delivers, empty at the start of each test."""
    mailbox = _postfix_and_mailbox[1]
    mailbox.clear()
    return mailbox


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[MakeGateway]:
    """Make gateways that are stopped after the test.

    gateway(next_hop, domains=, scanners=, workers=, more=)  usual settings, `more` merged over them (nested dictionaries)
    gateway(settings=TEXT, port=, status_port=)              a settings file of the test's own
    gateway(next_hop, options=[...])                         by options; --listen, --next-hop and --data are added
    gateway(next_hop, own_interpreter=True)                  not forked from a process that has loaded MPP (servers/warm.py)
    """
    made: list[Gateway] = []

    def make(
        next_hop: Sink | postfix.Postfix | str | int = "",
        *,
        settings: str = "",
        options: list[str] | None = None,
        port: int = 0,
        status_port: int = 0,
        ready: bool = True,
        command: tuple[str, ...] = (),
        script: str = "",
        environment: dict[str, str] | None = None,
        own_interpreter: bool = False,
        **usual: Any,
    ) -> Gateway:
        folder = tmp_path / f"gateway-{len(made) + 1}"
        folder.mkdir()
        chosen = ports(2)
        port, status_port = port or chosen[0], status_port or chosen[1]
        address = _address(next_hop)
        if options is not None:
            added = ["--listen", f"127.0.0.1:{port}", "--next-hop", address, "--data", str(folder / "data")]
            started = {"options": [*added, *options]}
        else:
            text = settings or gateway_settings(folder, address, port=port, status_port=status_port, **usual)
            started = {"settings": text}
        made.append(
            Gateway(
                folder,
                port=port,
                status_port=status_port,
                ready=ready,
                command=command,
                script=script,
                environment=environment,
                own_interpreter=own_interpreter,
                **started,  # type: ignore[arg-type]
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.stop()


def _address(next_hop: Sink | postfix.Postfix | str | int) -> str:
    match next_hop:
        case str():
            return next_hop
        case int():
            return f"127.0.0.1:{next_hop}"
        case _:
            return next_hop.address
