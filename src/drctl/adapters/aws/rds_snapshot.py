"""Copies an RDS instance to a snapshot, and makes a new, private instance of one."""

from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import StringConstraints

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
    Restores,
)
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import RdsInstance, Text
from drctl.adapters.aws import rds_made
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, FIRST_POLL_S, LAST_POLL_S
from drctl.adapters.aws.rds_debts import owed_choice
from drctl.adapters.aws.rds_restore import Name
from drctl.adapters.aws.rds_settings import KEY_TAG, differences, groups_for, read_source

SnapshotName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([a-z0-9]|-[a-z0-9]){0,254}$")
]
_FAILED = {"failed", "incompatible-restore", "deleting", "deleted"}
_LATE_LOOKS = 3
_LATE_PAUSE_S = 1.0


class CreateParams(Params):
    """What it is called."""

    snapshot: SnapshotName
    """Name of the new snapshot."""


class Snapshot(Outputs):
    """The snapshot, once it is whole."""

    snapshot: str
    instance: str
    """Of which it is."""
    arn: str
    created_at: str


class CreateSnapshot(Action[RdsInstance, CreateParams, Snapshot]):
    """Asks for the snapshot, once, and waits until it is whole."""

    name: ClassVar[str] = "aws.rds.snapshot.create"
    summary: ClassVar[str] = "Copy an RDS instance to a manual snapshot and wait until it is whole"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    looks_blind: ClassVar[bool] = False
    targets = (RdsInstance,)
    params = CreateParams
    outputs = Snapshot

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: RdsInstance, params: CreateParams | None
    ) -> Observation:
        if params is None:
            return Observation()
        there = await _find(Aws(ctx, target.aws), params.snapshot)
        return Observation(facts={"name_is_taken": there is not None})

    def preview(
        self, observation: Observation, target: RdsInstance, params: CreateParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="its name is only known during the run")
        if observation.facts["name_is_taken"]:
            return CannotTell(why=f"there is a snapshot named {params.snapshot} already")
        return Change(
            before=f"no {params.snapshot}", after=f"a copy of {target.instance}", creates=True
        )

    async def perform(self, ctx: Context, target: RdsInstance, params: CreateParams) -> Snapshot:
        """
        Copies, and waits.

        Safe to repeat: a snapshot that carries this key is not asked for again, only waited for.

        Raises:
            Conflict: The name is taken, or the instance is not available.
            Rejected: The snapshot failed.
            OutcomeUnknown: No answer, or not whole by the deadline.

        Changes:
            One more snapshot.
        """
        aws = Aws(ctx, target.aws)
        if not await _is_ours(ctx, aws, params.snapshot):
            try:
                await aws.mutate(
                    "rds",
                    "create_db_snapshot",
                    DBInstanceIdentifier=target.instance,
                    DBSnapshotIdentifier=params.snapshot,
                    Tags=[{"Key": KEY_TAG, "Value": ctx.key}],
                )
            except (Conflict, OutcomeUnknown):
                # Delivered twice, or no answer: look whose it is.
                if not await _is_ours_or_unknown(ctx, aws, params.snapshot):
                    raise
        return _outputs(await _until_whole(ctx, aws, params.snapshot))

    async def settled(
        self, ctx: Context, target: RdsInstance, params: CreateParams
    ) -> Done[Snapshot] | NotDone | CannotTell:
        aws = Aws(ctx, target.aws)
        for look in range(_LATE_LOOKS):
            if look:
                await ctx.clock.sleep(_LATE_PAUSE_S)
            try:
                found = await _find(aws, params.snapshot)
            except ActionError as error:
                return CannotTell(why=str(error))
            if found is not None and _key_of(found) != ctx.key:
                return CannotTell(why=f"{params.snapshot} is somebody else's")
            if found is not None and found["Status"] == AVAILABLE:
                return Done(outputs=_outputs(found))
            if found is not None:
                return CannotTell(why=f'RDS reports "{found["Status"]}" for {params.snapshot}')
        return NotDone(why=f"RDS in {aws.region} knows no snapshot {params.snapshot}")


class RestoreParams(Params):
    """From what, and into what."""

    snapshot: SnapshotName
    """A snapshot of the target's region."""
    instance: Name
    """Name of the new instance."""
    security_groups: tuple[Text, ...] = ()
    """Ids; none: those of the environment's target, or else the target instance's own."""


class RestoredCopy(Outputs):
    """The new instance."""

    instance: str
    endpoint: str
    port: int
    snapshot: str
    security_groups: tuple[str, ...]
    public: bool
    """Always false: it would have been refused."""


