"""The certificate of an emulated API server, signed by a throw-away authority."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=30)
_SKEW = timedelta(hours=1)  # a clock that is set back a little must not make the lab unusable


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a server certificate, its key, and the authority that clients trust."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def expired(self) -> Path:
        """The same, as it will look in some weeks: its time ran out a minute ago."""
        return self.certificate.with_name("tls-expired.crt")

    @classmethod
    def make(cls, directory: Path, addresses: Sequence[str]) -> Self:
        """
        Makes an authority and a server certificate for IP addresses.

        The authority's key is never written: nothing else can be signed with it.

        Args:
            directory: Where the three files go; made when missing.
            addresses: IP addresses that clients connect to.

        Returns:
            The paths of the files.

        Changes:
            Writes ``tls.crt``, ``tls-expired.crt``,
            ``tls.key`` (mode 0600) and ``ca.crt`` in the directory.
        """
        now = datetime.now(UTC)
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "drctl-lab-ca")])
        authority = (
            _builder(authority_name, authority_name, authority_key, now, until=now + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_key_id(authority_key), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        names = [x509.IPAddress(ip_address(address)) for address in addresses]
        certificate, expired = (
            _builder(name, authority_name, key, now, until=until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(_key_id(key), critical=False)
            # Python 3.13 verifies strictly and refuses a leaf without this one.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
            for until in (now + _LIFETIME, now - timedelta(minutes=1))
        )
        directory.mkdir(parents=True, exist_ok=True)
        files = cls(directory / "tls.crt", directory / "tls.key", directory / "ca.crt")
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.expired.write_bytes(expired.public_bytes(serialization.Encoding.PEM))
        files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        return files


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(until)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())
