"""Answers from other terminals: one small file each, dropped whole, taken once."""

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from drctl.engine.ports import Answer
from drctl.journal import files
from drctl.kernel import failpoints

_LARGEST = 64 * 1024
_OURS = 3
"""The runs' folder, the run's, and the inbox itself."""


class FolderInbox:
    """Reads what `drop` wrote. Files that are not an answer are removed and ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> Sequence[Answer]:
        """Removes and returns what has come in, oldest first."""
        found = (_answer(data) for data in _take_all(self._path))
        return [answer for answer in found if answer is not None]


def _take_all(path: Path) -> list[bytes]:
    """The content of every file that was dropped, oldest first; each is removed. Never waits."""
    taken = []
    # Whatever cannot be opened, read or removed must not end a recovery: nobody answered.
    with suppress(OSError), files.opened(path, ours=_OURS) as box:
        names = os.listdir(box)  # noqa: PTH208 (an open folder has no path)
        for name in sorted(entry for entry in names if _is_whole(entry)):
            data = _read(box, name)
            with suppress(OSError):
                failpoints.hit("inbox.take")
                files.remove(box, name)
                taken.append(data)
    return taken


def _is_whole(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _read(box: int, name: str) -> bytes:
    """The file's bytes; nothing when it is not a plain file of ours."""
    try:
        return files.read_file(box, name, largest=_LARGEST)
    except OSError:
        return b""


def _answer(data: bytes) -> Answer | None:
    try:
        said = Answer(**json.loads(data))
    except (ValueError, TypeError, RecursionError):
        return None
    is_text = all(isinstance(value, str) for value in asdict(said).values())
    return said if is_text and said.gate and said.answer in {"approve", "deny"} else None


def drop(path: Path, answer: Answer) -> None:
    """Leaves an answer; a reader sees all of it or nothing."""
    _drop(path, json.dumps(asdict(answer)).encode())


def _drop(path: Path, data: bytes) -> None:
    with files.opened(path, ours=_OURS) as box:
        failpoints.hit("inbox.drop")
        number = len(os.listdir(box))  # noqa: PTH208 (an open folder has no path)
        name = f"{number:06d}-{secrets.token_hex(4)}"
        files.put(box, f".{name}", f"{name}.json", data)