class RestoreSnapshot(Action[RdsInstance, RestoreParams, RestoredCopy]):
    """
    Restores a snapshot with the settings of *target*, which must be there; that is not touched.
    """

    name: ClassVar[str] = "aws.rds.snapshot.restore"
    summary: ClassVar[str] = "Make a new, private RDS instance of a snapshot"
    makes_target: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.CHANGE
    alternative: ClassVar[str] = "a standby elsewhere that is promoted"
    restores: ClassVar[Restores | None] = Restores(
        into="instance", source="instance", from_snapshot=True
    )
    repeat: ClassVar[Repeat] = Repeat.KEYED
    looks_blind: ClassVar[bool] = False
    targets = (RdsInstance,)
    params = RestoreParams
    outputs = RestoredCopy
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"security_groups"})

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")

    async def observe(
        self, ctx: Context, target: RdsInstance, params: RestoreParams | None
    ) -> Observation:
        if params is None:
            return Observation()
        aws = Aws(ctx, target.aws)
        found = await _find(aws, params.snapshot)
        return Observation(facts={"snapshot": found["Status"] if found else None})

    def preview(
        self, observation: Observation, target: RdsInstance, params: RestoreParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="which snapshot is only known during the run")
        status = observation.facts["snapshot"]
        if status != AVAILABLE:
            return CannotTell(why=f"{params.snapshot} is {status or 'not there'}")
        return Change(
            before=f"no {params.instance}",
            after=f"{params.instance}, private, with the data of {params.snapshot}",
            creates=True,
        )

    async def perform(
        self, ctx: Context, target: RdsInstance, params: RestoreParams
    ) -> RestoredCopy:
        """
        Restores, and waits until the new instance takes writes.

        Safe to repeat: an instance that carries this key is not asked for again, only waited for.

        Raises:
            NotFound: No such snapshot.
            Conflict: The snapshot is not whole, or the instance's name is taken.
            Rejected: The new instance is in a terminal state, or not as the target.
            OutcomeUnknown: No answer, or not available by the deadline.

        Changes:
            One more RDS instance.
        """
        aws = Aws(ctx, target.aws)
        like = await read_source(aws, target)
        groups = groups_for(target, like, params.security_groups)
        if not await rds_made.is_ours(ctx, aws, params.instance):
            await rds_made.request(
                ctx,
                aws,
                params.instance,
                "restore_db_instance_from_db_snapshot",
                DBInstanceIdentifier=params.instance,
                DBSnapshotIdentifier=params.snapshot,
                **like.request(security_groups=groups, key=ctx.key),
            )
        seen = await rds_made.until(ctx, aws, params.instance)
        made = await rds_made.settings_of(aws, params.instance)
        if wrong := differences(like, made, groups):
            raise Rejected(f"{params.instance} is not as {target.instance}: {'; '.join(wrong)}")
        await rds_made.take_writes(ctx, target, seen)
        return RestoredCopy(
            instance=params.instance,
            endpoint=seen.host,
            port=seen.port,
            snapshot=params.snapshot,
            security_groups=groups,
            public=made.public,
        )

    async def settled(
        self, ctx: Context, target: RdsInstance, params: RestoreParams
    ) -> Done[RestoredCopy] | NotDone | CannotTell:
        aws = Aws(ctx, target.aws)
        seen = await rds_made.settled_as(ctx, aws, params.instance)
        if isinstance(seen, str):
            return NotDone(why=seen) if seen.startswith("not done") else CannotTell(why=seen)
        try:
            like = await read_source(aws, target)
            groups = groups_for(target, like, params.security_groups)
            made = await rds_made.settings_of(aws, params.instance)
        except ActionError as error:
            return CannotTell(why=str(error))
        if wrong := differences(like, made, groups):
            return CannotTell(why=f"{params.instance} is not as it must be: {'; '.join(wrong)}")
        return Done(
            outputs=RestoredCopy(
                instance=params.instance,
                endpoint=seen.host,
                port=seen.port,
                snapshot=params.snapshot,
                security_groups=groups,
                public=made.public,
            )
        )

    def debts(
        self, target: RdsInstance, params: RestoreParams, outputs: RestoredCopy
    ) -> tuple[Debt, ...]:
        return (owed_choice(target, outputs.instance, f"by {outputs.snapshot}"),)


async def _find(aws: Aws, snapshot: str) -> dict[str, Any] | None:
    try:
        answer = await aws.read("rds", "describe_db_snapshots", DBSnapshotIdentifier=snapshot)
    except NotFound:
        return None
    found: list[dict[str, Any]] = answer.get("DBSnapshots", [])
    if len(found) != 1:
        return None
    if str(found[0].get("DBSnapshotIdentifier")).lower() != snapshot.lower():
        raise Unavailable(f"RDS was asked about {snapshot}, and told of another one")
    return found[0]


def _key_of(found: dict[str, Any]) -> str | None:
    tags = {one["Key"]: one["Value"] for one in found.get("TagList", [])}
    return tags.get(KEY_TAG)


async def _is_ours(ctx: Context, aws: Aws, snapshot: str) -> bool:
    found = await _find(aws, snapshot)
    if found is not None and _key_of(found) != ctx.key:
        raise Conflict(f"RDS in {aws.region} has a snapshot named {snapshot} already")
    return found is not None


async def _is_ours_or_unknown(ctx: Context, aws: Aws, snapshot: str) -> bool:
    try:
        return await _is_ours(ctx, aws, snapshot)
    except Conflict:
        raise
    except ActionError as error:
        raise OutcomeUnknown(f"sent, and then not readable: {error}") from error


async def _until_whole(ctx: Context, aws: Aws, snapshot: str) -> dict[str, Any]:
    pause_s, last = FIRST_POLL_S, "it was not read"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            found = await _find(aws, snapshot)
        except (Throttled, Unavailable) as error:
            last = str(error)
        except ActionError as error:
            raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
        else:
            status = found["Status"] if found else "nothing"
            if found is not None and status == AVAILABLE:
                return found
            if status in _FAILED:
                raise Rejected(f'RDS reports "{status}" for {snapshot}')
            last = f'RDS still reports "{status}" for {snapshot}'
            ctx.say(f"{snapshot}: {status}")
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
    raise OutcomeUnknown(last)


def _outputs(found: dict[str, Any]) -> Snapshot:
    created = found.get("SnapshotCreateTime")
    return Snapshot(
        snapshot=found["DBSnapshotIdentifier"],
        instance=found["DBInstanceIdentifier"],
        arn=found["DBSnapshotArn"],
        created_at=created.isoformat() if created else "",
    )
