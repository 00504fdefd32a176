"""Finds runbooks: by path, by name, by the scenario they are for."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.config.environment import Environment
from drctl.config.places import runbook_folders
from drctl.kernel.errors import InvalidError, Position, Problem
from drctl.kernel.text import did_you_mean, sanitize
from drctl.runbook import Runbook, check_runbook
from drctl.runbook.include import Included, includes


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A checked runbook and the file it is from."""

    runbook: Runbook
    path: Path
    sha256: str
    source: Included
    """The same with the runbooks that it includes."""

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of every file it is made of by absolute path, its own first."""
        return dict(_files(self.source))


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
    if os.path.isfile(name_or_path):  # noqa: PTH113 (a name too long for a file is none)
        return Path(name_or_path)
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


def _files(source: Included) -> Iterator[tuple[str, str]]:
    yield os.path.realpath(source.file), source.sha256
    for inner in source.included.values():
        yield from _files(inner)


def load(path: Path, registry: Registry, targets: Mapping[str, Target] | None = None) -> Loaded:
    """
    Reads and checks one runbook, and those that it includes, each once: the text that is checked
    is the text that is hashed.

    Raises:
        InvalidError: All problems of the first file that has any.
    """
    source = _source(path, registry, targets, {}, ())
    return Loaded(runbook=source.runbook, path=path, sha256=source.sha256, source=source)


def _source(
    path: Path,
    registry: Registry,
    targets: Mapping[str, Target] | None,
    bound: Mapping[str, str],
    around: tuple[Path, ...],
) -> Included:
    """One runbook; *bound* are its aliases that stand for targets of the runbook *around* it."""
    data = _read(path)
    runbook, problems = check_runbook(
        _text(data, path),
        registry=registry,
        environment=targets,
        file=str(path),
        targets=bound,
    )
    if runbook is None or problems:
        raise InvalidError(problems)
    included = {}
    for step_id, wanted in includes(runbook).items():
        at = runbook.step(step_id).position
        inner = _beside(path, wanted.runbook)
        if os.path.realpath(inner) in {os.path.realpath(one) for one in (*around, path)}:
            what = f"step {step_id} includes {wanted.runbook}, which includes it in turn"
            raise InvalidError((Problem(code="DR1094", what=what, at=at),))
        names = {alias: runbook.targets[mine] for alias, mine in wanted.targets.items()}
        found = _source(inner, registry, targets, names, (*around, path))
        unknown = sorted(names.keys() - found.runbook.targets.keys())
        if unknown:
            near = did_you_mean(unknown[0], found.runbook.targets)
            what = f'{wanted.runbook} has no target "{unknown[0]}"{near}'
            raise InvalidError((Problem(code="DR1025", what=what, at=at),))
        included[step_id] = replace(found, inputs=wanted.inputs)
    sha256 = hashlib.sha256(data).hexdigest()
    return Included(runbook=runbook, file=str(path), sha256=sha256, included=included)


def _beside(path: Path, wanted: str) -> Path:
    """A file is seen from the one that includes it; a name is that of a neighbour, or shipped."""
    beside = path.parent / (wanted if wanted.endswith((".yaml", ".yml")) else f"{wanted}.yaml")
    return beside if beside.is_file() else find_runbook(wanted)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = Problem(
            code="DR1092",
            what=f"the runbook {path} cannot be read",
            at=str(path),
            why=str(error.strerror),
            do=_found_as(path),
        )
        raise InvalidError((problem,)) from error


def _found_as(path: Path) -> str | None:
    """A runbook's name where its file is wanted."""
    found = all_runbooks().get(str(path))
    return f"name its file: {found}" if found else None


def _text(data: bytes, path: Path) -> str:
    """What cannot be read is refused at its place: put in its stead, it would be run unseen."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        at = Position(str(path), len(before), len(before[-1]) + 1)
        problem = Problem(code="DR1001", what="this is not UTF-8", at=at, do="save it as UTF-8")
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
    known = set(environment.runbooks)
    for path in all_runbooks().values():
        runbook, _problems = check_runbook(
            _read(path).decode("utf-8", "replace"), registry=registry, file=str(path)
        )
        if runbook is None:
            continue
        known.add(runbook.metadata.scenario or "")
        if runbook.metadata.scenario == scenario:
            fitting.append(path)
    if len(fitting) == 1:
        why = f"the only runbook here for {scenario}"
        return load(fitting[0], registry, environment.targets), why
    usable = [path for path in fitting if _fits(path, registry, environment.targets)]
    if len(usable) == 1:
        others = ", ".join(path.stem for path in fitting if path not in usable)
        why = f"the only runbook for {scenario} that fits {environment.name} (not {others})"
        return load(usable[0], registry, environment.targets), why
    if fitting:
        names = ", ".join(map(str, fitting))
        what = f"{len(fitting)} runbooks are for {scenario} ({names})"
        do = f"name one in {environment.file}:  runbooks: {{{scenario}: NAME}}"
    else:
        what = f'no runbook here is for "{sanitize(scenario, limit=80)}"'
        what += did_you_mean(scenario, known)
        do = f"one of {', '.join(sorted(known - {''}))}"
    raise InvalidError((Problem(code="DR1093", what=what, do=do),))
