"""What the emulated security groups let through."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any, Final

from moto.ec2.models import ec2_backends

from drctl.lab.plan import ACCOUNT_ID, POSTGRES_PORT

_CLIENT: Final = ip_address("127.0.0.1")  # whom every client of a loopback network comes from


def exists(region: str, group_id: str) -> bool:
    """Says whether a region has a security group."""
    return ec2_backends[ACCOUNT_ID][region].get_security_group_from_id(group_id) is not None


def has_internet(region: str, vpc_id: str | None) -> bool:
    """Says whether a network, the default one when ``None``, has an internet gateway."""
    backend = ec2_backends[ACCOUNT_ID][region]
    wanted = vpc_id or backend.default_vpc.id
    gateways: list[Any] = list(backend.internet_gateways.values())
    return any(one.vpc is not None and one.vpc.id == wanted for one in gateways)


def admit(region: str, group_ids: Iterable[str], port: int = POSTGRES_PORT) -> bool:
    """
    Says whether any of some security groups lets the lab's clients in.

    Args:
        region: Where the groups are.
        group_ids: The attached groups; unknown ones let nobody in.
        port: The TCP port.

    Returns:
        Whether a rule covers the port and the clients' address.
    """
    backend = ec2_backends[ACCOUNT_ID][region]
    groups = (backend.get_security_group_from_id(group_id) for group_id in group_ids)
    return any(
        _admits(rule, port) for group in groups if group for rule in list(group.ingress_rules)
    )


def _admits(rule: Any, port: int) -> bool:
    if rule.ip_protocol != "-1" and (
        rule.ip_protocol != "tcp" or not rule.from_port <= port <= rule.to_port
    ):
        return False
    return rule.cidr_ipv4 is not None and _CLIENT in ip_network(rule.cidr_ipv4, strict=False)
