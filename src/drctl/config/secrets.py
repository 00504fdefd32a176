"""Turns secret references into values, at the moment they are needed."""

import os
import stat
from pathlib import Path

from drctl.kernel.errors import CredentialsError, Problem
from drctl.kernel.secret import Secret, SecretRef

_LARGEST = 64 * 1024


class LocalSecrets:
    """``env:NAME`` from the process, ``file:/path`` from a file that only its owner may read."""

    def resolve(self, ref: SecretRef) -> Secret:
        """
        Reads the secret; one trailing newline of a file is not part of it.

        Raises:
            CredentialsError: Not set, unreadable, empty, or a file that others may read.
        """
        text = os.environ.get(ref.place, "") if ref.scheme == "env" else self._file(ref)
        if not text:
            raise _problem(ref, "is empty or not set")
        return Secret(text)

    @staticmethod
    def _file(ref: SecretRef) -> str:
        path = Path(ref.place)
        try:
            # Opened once and never waited for: what is checked is what is read.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                there = os.fstat(handle)
                if not stat.S_ISREG(there.st_mode):
                    raise _problem(ref, "is not a file")
                if stat.S_IMODE(there.st_mode) & 0o077:
                    raise _problem(ref, "may be read by others than its owner", f"chmod 600 {path}")
                if there.st_size > _LARGEST:
                    raise _problem(ref, f"is longer than {_LARGEST} bytes")
                return file.read(_LARGEST).decode().removesuffix("\n")
        except (OSError, ValueError) as error:
            raise _problem(ref, f"cannot be read ({type(error).__name__})") from None


def _problem(ref: SecretRef, why: str, do: str | None = None) -> CredentialsError:
    return CredentialsError(
        (
            Problem(
                code="DR5101",
                what=f"the secret {ref} {why}",
                do=do or "set it where the reference points, then try again",
            ),
        )
    )
