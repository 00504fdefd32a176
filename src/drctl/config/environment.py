"""The environment file: what the names in a runbook really are."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from drctl.actions.selection import target_refusals
from drctl.actions.targets import (
    AwsConnection,
    GcpConnection,
    HostConnection,
    KubernetesConnection,
    Part,
    Target,
    Text,
    of_kind,
)
from drctl.config.people import Person, Word, complaints
from drctl.config.places import environment_folders, lab_root
from drctl.config.stores import Store, stray_targets
from drctl.kernel import yaml_text, yaml_tree
from drctl.kernel.duration import parse_duration
from drctl.kernel.errors import InvalidError, Position, Problem
from drctl.kernel.text import did_you_mean, sanitize


class _Metadata(Part):
    name: Text
    title: str = ""


class _Objectives(Part):
    rto: str | None = None
    rpo: str | None = None


class _Limits(Part):
    max_targets: int = Field(default=10, ge=1, le=1000)


class _Shape(Part):
    """The file without its connections and targets."""

    apiVersion: Literal["drctl/v1"]  # noqa: N815 (the file's word)
    kind: Literal["Environment"]
    metadata: _Metadata
    world: Literal["live", "lab"] = "live"
    protected: bool = True
    objectives: _Objectives = _Objectives()
    cool_down: str = "60m"
    resolvers: tuple[Text, ...] = ()
    runbooks: dict[str, Text] = Field(default_factory=dict)
    people: dict[Word, Person] = Field(default_factory=dict)
    stores: dict[Word, Store] = Field(default_factory=dict)
    plan_expires_after: str = "15m"
    limits: _Limits = _Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseChoice:
    """Where leases are kept, as the file says it; what the settings mean, the store knows."""

    store: str
    settings: Mapping[str, Any]
    """Connections in the place of their names."""
    at: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A checked environment. Holds references to secrets, never values."""

    name: str
    title: str
    file: Path
    sha256: str
    world: Literal["live", "lab"]
    protected: bool
    """A protected environment is never chosen by default, and asks for a typed confirmation."""
    targets: Mapping[str, Target]
    resolvers: tuple[str, ...] = ()
    runbooks: Mapping[str, str] = field(default_factory=dict)
    """Scenario to runbook name or path."""
    rto_s: float | None = None
    """Tighter or looser than the runbook's; ``None``: the runbook's own."""
    rpo_s: float | None = None
    lease: LeaseChoice | None = None
    """``None``: on the machine that runs it, for nobody else to see."""
    cool_down_s: float = 3600.0
    """How long after a failover the same targets are not failed over again."""
    people: Mapping[str, Person] = field(default_factory=dict)
    """Empty: a gate takes the word of whoever may write the run's folder."""
    stores: Mapping[str, Store] = field(default_factory=dict)
    """What must be there again for the service to work, by name."""
    plan_expires_after_s: float = 900.0
    """How long after it was made a plan may be run."""
    max_targets: int = 10
    """How many different things one run may change."""


_CONNECTIONS: dict[str, type[Part]] = {
    "aws": AwsConnection,
    "gcp": GcpConnection,
    "host": HostConnection,
    "kubernetes": KubernetesConnection,
}
_NAMED_BY = {"aws": "aws", "cluster": "kubernetes", "gcp": "gcp", "machine": "host"}
"""Keys of a target whose text is the name of a connection, and of which type."""
_OLDEST_PLAN_S = 24 * 3600


def find_environment(name_or_path: str) -> Path:
    """
    Finds the file of an environment: a path, or a name looked up in the usual places.

    Raises:
        InvalidError: Nothing there; the problem lists where was looked and what there is.
    """
    path = Path(name_or_path)
    if "/" in name_or_path or path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        raise _missing(f"there is no environment file {name_or_path}", None)
    if name_or_path == "lab":
        running = lab_root() / "environment.yaml"
        if not running.is_file():
            raise _missing("no lab is running", "drctl lab up")
        # The folder for temporary files is everybody's, and this file says where secrets go.
        if running.stat().st_uid != os.getuid() or running.is_symlink():
            raise _missing(f"{running} is not yours", None, why="somebody else put it there")
        return running
    found = [folder / f"{name_or_path}.yaml" for folder in environment_folders()]
    for candidate in found:
        if candidate.is_file():
            return candidate
    near = did_you_mean(name_or_path, environment_names())
    looked = ", ".join(str(candidate) for candidate in found)
    raise _missing(
        f'no environment is called "{name_or_path}"{near}', None, why=f"looked at {looked}"
    )


