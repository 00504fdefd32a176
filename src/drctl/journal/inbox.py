"""What people say to a live run from other terminals: a small file each, taken once."""

import json
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import TypeAlias, get_args

from drctl.engine.events import OrderWord
from drctl.engine.ports import Answer, Order

Said: TypeAlias = Answer | Order

_LARGEST = 64 * 1024
_WORDS = frozenset(get_args(OrderWord))


class FolderInbox:
    """Reads what `drop` wrote. Files that say nothing we know are removed and ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def has_any(self) -> bool:
        """True when there is something to take. One look at the folder: it is asked for ever."""
        try:
            with os.scandir(self._path) as entries:
                return any(entry.name.endswith(".json") for entry in entries)
        except OSError:
            return False

    def take(self) -> Sequence[Said]:
        """Removes and returns what has come in, oldest first."""
        found = []
        for entry in sorted(self._path.glob("*.json"), key=lambda path: path.name):
            data = _read(entry)
            # Whatever cannot be read or removed must not end a recovery: nobody said anything.
            with suppress(OSError):
                entry.unlink()
                said = _said(data)
                if said is not None:
                    found.append(said)
        return found


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


def _said(data: bytes) -> Said | None:
    """Exactly an answer or exactly an order, every value a text; anything else is nothing."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        return None
    kind: type[Answer | Order] = Order if "order" in raw else Answer
    known = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if not needed <= raw.keys() <= known:
        return None
    said = kind(**raw)
    if isinstance(said, Order):
        return said if said.order in _WORDS else None
    return said if said.gate and said.answer in {"approve", "deny"} else None


def drop(path: Path, said: Said) -> None:
    """Leaves an answer or an order; a reader sees all of it or nothing."""
    name = f"{len(list(path.iterdir())):06d}-{secrets.token_hex(4)}"
    partial = path / f".{name}"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, json.dumps(asdict(said)).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    partial.rename(path / f"{name}.json")
