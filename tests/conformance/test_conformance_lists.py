"""Lists in a running gateway: a change is taken within seconds, without a reload, and decides for the recipients it is about."""

import smtplib

from mpp.gateway.load import load_settings
from mpp.store.opening import prepare_store
from servers.gateway import gateway_settings, ports
from servers.warm import run

MAIL = b"From: ann@example.net\r\nSubject: Lunch\r\n\r\nNoon?\r\n"


def lists(mpp, *arguments):
    run("lists", *arguments, "--settings", str(mpp.file)).check_returncode()


def refusal(mpp, recipient):
    with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
        try:
            client.sendmail("ann@example.net", [recipient], MAIL)
        except smtplib.SMTPDataError as error:
            return error.smtp_code, error.smtp_error.decode()
    return None


def test_a_running_gateway_takes_a_change_of_the_lists(gateway, sink, tmp_path):
    (port,) = ports(1)
    text = gateway_settings(tmp_path, sink.address, port=port)
    (tmp_path / "mpp.toml").write_text(text)
    settings = load_settings(tmp_path / "mpp.toml").settings
    prepare_store(settings.node.data, settings.store)
    mpp = gateway(settings=text, port=port)
    assert refusal(mpp, "bob@example.org") is None
    mpp.wait_for("event=lists.taken", 30)  # those that were there at the start: none
    seen = len(mpp.lines)
    lists(mpp, "add", "block", "@example.net", "--level", "user", "--owner", "bob@example.org")
    mpp.wait_for("event=lists.taken", 30, since=seen)
    code, said = refusal(mpp, "bob@example.org")
    assert code == 554
    assert said.startswith("5.7.1 Message refused, its sender is not wanted here")
    assert refusal(mpp, "eve@example.org") is None
    mpp.wait_for("policies.default.blocked", 10)
    seen = len(mpp.lines)
    lists(mpp, "remove", "@example.net", "--level", "user", "--owner", "bob@example.org")
    mpp.wait_for("event=lists.taken", 30, since=seen)
    assert refusal(mpp, "bob@example.org") is None
