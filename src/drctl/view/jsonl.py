"""The event stream itself, as it is in the journal."""

from collections.abc import Callable

from drctl.engine.state import Record, State
from drctl.journal.chain import as_body
from drctl.journal.folder import Folder
from drctl.kernel.canonical import canonical
from drctl.kernel.text import sanitize_json
from drctl.plan.model import Plan


class JsonLines:
    """Writes one JSON object per event."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def opened(self, plan: Plan, folder: Folder) -> None:
        """Nothing: the first event says it all."""

    def seen(self, record: Record, state: State) -> None:
        """Writes the event."""
        self._write(sanitize_json(canonical(as_body(record)).decode()))

    def said(self, step: str, text: str) -> None:
        """Progress is no event."""

    def tick(self, state: State) -> None:
        """Time is no event."""

    def closed(self) -> None:
        """Nothing to tidy."""
