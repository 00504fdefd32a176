"""Finds runbooks: by path, by name, by the scenario they are for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.config.environment import Environment
from drctl.config.places import runbook_folders
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean
from drctl.runbook import Runbook, check_runbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A checked runbook and the file it is from."""

    runbook: Runbook
    path: Path
    sha256: str


def all_runbooks() -> dict[str, Path]:
    """
    Every runbook file by its name without suffix; one here hides a shipped one of the same name.
    """
    found: dict[str, Path] = {}
    for folder in runbook_folders():
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def find_runbook(name_or_path: str) -> Path:
    """
    Finds a runbook file.

    Raises:
        InvalidError: There is none of that name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = all_runbooks()
    if name_or_path in known:
        return known[name_or_path]
    near = did_you_mean(name_or_path, known)
    raise InvalidError(
        (
            Problem(
                code="DR1091",
                what=f'there is no runbook "{name_or_path}"{near}',
                do="name a file, or one of: drctl runbook list",
            ),
        )
    )


def load(path: Path, registry: Registry, targets: Mapping[str, Target] | None = None) -> Loaded:
    """
    Reads and checks one runbook, once: the text that is checked is the text that is hashed.

    Raises:
        InvalidError: All problems of the file.
    """
    data = _read(path)
    runbook, problems = check_runbook(
        data.decode("utf-8", "replace"), registry=registry, environment=targets, file=str(path)
    )
    if runbook is None or problems:
        raise InvalidError(problems)
    return Loaded(runbook=runbook, path=path, sha256=hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = Problem(
            code="DR1092", what=f"the runbook {path} cannot be read", why=str(error.strerror)
        )
        raise InvalidError((problem,)) from error


def _fits(path: Path, registry: Registry, targets: Mapping[str, Target]) -> bool:
    text = _read(path).decode("utf-8", "replace")
    _runbook, problems = check_runbook(text, registry=registry, environment=targets, file=str(path))
    return not problems


def for_scenario(scenario: str, environment: Environment, registry: Registry) -> tuple[Loaded, str]:
    """
    Chooses the runbook for what happened: the environment's choice, else the only one that says it
    is for it, else the only one of those whose targets this environment has in the kinds they need.

    Returns:
        The runbook, and why it was chosen.

    Raises:
        InvalidError: None, or more than one.
    """
    chosen = environment.runbooks.get(scenario)
    if chosen is not None:
        path = find_runbook(chosen)
        why = f"{environment.file} names it for {scenario}"
        return load(path, registry, environment.targets), why
    fitting = []
    for path in all_runbooks().values():
        runbook, _problems = check_runbook(
            _read(path).decode("utf-8", "replace"), registry=registry, file=str(path)
        )
        if runbook is not None and runbook.metadata.scenario == scenario:
            fitting.append(path)
    if len(fitting) == 1:
        why = f"the only runbook here for {scenario}"
        return load(fitting[0], registry, environment.targets), why
    usable = [path for path in fitting if _fits(path, registry, environment.targets)]
    if len(usable) == 1:
        others = ", ".join(path.stem for path in fitting if path not in usable)
        why = f"the only runbook for {scenario} that fits {environment.name} (not {others})"
        return load(usable[0], registry, environment.targets), why
    names = ", ".join(str(path) for path in fitting) or "none"
    raise InvalidError(
        (
            Problem(
                code="DR1093",
                what=f"{len(fitting)} runbooks are for {scenario} ({names})",
                do=f"name one in {environment.file}:  runbooks: {{{scenario}: NAME}}",
            ),
        )
    )
