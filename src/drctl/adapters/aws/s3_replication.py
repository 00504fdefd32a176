"""
How far the copy of a bucket in another region is behind.

S3 says it object by object: each version is pending, copied, or given up. What is pending is as old
as the time since it was written, by S3's own clock: the ``Date`` of the answer less the version's
``LastModified``. What S3 calls copied is looked for in the other bucket, under the same version.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field, model_validator

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import Conflict, NotFound, Rejected, Unavailable
from drctl.actions.targets import S3Bucket, S3Replica, Text
from drctl.adapters._duration import Duration
from drctl.adapters.aws.client import Aws

_MOST_PAGES = 20
"""Of a thousand versions each; S3 lists by name, so the newest are only known at the end."""
_AT_ONCE = 8
_SAID = 3
"""So many reasons are given; the others are counted."""
_COPIED = {"COMPLETED", "COMPLETE"}
"""Both are in use."""
_RACE_S = 1.0
"""``LastModified`` has whole seconds."""

_Keys: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]


class ReplicationParams(Params):
    """Which objects are looked at, and how old the copy may be."""

    rpo: Duration
    """What is not copied yet must be younger than this."""
    keys: _Keys | None = None
    """These objects; or"""
    newest: int | None = Field(default=None, ge=1, le=100)
    """so many, the ones that were written last."""
    prefix: Text | None = None
    """Only below this; for *newest*. A bucket with more versions than can be listed needs it."""

    @model_validator(mode="after")
    def _chooses(self) -> "ReplicationParams":
        if (self.keys is None) == (self.newest is None):
            raise ValueError("give either keys or newest")
        if self.prefix is not None and self.newest is None:
            raise ValueError("prefix is for newest")
        return self


class Replication(Outputs):
    """What was found."""

    lag_s: float
    """Age of the oldest version that is pending; 0 when all are copied."""
    looked_at: int
    pending: tuple[str, ...]
    """Their keys; younger than the RPO."""
    newest: str
    """The key that was written last, of those that were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    key: str
    id: str
    written: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    version: _Version
    age_s: float
    """Of a version that is pending; 0 for one that is there."""
    wrong: str = ""
    """Why it will never be there, or why nobody knows."""


class AssertReplication(Action[S3Bucket, ReplicationParams, Replication]):
    """Fails unless the other bucket has what this one has, up to the RPO."""

    name: ClassVar[str] = "aws.s3.replication.assert"
    summary: ClassVar[str] = "Fail unless a bucket's copy in another region is within the RPO"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (S3Bucket,)
    params = ReplicationParams
    outputs = Replication

    def planes(self, target: S3Bucket) -> tuple[str, ...]:
        """Both: a source that does not answer leaves the lag unknown."""
        there = () if target.replica is None else (f"data-plane:{target.replica.aws.region}",)
        return (f"data-plane:{target.aws.region}", *there)

    async def perform(
        self, ctx: Context, target: S3Bucket, params: ReplicationParams
    ) -> Replication:
        """
        Looks once.

        Raises:
            Rejected: Older than the RPO, given up by S3, or no rule covers it; says which.
            Conflict: There is no rule that leads there, or a bucket keeps no versions.
            NotFound: No such object.
            Unavailable: It could not be read: nobody knows the lag.
        """
        replica = target.replica
        if replica is None:
            raise Conflict(f"the environment names no replica of {target.label}")
        here, there = Aws(ctx, target.aws), Aws(ctx, replica.aws)
        prefixes = await _rules(here, target, replica)
        await asyncio.gather(
            _has_versions(here, target.bucket), _has_versions(there, replica.bucket)
        )
        chosen = await _chosen(here, target, params)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def look(version: _Version) -> _Seen:
            async with slots:
                if not version.key.startswith(prefixes):
                    return _Seen(version=version, age_s=0.0, wrong="no rule covers it")
                return await _look(here, there, target, replica, version)

        seen = await asyncio.gather(*map(look, chosen))
        return _judged(seen, params.rpo, target)


def _judged(seen: list[_Seen], rpo: timedelta, target: S3Bucket) -> Replication:
    limit_s = rpo.total_seconds()
    wrong = [f"{one.version.key}: {one.wrong}" for one in seen if one.wrong]
    wrong += [
        f"{one.version.key}: written {one.age_s:.0f} s ago and not copied, the RPO is {limit_s:g} s"
        for one in seen
        if one.age_s > limit_s
    ]
    if wrong:
        more = len(wrong) - _SAID
        rest = f"; and {more} more" if more > 0 else ""
        raise Rejected(f"the copy of {target.label} is behind: {'; '.join(wrong[:_SAID])}{rest}")
    return Replication(
        lag_s=max(one.age_s for one in seen),
        looked_at=len(seen),
        pending=tuple(one.version.key for one in seen if one.age_s),
        newest=max(seen, key=lambda one: one.version.written).version.key,
    )


