"""Where RDS puts a new instance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from moto.rds.exceptions import (
    InvalidParameterCombination,
    InvalidParameterValue,
    RDSClientError,
)

from drctl.lab.plan import zones_of


def zone_for(region: str, given: Mapping[str, Any], lost: Collection[str]) -> str:
    """
    Returns the availability zone of a new instance: the one that was asked for, or the first alive.

    Args:
        region: Where.
        given: The request's parameters, as the emulator names them.
        lost: Zones in which nothing can be started.

    Raises:
        RDSClientError: There is no such zone, or no room in it, or not both zones that a Multi-AZ
            instance takes.
        NotImplementedError: A zone of AWS's that the lab has not.
    """
    asked, zones = given.get("availability_zone"), zones_of(region)
    is_double = bool(given.get("multi_az"))
    if asked and is_double:
        raise InvalidParameterCombination(
            "Requesting a specific availability zone is not valid for Multi-AZ instances."
        )
    if asked and not asked.startswith(region):
        raise InvalidParameterValue(f"{asked} is not a valid availability zone.")
    if asked and asked not in zones:
        raise NotImplementedError(f"zones other than {', '.join(zones)}")
    alive = [zone for zone in zones if zone not in lost]
    wanted = [asked] if asked else zones if is_double else alive[:1]
    if not wanted or not set(wanted) <= set(alive):
        raise no_capacity()
    return str(wanted[0])


def no_capacity() -> RDSClientError:
    """What AWS says where it has no machine to start an instance on."""
    return RDSClientError(
        "InsufficientDBInstanceCapacity",
        "The specified DB instance class isn't available in the specified Availability Zone.",
    )
