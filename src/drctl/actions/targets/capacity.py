"""Where there must be room for a recovery: the family ``capacity``."""

from typing import ClassVar, Literal

from drctl.actions.targets.parts import AwsConnection, Target


class AwsRegion(Target):
    """One region of one account, as a whole."""

    family: ClassVar[str] = "capacity"
    kind: Literal["aws.region"] = "aws.region"
    aws: AwsConnection

    @property
    def label(self) -> str:
        return f"account {self.aws.account} in {self.aws.region}"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:{self.aws.account}:{self.aws.region}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)
