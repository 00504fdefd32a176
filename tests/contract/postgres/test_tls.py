"""TLS: the certificate is checked for the name, though the connection is made to an address."""

import asyncio
import contextlib
import ssl
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dnslib import RR, A, DNSRecord

from drctl.actions.errors import Unavailable
from drctl.adapters import _sql

from .conftest import EAST, context, target

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "db.drctl.test"
FRONT = "127.150.0.97"


def self_signed() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class FrontForEveryName(asyncio.DatagramProtocol):
    """A nameserver that knows one address."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        query = DNSRecord.parse(data)
        reply = query.reply()
        if query.q.qtype == 1:
            reply.add_answer(RR(query.q.qname, rdata=A(FRONT), ttl=1))
        self.transport.sendto(reply.pack(), peer)


class Front:
    """Answers PostgreSQL's request for TLS in place of a server that was built without it."""

    def __init__(self, certificate: Path) -> None:
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(certificate)
        self.sessions = 0

    async def __call__(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            assert await reader.readexactly(8) == struct.pack("!ll", 8, 80877103)
            writer.write(b"S")
            await writer.start_tls(self.tls)
            onward_reader, onward_writer = await asyncio.open_connection(*EAST)
            self.sessions += 1
            await asyncio.gather(
                self._pass(reader, onward_writer), self._pass(onward_reader, writer)
            )
        writer.close()

    async def _pass(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest_asyncio.fixture(loop_scope="session")
async def tls(pair, tmp_path):
    """The primary behind a certificate; gives its access, the nameserver and what was passed on."""
    certificate, key = self_signed()
    ca_file, both = tmp_path / "ca.pem", tmp_path / "both.pem"
    ca_file.write_bytes(certificate)
    both.write_bytes(certificate + key)
    front = Front(both)
    server = await asyncio.start_server(front, FRONT, 0)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        FrontForEveryName, local_addr=(FRONT, 0)
    )
    access = target().sql.model_copy(
        update={"host": NAME, "port": server.sockets[0].getsockname()[1], "ca_file": str(ca_file)}
    )
    yield access, f"{FRONT}:{transport.get_extra_info('sockname')[1]}", front
    transport.close()
    server.close()
    await server.wait_closed()


async def ask(access, resolver) -> int:
    async with _sql.connect(access, context(resolvers=(resolver,))) as connection:
        return await connection.fetchval("SELECT 1")


async def test_a_server_with_the_right_name_and_authority_is_accepted(tls):
    access, resolver, front = tls

    assert await ask(access.model_copy(update={"tls": "verify-full"}), resolver) == 1
    assert front.sessions == 1


@pytest.mark.parametrize("host", ["other.drctl.test", FRONT])
async def test_a_server_of_another_name_is_refused(tls, host):
    access, resolver, front = tls

    with pytest.raises(Unavailable, match="certificate"):
        await ask(access.model_copy(update={"tls": "verify-full", "host": host}), resolver)
    assert front.sessions == 0


async def test_an_authority_that_nobody_named_is_refused(tls):
    access, resolver, front = tls

    with pytest.raises(Unavailable, match="certificate"):
        await ask(access.model_copy(update={"tls": "verify-full", "ca_file": None}), resolver)
    assert front.sessions == 0


async def test_tls_without_a_check_is_still_tls(tls):
    access, resolver, front = tls

    found = await ask(
        access.model_copy(update={"tls": "require", "host": "other.drctl.test"}), resolver
    )

    assert found == 1
    assert front.sessions == 1
