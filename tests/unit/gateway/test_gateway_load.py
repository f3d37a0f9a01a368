"""mpp.gateway.load and mpp.gateway.files: from a file on disk to settings, or to lines that say what is wrong."""

import datetime
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mpp.gateway.load import MAX_SIZE, load_settings
from mpp.gateway.machine import certificate, expiry
from mpp.settings.read import SettingsError


def make_certificate(folder, name="cert", days=90, password=None):
    """A certificate of its own, valid from yesterday on; returns the paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.example.org")])
    today = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=400))
        .not_valid_after(today + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    chain, private = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return chain, private


def told(path):
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    return str(caught.value).split("\n")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "m.toml"


def settings_with(file, chain, key, more=""):
    file.write_text(
        f'tls = {{ certificate = "{chain}", key = "{key}" }}\n[[routes]]\ndomains = ["example.org"]\nmx = true\n'
        f'[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"\ntls = "starttls"\n{more}'
    )
    return file


def test_a_missing_file(file):
    assert told(file) == [
        (
            f"{file}: cannot be read: No such file or directory; "
            "name another with --settings, or make one: mpp settings example >mpp.toml"
        )
    ]


def test_a_folder(tmp_path):
    assert "cannot be read: Is a directory" in told(tmp_path)[0]


def test_a_device_without_an_end(file):
    os.symlink("/dev/zero", file)
    assert told(file) == [f"{file}: is larger than {MAX_SIZE >> 20} MiB, so it is no settings file; name another"]


def test_no_utf8(file):
    file.write_bytes(b"# fine\n# b\xff\n")
    assert told(file) == [f"{file}:2: is no UTF-8 at octet 10; save the file as UTF-8"]


def test_a_name_that_would_write_to_the_terminal(tmp_path):
    assert "\x1b" not in told(tmp_path / "\x1b[2J")[0]


def test_an_empty_file_is_the_defaults(file):
    file.write_text("")
    assert load_settings(file).settings.limits.recipients == 100


def test_a_certificate_and_its_key(file, tmp_path):
    loaded = load_settings(settings_with(file, *make_certificate(tmp_path)))
    assert loaded.warnings == ()
    assert loaded.lines["tls", "key"] == 1


def test_a_key_of_another_certificate(file, tmp_path):
    chain, _ = make_certificate(tmp_path)
    _, other = make_certificate(tmp_path, "other")
    assert told(settings_with(file, chain, other)) == [
        f"{file}:1: tls.key is no key of tls.certificate; name the key that the certificate was made for"
    ]


def test_a_key_with_a_pass_phrase_asks_nobody(file, tmp_path):
    (line,) = told(settings_with(file, *make_certificate(tmp_path, password=b"secret")))
    assert "the key has a pass phrase; name PEM files; the key without a pass phrase" in line


def test_no_pem(file, tmp_path):
    chain, key = make_certificate(tmp_path)
    chain.write_text("nothing")
    (line,) = told(settings_with(file, chain, key))
    assert line.startswith(f"{file}:1: tls.key and tls.certificate cannot be used: ")


def test_files_that_are_not_there(file, tmp_path):
    chain, _ = make_certificate(tmp_path)
    more = '[[routes]]\ndomains = ["example.net"]\nmx = true\nrecipients = "file:/nowhere"\n'
    assert told(settings_with(file, chain, "/nowhere/key", more)) == [
        (
            f'{file}:1: tls.key "/nowhere/key" cannot be read: No such file or directory; '
            "name a file that is there and that node.user may read"
        ),
        (
            f'{file}:12: routes[2].recipients "/nowhere" cannot be read: No such file or directory; '
            "name a file that is there and that node.user may read"
        ),
    ]


def test_authorities_without_a_certificate(file, tmp_path):
    (tmp_path / "ca").write_text("none")
    file.write_text(f'tls.ca = "{tmp_path / "ca"}"\n')
    (line,) = told(file)
    assert line.startswith(f'{file}:1: tls.ca "{tmp_path / "ca"}" holds no certificates: ')


def test_expiry_is_read(tmp_path):
    chain, key = make_certificate(tmp_path, days=50)
    expected = x509.load_pem_x509_certificate(chain.read_bytes()).not_valid_after_utc.timestamp()
    assert expiry(chain, key) == expected


def test_an_expired_certificate_is_refused_by_its_own_verification(tmp_path):
    chain, key = make_certificate(tmp_path, days=-1)
    with pytest.raises(ssl.SSLCertVerificationError):
        expiry(chain, key)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (90, []),
        (10, [("expires in 10 days", "warning")]),
        (-1, [("has expired", "error")]),
    ],
)
def test_certificates_that_end_are_told(days, expected, file, tmp_path):
    value = load_settings(settings_with(file, *make_certificate(tmp_path, days=days))).settings
    now = datetime.datetime.now(datetime.UTC).timestamp()
    assert [(each.what, each.severity) for each in certificate(value, now)] == expected
