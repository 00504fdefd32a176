"""
Planes: what a call stands or falls with, and what becomes of it when one is lost.

The vocabulary. A plane is ``KIND:PLACE`` or ``KIND:SYSTEM:PLACE``; the last word is where it is.

- ``control-plane:us-west-2``: what makes, changes and describes resources in a region (RDS, EC2,
  ELB, Auto Scaling, ECR, Secrets Manager's management). ``control-plane:us-east-1`` is also where
  the control planes of AWS's global services are: Route 53 records and IAM.
- ``control-plane:patroni:us-west-2``: a store that decides who leads (DCS).
- ``data-plane:us-west-2``: what serves there: PostgreSQL, Redis, S3 objects, STS, the API server of
  a cluster, the application behind its balancer.
- ``control-plane:global``, ``data-plane:arc``, ``saas:slack``, ``saas:statuspage``: in no region,
  or in several on purpose; the loss of one region takes none of them.
- ``data-plane:elsewhere``: a place that only the run knows, as a new primary that a param names, or
  wherever customers are led by then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

ELSEWHERE: Final = "data-plane:elsewhere"


def control(region: str, service: str = "", **more: Any) -> "Ask":
    """What makes and describes things in a region is asked."""
    return Ask(plane=f"control-plane:{region}", service=service, **more)


def data(region: str, service: str = "", **more: Any) -> "Ask":
    """What serves in a region is asked."""
    return Ask(plane=f"data-plane:{region}", service=service, **more)


def sightings(url: str | None, region: str | None, **more: Any) -> tuple["Ask", ...]:
    """What a witness saw is read by its address, which does not say where it is."""
    return () if url is None else (data(region or "elsewhere", "what the witness saw", **more),)


class Loss(StrEnum):
    """In which way a place is lost; what a look from outside makes of it differs."""

    DEAD = "dead"
    """Nothing runs there: what drctl connects to refuses, and the vendor's APIs are silent."""
    SILENT = "silent"
    """Nobody reaches it, and it may be alive: everything there is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A plane that a call asks, and what becomes of the call while that does not answer."""

    plane: str
    service: str = ""
    """What of the plane, for people: ``Route 53 records``."""
    copes: str = ""
    """How the call goes on without it; empty: the call fails."""
    only_when_dead: bool = False
    """It copes with a place that refuses, and fails where one is silent."""
    once_moved: bool | None = None
    """Asked only once customers are led to the recovery side (true), or only before (false);
    ``None``: always."""


def place_of(plane: str) -> str:
    """The last word of a plane: a region, or a word that is none."""
    return plane.rpartition(":")[2]


def needed(asks: Iterable[Ask]) -> tuple[str, ...]:
    """The planes that a call cannot work without, each once, in order."""
    return tuple(dict.fromkeys(ask.plane for ask in asks if not ask.copes))


def places_needed(asks: Iterable[Ask]) -> tuple[str, ...]:
    """The same where it is known."""
    return tuple(plane for plane in needed(asks) if plane != ELSEWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """What is assumed not to answer: places, with all their planes."""

    lost: Mapping[str, Loss] = field(default_factory=dict)

    def loss_of(self, plane: str) -> Loss | None:
        """How a plane is lost; ``None``: it is not."""
        return self.lost.get(place_of(plane))

    def is_touched(self, asks: Iterable[Ask]) -> bool:
        """True when a call would ask something that is lost, whether it copes or not."""
        return any(self.loss_of(ask.plane) for ask in asks)

    def fatal(self, asks: Iterable[Ask]) -> tuple[Ask, ...]:
        """What is asked, is lost, and cannot be done without."""
        return tuple(
            ask
            for ask in asks
            if (loss := self.loss_of(ask.plane))
            and (not ask.copes or (ask.only_when_dead and loss is Loss.SILENT))
        )

    def survived(self, asks: Iterable[Ask]) -> tuple[Ask, ...]:
        """What is asked, is lost, and can be done without."""
        fatal = self.fatal(asks := tuple(asks))
        return tuple(a for a in asks if self.loss_of(a.plane) and a not in fatal)

    def __str__(self) -> str:
        return ", ".join(f"{place} ({loss})" for place, loss in self.lost.items())


NOTHING: Final = Down()
"""Everything answers, as far as anybody assumes."""
