"""The stores of an environment: what must be there again for the service to work."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from drctl.actions.targets import Part, Text
from drctl.kernel.duration import parse_duration
from drctl.kernel.errors import Position
from drctl.kernel.text import did_you_mean

REGION_OUTAGE = "region-outage"


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('a duration is text with units, as in "6h"')  # noqa: TRY004 (pydantic's)
    return parse_duration(value).total_seconds()


class Store(Part):
    """
    A database, cache, bucket, set of secrets, queue or schedule that a scenario takes away. A rule
    (DR6306) asks for a step or a waiver for each.
    """

    kind: Text
    """A word for people: database, cache, bucket, secrets, queue, schedule."""
    targets: tuple[Text, ...] = ()
    """Targets of this environment by which a step can bring it back, on either side. Empty: drctl
    has nothing for it, and each scenario that takes it away needs a waiver."""
    scenarios: tuple[Text, ...] = Field(default=(REGION_OUTAGE,), min_length=1)
    """Scenarios of runbooks that take it away."""
    snapshot_every_s: Annotated[float, BeforeValidator(_seconds), Field(gt=0)] | None = Field(
        default=None, alias="snapshot_every"
    )
    """How often a snapshot of it is taken, as ``6h``."""
    position: Position = Position(file="", line=1, column=1)
    """Where it is written; not a key of the file."""


def stray_targets(
    stores: Mapping[str, Store], targets: Collection[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Names that the environment does not have, each with its place."""
    for name, store in stores.items():
        for target in store.targets:
            if target not in targets:
                near = did_you_mean(target, targets)
                yield (name, "targets"), f'{name}: there is no target "{target}"{near}'
