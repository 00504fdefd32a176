"""The estate, the people in it, and what was done: what a scenario needs to be told."""

from collections.abc import Sequence

from drctl.kernel.clock import Instant
from drctl.kernel.duration import parse_duration
from drctl.simulated.actions import registry_of
from drctl.simulated.ledger import Ledger
from drctl.simulated.models import Behaviour, Chance, Cut, Fault, SayAt, World

__all__ = [
    "Behaviour", "Chance", "Cut", "Fault", "Ledger", "People", "SayAt", "World", "registry_of",
]  # fmt: skip


class People:
    """An inbox that fills at given moments of virtual time."""

    def __init__(self, says: Sequence[SayAt]) -> None:
        self._left = sorted(says, key=lambda said: parse_duration(said.at))

    def due(self, now: Instant) -> list[SayAt]:
        """Takes out what has been said by *now*."""
        due = [s for s in self._left if parse_duration(s.at).total_seconds() <= now.boot_s]
        self._left = [s for s in self._left if s not in due]
        return due
