"""What a stand-in accepted, in memory and line by line in a file."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drctl.lab.ledger import note


class Record:
    """Appends accepted requests; the file outlives the process that wrote it."""

    def __init__(self, file: Path, ledger: Path | None = None) -> None:
        """
        Args:
            ledger: Where each accepted request is noted as well, beside other stand-ins' mutations.
        """
        self._file = file
        self._ledger = ledger
        self._entries: list[dict[str, Any]] = []
        file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def entries(self) -> tuple[dict[str, Any], ...]:
        """Everything accepted since the start, oldest first."""
        return tuple(self._entries)

    def add(self, service: str, kind: str, content: dict[str, Any]) -> None:
        """Appends one accepted request, as it was at this moment."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = {"at": at, "service": service, "kind": kind, **copy.deepcopy(content)}
        self._entries.append(entry)
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
        target = content.get("channel") or content.get("path") or _named(content)
        note(self._ledger, service, kind, str(target), content)


def _named(content: dict[str, Any]) -> str:
    return str(content.get("incident", {}).get("id", ""))
