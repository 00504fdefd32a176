"""What is kept outside databases: the families ``storage`` and ``registry``."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import StringConstraints

from drctl.actions.targets.parts import AwsConnection, Part, Target

BucketName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
]


class S3Replica(Part):
    """The bucket to which S3 copies another one."""

    aws: AwsConnection
    bucket: BucketName


class S3Bucket(Target):
    """A bucket with versions."""

    family: ClassVar[str] = "storage"
    kind: Literal["aws.s3.bucket"] = "aws.s3.bucket"
    aws: AwsConnection
    bucket: BucketName
    replica: S3Replica | None = None
    """Where its objects must arrive."""

    @property
    def label(self) -> str:
        return f"bucket {self.bucket} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:s3:{self.bucket}",)  # bucket names are unique in the world

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)


class EcrRepository(Target):
    """A repository of images in one region's registry."""

    family: ClassVar[str] = "registry"
    kind: Literal["aws.ecr.repository"] = "aws.ecr.repository"
    aws: AwsConnection
    repository: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]{0,255}$")]

    @property
    def label(self) -> str:
        return f"repository {self.repository} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:{self.aws.account}:{self.aws.region}:ecr:{self.repository}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)
