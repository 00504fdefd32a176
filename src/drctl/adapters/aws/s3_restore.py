"""
Brings an older version of an object back, by making it the newest one.

Nothing is deleted: what is there now stays as a version below. The object is compared and set as
far as S3 lets anybody: what the plan saw must be the current version still.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, StringConstraints, model_validator

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, NotFound, Unavailable
from drctl.actions.targets import S3Bucket, Text
from drctl.adapters.aws.client import Aws

_NONE = "none"


class RestoreParams(Params):
    """Which version of which object."""

    key: Text
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,1024}$")] | None = None
    """Its id."""
    before: AwareDatetime | None = None
    """Or a moment, with its offset: the newest version that was written before it."""

    @model_validator(mode="after")
    def _names_one(self) -> "RestoreParams":
        if (self.version is None) == (self.before is None):
            raise ValueError("give either version or before")
        return self


class Restored(Outputs):
    """What is there now."""

    version: str
    """The id of the new current version; empty when it was only read back."""
    restored_from: str
    previous: str
    """What was current before; ``none`` when the object was deleted."""


class RestoreVersion(Action[S3Bucket, RestoreParams, Restored]):
    """Copies a version of an object over it."""

    name: ClassVar[str] = "aws.s3.object.restore_version"
    summary: ClassVar[str] = "Make an older version of an object the current one; deletes nothing"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    looks_blind: ClassVar[bool] = False
    targets = (S3Bucket,)
    params = RestoreParams
    outputs = Restored

    def planes(self, target: S3Bucket) -> tuple[str, ...]:
        return (f"data-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: S3Bucket, params: RestoreParams | None
    ) -> Observation:
        if params is None:
            return Observation()
        wanted, current = await _look(Aws(ctx, target.aws), target, params)
        return Observation(
            facts={"current": _id(current), "wanted": wanted["VersionId"]},
            readings={
                "same": _is_same(wanted, current),
                "written": wanted["LastModified"].isoformat(),
            },
        )

    def preview(
        self, observation: Observation, target: S3Bucket, params: RestoreParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="which object is only known during the run")
        facts, readings = observation.facts, observation.readings
        if readings["same"]:
            return Nothing(why=f"{params.key} is as version {facts['wanted']} was")
        return Change(
            before=f"{params.key} at {facts['current']}",
            after=f"as in {facts['wanted']}, written {readings['written']}",
        )

    async def perform(self, ctx: Context, target: S3Bucket, params: RestoreParams) -> Restored:
        """
        Copies the version; an object that has its content already is left alone.

        Raises:
            NotFound: No such object, or no such version of it.
            Conflict: It has no versions, or another one became current since the plan was made.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The object's current version; those below stay.
        """
        aws = Aws(ctx, target.aws)
        wanted, current = await _look(aws, target, params)
        done = Restored(version="", restored_from=wanted["VersionId"], previous=_id(current))
        if _is_same(wanted, current):
            return done
        seen = (ctx.seen or {}).get("current")
        if seen is not None and seen != _id(current):
            raise Conflict(f"{params.key} was at {seen} in the plan, and is at {_id(current)}")
        answer = await aws.mutate(
            "s3",
            "copy_object",
            Bucket=target.bucket,
            Key=params.key,
            CopySource={
                "Bucket": target.bucket,
                "Key": params.key,
                "VersionId": wanted["VersionId"],
            },
        )
        return done.model_copy(update={"version": str(answer.get("VersionId", ""))})

    async def settled(
        self, ctx: Context, target: S3Bucket, params: RestoreParams
    ) -> Done[Restored] | NotDone | CannotTell:
        """By content; a version that was uploaded in parts has no digest to compare by."""
        try:
            wanted, current = await _look(Aws(ctx, target.aws), target, params)
        except ActionError as error:
            return CannotTell(why=str(error))
        if _is_same(wanted, current):
            id_ = _id(current)
            return Done(
                outputs=Restored(version=id_, restored_from=wanted["VersionId"], previous="")
            )
        if "-" in wanted["ETag"]:
            return CannotTell(why=f"{params.key} was uploaded in parts: compare it by hand")
        return NotDone(why=f"{params.key} is at {_id(current)}")


async def _look(
    aws: Aws, target: S3Bucket, params: RestoreParams
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The wanted version, and the current one when the object is not deleted."""
    versions: list[dict[str, Any]] = []
    marker: dict[str, Any] = {}
    while True:
        page = await aws.read(
            "s3", "list_object_versions", Bucket=target.bucket, Prefix=params.key, **marker
        )
        if page.get("Name") != target.bucket:
            raise Unavailable(f"S3 was asked about {target.bucket}, and told of {page.get('Name')}")
        versions += [one for one in page.get("Versions", []) if one["Key"] == params.key]
        if not page.get("IsTruncated"):
            break
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page.get("NextVersionIdMarker", ""),
        }
    if any(one["VersionId"] == "null" for one in versions):
        raise Conflict(f"{target.label} keeps no versions")
    fitting = [one for one in versions if _fits(one, params)]
    if not fitting:
        raise NotFound(f"{target.label} has no such version of {params.key}")
    current = next((one for one in versions if one["IsLatest"]), None)
    return max(fitting, key=lambda one: one["LastModified"]), current


def _fits(version: dict[str, Any], params: RestoreParams) -> bool:
    if params.version is not None:
        return bool(version["VersionId"] == params.version)
    written: datetime = version["LastModified"]
    return params.before is not None and written < params.before.astimezone(UTC)


def _id(version: dict[str, Any] | None) -> str:
    return _NONE if version is None else str(version["VersionId"])


def _is_same(wanted: dict[str, Any], current: dict[str, Any] | None) -> bool:
    return current is not None and (
        current["VersionId"] == wanted["VersionId"]
        or (current["ETag"], current["Size"]) == (wanted["ETag"], wanted["Size"])
    )
