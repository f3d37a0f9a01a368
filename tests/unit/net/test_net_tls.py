"""Contexts towards next hops: what is not verified reads no authorities."""

import ssl

import pytest

from mpp.net.tls import client_contexts
from mpp.settings.common import Tls


@pytest.mark.parametrize("policy", ["may", "must"])
def test_what_encrypts_alone_reads_no_authorities(policy, tmp_path):
    context = client_contexts(Tls(ca=tmp_path / "missing.pem"))(policy)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509"] == 0
    assert context.options & ssl.OP_NO_COMPRESSION


def test_what_verifies_reads_them(tmp_path):
    with pytest.raises(OSError):
        client_contexts(Tls(ca=tmp_path / "missing.pem"))("verify")
    context = client_contexts(Tls())("verify")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_none_is_none():
    contexts = client_contexts(Tls())
    assert contexts("none") is None
    assert contexts("may") is contexts("may")
