"""What RDS says about one instance, and waiting until it says something else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
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
from drctl.adapters.aws.client import PATIENCE, Aws

AVAILABLE = "available"
TERMINAL = (
    "failed",
    "deleting",
    "deleted",
    "incompatible-*",
    "inaccessible-encryption-credentials*",
    "insufficient-capacity",
    "restore-error",
    "storage-full",
    "stopped",
)
"""Statuses that never become ``available`` by themselves. Waiting on one only burns the budget."""

FIRST_POLL_S = 0.3
LAST_POLL_S = 3.0
"""Polls start quick for small instances and end where RDS does not throttle one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DbInstance:
    """One description of an instance."""

    status: str
    source: str | None
    """Whose replica it is; ``None`` for a primary."""
    host: str
    port: int
    groups: Mapping[str, str]
    """Security group id to its status for this instance: ``active``, ``adding``, ``removing``."""
    vpc: str | None
    pending: tuple[str, ...]
    """Names of settings that wait for a restart; a promotion restarts."""
    arn: str = ""
    resource_id: str = ""
    """Stays when it is renamed."""
    replication: str = ""
    """What a replica says of its replication, ``replicating`` when all is well; empty: nothing."""

    @property
    def is_terminal(self) -> bool:
        """True when waiting will not help."""
        return is_terminal(self.status)

    def is_only_in(self, group: str) -> bool:
        """True when that group, and no other, is in force."""
        return dict(self.groups) == {group: "active"}


def is_terminal(status: str) -> bool:
    """True when an instance with that status stays as it is until a person acts."""
    return any(fnmatchcase(status, pattern) for pattern in TERMINAL)


async def describe(aws: Aws, instance: str, *, patience: timedelta = PATIENCE) -> DbInstance:
    """
    Reads the instance.

    Raises:
        NotFound: No such instance in this region.
        ActionError: It could not be read.
    """
    answer = await aws.read(
        "rds", "describe_db_instances", DBInstanceIdentifier=instance, patience=patience
    )
    found = answer.get("DBInstances", [])
    if len(found) != 1:
        raise NotFound(f"RDS in {aws.region} knows {len(found)} instances named {instance}")
    require_same(found[0], instance, otherwise=Unavailable)
    return _parse(found[0])


def require_same(
    raw: Mapping[str, Any], instance: str, *, otherwise: type[ActionError] = OutcomeUnknown
) -> None:
    """
    Checks that a description, or the answer to a change, is about the instance that was asked for.

    Raises:
        ActionError: *otherwise*; it is about another one.
    """
    found = str(raw.get("DBInstanceIdentifier"))
    if found.lower() != instance.lower():
        raise otherwise(f"RDS was asked about {instance}, and told of {found}")


def _parse(raw: Mapping[str, Any]) -> DbInstance:
    endpoint = raw.get("Endpoint") or {}  # absent while it is being created
    return DbInstance(
        status=raw["DBInstanceStatus"],
        source=raw.get("ReadReplicaSourceDBInstanceIdentifier") or None,
        host=endpoint.get("Address", ""),
        port=endpoint.get("Port", 5432),
        groups={
            group["VpcSecurityGroupId"]: group["Status"]
            for group in raw.get("VpcSecurityGroups", [])
        },
        vpc=(raw.get("DBSubnetGroup") or {}).get("VpcId"),
        pending=tuple(sorted(raw.get("PendingModifiedValues") or {})),
        arn=raw.get("DBInstanceArn", ""),
        resource_id=raw.get("DbiResourceId", ""),
        replication=next(
            (
                one.get("Status", "")
                for one in raw.get("StatusInfos") or []
                if one.get("StatusType") == "read replication"
            ),
            "",
        ),
    )


async def wait_until(
    ctx: Context,
    aws: Aws,
    instance: str,
    reached: Callable[[DbInstance], bool],
    *,
    after_change: bool,
    allowed: tuple[str, ...] = (),
) -> DbInstance:
    """
    Polls until *reached* is true.

    Args:
        after_change: A change was sent before: not seeing its end is then `OutcomeUnknown`.
        allowed: Terminal statuses that are not a reason to stop here.

    Raises:
        Rejected: The instance is in a terminal state, or gone.
        OutcomeUnknown: The deadline passed, or it could not be read any more, after a change.
        Unavailable: The deadline passed, and nothing had been sent.
    """
    late: type[ActionError] = OutcomeUnknown if after_change else Unavailable
    pause_s, last = FIRST_POLL_S, "nothing yet"
    while True:
        try:
            seen = await describe(aws, instance, patience=timedelta())
        except NotFound as error:
            raise Rejected(f"{instance} ({aws.region}) is gone: {error}") from error
        except (Throttled, Unavailable) as error:
            last = str(error)
        except ActionError as error:
            if after_change:
                raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
            raise
        else:
            if reached(seen):
                return seen
            if seen.is_terminal and seen.status not in allowed:
                raise Rejected(f'RDS reports "{seen.status}" for {instance} ({aws.region})')
            last = f'RDS still reports "{seen.status}" for {instance} ({aws.region})'
            ctx.say(f"{instance}: {seen.status}")
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
        if ctx.deadline.has_passed(ctx.clock):  # not after it: a look without time says only that
            raise late(last)
