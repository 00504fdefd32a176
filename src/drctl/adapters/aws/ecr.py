"""Whether an image is where the recovery region pulls it from."""

from typing import Annotated, ClassVar

from pydantic import StringConstraints, model_validator

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import Conflict, NotFound, Unavailable
from drctl.actions.targets import EcrRepository
from drctl.adapters.aws.client import Aws


class ImageParams(Params):
    """Which one."""

    tag: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")] | None
    ) = None
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """With a tag: the tag must lead to it. A tag alone may have been moved."""

    @model_validator(mode="after")
    def _names_one(self) -> "ImageParams":
        if self.tag is None and self.digest is None:
            raise ValueError("give a tag, a digest, or both")
        return self


class Image(Outputs):
    """What the registry has."""

    digest: str
    tags: tuple[str, ...]


class CheckImage(Action[EcrRepository, ImageParams, Image]):
    """Asks the registry's own API: what is not there cannot be started there."""

    name: ClassVar[str] = "aws.ecr.image.check"
    summary: ClassVar[str] = "Fail unless an image is in a region's registry, under its digest"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (EcrRepository,)
    params = ImageParams
    outputs = Image

    def planes(self, target: EcrRepository) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def perform(self, ctx: Context, target: EcrRepository, params: ImageParams) -> Image:
        """
        Looks once.

        Raises:
            NotFound: No such image, or no such repository.
            Conflict: The tag leads to another digest.
            ActionError: It could not be read.
        """
        wanted = {"imageTag": params.tag} if params.tag else {"imageDigest": params.digest}
        answer = await Aws(ctx, target.aws).read(
            "ecr",
            "describe_images",
            registryId=target.aws.account,
            repositoryName=target.repository,
            imageIds=[wanted],
        )
        found = answer.get("imageDetails", [])
        if not found:
            raise NotFound(f"{target.label} has no image {params.tag or params.digest}")
        if found[0].get("repositoryName") != target.repository:
            raise Unavailable(f"ECR was asked about {target.repository}, and told of another")
        digest, tags = found[0]["imageDigest"], tuple(sorted(found[0].get("imageTags", [])))
        if params.tag is not None and params.tag not in tags:
            raise Unavailable(f"ECR was asked about {params.tag}, and told of {', '.join(tags)}")
        if params.digest not in {None, digest}:
            raise Conflict(f"{params.tag} of {target.label} is {digest}, not {params.digest}")
        return Image(digest=digest, tags=tags)
