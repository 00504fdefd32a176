"""Who and what the lab's estate is reached with: made-up credentials in files of mode 0600."""

import secrets
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY_ID = "AKIALABLABLABLABLAB0"
SECRET_ACCESS_KEY = "lab-secret-access-key-of-nobody-0000000"

_LENGTH_BYTES = 24


@dataclass(frozen=True, slots=True)
class Secrets:
    """The lab's secrets folder; each secret is a file that holds nothing else."""

    folder: Path

    def path(self, name: str) -> Path:
        """Where a secret is."""
        return self.folder / name

    def reference(self, name: str) -> str:
        """The secret as an environment file refers to it."""
        return f"file:{self.path(name)}"

    def read(self, name: str) -> str:
        """
        The value.

        Raises:
            FileNotFoundError: Nobody has written it.
        """
        return self.path(name).read_text(encoding="utf-8")

    def write(self, name: str, value: str) -> None:
        """Keeps a value for its owner only."""
        place = self.path(name)
        place.touch(mode=0o600)
        place.write_text(value, encoding="utf-8")

    def make(self, *names: str) -> None:
        """Writes a random value for each name."""
        for name in names:
            self.write(name, secrets.token_urlsafe(_LENGTH_BYTES))
