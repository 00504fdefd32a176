"""A journal in memory."""

from drctl.engine.events import Event
from drctl.engine.state import Record
from drctl.kernel.clock import Clock


class MemoryLog:
    """Keeps events; loses them with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.records: list[Record] = []

    def append(self, event: Event) -> Record:
        """Keeps the event."""
        record = Record(seq=len(self.records) + 1, at=self._clock.now(), event=event)
        self.records.append(record)
        return record

    def is_ours(self) -> bool:
        """Always."""
        return True
