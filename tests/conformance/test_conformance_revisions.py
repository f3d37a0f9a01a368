"""A running gateway takes a revision that is applied to its catalog, within seconds and without dropping a connection."""

import smtplib

import pytest

from servers.gateway import gateway_settings, ports
from servers.warm import run


def settings_command(mpp, *arguments, file=None):
    done = run("settings", *arguments, "--settings", str(file or mpp.file))
    done.check_returncode()
    return done.stdout.decode()


def test_a_revision_is_taken_and_rolled_back(gateway, sink, tmp_path):
    (port,) = ports(1)
    text = gateway_settings(tmp_path, sink.address, port=port)
    mpp = gateway(settings=text, port=port)
    (tmp_path / "new.toml").write_text(text + "limits.recipients = 1\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        assert settings_command(mpp, "apply", str(tmp_path / "new.toml"), "--why", "a trial") == "revision 2 holds\n"
        mpp.wait_for("settings.taken", 60)
        client.mail("ann@example.net")
        assert client.rcpt("bob@example.org")[0] == 250
        assert client.rcpt("eve@example.org")[0] == 452, "the connection goes on, by the new settings"
        client.rset()
        seen = len(mpp.lines)
        settings_command(mpp, "rollback", "1", "--why", "it was one")
        mpp.wait_for("settings.taken", 60, since=seen)
        client.mail("ann@example.net")
        assert [client.rcpt(f"{name}@example.org")[0] for name in ("bob", "eve")] == [250, 250]
    assert "a trial" in settings_command(mpp, "history")


def test_a_revision_is_taken_while_the_settings_file_is_broken(gateway, sink, tmp_path):
    (port,) = ports(1)
    text = gateway_settings(tmp_path, sink.address, port=port)
    mpp = gateway(settings=text, port=port)
    other = tmp_path / "other.toml"
    other.write_text(text + "limits.recipients = 1\n")
    mpp.file.write_text("half of a sentence")
    settings_command(mpp, "apply", str(other), "--why", "a trial", file=other)
    mpp.wait_for("settings.taken", 60)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        client.mail("ann@example.net")
        assert [client.rcpt(f"{name}@example.org")[0] for name in ("bob", "eve")] == [250, 452]


def test_a_restart_begins_with_the_revision(gateway, sink, tmp_path):
    (port,) = ports(1)
    text = gateway_settings(tmp_path, sink.address, port=port)
    mpp = gateway(settings=text, port=port)
    (tmp_path / "new.toml").write_text(text + "limits.recipients = 1\n")
    settings_command(mpp, "apply", str(tmp_path / "new.toml"), "--why", "a trial")
    mpp.stop()
    gateway(settings=text, port=port)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        client.mail("ann@example.net")
        assert [client.rcpt(f"{name}@example.org")[0] for name in ("bob", "eve")] == [250, 452]


def test_a_tenants_own_revision_is_taken(gateway, sink, tmp_path):
    (port,) = ports(1)
    tenant = {"domains": ["example.org"], "may_choose": ["none"]}
    more = {"policies": {"none": {"reject_above": -100.0}}, "tenants": {"acme": tenant}}
    more["policies"]["none"] |= {"tag_above": "off", "mark_above": "off"}
    text = gateway_settings(tmp_path, sink.address, port=port, more=more)
    mpp = gateway(settings=text, port=port)
    (tmp_path / "acme.toml").write_text('policy = "none"\n')
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail("ann@example.net", ["bob@example.org"], "Subject: one\r\n\r\ntext\r\n")
        told = settings_command(mpp, "apply", str(tmp_path / "acme.toml"), "--tenant", "acme", "--why", "ours")
        assert told == "revision 1 of acme holds\n"
        mpp.wait_for("settings.taken", 60)
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("ann@example.net", ["bob@example.org"], "Subject: two\r\n\r\ntext\r\n")
