"""
What an instance is set to, and making a copy the same.

Whatever RDS makes (a restored instance, a replica) gets the vendor's defaults: the default security
group, which lets the application in or does not; the default parameter group; one zone; no deletion
protection; and where the network has an internet gateway, a public address. So all of these are
said in the request, and compared afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drctl.actions.errors import NotFound, Rejected, Unavailable
from drctl.actions.targets import RdsInstance
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import require_same

KEY_TAG = "drctl:key"
"""Carries the idempotency key: whose call made an instance can be seen afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a copy must have too, and some facts."""

    arn: str
    instance_class: str
    security_groups: tuple[str, ...]
    subnet_group: str | None
    parameter_group: str | None
    option_group: str | None
    multi_az: bool
    deletion_protection: bool
    iam_authentication: bool
    encrypted: bool
    public: bool
    copy_tags: bool
    tags: Mapping[str, str]

    def request(self, *, security_groups: tuple[str, ...], key: str) -> dict[str, Any]:
        """The part of a request that gives a copy these settings, and no public address."""
        asked: dict[str, Any] = {
            "DBInstanceClass": self.instance_class,
            "VpcSecurityGroupIds": list(security_groups),
            "MultiAZ": self.multi_az,
            "DeletionProtection": self.deletion_protection,
            "EnableIAMDatabaseAuthentication": self.iam_authentication,
            "CopyTagsToSnapshot": self.copy_tags,
            "PubliclyAccessible": False,
            "Tags": [
                {"Key": name, "Value": value}
                for name, value in {**self.tags, KEY_TAG: key}.items()
                if not name.startswith("aws:")
            ],
        }
        if self.subnet_group is not None:
            asked["DBSubnetGroupName"] = self.subnet_group
        if self.parameter_group and not self.parameter_group.startswith("default."):
            asked["DBParameterGroupName"] = self.parameter_group
        if self.option_group and not self.option_group.startswith("default:"):
            asked["OptionGroupName"] = self.option_group
        return asked


def parse(raw: Mapping[str, Any]) -> Settings:
    """Reads a description."""
    groups = raw.get("DBParameterGroups") or [{}]
    options = raw.get("OptionGroupMemberships") or [{}]
    return Settings(
        arn=raw.get("DBInstanceArn", ""),
        instance_class=raw.get("DBInstanceClass", ""),
        security_groups=tuple(
            sorted(
                one["VpcSecurityGroupId"]
                for one in raw.get("VpcSecurityGroups", [])
                if one["Status"] != "removing"
            )
        ),
        subnet_group=(raw.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        parameter_group=groups[0].get("DBParameterGroupName"),
        option_group=options[0].get("OptionGroupName"),
        multi_az=bool(raw.get("MultiAZ")),
        deletion_protection=bool(raw.get("DeletionProtection")),
        iam_authentication=bool(raw.get("IAMDatabaseAuthenticationEnabled")),
        encrypted=bool(raw.get("StorageEncrypted")),
        public=bool(raw.get("PubliclyAccessible")),
        copy_tags=bool(raw.get("CopyTagsToSnapshot")),
        tags={one["Key"]: one["Value"] for one in raw.get("TagList", [])},
    )


async def read(aws: Aws, instance: str) -> Settings | None:
    """
    Reads an instance's settings; ``None``: there is no such instance.

    Raises:
        ActionError: It could not be read.
    """
    try:
        answer = await aws.read("rds", "describe_db_instances", DBInstanceIdentifier=instance)
    except NotFound:
        return None
    found = answer.get("DBInstances", [])
    if len(found) != 1:
        return None
    require_same(found[0], instance, otherwise=Unavailable)
    return parse(found[0])


async def read_source(aws: Aws, target: RdsInstance) -> Settings:
    """
    Reads the settings of what is to be copied.

    Raises:
        NotFound: No such instance in this region.
        ActionError: It could not be read.
    """
    seen = await read(aws, target.instance)
    if seen is None:
        raise NotFound(f"RDS in {aws.region} knows no instance named {target.instance}")
    return seen


def groups_for(target: RdsInstance, source: Settings, asked: tuple[str, ...]) -> tuple[str, ...]:
    """
    The security groups that a copy is put into: those asked for, or the source's own.

    Raises:
        Rejected: They are the quarantine, in which no client would reach the copy.
    """
    groups = tuple(sorted(set(asked or target.security_groups or source.security_groups)))
    if not groups or groups == (target.fence_security_group,):
        raise Rejected(
            f"{target.label} is in quarantine, and a copy of it would be too: give security_groups,"
            " or the environment's own for this target"
        )
    return groups


def differences(wanted: Settings, made: Settings, groups: tuple[str, ...]) -> tuple[str, ...]:
    """What a copy has otherwise than it must; empty: it is as its source, and private. Pure."""
    found = []
    for name in (
        "instance_class",
        "subnet_group",
        "parameter_group",
        "option_group",
        "multi_az",
        "deletion_protection",
        "iam_authentication",
        "encrypted",
    ):
        before, after = getattr(wanted, name), getattr(made, name)
        if before != after:
            found.append(f"{name} is {after}, not {before}")
    if made.security_groups != groups:
        found.append(f"it is in {', '.join(made.security_groups)}, not in {', '.join(groups)}")
    if made.public:
        found.append("it is publicly accessible")
    return tuple(found)
