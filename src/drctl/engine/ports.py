"""What the driver needs of the outside; `app` hands it in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drctl.engine.events import Event, LeaseHeld, LeaseLost
from drctl.engine.state import Record, State


class Log(Protocol):
    """Where events become lasting."""

    def append(self, event: Event) -> Record:
        """
        Writes the event so that it survives a crash of the machine, and returns it with its place.

        Raises:
            JournalError: It could not be written. Nothing may be sent after that.
        """
        ...

    def is_ours(self) -> bool:
        """True while nobody else may write this run."""
        ...


class Lease(Protocol):
    """The right to change this run's targets; kept by somebody in the background."""

    async def take(self) -> None:
        """
        Takes it; may wait for as long as it takes to see that a dead process of this run is dead.

        Raises:
            RefusedError: Another run has something of it, or that cannot be known.
        """
        ...

    def news(self) -> Sequence[LeaseHeld | LeaseLost]:
        """Removes and returns what has become of it since it was last asked, for the record."""
        ...

    def refusal(self) -> str | None:
        """
        Why no request that changes something may leave now; ``None`` while the lease is held with
        enough time left for one request. Reads a clock and memory, nothing else: it is asked
        before each request.
        """
        ...


class Unleased(Lease):
    """For a run that nobody can contend with."""

    async def take(self) -> None:
        """Nothing to take."""

    def news(self) -> Sequence[LeaseHeld | LeaseLost]:
        return ()

    def refusal(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person wants of a live run besides an answer to a gate."""

    order: Literal["pause", "continue", "cancel", "retry", "skip", "note", "force"]
    by: str
    via: str
    step: str = ""
    """Id of the step that it is about; empty: the run."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person said to a gate."""

    gate: str
    """Id of the gate's step."""
    answer: Literal["approve", "deny"]
    by: str
    via: str
    reason: str = ""
    statement: str = ""
    """A signed approval, as text; empty: the answer of whoever may write the run's folder."""


class Inbox(Protocol):
    """What people say while a run is live."""

    def take(self) -> Sequence["Answer | Order"]:
        """Removes and returns what has come in; empty at once when nothing has."""
        ...


class Listener(Protocol):
    """Somebody who wants to see things as they happen. Must not raise and must not block."""

    def seen(self, record: Record, state: State) -> None:
        """An event was written."""
        ...

    def said(self, step: str, text: str) -> None:
        """An action told how far it is; not journaled."""
        ...
