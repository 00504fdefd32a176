"""What Cloud SQL says about an instance and about its operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters.gcp.client import PATIENCE, Gcp, part

RUNNABLE = "RUNNABLE"
"""Said of a stopped instance too: that is ``activationPolicy: NEVER``."""
TERMINAL = ("FAILED", "SUSPENDED", "PENDING_DELETE")
"""States that never become ``RUNNABLE`` by themselves."""
PRIMARY = "CLOUD_SQL_INSTANCE"
DONE = "DONE"

FIRST_POLL_S = 0.3
LAST_POLL_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One description of an instance."""

    name: str
    region: str
    state: str
    kind: str
    """``CLOUD_SQL_INSTANCE`` or ``READ_REPLICA_INSTANCE``."""
    source: str | None
    """Whose replica it is; ``None`` for a primary. With its project when that is another one."""
    settings_version: str
    activation: str
    """``ALWAYS`` or ``NEVER``."""
    availability: str
    """``ZONAL`` or ``REGIONAL``."""
    zone: str
    second_zone: str
    addresses: Mapping[str, str]
    """``PRIMARY`` (public), ``PRIVATE`` and ``OUTGOING`` to the address."""
    dns_name: str
    private_network: str
    is_public: bool
    has_pitr: bool

    @property
    def is_primary(self) -> bool:
        """True when it is nobody's replica, and is not becoming one."""
        return self.kind == PRIMARY and self.source is None

    @property
    def host(self) -> str:
        """Where clients connect: the name when it has one, else the private address first."""
        given = self.addresses
        return self.dns_name.rstrip(".") or given.get("PRIVATE") or given.get("PRIMARY", "")


def path_of(gcp: Gcp, instance: str) -> str:
    """An instance's path."""
    return f"v1/projects/{part(gcp.project)}/instances/{part(instance)}"


async def describe(gcp: Gcp, instance: str, *, patience: timedelta = PATIENCE) -> Instance:
    """
    Reads the instance.

    Raises:
        NotFound: No such instance in this project.
        ActionError: It could not be read.
    """
    raw = await gcp.read("sqladmin", path_of(gcp, instance), patience=patience)
    if raw.get("name") != instance or raw.get("project", gcp.project) != gcp.project:
        raise Unavailable(f"Cloud SQL was asked about {instance}, and told of {raw.get('name')}")
    try:
        return _parse(raw, gcp.project)
    except (KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"Cloud SQL's description of {instance} lacks {error}") from None


def _parse(raw: Mapping[str, Any], project: str) -> Instance:
    settings = raw["settings"]
    network = settings.get("ipConfiguration", {})
    backups = settings.get("backupConfiguration", {})
    return Instance(
        name=raw["name"],
        region=raw["region"],
        state=raw["state"],
        kind=raw["instanceType"],
        source=str(raw.get("masterInstanceName", "")).removeprefix(f"{project}:") or None,
        settings_version=str(settings["settingsVersion"]),
        activation=settings["activationPolicy"],
        availability=settings.get("availabilityType", "ZONAL"),
        zone=raw.get("gceZone", ""),
        second_zone=raw.get("secondaryGceZone", ""),
        addresses={one["type"]: one["ipAddress"] for one in raw.get("ipAddresses", [])},
        dns_name=raw.get("dnsName", ""),
        private_network=network.get("privateNetwork", ""),
        is_public=bool(network.get("ipv4Enabled", False)),
        has_pitr=bool(backups.get("pointInTimeRecoveryEnabled", False)),
    )


async def wait_until(
    ctx: Context,
    gcp: Gcp,
    instance: str,
    reached: Callable[[Instance], bool],
    *,
    after_change: bool,
    is_new: bool = False,
) -> Instance:
    """
    Polls the instance until *reached* is true.

    Args:
        after_change: A change was sent before: not seeing its end is then `OutcomeUnknown`.
        is_new: It has just been made: that it is not there is not yet the end.

    Raises:
        Rejected: The instance is in a terminal state, or gone, and nothing had been sent.
        OutcomeUnknown: That, or the deadline passed, or it could not be read, after a change: what
            was asked for may have happened all the same.
        Unavailable: The deadline passed, and nothing had been sent.
    """
    late: type[ActionError] = OutcomeUnknown if after_change else Unavailable
    over: type[ActionError] = OutcomeUnknown if after_change else Rejected
    pause_s, last = FIRST_POLL_S, "nothing yet"
    while True:
        try:
            seen = await describe(gcp, instance, patience=timedelta())
        except NotFound as error:
            last = _missing(instance, error, over, is_new=is_new)
        except (Throttled, Unavailable) as error:
            last = str(error)
        except ActionError as error:
            if after_change:
                raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
            raise
        else:
            if reached(seen):
                return seen
            if seen.state in TERMINAL:
                raise over(f'Cloud SQL reports "{seen.state}" for {instance}')
            last = f'Cloud SQL still reports "{seen.state}", {seen.kind}, for {instance}'
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
        if ctx.deadline.has_passed(ctx.clock):
            raise late(last)


def _missing(instance: str, error: NotFound, over: type[ActionError], *, is_new: bool) -> str:
    if is_new:
        return str(error)
    raise over(f"{instance} is gone: {error}") from error
