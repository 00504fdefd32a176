"""Names to addresses through the lab's own DNS server, as every client in the lab asks for them."""

import ipaddress
from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype


class NameNotFound(OSError):
    """The name has no address, or the nameserver did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a nameserver said about a name."""

    addresses: tuple[str, ...]
    ttl_s: int
    """How long the whole chain of records may be remembered."""


def parse_resolver(text: str) -> tuple[str, int]:
    """Reads ``ip:port``."""
    host, _, port = text.rpartition(":")
    return host, int(port)


async def look_up(name: str, resolver: tuple[str, int], *, timeout_s: float) -> Answer:
    """
    Asks *resolver* once for the IPv4 addresses of *name*; an address answers itself.

    Raises:
        NameNotFound: No answer within *timeout_s*, or an answer without addresses.
    """
    if _is_address(name):
        return Answer(addresses=(name,), ttl_s=3600)
    question = dns.message.make_query(name, dns.rdatatype.A)
    try:
        reply = await dns.asyncquery.udp(question, resolver[0], timeout_s, resolver[1])
    except (OSError, dns.exception.DNSException) as error:
        raise NameNotFound(f"{name}: no answer from the nameserver ({error!r})") from error
    # The server resolves the chain itself, so every A record in the answer is where the chain ends.
    records = [rrset for rrset in reply.answer if rrset.rdtype == dns.rdatatype.A]
    addresses = tuple(record.address for rrset in records for record in rrset)
    if not addresses:
        raise NameNotFound(f"{name}: {dns.rcode.to_text(reply.rcode())}, no address")
    return Answer(addresses=addresses, ttl_s=min(rrset.ttl for rrset in reply.answer))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
