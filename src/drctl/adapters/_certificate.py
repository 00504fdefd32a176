"""How long the certificate of an endpoint is good for, as somebody who trusts it finds out."""

import asyncio
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from drctl.actions.check import Prerequisite, at_risk, broken, holds
from drctl.actions.contract import Context
from drctl.actions.errors import Unavailable
from drctl.adapters import _resolver

SOON_DAYS = 14
"""Time to renew it in working hours, twice."""
_CONNECT_S = 5.0
_HTTPS = 443


async def look(ctx: Context, url: str, ca_file: str | None) -> Prerequisite:
    """
    Makes one TLS handshake with the host of an https URL, and asks it nothing.

    Raises:
        Unavailable: Nobody answers there; that says nothing about its certificate.
    """
    door = urlsplit(url)
    host, port = door.hostname or "", door.port or _HTTPS
    where = f"{host}:{port}"
    left_s = min(_CONNECT_S, ctx.deadline.left_s(ctx.clock))
    addresses = await _resolver.resolve(host, ctx.resolvers, timeout_s=max(0.1, left_s))
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        return broken(where, f"the CA file {ca_file} cannot be read: {error}", "put it there")
    try:
        async with asyncio.timeout(left_s):
            _reader, writer = await asyncio.open_connection(
                addresses[0], port, ssl=context, server_hostname=host
            )
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not accepted: {error.verify_message}"
        return broken(where, why, "renew it, or mend whom the environment trusts", days_left=0)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{where}: {str(error) or 'no answer in time'}") from error
    try:
        shown = writer.get_extra_info("peercert") or {}
    finally:
        writer.transport.abort()  # it was asked for nothing, so no goodbye is waited for
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    days = (ends - ctx.clock.now().wall).total_seconds() / 86400
    why = f"its certificate is good for {days:.0f} days, until {ends:%Y-%m-%d}"
    if days < SOON_DAYS:
        return at_risk(where, why, "renew it", days_left=round(days, 2))
    return holds(where, why, days_left=round(days, 2))
