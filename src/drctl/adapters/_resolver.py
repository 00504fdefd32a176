"""
Names to addresses, through the environment's own nameservers.

The machine's resolver cannot be pointed at another port or kept from its cache by libraries that
connect by name, so every adapter resolves here and connects to the address.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drctl.actions.errors import ActionError, NotFound, Rejected, Unavailable

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.name import Name

_DNS_PORT = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one nameserver said."""

    resolver: str
    """``ip:port``, or ``system`` for the machine's own."""
    addresses: tuple[str, ...] = ()
    error: ActionError | None = None


async def resolve(name: str, resolvers: Sequence[str], *, timeout_s: float) -> list[str]:
    """
    Finds the addresses of *name*, in the order of the answer, IPv4 first; an address is its own
    answer.

    Args:
        resolvers: Nameservers as ``ip:port``, asked in turn until one answers; empty: the machine's
            own.

    Raises:
        NotFound: The name does not exist, or has no address.
        Unavailable: No nameserver answered in time.
        Rejected: *name* cannot be a name, or a resolver is not ``ip:port``.
    """
    if _is_address(name):
        return [name.strip("[]")]
    if not resolvers:
        return await _ask_machine(name, timeout_s)
    return await _ask(name, resolvers, timeout_s)


async def resolve_each(name: str, resolvers: Sequence[str], *, timeout_s: float) -> list[Answer]:
    """
    Asks every nameserver separately and at once; what failed is in its answer. Never raises for
    one.
    """
    if not resolvers:
        return [await _answer("system", name, (), timeout_s)]
    asked = (_answer(resolver, name, (resolver,), timeout_s) for resolver in resolvers)
    return list(await asyncio.gather(*asked))


async def ttls_s(name: str, resolvers: Sequence[str], *, timeout_s: float) -> list[float]:
    """
    How long each nameserver lets its answer about *name* be kept, in seconds; those that did not
    say are left out, and the machine's own resolver never says.
    """
    import dns.exception
    import dns.name

    async def one(place: str) -> list[float]:
        try:
            answer = await _resolver((place,), timeout_s).resolve(
                dns.name.from_text(name), "A", search=False, raise_on_no_answer=False
            )
        except (dns.exception.DNSException, OSError):
            return []
        return [float(rrset.ttl) for rrset in answer.response.answer]

    told = await asyncio.gather(*map(one, resolvers))
    return [ttl for each in told for ttl in each]


async def _answer(label: str, name: str, resolvers: Sequence[str], timeout_s: float) -> Answer:
    try:
        found = await resolve(name, resolvers, timeout_s=timeout_s)
    except ActionError as error:
        return Answer(resolver=label, error=error)
    return Answer(resolver=label, addresses=tuple(found))


async def _ask(name: str, resolvers: Sequence[str], timeout_s: float) -> list[str]:
    import dns.name

    try:
        absolute = dns.name.from_text(name)
    except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, UnicodeError):
        raise Rejected(f'"{name}" is not a name') from None
    resolver = _resolver(resolvers, timeout_s)
    both = await asyncio.gather(*(_ask_kind(resolver, absolute, kind) for kind in ("A", "AAAA")))
    found = [address for each in both if isinstance(each, list) for address in each]
    failures = [each for each in both if isinstance(each, ActionError)]
    if found:
        return found
    if failures:
        raise failures[0]
    raise NotFound(f'"{name}" has no address, says {", ".join(resolvers)}')


async def _ask_kind(resolver: "Resolver", name: "Name", kind: str) -> list[str] | ActionError:
    import dns.exception
    import dns.resolver

    said = f'"{name.to_text(omit_final_dot=True)}"'
    try:
        answer = await resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return NotFound(f"no such name {said}, say the environment's resolvers")
    except (dns.exception.DNSException, OSError) as error:
        # Time-outs, SERVFAIL, REFUSED, garbage: nobody said anything about the name.
        return Unavailable(f"{said} was not resolved: {error}")
    return [record.to_text() for record in answer]


def _resolver(resolvers: Sequence[str], timeout_s: float) -> "Resolver":
    from dns.asyncresolver import Resolver
    from dns.nameserver import Do53Nameserver

    resolver = Resolver(configure=False)
    resolver.nameservers = [Do53Nameserver(*_place(text)) for text in resolvers]
    resolver.lifetime = timeout_s
    # One dead nameserver must leave time for the next.
    resolver.timeout = min(2.0, timeout_s / (len(resolvers) + 1))
    return resolver


async def _ask_machine(name: str, timeout_s: float) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise Unavailable(
            f'"{name}" was not resolved by this machine in {timeout_s:.1f} s'
        ) from None
    except UnicodeError:
        raise Rejected(f'"{name}" is not a name') from None
    except socket.gaierror as error:
        if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}:
            raise NotFound(f'no such name "{name}", says this machine') from None
        raise Unavailable(f'"{name}" was not resolved by this machine: {error.strerror}') from None
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return sorted(addresses, key=lambda address: ":" in address)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _place(text: str) -> tuple[str, int]:
    """Splits ``ip:port``, ``[ip6]:port`` or a bare address."""
    host, _, port = (text, "", "") if _is_address(text) else text.rpartition(":")
    if not _is_address(host) or not (port or "0").isdecimal():
        raise Rejected(f'a resolver is written ip:port, not "{text}"')
    return host.strip("[]"), int(port or _DNS_PORT)