async def _rules(here: Aws, target: S3Bucket, replica: S3Replica) -> tuple[str, ...]:
    """The prefixes of the rules that lead to the replica."""
    answer = await here.read("s3", "get_bucket_replication", Bucket=target.bucket)
    config = answer.get("ReplicationConfiguration")
    if config is None:
        raise Unavailable(f"S3 was asked how {target.bucket} is replicated, and did not say")
    enabled = [rule for rule in config.get("Rules", []) if rule.get("Status") == "Enabled"]
    arn = f":s3:::{replica.bucket}"
    leading = [one for one in enabled if one["Destination"]["Bucket"].endswith(arn)]
    if not leading:
        raise Conflict(f"no rule that is enabled copies {target.label} to {replica.bucket}")
    plain = [one for one in leading if not {"And", "Tag"} & set(one.get("Filter") or {})]
    if len(plain) < len(leading):
        raise Unavailable(f"a rule of {target.label} goes by tag: which objects is not known")
    return tuple(_prefix(one) for one in plain)


def _prefix(rule: Mapping[str, Any]) -> str:
    return str((rule.get("Filter") or {}).get("Prefix") or rule.get("Prefix") or "")


async def _has_versions(aws: Aws, bucket: str) -> None:
    answer = await aws.read("s3", "get_bucket_versioning", Bucket=bucket)
    if answer.get("Status") != "Enabled":
        raise Conflict(f"{bucket} ({aws.region}) keeps no versions: nothing is replicated")


async def _chosen(aws: Aws, target: S3Bucket, params: ReplicationParams) -> list[_Version]:
    """
    The current versions that are to be looked at.

    Raises:
        NotFound: One of the keys has none, or there are no objects at all.
        Unavailable: There are too many to know which are the newest.
    """
    if params.keys is not None:
        return [await _current(aws, target, key) for key in params.keys]
    there = await _listed(aws, target, params.prefix or "")
    if not there:
        raise NotFound(f"{target.label} has no objects{_below(params.prefix)}")
    there.sort(key=lambda one: one.written, reverse=True)
    return there[: params.newest]


async def _current(aws: Aws, target: S3Bucket, key: str) -> _Version:
    # The first version below a prefix is the newest of the key that is the prefix itself.
    page = await _page(aws, target, Prefix=key, MaxKeys=1)
    found = next((one for one in _versions(page) if one.key == key), None)
    if found is None:
        raise NotFound(f"{target.label} has no object {key}, or its newest version is a deletion")
    return found


async def _listed(aws: Aws, target: S3Bucket, prefix: str) -> list[_Version]:
    found: list[_Version] = []
    marker: dict[str, Any] = {}
    for _number in range(_MOST_PAGES):
        page = await _page(aws, target, Prefix=prefix, **marker)
        found += _versions(page)
        if not page.get("IsTruncated"):
            return found
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page.get("NextVersionIdMarker", ""),
        }
    raise Unavailable(
        f"{target.label} has more than {_MOST_PAGES * 1000} versions{_below(prefix)}: which are"
        " the newest is not known; give a longer prefix, or keys"
    )


async def _page(aws: Aws, target: S3Bucket, **arguments: Any) -> dict[str, Any]:
    page = await aws.read("s3", "list_object_versions", Bucket=target.bucket, **arguments)
    if page.get("Name") != target.bucket:
        raise Unavailable(f"S3 was asked about {target.bucket}, and told of {page.get('Name')}")
    return page


def _versions(page: Mapping[str, Any]) -> list[_Version]:
    return [
        _Version(key=one["Key"], id=one["VersionId"], written=one["LastModified"])
        for one in page.get("Versions", [])
        if one["IsLatest"]
    ]


def _below(prefix: str | None) -> str:
    return f" below {prefix}" if prefix else ""


async def _look(
    here: Aws, there: Aws, target: S3Bucket, replica: S3Replica, version: _Version
) -> _Seen:
    said = await here.read(
        "s3", "head_object", Bucket=target.bucket, Key=version.key, VersionId=version.id
    )
    if said.get("VersionId") != version.id:
        raise Unavailable(f"S3 was asked about a version of {version.key}, and told of another")
    status = said.get("ReplicationStatus")
    if status == "PENDING":
        # Never 0, which stands for copied; never negative, whatever was rounded.
        return _Seen(version=version, age_s=max(_RACE_S, _age_s(said)))
    if status == "FAILED":
        why = "S3 gave up copying it and will not try again: write it again, or replicate in batch"
        return _Seen(version=version, age_s=0.0, wrong=why)
    if status not in _COPIED:
        why = "S3 says nothing of its replication: it is older than the rule, or a copy itself"
        return _Seen(version=version, age_s=0.0, wrong=why)
    return _Seen(version=version, age_s=0.0, wrong=await _missing(there, replica, version, said))


async def _missing(
    there: Aws, replica: S3Replica, version: _Version, said: Mapping[str, Any]
) -> str:
    """Why a version that S3 calls copied is not there; empty when it is."""
    try:
        copy = await there.read(
            "s3", "head_object", Bucket=replica.bucket, Key=version.key, VersionId=version.id
        )
    except NotFound:
        return f"S3 calls it copied, and {replica.bucket} does not have it"
    wanted = (version.id, said["ContentLength"], "REPLICA")
    has = (copy.get("VersionId"), copy["ContentLength"], copy.get("ReplicationStatus"))
    if has != wanted:
        return f"S3 calls it copied, and {replica.bucket} has something else under its version"
    return ""


def _age_s(said: Mapping[str, Any]) -> float:
    """Between two readings of S3's own clock: when it was written, and when it was asked."""
    asked = said["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        now = parsedate_to_datetime(asked)
    except ValueError:
        raise Unavailable("S3 did not say when it answered: the lag is not known") from None
    written: datetime = said["LastModified"]
    return (now - written).total_seconds()
