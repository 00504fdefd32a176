"""
Route 53's health checkers: they probe over real sockets what the emulated health checks name.

A probe that cannot connect has failed; inversion comes last. So an inverted check on an endpoint
that is gone is healthy, which is AWS's rule and the reason why a lost recovery region cannot engage
the failover switch.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

_RECONCILE_S = 0.1
_CONNECT_S = 4.0
_RESPONSE_S = 2.0
"""AWS gives a TCP connection four seconds and the response two more; not compressed, because a busy
machine would then see failures that nobody caused."""

_SEARCHED_BYTES = 5120
_HEAD_BYTES = 16384
_CHAIN_LIMIT = 8


class HealthCheck(Protocol):
    """What is read of a health check, named as moto names it."""

    id: str
    type_: Any
    ip_address: Any
    port: Any
    fqdn: Any
    resource_path: Any
    search_string: Any
    request_interval: Any
    failure_threshold: Any
    health_threshold: Any
    inverted: Any
    disabled: Any
    children: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The last probe of a health check."""

    status: str
    """As the API words it: ``Success: …`` or ``Failure: …``, before inversion."""
    checked_at: datetime


@dataclass(slots=True)
class _Probed:
    task: asyncio.Task[None]
    passes: bool = True
    """AWS takes a new health check for passing until it knows better."""
    against: int = 0
    """Probes in a row that disagree with ``passes``."""
    observation: Observation | None = None


class HealthCheckers:
    """Keeps probing every health check that exists; what it knows may be read from any thread."""

    def __init__(
        self,
        checks: Callable[[], Iterable[HealthCheck]],
        *,
        compression: float = 20.0,
        resolve: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """
        Args:
            checks: The health checks that exist now.
            compression: By how much the lab is faster than AWS: 10 s of ``RequestInterval`` are
                half a second at 20.
            resolve: The address of the domain name of a check without an IP address.
        """
        self._checks = checks
        self._compression = compression
        self._resolve = resolve
        self._probed: dict[str, _Probed] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to probe from the running event loop."""
        self._reconcile()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends every probe. Safe to repeat."""
        tasks = [probed.task for probed in self._probed.values()]
        if self._keeper is not None:
            tasks.append(self._keeper)
            self._keeper = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._probed.clear()

    def healthy(self, health_check_id: str) -> bool:
        """Tells the state that DNS acts upon: after inversion; True for a check that is gone."""
        return self._healthy(health_check_id, _CHAIN_LIMIT)

    def observation(self, health_check_id: str) -> Observation | None:
        """Returns the last probe; None until there was one."""
        probed = self._probed.get(health_check_id)
        return probed.observation if probed is not None else None

    def _healthy(self, health_check_id: str, depth: int) -> bool:
        check = next((each for each in self._checks() if each.id == health_check_id), None)
        if check is None:
            return True
        inverted = bool(check.inverted)
        if check.disabled:
            return not inverted
        if check.type_ == "CALCULATED":
            if depth <= 0:
                return not inverted
            good = sum(self._healthy(child, depth - 1) for child in check.children or ())
            return (good >= int(check.health_threshold or 0)) != inverted
        probed = self._probed.get(health_check_id)
        return (probed is None or probed.passes) != inverted

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_RECONCILE_S)
            self._reconcile()

    def _reconcile(self) -> None:
        wanted = {
            check.id: check
            for check in self._checks()
            if check.type_ != "CALCULATED" and not check.disabled
        }
        for gone in self._probed.keys() - wanted.keys():
            self._probed.pop(gone).task.cancel()
        for new in wanted.keys() - self._probed.keys():
            self._probed[new] = _Probed(asyncio.create_task(self._watch(wanted[new])))

    async def _watch(self, check: HealthCheck) -> None:
        while True:
            status = await self._probe(check)
            probed = self._probed.get(check.id)
            if probed is None:
                return
            probed.observation = Observation(status=status, checked_at=datetime.now(UTC))
            has_passed = status.startswith("Success")
            probed.against = probed.against + 1 if probed.passes != has_passed else 0
            if probed.against >= int(check.failure_threshold or 3):
                probed.passes, probed.against = has_passed, 0
            await asyncio.sleep(int(check.request_interval or 30) / self._compression)

    async def _probe(self, check: HealthCheck) -> str:
        """Probes once and words the result as the API does."""
        host = check.ip_address or self._resolve(str(check.fqdn))
        if not host:
            return f"Failure: DNS resolution failed for {check.fqdn}."
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await _connect(check, host)
        except TimeoutError:
            return "Failure: Connection timed out. The endpoint or the connection to it is down."
        except OSError as error:
            return f"Failure: The connection failed: {error.strerror or error}."
        try:
            async with asyncio.timeout(_RESPONSE_S):
                return await _status(check, host, reader, writer)
        except TimeoutError:
            return "Failure: The endpoint did not respond within the timeout limit."
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            return f"Failure: The response could not be read: {type(error).__name__}."
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()


async def _connect(
    check: HealthCheck, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    is_tls = str(check.type_).startswith("HTTPS")
    return await asyncio.open_connection(
        host,
        int(check.port or (443 if is_tls else 80)),
        ssl=_unverified() if is_tls else None,
        server_hostname=str(check.fqdn or host) if is_tls else None,
    )


async def _status(
    check: HealthCheck, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> str:
    if check.type_ == "TCP":
        return f"Success: Connection established. Resolved IP: {host}."
    path = str(check.resource_path or "/")
    port = int(check.port or 80)
    writer.write(
        f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1\r\n"
        f"Host: {check.fqdn or host}:{port}\r\n"
        "User-Agent: Amazon-Route53-Health-Check-Service\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    await writer.drain()
    version, code, *reason = (await reader.readline()).decode("latin-1").split(maxsplit=2)
    if not version.startswith("HTTP/"):
        return "Failure: The endpoint does not speak HTTP."
    seen = f"HTTP Status Code: {code}. Resolved IP: {host}. {''.join(reason).strip()}"
    if not 200 <= int(code) < 400:
        return f"Failure: {seen}"
    if str(check.type_).endswith("_STR_MATCH"):
        body = await _beginning_of_body(reader)
        if str(check.search_string).encode() not in body:
            return f"Failure: The response body does not contain {check.search_string!r}."
    return f"Success: {seen}"


async def _beginning_of_body(reader: asyncio.StreamReader) -> bytes:
    size = 0
    while (line := await reader.readline()).strip():
        size += len(line)
        if size > _HEAD_BYTES:
            return b""
    try:
        return await reader.readexactly(_SEARCHED_BYTES)
    except asyncio.IncompleteReadError as ended:
        return ended.partial


def _unverified() -> ssl.SSLContext:
    """Route 53 does not check certificates, so that an expired one does not fail a region over."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
