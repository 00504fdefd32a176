"""Who the other side must be: what an environment pins, and how that is asked."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from drctl.actions.contract import Context
from drctl.actions.planes import Ask
from drctl.actions.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who something on the other side says it is, against who the environment says it must be."""

    name: str
    """
    ``aws.account``, ``kubernetes.cluster_uid``, ``postgres.system_identifier``,
    ``aws.route53.zone``.
    """
    subject: str
    """
    What was asked: ``us-west-2`` or ``db.recovery``. *name* and *subject* together are unique.
    """
    expected: str


class Pin(ABC):
    """
    One kind of identity check; the engine makes it before the first change and each irreversible
    one.
    """

    name: ClassVar[str]
    """`Identity.name` of what it asks."""

    @abstractmethod
    def identity(self, target: Target) -> Identity | None:
        """
        What the environment pins for this target; ``None`` when this pin is not about it. Pure.
        """

    def asks(self, target: Target) -> tuple[Ask, ...]:
        """The planes that `read` asks for a target that this pin is about. Pure."""
        return tuple(Ask(plane=f"data-plane:{place}") for place in target.places[:1])

    @abstractmethod
    async def read(self, ctx: Context, target: Target) -> str:
        """
        Asks the other side who it is.

        Raises:
            ActionError: It did not say.
        """
