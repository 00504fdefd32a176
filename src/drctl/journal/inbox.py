"""What people say to a live run from other terminals: a small file each, taken once."""

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import TypeAlias, get_args

from drctl.engine.events import OrderWord
from drctl.engine.ports import Answer, Order
from drctl.journal import files
from drctl.kernel import failpoints

Said: TypeAlias = Answer | Order

_LARGEST = 64 * 1024
_OURS = 3
"""The runs' folder, the run's, and the inbox itself."""
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
        found = (_said(data) for data in _take_all(self._path))
        return [said for said in found if said is not None]


def _take_all(path: Path) -> list[bytes]:
    """The content of every file that was dropped, oldest first; each is removed. Never waits."""
    taken = []
    # Whatever cannot be opened, read or removed must not end a recovery: nobody answered.
    with suppress(OSError), files.opened(path, ours=_OURS) as box:
        names = os.listdir(box)
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
    _drop(path, json.dumps(asdict(said)).encode())


def _drop(path: Path, data: bytes) -> None:
    with files.opened(path, ours=_OURS) as box:
        failpoints.hit("inbox.drop")
        number = len(os.listdir(box))
        name = f"{number:06d}-{secrets.token_hex(4)}"
        files.put(box, f".{name}", f"{name}.json", data)
