"""What the driver needs of the outside; `app` hands it in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drctl.engine.events import Event
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person said to a gate."""

    gate: str
    """Id of the gate's step."""
    answer: Literal["approve", "deny"]
    by: str
    via: str
    reason: str = ""


class Inbox(Protocol):
    """What people say while a run is live."""

    def take(self) -> Sequence[Answer]:
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
