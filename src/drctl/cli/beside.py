"""Files that a command writes beside its answer, and what they must not be."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

_SOURCES = {".yaml", ".yml"}


def no_source(path: Path | None) -> Path | None:
    """
    The callback of an option that names such a file: what ends as runbooks and environments do
    would be one that is lost, so it is refused before anything is looked at.

    Raises:
        typer.BadParameter: It ends so.
    """
    if path is not None and path.suffix.lower() in _SOURCES:
        message = f"{path} ends as a runbook or an environment does, and would be written over"
        raise typer.BadParameter(message)
    return path


def keep_apart(reads: Iterable[str], writes: Mapping[str, Path | None]) -> None:
    """
    Refuses two options that write the same file, and one that writes what the command reads.

    Args:
        writes: What an option names, by the option.

    Raises:
        typer.BadParameter: Two are the same file, by whatever names.
    """
    taken = {os.path.realpath(name): f"what is read: {name}" for name in reads}
    for option, path in writes.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise typer.BadParameter(f"{path} is {taken[place]}", param_hint=option)
        taken[place] = f"what {option} writes"
