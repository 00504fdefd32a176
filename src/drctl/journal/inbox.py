"""Answers from other terminals: one small file each, dropped whole, taken once."""

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from drctl.engine.ports import Answer

_LARGEST = 64 * 1024


class FolderInbox:
    """Reads what `drop` wrote. Files that are not an answer are removed and ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> Sequence[Answer]:
        """Removes and returns what has come in, oldest first."""
        answers = []
        for entry in sorted(self._path.glob("*.json"), key=lambda path: path.name):
            handle = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                data = os.read(handle, _LARGEST)
            finally:
                os.close(handle)
            entry.unlink()
            try:
                answers.append(Answer(**json.loads(data)))
            except (ValueError, TypeError):
                continue
        return answers


def drop(path: Path, answer: Answer) -> None:
    """Leaves an answer; a reader sees all of it or nothing."""
    name = f"{len(list(path.iterdir())):06d}-{secrets.token_hex(4)}"
    partial = path / f".{name}"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, json.dumps(asdict(answer)).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    partial.rename(path / f"{name}.json")
