"""The estate's files: a bucket in the east that S3 copies to one in the west."""

from collections.abc import Mapping
from typing import Any, Final

from drctl.lab.aws.s3_replication import S3Replication
from drctl.lab.estate.aws import Aws
from drctl.lab.estate.environment import EAST, WEST
from drctl.lab.plan import ACCOUNT_ID
from drctl.lab.shapes import Stroke

FILES, COPY, KEY = "healing-guard-files", "healing-guard-files-dr", "catalogue.json"
_ROLE: Final = f"arn:aws:iam::{ACCOUNT_ID}:role/replication"


class Storage:
    """The buckets, and the stroke that cuts the link between them. A `drctl.lab.shapes.Part`."""

    def __init__(self, replication: S3Replication) -> None:
        self._replication = replication

    async def start(self) -> None:
        """Nothing to start: the estate's builder makes the buckets."""

    async def stop(self) -> None:
        """Nothing to stop: the plane ends its overlays."""

    def facts(self) -> Mapping[str, Any]:
        """Nobody needs any."""
        return {}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """The bucket with its copy, as runbooks name it."""
        copy = {"aws": "aws-west", "bucket": COPY}
        files = {"kind": "aws.s3.bucket", "aws": "aws-east", "bucket": FILES, "replica": copy}
        return {"targets": {"storage.files": files}}

    def strokes(self) -> Mapping[str, Stroke]:
        """``storage``: nothing is copied any more."""
        return {"storage": self._break}

    async def heal(self) -> None:
        """Copies again."""
        self._replication.go_on()

    async def _break(self, _words: Mapping[str, str]) -> None:
        self._replication.stop()


def lay_down(aws: Aws) -> None:
    """Makes both buckets, the rule, and one object."""
    there = {"CreateBucketConfiguration": {"LocationConstraint": WEST}}
    for bucket, region, more in ((FILES, EAST, {}), (COPY, WEST, there)):
        s3 = aws.client("s3", region)
        s3.create_bucket(Bucket=bucket, **more)
        kept = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=kept)
    s3 = aws.client("s3", EAST)
    rule = {
        "ID": "to-the-west",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{COPY}"},
    }
    config = {"Role": _ROLE, "Rules": [rule]}
    s3.put_bucket_replication(Bucket=FILES, ReplicationConfiguration=config)
    s3.put_object(Bucket=FILES, Key=KEY, Body=b"{}")
