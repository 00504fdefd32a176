"""Answers from other terminals: one small file each, dropped whole, taken once."""

import json
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
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
            data = _read(entry)
            # Whatever cannot be read or removed must not end a recovery: nobody answered.
            with suppress(OSError):
                entry.unlink()
                answer = _answer(data)
                if answer is not None:
                    answers.append(answer)
        return answers


def _read(entry: Path) -> bytes:
    """The file's bytes; nothing when it is not a plain file of ours. Never waits."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        handle = os.open(entry, flags)
    except OSError:
        return b""
    try:
        there = os.fstat(handle)
        if not stat.S_ISREG(there.st_mode) or there.st_uid not in {os.geteuid(), 0}:
            return b""
        return os.read(handle, _LARGEST)
    except OSError:
        return b""
    finally:
        os.close(handle)


def _answer(data: bytes) -> Answer | None:
    try:
        said = Answer(**json.loads(data))
    except (ValueError, TypeError, RecursionError):
        return None
    is_text = all(isinstance(value, str) for value in asdict(said).values())
    return said if is_text and said.gate and said.answer in {"approve", "deny"} else None


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
