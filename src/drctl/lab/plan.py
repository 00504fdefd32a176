"""The lab's address plan: where every emulated or real part of the estate listens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

Region = Literal["us-east-1", "us-west-2"]

REGIONS: Final[tuple[Region, ...]] = get_args(Region)
GLOBAL_REGION: Final[Region] = "us-east-1"
"""Where AWS runs the control planes of its global services (Route 53, IAM)."""

AVAILABILITY_ZONES: Final[Mapping[str, Region]] = {
    f"{region}{letter}": region for region in REGIONS for letter in "ab"
}
"""Every zone, with its region: as few as let one die and the other go on."""

DEFAULT_NET: Final = 70
ACCOUNT_ID: Final = "123456789012"
RDS_ACCOUNT_LABEL: Final = "c9akciq32"
"""The middle label of every RDS endpoint name of this account."""

AWS_PORT: Final = 4566
KUBERNETES_PORT: Final = 6443
POSTGRES_PORT: Final = 5432
POD_PORT: Final = 8000
BALANCER_PORT: Final = 8080
DNS_PORT: Final = 5353
RECORDER_PORT: Final = 8090
EAST_DATABASES: Final = 7
"""Third octet of what an operator runs in a cluster."""
REGISTRY_PORT: Final = 5000
CACHE_PORT: Final = 6379
SENTINEL_PORT: Final = 26379

PUBLIC_NAME: Final = "api.healing-guard.com"
ZONE: Final = "healing-guard.com"

Address = tuple[str, int]

# The backend of endpoint k listens on host 100 + k of the same /24; both must fit into one octet.
_MAX_RDS: Final = 99
_MAX_PODS: Final = 250


def as_region(name: str) -> Region:
    """
    Narrows a text to one of the lab's regions.

    Raises:
        ValueError: The lab has no such region.
    """
    if name not in REGIONS:
        raise ValueError(f"the lab has no region {name!r}, only {', '.join(REGIONS)}")
    return name


def zones_of(region: str) -> tuple[str, ...]:
    """Returns the availability zones of a region; none of one that the lab has not."""
    return tuple(zone for zone, its in AVAILABILITY_ZONES.items() if its == region)


class AddressPlan:
    """Every address of one lab: three loopback /16 networks, one global and one per region."""

    REGIONS = REGIONS

    def __init__(self, net: int = DEFAULT_NET) -> None:
        if not 1 <= net <= 252:
            raise ValueError(f"the lab's net must be from 1 to 252, not {net}")
        self.net = net

    def __repr__(self) -> str:
        return f"AddressPlan(net={self.net})"

    def octet(self, region: str) -> int:
        """Returns the second octet of a region's loopback network."""
        return self.net + 1 + REGIONS.index(as_region(region))

    def region_of(self, address: str) -> Region | None:
        """Returns the region whose network holds an IPv4 address; None for global ones."""
        octets = address.split(".")
        if len(octets) != 4 or octets[0] != "127" or not octets[1].isdecimal():
            return None
        index = int(octets[1]) - self.net - 1
        return REGIONS[index] if 0 <= index < len(REGIONS) else None

    def aws_address(self, region: str) -> Address:
        """Returns where the AWS API of a region listens."""
        return f"127.{self.octet(region)}.0.10", AWS_PORT

    def aws_url(self, region: str) -> str:
        """Returns the endpoint URL of every AWS service of a region."""
        host, port = self.aws_address(region)
        return f"http://{host}:{port}"

    def kubernetes_address(self, region: str) -> Address:
        """Returns where the Kubernetes API of a region listens (TLS)."""
        return f"127.{self.octet(region)}.0.20", KUBERNETES_PORT

    def kubernetes_url(self, region: str) -> str:
        """Returns the URL of a region's Kubernetes API."""
        host, port = self.kubernetes_address(region)
        return f"https://{host}:{port}"

    def rds_endpoint(self, region: str, k: int) -> Address:
        """Returns the address that clients of the region's k-th RDS instance connect to."""
        return f"127.{self.octet(region)}.1.{_checked(k, _MAX_RDS)}", POSTGRES_PORT

    def rds_public(self, region: str, k: int) -> Address:
        """Returns where the region's k-th RDS instance listens for the internet, if it does."""
        return f"127.{self.octet(region)}.5.{_checked(k, _MAX_RDS)}", POSTGRES_PORT

    def rds_backend(self, region: str, k: int) -> Address:
        """Returns where the PostgreSQL behind the region's k-th RDS endpoint listens."""
        return f"127.{self.octet(region)}.1.{100 + _checked(k, _MAX_RDS)}", POSTGRES_PORT

    def replication_link(self, region: str, k: int) -> Address:
        """Returns where the region's k-th instance, a standby, reaches its source."""
        return f"127.{self.octet(region)}.4.{_checked(k, _MAX_RDS)}", POSTGRES_PORT

    def server(self, region: str, k: int) -> Address:
        """Returns where the region's k-th self-managed PostgreSQL listens."""
        return f"127.{self.octet(region)}.5.{_checked(k, _MAX_PODS)}", POSTGRES_PORT

    def server_link(self, region: str, k: int) -> Address:
        """Returns where standbys reach the region's k-th self-managed PostgreSQL."""
        return f"127.{self.octet(region)}.6.{_checked(k, _MAX_PODS)}", POSTGRES_PORT

    def rds_name(self, region: str, identifier: str) -> str:
        """Returns the DNS name of an RDS instance's endpoint."""
        return f"{identifier}.{RDS_ACCOUNT_LABEL}.{as_region(region)}.rds.amazonaws.com"

    def pod_addresses(self, region: str) -> Sequence[str]:
        """Returns the IP addresses that pods of a region may get, in order of use."""
        octet = self.octet(region)
        return tuple(f"127.{octet}.2.{n}" for n in range(1, _MAX_PODS + 1))

    def balancer(self, region: str, k: int) -> Address:
        """Returns where the region's k-th load balancer listens."""
        return f"127.{self.octet(region)}.3.{_checked(k, _MAX_PODS)}", BALANCER_PORT

    def cache_node(self, region: str, k: int) -> Address:
        """Returns where the region's k-th data node of the cache listens."""
        return f"127.{self.octet(region)}.5.{_checked(k, _MAX_RDS)}", CACHE_PORT

    def cache_sentinel(self, region: str, k: int) -> Address:
        """Returns where the k-th sentinel of the cache, in that region, listens."""
        return f"127.{self.octet(region)}.5.{100 + _checked(k, _MAX_RDS)}", SENTINEL_PORT

    @property
    def dns(self) -> Address:
        """Where the authoritative DNS server listens, on UDP as on TCP."""
        return f"127.{self.net}.0.53", DNS_PORT

    def arc(self, k: int) -> Address:
        """Returns where the k-th endpoint of the routing controls' cluster listens."""
        return f"127.{self.net}.6.{_checked(k, _MAX_RDS)}", AWS_PORT

    @property
    def recorder(self) -> Address:
        """Where the recorder of Slack and Statuspage calls listens."""
        return f"127.{self.net}.0.80", RECORDER_PORT

    @property
    def prometheus(self) -> Address:
        """Where the Prometheus of both regions listens."""
        return f"127.{self.net}.0.90", 9090

    @property
    def grafana(self) -> Address:
        """Where its Grafana listens."""
        return f"127.{self.net}.0.91", 3000

    @property
    def recorder_url(self) -> str:
        """The base URL of the recorder."""
        host, port = self.recorder
        return f"http://{host}:{port}"

    @property
    def registry(self) -> Address:
        """Where the registry of images listens."""
        return f"127.{self.net}.0.90", REGISTRY_PORT

    def lab_root(self) -> Path:
        """
        Returns the folder that holds everything of this lab; it may not exist yet.

        The user's id is part of the name, so that two people on one machine
        never share one.
        """
        return Path(tempfile.gettempdir()) / f"drctl-lab-{os.getuid()}-{self.net}"


def _checked(k: int, most: int) -> int:
    if not 1 <= k <= most:
        raise ValueError(f"number {k} has no address: the lab counts from 1 to {most}")
    return k
