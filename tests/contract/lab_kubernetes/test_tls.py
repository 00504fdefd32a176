"""The certificate satisfies the strictest client, and only for its own address."""

import socket
import ssl
import stat

import pytest

from drctl.lab.kubernetes import Certificate

from .conftest import API, Running


def test_the_certificate_verifies_strictly(running: Running, certificate: Certificate) -> None:
    """Python 3.13 verifies so by default; older ones when they are asked to."""
    context = ssl.create_default_context(cafile=str(certificate.authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((API, running.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=API) as secured,
    ):
        assert secured.version() in {"TLSv1.2", "TLSv1.3"}


def test_another_address_is_refused(running: Running, certificate: Certificate) -> None:
    context = ssl.create_default_context(cafile=str(certificate.authority))
    with (
        socket.create_connection((API, running.port), timeout=5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_the_key_is_private(certificate: Certificate) -> None:
    assert stat.S_IMODE(certificate.key.stat().st_mode) == 0o600