def environment_names() -> tuple[str, ...]:
    """Names that `find_environment` would find."""
    names = {path.stem for folder in environment_folders() for path in folder.glob("*.yaml")}
    if (lab_root() / "environment.yaml").is_file():
        names.add("lab")
    return tuple(sorted(names))


def load_environment(path: Path) -> Environment:
    """
    Reads and checks an environment file; asks nothing outside.

    Raises:
        InvalidError: All problems of the file, with positions.
    """
    try:
        # Once: what is hashed is what is read, whatever happens to the file meanwhile.
        data = path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _missing(f"the environment {path} cannot be read", None, why=str(error)) from error
    document = yaml_text.read(text, file=str(path))
    problems = list(document.problems)
    root = document.root
    if not isinstance(root, yaml_tree.MapNode):
        raise InvalidError(tuple(problems) or (_problem("an environment is a mapping", None),))
    plain = yaml_tree.plain(root)
    connections = _connections(plain.pop("connections", {}), root, problems)
    targets = _targets(plain.pop("targets", {}), connections, root, problems)
    lease = _lease(plain.pop("lease", None), connections, root, problems)
    shape, cool_down_s = None, 0.0
    try:
        shape = _Shape.model_validate(plain)
        limits = {
            name: parse_duration(value).total_seconds()
            for name, value in shape.objectives.model_dump(exclude_none=True).items()
        }
        cool_down_s = parse_duration(shape.cool_down).total_seconds()
        if limits.get("rto") == 0:
            at = yaml_tree.key_position(root, ("objectives", "rto"))
            problems.append(_problem("rto: nothing recovers in no time", at))
        limits["plan"] = _plan_age_s(shape.plan_expires_after, root, problems)
        for where, what in complaints(shape.people):
            at = yaml_tree.key_position(root, ("people", *where))
            problems.append(_problem(f"{'.'.join(('people', *where))}: {what}", at))
        for where, what in stray_targets(shape.stores, _declared(root)):
            at = yaml_tree.key_position(root, ("stores", *where))
            problems.append(_problem(f"stores: {what}", at))
    except ValidationError as error:
        problems += _complaints(error, (), root)
        limits = {}
    except ValueError as error:
        problems.append(_problem(str(error), yaml_tree.key_position(root, ("objectives",))))
        limits = {}
    if problems or shape is None:
        raise InvalidError(tuple(sorted(problems, key=_line)))
    return Environment(
        name=shape.metadata.name,
        title=shape.metadata.title,
        file=path,
        sha256=hashlib.sha256(data).hexdigest(),
        world=shape.world,
        protected=shape.protected,
        targets=targets,
        resolvers=shape.resolvers,
        runbooks=shape.runbooks,
        rto_s=limits.get("rto"),
        rpo_s=limits.get("rpo"),
        lease=lease,
        cool_down_s=cool_down_s,
        people=shape.people,
        stores={
            name: store.model_copy(
                update={"position": yaml_tree.key_position(root, ("stores", name))}
            )
            for name, store in shape.stores.items()
        },
        plan_expires_after_s=limits["plan"],
        max_targets=shape.limits.max_targets,
    )


def _declared(root: yaml_tree.MapNode) -> tuple[str, ...]:
    """Names of targets as written: one that is wrong otherwise was told so."""
    node = root.entries.get("targets")
    return tuple(node.entries) if isinstance(node, yaml_tree.MapNode) else ()


def _plan_age_s(text: str, root: yaml_tree.Node, problems: list[Problem]) -> float:
    try:
        age_s = parse_duration(text).total_seconds()
    except ValueError:
        age_s = 0.0
    if not 0 < age_s <= _OLDEST_PLAN_S:
        at = yaml_tree.key_position(root, ("plan_expires_after",))
        what = f'plan_expires_after: "{text}" is no duration above 0s and up to 24h'
        problems.append(_problem(what, at))
    return age_s


def _named(raw: Any, key: str, root: yaml_tree.Node, problems: list[Problem]) -> Mapping[str, Any]:
    if isinstance(raw, dict):
        return raw
    at = yaml_tree.key_position(root, (key,))
    problems.append(_problem(f"{key} are a mapping of names", at))
    return {}


