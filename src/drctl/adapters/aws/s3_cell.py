"""
A document in S3, replaced by conditional PUT.

``If-None-Match: *`` writes the first one, ``If-Match: <ETag>`` every later one. S3 answers 412 when
the condition does not hold and 409 when something else happened to the object meanwhile; neither
wrote anything. A bucket is of one region: choose one that the runbook does not leave.
"""

from drctl.actions.cell import Cell, Reading, Store
from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown
from drctl.actions.targets import AwsConnection, Part, Text
from drctl.adapters.aws.client import Aws

CALL_S = 4.0
"""A small object's PUT takes 30 to 200 ms; who waits longer than this has lost half his lease."""


class S3Settings(Part):
    """Which object; its bucket must exist."""

    aws: AwsConnection
    bucket: Text
    key: Text


class S3Cell(Cell):
    """One object."""

    def __init__(self, settings: S3Settings) -> None:
        self._at = settings
        self._aws: Aws | None = None

    @property
    def label(self) -> str:
        return f"s3://{self._at.bucket}/{self._at.key} ({self._at.aws.region})"

    @property
    def places(self) -> tuple[str, ...]:
        return (self._at.aws.region,)

    def _within(self, ctx: Context) -> Aws:
        if self._aws is None:
            self._aws = Aws(ctx, self._at.aws, call_s=CALL_S)
        return self._aws.within(ctx)

    async def read(self, ctx: Context) -> Reading:
        try:
            answer = await self._within(ctx).once(
                "s3", "get_object", Bucket=self._at.bucket, Key=self._at.key
            )
        except NotFound as error:
            if "NoSuchKey" in str(error):
                return Reading(data=None, version=None)
            raise  # no such bucket: a mistake in the file, not an empty cell
        return Reading(data=answer["Body"], version=answer["ETag"])

    async def write(self, ctx: Context, data: bytes, expected: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        try:
            answer = await self._within(ctx).mutate(
                "s3", "put_object",
                Bucket=self._at.bucket, Key=self._at.key, Body=data,
                ContentType="application/json", **condition,
            )  # fmt: skip
        except NotFound as error:
            if expected is not None and "NoSuchKey" in str(error):
                raise Conflict(f"{self.label}: the object is gone") from error
            raise
        version = answer.get("ETag")
        if not isinstance(version, str):
            raise OutcomeUnknown(f"{self.label}: the answer names no version")
        return version


class S3Store(Store[S3Settings]):
    """``lease: {store: s3, aws: CONNECTION, bucket: NAME, key: NAME}``."""

    name = "s3"
    settings = S3Settings

    def open(self, settings: S3Settings) -> Cell:
        return S3Cell(settings)
