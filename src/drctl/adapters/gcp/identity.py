"""Which project an id stands for, and which zone a resource name stands for."""

from typing import ClassVar

from drctl.actions.contract import Context
from drctl.actions.errors import Unavailable
from drctl.actions.pin import Identity, Pin
from drctl.actions.planes import Ask
from drctl.actions.targets import CloudDnsRecord, CloudSqlInstance, GcpConnection, Target
from drctl.adapters.gcp.client import Gcp, part


def connection_of(target: Target) -> GcpConnection | None:
    """The connection of a target that has one."""
    return target.gcp if isinstance(target, CloudSqlInstance | CloudDnsRecord) else None


class ProjectPin(Pin):
    """The project that our credentials reach by its id has the number that the environment says."""

    name: ClassVar[str] = "gcp.project_number"

    def identity(self, target: Target) -> Identity | None:
        connection = connection_of(target)
        if connection is None:
            return None
        return Identity(
            name=self.name,
            subject=connection.project,
            expected=connection.project_number,
        )

    def asks(self, target: Target) -> tuple[Ask, ...]:
        return (Ask(plane="control-plane:global"),)

    async def read(self, ctx: Context, target: Target) -> str:
        connection = connection_of(target)
        if connection is None:
            raise TypeError(f"{type(target).__name__} has no Google Cloud connection")
        path = f"v3/projects/{part(connection.project)}"
        answer = await Gcp(ctx, connection).read("cloudresourcemanager", path)
        if answer.get("projectId") != connection.project:
            found = answer.get("projectId")
            raise Unavailable(f"asked about project {connection.project}, and told of {found}")
        return str(answer.get("name", "")).removeprefix("projects/")


class ManagedZonePin(Pin):
    """The managed zone is of the DNS name that the environment says."""

    name: ClassVar[str] = "gcp.dns.zone"

    def identity(self, target: Target) -> Identity | None:
        if not isinstance(target, CloudDnsRecord):
            return None
        return Identity(
            name=self.name,
            subject=f"{target.gcp.project}/{target.managed_zone}",
            expected=target.zone_name.rstrip("."),
        )

    def asks(self, target: Target) -> tuple[Ask, ...]:
        return (Ask(plane="control-plane:global"),)

    async def read(self, ctx: Context, target: Target) -> str:
        if not isinstance(target, CloudDnsRecord):
            raise TypeError(f"{type(target).__name__} has no managed zone")
        gcp = Gcp(ctx, target.gcp)
        path = f"dns/v1/projects/{part(gcp.project)}/managedZones/{part(target.managed_zone)}"
        answer = await gcp.read("dns", path)
        if answer.get("name") != target.managed_zone:
            found = answer.get("name")
            raise Unavailable(f"Cloud DNS was asked about {target.managed_zone}, told of {found}")
        return str(answer.get("dnsName", "")).rstrip(".")