def _connections(
    raw: Any, root: yaml_tree.Node, problems: list[Problem]
) -> dict[str, tuple[str, Part]]:
    made: dict[str, tuple[str, Part]] = {}
    for name, value in _named(raw, "connections", root, problems).items():
        path = ("connections", name)
        kind = value.pop("type", None) if isinstance(value, dict) else None
        if kind not in _CONNECTIONS:
            known = " or ".join(_CONNECTIONS)
            problems.append(
                _problem(
                    f"connection {name} needs a type: {known}", yaml_tree.key_position(root, path)
                )
            )
            continue
        try:
            made[name] = (kind, _CONNECTIONS[kind].model_validate(value))
        except ValidationError as error:
            problems += _complaints(error, path, root)
    return made


def _targets(
    raw: Any,
    connections: Mapping[str, tuple[str, Part]],
    root: yaml_tree.Node,
    problems: list[Problem],
) -> dict[str, Target]:
    made: dict[str, Target] = {}
    for name, value in _named(raw, "targets", root, problems).items():
        path = ("targets", name)
        known = len(problems)
        resolved = _resolve(value, connections, path, root, problems)
        if len(problems) > known:
            continue
        try:
            target = of_kind(resolved)
        except ValidationError as error:
            problems += _complaints(error, path, root)
            continue
        for where, why in target_refusals(target):
            at = yaml_tree.key_position(root, (*path, *where.split(".")))
            problems.append(_problem(f"{name}: {where} {why}", at))
        family = name.split(".", 1)[0]
        if family != target.family:
            what = f'a {target.kind} is named "{target.family}.…", not "{name}"'
            problems.append(_problem(what, yaml_tree.key_position(root, path)))
        made[name] = target
    return made


def _lease(
    raw: Any,
    connections: Mapping[str, tuple[str, Part]],
    root: yaml_tree.Node,
    problems: list[Problem],
) -> LeaseChoice | None:
    if raw is None:
        return None
    at = yaml_tree.key_position(root, ("lease",))
    store = raw.pop("store", None) if isinstance(raw, dict) else None
    if not isinstance(store, str):
        problems.append(_problem("lease: say where, as in {store: s3, aws: …, bucket: …}", at))
        return None
    settings = _resolve(raw, connections, ("lease",), root, problems)
    return LeaseChoice(store=store, settings=settings, at=at)


def _resolve(
    value: Any,
    connections: Mapping[str, tuple[str, Part]],
    path: tuple[str, ...],
    root: yaml_tree.Node,
    problems: list[Problem],
) -> Any:
    """Puts the connection where its name stands."""
    if not isinstance(value, dict):
        return value
    resolved = {}
    for key, item in value.items():
        wanted = _NAMED_BY.get(key)
        if wanted is None or not isinstance(item, str):
            resolved[key] = _resolve(item, connections, (*path, key), root, problems)
            continue
        kind, connection = connections.get(item, ("", None))
        if kind != wanted:
            near = did_you_mean(item, [n for n, (k, _) in connections.items() if k == wanted])
            what = f'"{item}" is no {wanted} connection of this file{near}'
            problems.append(_problem(what, yaml_tree.at(root, (*path, key)).position))
        resolved[key] = connection
    return resolved


def _complaints(
    error: ValidationError, path: tuple[str, ...], root: yaml_tree.Node
) -> list[Problem]:
    found = []
    for complaint in error.errors(include_url=False, include_input=False):
        # The tag of a union is a step of pydantic's path, and none of the file's.
        place = (*path, *(part for part in complaint["loc"] if "." not in str(part)))
        at = yaml_tree.key_position(root, place)
        found.append(_problem(f"{'.'.join(str(p) for p in place)}: {complaint['msg']}", at))
    return found


def _line(problem: Problem) -> tuple[int, int]:
    at = problem.at
    return (at.line, at.column) if isinstance(at, Position) else (0, 0)


def _problem(what: str, at: Position | None) -> Problem:
    return Problem(code="DR5002", what=sanitize(what), at=at)


def _missing(what: str, do: str | None, why: str | None = None) -> InvalidError:
    return InvalidError(
        (
            Problem(
                code="DR5001",
                what=what,
                why=why,
                do=do or "name a file, or one of: drctl env list",
            ),
        )
    )
