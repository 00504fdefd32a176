"""One request against servers with one bad habit each: what is known afterwards."""

import asyncio
import socket
import ssl
import struct
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters import _http

from .conftest import HOST, answer

SECRET_PATH = "/services/T0/B0/verysecret"


async def hang(_request, reader, _writer):
    await reader.read()


async def reset_after_body(_request, _reader, writer):
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


async def half_an_answer(_request, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
    await writer.drain()


async def garbage(_request, _reader, writer):
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()


async def endless(_request, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def drip(_request, _reader, writer):
    """Keeps every single read short of its time-out."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


HABITS = [hang, reset_after_body, half_an_answer, garbage, endless, drip]


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
@pytest.mark.parametrize(("method", "word"), [("GET", Unavailable), ("POST", OutcomeUnknown)])
async def test_without_a_whole_answer_a_sent_request_is_unknown_and_a_read_unavailable(
    serve, context, habit, method, word
):
    server = await serve(habit)
    body = {"text": "hello"} if method == "POST" else None

    with pytest.raises(word) as caught:
        await _http.send(
            context(),
            method,
            server.url + SECRET_PATH,
            label="the hook",
            body=body,
            timeout=timedelta(seconds=1),
        )

    assert len(server.requests) == 1, "nothing repeats a request"
    assert "verysecret" not in str(caught.value)
    assert _http.classify(caught.value) != "refused"


@pytest.mark.parametrize(
    ("status", "on_get", "on_post"),
    [
        (301, Rejected, Rejected),
        (400, Rejected, Rejected),
        (401, AuthRejected, AuthRejected),
        (403, AuthRejected, AuthRejected),
        (404, NotFound, NotFound),
        (409, Conflict, Conflict),
        (410, NotFound, NotFound),
        (420, Throttled, Throttled),
        (422, Rejected, Rejected),
        (429, Throttled, Throttled),
        (500, Unavailable, OutcomeUnknown),
        (503, Unavailable, OutcomeUnknown),
    ],
)
async def test_every_status_has_its_word(serve, context, status, on_get, on_post):
    server = await serve(answer(status, b"no", location="http://elsewhere.invalid/"))

    for method, word in (("GET", on_get), ("POST", on_post)):
        with pytest.raises(word) as caught:
            await _http.send_ok(context(), method, server.url, label="the service")
        assert word is type(caught.value)
        assert f"answered {status}" in str(caught.value)
    assert len(server.requests) == 2, "no redirect is followed"


async def test_the_other_sides_wish_to_wait_is_kept(serve, context):
    server = await serve(answer(429, retry_after="7"))

    with pytest.raises(Throttled) as caught:
        await _http.send_ok(context(), "POST", server.url, label="Slack")

    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        ("3", "", 3.0),
        ("Sun, 22 Nov 2026 10:04:09 GMT", "Sun, 22 Nov 2026 10:04:00 GMT", 9.0),
        ("Sun, 22 Nov 2026 10:03:00 GMT", "Sun, 22 Nov 2026 10:04:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 10:04:09 GMT", "", None),
        ("soon", "", None),
        ("-1", "", None),
        (None, "", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, date, expected):
    assert expected == _http.retry_after_s(value, {"date": date})


async def test_a_closed_port_is_refused_and_nothing_happened(context, serve):
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        url = f"http://{HOST}:{unused.getsockname()[1]}"

        with pytest.raises(Unavailable) as caught:
            await _http.send(context(), "POST", url, label="the hook")

    assert _http.classify(caught.value) == "refused"


async def test_a_name_is_resolved_by_the_environments_own_nameserver(serve, context, nameserver):
    server = await serve(answer(200, b"{}"))
    resolver = await nameserver({"api.drctl.test": [HOST]})

    response = await _http.send(
        context(resolvers=(resolver,)),
        "GET",
        f"http://api.drctl.test:{server.port}/health?x=1",
        label="the service",
    )

    assert response.address == HOST
    assert b"GET /health?x=1 HTTP/1.1" in server.requests[0]
    assert f"host: api.drctl.test:{server.port}".encode() in server.requests[0]


async def test_a_name_that_does_not_exist_is_not_found(context, nameserver):
    resolver = await nameserver({})

    with pytest.raises(NotFound, match="the service"):
        await _http.send(
            context(resolvers=(resolver,)), "GET", "http://api.drctl.test/", label="the service"
        )


async def test_a_dead_address_does_not_hide_a_living_one(serve, context, nameserver):
    server = await serve(answer(200, b"ok"))
    resolver = await nameserver({"api.drctl.test": ["127.150.0.91", HOST]})

    response = await _http.send(
        context(resolvers=(resolver,)),
        "POST",
        f"http://api.drctl.test:{server.port}/",
        label="the service",
    )

    assert response.address == HOST
    assert len(server.requests) == 1


async def test_proxy_variables_are_not_used(serve, context, monkeypatch):
    server = await serve(answer(200, b"direct"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.150.0.91:1")

    response = await _http.send(context(), "GET", server.url, label="the service")

    assert response.body == b"direct"


async def test_the_steps_deadline_ends_a_request_sooner_than_its_own(serve, context):
    server = await serve(hang)
    ctx = context(within_s=0.3)

    with pytest.raises(OutcomeUnknown):
        await _http.send(ctx, "POST", server.url, label="the hook")

    assert ctx.deadline.left_s(ctx.clock) == 0


async def test_nothing_is_sent_after_the_deadline(serve, context):
    server = await serve(answer(200))

    with pytest.raises(Unavailable, match="no time left"):
        await _http.send(context(within_s=0), "POST", server.url, label="the hook")

    assert not server.requests


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "nonsense", "http://[::1"])
async def test_what_is_not_a_url_is_refused_without_repeating_it(context, url):
    with pytest.raises(Rejected) as caught:
        await _http.send(context(), "GET", url, label="the hook")

    assert url not in str(caught.value)


async def test_an_answer_that_echoes_the_secret_is_masked(serve, context):
    server = await serve(lambda request, _reader, writer: echo(request, writer))
    url = server.url + SECRET_PATH

    with pytest.raises(Rejected) as caught:
        await _http.send_ok(context(), "POST", url, label="the hook", hidden=(url,))

    assert "***" in str(caught.value)
    assert "verysecret" not in str(caught.value)


async def echo(request, writer):
    writer.write(answer(400, request[:120]))
    await writer.drain()


def test_every_error_of_the_library_is_caught():
    """`send` catches `httpx.HTTPError`; what is not one of those can only come from the URL."""
    others = {
        name
        for name, value in vars(httpx).items()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and not issubclass(value, httpx.HTTPError)
    }
    streams = {"StreamError", "StreamConsumed", "StreamClosed", "ResponseNotRead", "RequestNotRead"}

    assert {"InvalidURL", "CookieConflict"} == others - streams


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed one for ``api.drctl.test``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.drctl.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("api.drctl.test")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(
    serve, context, nameserver, certificate
):
    context_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context_tls.load_cert_chain(certificate)
    names: list[str | None] = []
    context_tls.sni_callback = lambda _socket, name, _context: names.append(name)
    server = await serve(answer(200), ssl=context_tls)
    resolver = await nameserver({"api.drctl.test": [HOST]})

    with pytest.raises(Unavailable, match="certificate"):
        await _http.send(
            context(resolvers=(resolver,)),
            "POST",
            f"https://api.drctl.test:{server.port}/",
            label="the service",
        )

    assert names == ["api.drctl.test"], "the server is asked for by name, not by address"
    assert not server.requests


async def test_a_service_of_a_private_authority_is_trusted_through_its_file_and_no_other(
    serve, context, nameserver, certificate, tmp_path
):
    context_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context_tls.load_cert_chain(certificate)
    server = await serve(answer(200, b"yes"), ssl=context_tls)
    resolver = await nameserver({"api.drctl.test": [HOST], "else.drctl.test": [HOST]})

    async def get(name, ca_file):
        url = f"https://{name}.drctl.test:{server.port}/"
        ctx = context(resolvers=(resolver,))
        return await _http.send(ctx, "GET", url, label="the service", ca_file=str(ca_file))

    assert b"yes" == (await get("api", certificate)).body
    with pytest.raises(Unavailable, match="certificate"):
        await get("else", certificate)
    with pytest.raises(Rejected, match="cannot be read"):
        await get("api", tmp_path / "none.pem")
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(Rejected, match="cannot be read"):
        await get("api", tmp_path / "empty.pem")
