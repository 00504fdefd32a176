"""Secrets Manager: whether a secret is there and current, and a new version of one."""

import json
import uuid
from typing import Any, ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NoParams,
    NotDone,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import DatabaseRole
from drctl.actions.targets.credentials import VaultEntry
from drctl.adapters import _secret
from drctl.adapters.aws.client import Aws

CURRENT = "AWSCURRENT"


class Versioned(Outputs):
    """What Secrets Manager keeps; never the value."""

    arn: str
    version: str
    """The id of the current version."""


def _entry(target: DatabaseRole) -> VaultEntry:
    if target.kept_in is None:
        raise Rejected(f"{target.label} has no kept_in in the environment")
    return target.kept_in


async def _describe(aws: Aws, name: str) -> dict[str, Any]:
    """
    Raises:
        NotFound: No such secret.
        Conflict: It is about to be deleted, or has no current version.
    """
    found = await aws.read("secretsmanager", "describe_secret", SecretId=name)
    if name not in {found.get("Name"), found.get("ARN")}:
        raise Unavailable(f"Secrets Manager was asked about {name}, told of {found.get('Name')}")
    if found.get("DeletedDate"):
        raise Conflict(f"{name} ({aws.region}) is scheduled for deletion")
    if not _current(found):
        raise Conflict(f"{name} ({aws.region}) has no {CURRENT} version")
    return found


def _current(described: dict[str, Any]) -> str:
    stages = described.get("VersionIdsToStages") or {}
    return next((version for version, names in stages.items() if CURRENT in names), "")


def _version(key: str) -> str:
    """Secrets Manager's own key against repeats, which is the version's id: made of ours."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"drctl:{key}"))


class CheckSecret(Action[DatabaseRole, NoParams, Versioned]):
    """Looks at what is kept, not at the value."""

    name: ClassVar[str] = "aws.secretsmanager.secret.check"
    summary: ClassVar[str] = "Fail unless a secret is there, current, and not about to be deleted"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (DatabaseRole,)
    outputs = Versioned

    def planes(self, target: DatabaseRole) -> tuple[str, ...]:
        return (f"data-plane:{target.kept_in.aws.region}",) if target.kept_in else ()

    async def perform(self, ctx: Context, target: DatabaseRole, params: NoParams) -> Versioned:
        """
        Looks once.

        Raises:
            NotFound: No such secret.
            Conflict: It is about to be deleted, or has no current version.
            ActionError: It could not be read.
        """
        entry = _entry(target)
        found = await _describe(Aws(ctx, entry.aws), entry.secret)
        return Versioned(arn=found["ARN"], version=_current(found))


class PutSecret(Action[DatabaseRole, NoParams, Versioned]):
    """Makes the role's next password the current version; the one before stays as the previous."""

    name: ClassVar[str] = "aws.secretsmanager.secret.put"
    summary: ClassVar[str] = "Keep a role's next password in Secrets Manager as the current version"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (DatabaseRole,)
    outputs = Versioned

    def planes(self, target: DatabaseRole) -> tuple[str, ...]:
        return (f"data-plane:{target.kept_in.aws.region}",) if target.kept_in else ()

    async def observe(
        self, ctx: Context, target: DatabaseRole, params: NoParams | None
    ) -> Observation:
        entry = _entry(target)
        found = await _describe(Aws(ctx, entry.aws), entry.secret)
        return Observation(facts={"version": _current(found)})

    def preview(
        self, observation: Observation, target: DatabaseRole, params: NoParams | None
    ) -> Preview:
        if target.kept_in is None:
            return CannotTell(why=f"{target.label} has no kept_in in the environment")
        return Change(
            before=f"{target.kept_in.secret} at {observation.facts['version']}",
            after=f"a new version for {target.role}",
        )

    async def perform(self, ctx: Context, target: DatabaseRole, params: NoParams) -> Versioned:
        """
        Puts the version and reads back that it is the current one.

        Raises:
            NotFound: No such secret.
            Conflict: It is about to be deleted; or another version became current meanwhile.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The secret's current version.
        """
        entry, version = _entry(target), _version(ctx.key)
        aws = Aws(ctx, entry.aws)
        await _describe(aws, entry.secret)
        password = _secret.reveal(ctx, target.next_password)
        await aws.mutate(
            "secretsmanager",
            "put_secret_value",
            SecretId=entry.secret,
            ClientRequestToken=version,
            SecretString=json.dumps({"username": target.role, "password": password}),
        )
        try:
            found = await _describe(aws, entry.secret)
        except ActionError as error:
            raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
        if _current(found) != version:
            raise Conflict(f"{entry.secret}: {_current(found)} became current instead of {version}")
        return Versioned(arn=found["ARN"], version=version)

    async def settled(
        self, ctx: Context, target: DatabaseRole, params: NoParams
    ) -> Done[Versioned] | NotDone | CannotTell:
        try:
            entry = _entry(target)
            found = await _describe(Aws(ctx, entry.aws), entry.secret)
        except ActionError as error:
            return CannotTell(why=str(error))
        version = _version(ctx.key)
        if _current(found) == version:
            return Done(outputs=Versioned(arn=found["ARN"], version=version))
        if version in (found.get("VersionIdsToStages") or {}):
            return CannotTell(why=f"{entry.secret}: {version} is there, and another is current")
        return NotDone(why=f"{entry.secret} is at {_current(found)}")
