"""A file that others read at any moment: all of the old text or all of the new one."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

_EVERYBODY_READS = 0o644


def replace_text(path: Path, text: str) -> None:
    """
    Puts *text* in the place of whatever the file held. Readable for everybody: no secrets.

    Raises:
        OSError: It could not be written; the file is as it was.

    Changes:
        The file at *path*.
    """
    # In the same folder, or the rename would not be one. Collectors of *.prom skip the name.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _EVERYBODY_READS)  # noqa: PTH101 (mkstemp's name is a text)
        os.replace(name, path)  # noqa: PTH105
    except OSError:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise
