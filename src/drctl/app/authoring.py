"""Use case: a team's own runbook, begun in the shape of the one that drctl ships."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drctl import __version__
from drctl.actions.registry import Registry
from drctl.config.places import shipped_runbooks
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean, sanitize
from drctl.runbook import check_runbook
from drctl.runbook.todo import MARK, todos

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SCENARIO = re.compile(r"^  scenario: *([a-z0-9-]+)", re.MULTILINE)
_MARKS = (
    (re.compile(r"^  title: "), "in your words, with your system's name"),
    (re.compile(r"^  rto: "), "what the business has agreed, for the RTO and the RPO"),
    (
        re.compile(r"^targets:"),
        "each name is one of your environment's targets: drctl env show ENV",
    ),
    (re.compile(r"^    approvers: "), "who decides, at night too"),
    (re.compile(r"^steps:"), "every estimate and timeout: measure yours in a drill"),
    (re.compile(r"^    reason: "), "is this so with you? If not, take the waiver out and mend it"),
)
"""What the shipped runbook cannot know, by the line on which it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft that was written."""

    path: Path
    like: str
    marks: int
    replaces: bool
    """It is called as a shipped one is, and so is found instead of it."""


def shipped() -> dict[str, str]:
    """Scenario of each shipped runbook, by its name."""
    found = {}
    for path in sorted(shipped_runbooks().glob("*.yaml")):
        scenario = _SCENARIO.search(path.read_text(encoding="utf-8"))
        if scenario:
            found[path.stem] = scenario[1]
    return found


def new_runbook(registry: Registry, name: str, scenario: str, like: str | None) -> Draft:
    """
    Writes ``runbooks/NAME.yaml``.

    Raises:
        InvalidError: The name is none, no or several shipped runbooks are for the scenario, an
            action of it is not installed, or the file is there already.
    """
    if not _NAME.fullmatch(name) or len(name) > 80:  # noqa: PLR2004 (a file's name)
        what = f'"{sanitize(name, limit=80)}" is not a name: use kebab-case, as in orders-region'
        raise InvalidError((Problem(code="DR1100", what=what),))
    chosen = _chosen(scenario, like)
    source = (shipped_runbooks() / f"{chosen}.yaml").read_text(encoding="utf-8")
    text = "".join(f"{line}\n" for line in _lines(source, name, chosen))
    path = Path("runbooks") / f"{name}.yaml"
    runbook, problems = check_runbook(text, registry=registry, file=str(path))
    if runbook is None or problems:
        raise InvalidError(problems)
    _write(path, text)
    marks = sum(1 for _mark in todos(text))
    return Draft(path=path, like=chosen, marks=marks, replaces=name in shipped())


def _chosen(scenario: str, like: str | None) -> str:
    known = shipped()
    fitting = [name for name, one in known.items() if one == scenario]
    if like is not None and like in fitting:
        return like
    if len(fitting) == 1 and like is None:
        return fitting[0]
    if not fitting:
        near = did_you_mean(scenario, known.values())
        what = f'no shipped runbook is for "{sanitize(scenario, limit=80)}"{near}'
        do = f"one of {', '.join(sorted({*known.values()}))}"
    elif like is not None:
        what = f'"{sanitize(like, limit=80)}" is no shipped runbook for {scenario}'
        do = f"--like one of {', '.join(fitting)}"
    else:
        what = f"{len(fitting)} shipped runbooks are for {scenario}"
        do = f"--like one of {', '.join(fitting)}"
    raise InvalidError((Problem(code="DR1100", what=what, do=do),))


def _lines(source: str, name: str, like: str) -> Iterator[str]:
    """The shipped text with its own name and the marks; its comments stay, they say why."""
    yield f"# A draft of {name}, begun by drctl {__version__} in the shape of {like}."
    yield "# What only you can say is marked TODO: drctl validate counts what is left."
    yield "#"
    in_metadata = False
    for line in source.splitlines():
        if line.startswith("# yaml-language-server:"):
            continue
        if line and not line.startswith((" ", "#")):
            in_metadata = line.startswith("metadata:")
        if in_metadata and line.startswith("  name: "):
            yield f"  name: {name}"
        elif in_metadata and line.startswith("  owner: "):
            yield f"  owner: nobody-yet  {MARK} the team that is called"
        else:
            yield _marked(line)


def _marked(line: str) -> str:
    for place, words in _MARKS:
        if place.match(line):
            said, _hash, comment = line.partition(" #")
            why = f" ({comment.strip()})" if comment else ""
            return f"{said.rstrip()}  {MARK} {words}{why}"
    return line


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        what = f"{path} is there already"
        problem = Problem(code="DR1099", what=what, do="choose another name")
        raise InvalidError((problem,)) from error
    except OSError as error:
        what = f"{path} cannot be written"
        problem = Problem(code="DR1099", what=what, why=str(error.strerror))
        raise InvalidError((problem,)) from error
