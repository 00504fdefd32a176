"""What of the run's files would be left after a power loss: bytes and names that were synced."""

import json
import os
import stat
from pathlib import Path

from drctl.engine.events import EffectIntended
from drctl.journal.chain import decode

REAL = os.fsync


class Disk:
    """
    Follows every fsync of this process, and of those before it that used the same folder.

    SIGKILL takes nothing from a file: the kernel has its bytes. What only a power loss takes is
    known by remembering, at each fsync, how long the file was or which names the folder had.
    """

    def __init__(self, place: Path) -> None:
        self._place, self._log = place, place / "synced"
        self._sizes: dict[int, int] = {}
        self._names: dict[int, list[str]] = {}
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            self._take(json.loads(line))
        self._handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _take(self, said: dict) -> None:
        if said["size"] is None:
            self._names[said["inode"]] = said["names"]
        else:
            self._sizes[said["inode"]] = said["size"]

    def follow(self) -> None:
        """From now on every fsync of this process is seen."""

        def fsync(handle: int) -> None:
            REAL(handle)
            there = os.fstat(handle)
            is_folder = stat.S_ISDIR(there.st_mode)
            said = {
                "inode": there.st_ino,
                "size": None if is_folder else there.st_size,
                "names": os.listdir(handle) if is_folder else [],
            }
            os.write(self._handle, json.dumps(said).encode() + b"\n")
            self._take(said)

        os.fsync = fsync

    def has(self, path: Path) -> bool:
        """True when a power loss would leave that name, and those of the folders above it."""
        runs = self._place / "runs"
        while path != runs:
            if path.name not in self._names.get(path.parent.stat().st_ino, ()):
                return False
            path = path.parent
        return True

    def intents(self, action: str, key: str) -> int:
        """How many intents of that effect a power loss would leave."""
        count = 0
        for path in (self._place / "runs").glob("[!.]*/events.jsonl"):
            if self.has(path):
                data = path.read_bytes()[: self._sizes.get(path.stat().st_ino, 0)]
                lines = [line for line in data.split(b"\n") if b'"effect_intended"' in line]
                found = (json.loads(line) for line in lines if line.endswith(b"}"))
                count += sum(said["action"] == action and said["key"] == key for said in found)
        return count

    def lose_power(self) -> None:
        """Takes from the run's files whatever was not synced."""
        for folder, _folders, files in os.walk(self._place / "runs", topdown=False):
            here = Path(folder)
            kept = self._names.get(here.stat().st_ino, [])
            for name in files:
                if name not in kept:
                    (here / name).unlink()
                else:
                    os.truncate(here / name, self._sizes.get((here / name).stat().st_ino, 0))
            for child in [entry for entry in here.iterdir() if entry.is_dir()]:
                if child.name not in kept:
                    for path in sorted(child.rglob("*"), reverse=True):
                        path.rmdir() if path.is_dir() else path.unlink()
                    child.rmdir()


def intents_of(journal: Path) -> dict[tuple[str, str], int]:
    """How many intents of each effect a journal has; it must verify."""
    counts: dict[tuple[str, str], int] = {}
    for record in decode(journal.read_bytes(), name=str(journal)).records:
        if isinstance(record.event, EffectIntended):
            effect = (record.event.action, record.event.key)
            counts[effect] = counts.get(effect, 0) + 1
    return counts
