"""mpp.cli.options: what the options stand for, and that the printed file stands for the same."""

from pathlib import Path

import pytest
import typer

from mpp.cli.options import Options, scan_settings, serve_settings
from mpp.gateway.load import ALL_RULES
from mpp.gateway.settings import Settings
from mpp.settings.read import load
from mpp.settings.write import write

LEAST = {"listen": ("127.0.0.1:2525",), "next_hop": ("127.0.0.1:10026",), "data": Path("/data")}


def served(**more):
    return serve_settings(None, Options(**{**LEAST, **more}))[0]


def refused(capsys, code=1, **options):
    with pytest.raises(typer.Exit) as caught:
        serve_settings(None, Options(**options))
    assert caught.value.exit_code == code
    return capsys.readouterr().err.rstrip("\n")


def test_without_a_domain_all_is_relayed_and_nobody_is_trusted():
    value = served()
    assert value.networks.relay_all
    assert value.networks.trusted == ()
    (route,) = value.routes
    assert (route.domains, route.ours, str(route.hosts[0])) == (("*",), False, "127.0.0.1:10026")
    assert str(value.listeners[0].address) == "127.0.0.1:2525"
    assert value.node.data == Path("/data")


def test_with_a_domain_only_it_is_accepted():
    value = served(domains=("Example.org", ".example.net"), listen=("0.0.0.0:25",))
    assert not value.networks.relay_all
    (route,) = value.routes
    assert (route.domains, route.ours) == (("example.org", ".example.net"), True)


def test_with_a_domain_and_trust_the_trusted_reach_the_rest():
    value = served(domains=("example.org",), trust=("10.0.0.0/8",))
    assert [(route.domains, route.ours) for route in value.routes] == [(("example.org",), True), (("*",), False)]
    assert not value.networks.relay_all


def test_several_of_all():
    value = served(
        listen=("127.0.0.1:25", "lmtp:[::1]:24", "unix:/run/x"),
        next_hop=("127.0.0.1:26", "lmtp:unix:/run/y"),
        scanners=("spamd:h:1,[::1]:2", "clamd:unix:/c", "spamd:tls:h:3"),
        workers=3,
        message_size="100M",
        no_checks=False,
    )
    assert [str(each.address) for each in value.listeners] == ["127.0.0.1:25", "lmtp:[::1]:24", "unix:/run/x"]
    assert len({each.name for each in value.listeners}) == 3
    assert [str(host) for host in value.routes[0].hosts] == ["127.0.0.1:26", "lmtp:unix:/run/y"]
    assert [(each.name, each.kind, each.servers) for each in value.scanners] == [
        ("spamd", "spamd", ("h:1", "[::1]:2")),
        ("clamd", "clamd", ("unix:/c",)),
        ("spamd-2", "spamd", ("tls:h:3",)),
    ]
    assert (value.node.workers, value.limits.message_size) == (3, 100 << 20)
    assert value.memory.in_flight == 400 << 20


def test_no_checks():
    assert served(no_checks=True).checks is False


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"domains": ("example.org",), "trust": ("10.0.0.0/8", "::1"), "listen": ("0.0.0.0:25", "[::]:25")},
        {"scanners": ("spamd:h:1", "clamd:unix:/a b"), "message_size": "3000000", "workers": 0, "no_checks": False},
    ],
)
def test_the_printed_file_stands_for_the_same(more):
    value = served(**more)
    assert load(write(value), "printed", Settings, ALL_RULES).settings == value


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"listen": ("127.0.0.1:1",)}, "--next-hop is missing"),
        ({"workers": 1}, "--listen is missing"),
        ({**LEAST, "listen": ("0.0.0.0:25",)}, "--listen would make an open relay: 0.0.0.0:25 is reached from outside"),
        ({**LEAST, "listen": ("x",)}, '--listen "x" is no address; write'),
        ({**LEAST, "next_hop": ("x",)}, '--next-hop "x" is no address; write'),
        ({**LEAST, "domains": ("a b",)}, '--domain "a b" is no domain; write'),
        ({**LEAST, "trust": ("10.0.0.1/8",)}, '--trust "10.0.0.1/8" 10.0.0.1/8 has host bits set; write'),
        ({**LEAST, "trust": ("0.0.0.0/0",)}, "--trust 0.0.0.0/0 is as good as the whole Internet"),
        (
            {**LEAST, "scanners": ("spamdd:h:1",)},
            '--scanner spamdd:h:1 "spamdd" is not one of its values; did you mean "spamd"?',
        ),
        ({**LEAST, "scanners": ("spamd:",)}, "--scanner spamd: is an empty list; name at least one"),
        ({**LEAST, "message_size": "big"}, '--message-size "big" is no size; write'),
        ({**LEAST, "tls_cert": Path("/nope")}, "--tls-cert is of no use without tls.key; add key"),
    ],
)
def test_a_fault_names_its_option(options, line, capsys):
    assert line in refused(capsys, **options)


def test_a_file_and_options_are_not_mixed(capsys, tmp_path):
    with pytest.raises(typer.Exit):
        serve_settings(tmp_path / "x.toml", Options(workers=1))
    assert "cannot be mixed" in capsys.readouterr().err


def test_mpp_toml_is_read_where_there_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "there is no mpp.toml here" in refused(capsys)
    Path("mpp.toml").write_text(write(served(workers=7)))
    value, path = serve_settings(None, Options())
    assert (value.node.workers, path) == (7, Path("mpp.toml"))
    assert scan_settings(None, Options(), 2).node.workers == 7
    assert scan_settings(None, Options(scanners=("spamd:h:1",)), 2).node.workers == 0


def test_a_file_without_a_listener_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mpp.toml").write_text("")
    assert (
        refused(capsys)
        == "mpp.toml: names no listener, so no mail could come in; add [[listeners]] with name and address"
    )


def test_a_scan_ends_with_its_own_code(capsys):
    with pytest.raises(typer.Exit) as caught:
        scan_settings(None, Options(scanners=("clamd:tls:h:1",)), 2)
    assert caught.value.exit_code == 2
    assert (
        capsys.readouterr().err == '--scanner clamd:tls:h:1 asks for TLS, which clamd does not speak; remove "tls:"\n'
    )
