"""Certificates for TLS tests, made anew for each run: a CA, and servers right and wrong in one way each."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAMES = ("localhost", "mx.example.org", "sink.example")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """A TLS server's context with this pair."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Certificates:
    ca: Path  # who signed all but `self_signed`
    server: Pair  # for localhost, 127.0.0.1, ::1, mx.example.org, sink.example
    wrong_name: Pair  # for other.example only
    expired: Pair  # since yesterday
    self_signed: Pair  # names right, signed by nobody else

    def client_context(self) -> ssl.SSLContext:
        """A TLS client's context that trusts our CA alone and verifies names."""
        return ssl.create_default_context(cafile=self.ca)


def make_certificates(folder: Path) -> Certificates:
    """Write all of them into `folder`."""
    maker = _Maker(folder)
    return Certificates(
        ca=maker.ca,
        server=maker.pair("server", _NAMES, addresses=("127.0.0.1", "::1")),
        wrong_name=maker.pair("wrong-name", ("other.example",)),
        expired=maker.pair("expired", _NAMES, addresses=("127.0.0.1", "::1"), days=-1),
        self_signed=maker.pair("self-signed", _NAMES, addresses=("127.0.0.1", "::1"), signed=False),
    )


class _Maker:
    def __init__(self, folder: Path) -> None:
        self._folder, self._now = folder, datetime.datetime.now(datetime.UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MPP test CA")])
        builder = self._builder(self._name, self._key.public_key(), 10).issuer_name(self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_ca_usage(), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def pair(
        self,
        label: str,
        names: tuple[str, ...],
        *,
        addresses: tuple[str, ...] = (),
        days: int = 10,
        signed: bool = True,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        signer = self._key if signed else key
        builder = self._builder(subject, key.public_key(), days).issuer_name(self._name if signed else subject)
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(authority, critical=False)
        pair = Pair(self._folder / f"{label}.pem", self._folder / f"{label}.key")
        pair.certificate.write_bytes(_pem(builder.sign(signer, hashes.SHA256())))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(days=20))
            .not_valid_after(self._now + datetime.timedelta(days=days))
        )


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
