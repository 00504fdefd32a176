"""From the text of a file to a checked runbook, or to everything that is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.kernel.errors import InvalidError, Position, Problem
from drctl.kernel.yaml_page import open_page
from drctl.kernel.yaml_text import MAX_BYTES
from drctl.runbook.draft import Draft
from drctl.runbook.graph import ancestors, check_graph
from drctl.runbook.inputs import check_inputs
from drctl.runbook.literals import check_literals
from drctl.runbook.models import Runbook
from drctl.runbook.order import check_order
from drctl.runbook.read import read_parts
from drctl.runbook.rules import check_steps, check_targets, check_waivers
from drctl.runbook.scopes import Scopes

TEXT = "<text>"
"""What positions say for a file when there is none."""


def load_runbook(
    source: Path | str, *, registry: Registry, environment: Mapping[str, Target] | None = None
) -> Runbook:
    """
    Reads a runbook and checks it. Reads one file at most; asks nobody.

    Args:
        source: A `Path`, or the text itself as ``str``.
        registry: The actions that exist.
        environment: Targets by name. Without it targets are checked by family only.

    Raises:
        InvalidError: With every problem of the file, in the order of the file.
    """
    runbook, problems = check_runbook(source, registry=registry, environment=environment)
    if runbook is None or problems:
        raise InvalidError(problems)
    return runbook


def check_runbook(
    source: Path | str,
    *,
    registry: Registry,
    environment: Mapping[str, Target] | None = None,
    file: str = TEXT,
    targets: Mapping[str, str] | None = None,
) -> tuple[Runbook | None, tuple[Problem, ...]]:
    """
    As `load_runbook`, but gives the problems instead of raising them; with a problem there is no
    runbook.

    Args:
        file: What positions say for a file when *source* is text.
        targets: Aliases of the runbook that stand for something else here; see `Include`.
    """
    name, text, problem = _text_of(source)
    file = file if isinstance(source, str) else name
    if problem:
        return None, (problem,)
    page = open_page(text, file=file)
    if not page.is_there:
        return None, _sorted(page.problems)
    draft = Draft(page=page, problems=dict.fromkeys(page.problems))
    check_literals(draft)
    read_parts(draft)
    draft.targets |= {name: real for name, real in (targets or {}).items() if name in draft.targets}
    check_inputs(draft)
    check_graph(draft)
    above = ancestors(draft.needs)
    scopes = Scopes(
        inputs=None if "inputs" in draft.unreadable else draft.inputs,
        steps=[placed.step for placed in draft.steps],
        above=above,
        final={placed.step.id for placed in draft.steps if placed.is_final},
        registry=registry,
    )
    check_targets(draft, environment)
    check_steps(draft, registry, scopes, environment)
    check_order(draft, registry, above, environment)
    check_waivers(draft)
    if draft.problems:
        return None, _sorted(draft.problems)
    return _runbook(draft), ()


def _text_of(source: Path | str) -> tuple[str, str, Problem | None]:
    if isinstance(source, str):
        return TEXT, source, None
    start = Position(str(source), 1, 1)
    try:
        with source.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        return str(source), "", Problem(code="DR1000", what=what, at=start)
    if len(content) > MAX_BYTES:
        return (
            str(source),
            " " * len(content),
            None,
        )  # `read` says so; the cut may be in a character
    try:
        return str(source), content.decode("utf-8"), None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        at = Position(str(source), line, 1)
        return str(source), "", Problem(code="DR1000", what="the file is not UTF-8", at=at)


def _runbook(draft: Draft) -> Runbook:
    return Runbook.model_validate(
        {
            "metadata": draft.metadata,
            "objectives": draft.objectives,
            "inputs": draft.inputs,
            "targets": draft.targets,
            "gates": draft.gates,
            "steps": [placed.step for placed in draft.main],
            "finally": [placed.step for placed in draft.steps if placed.is_final],
            "waivers": [waiver for waiver, _path in draft.waivers],
            "position": Position(draft.page.file, 1, 1),
            "places": dict(_places(draft)),
        }
    )


_PLACED = ("metadata", "objectives", "inputs", "targets", "gates")


def _places(draft: Draft) -> Iterator[tuple[str, Position]]:
    """Where the parts are written that have no position of their own."""
    for key in _PLACED:
        part = draft.page.values.get(key)
        if isinstance(part, dict):
            yield key, draft.page.key_position((key,))
            for name in part:
                yield f"{key}.{name}", draft.page.key_position((key, name))


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order of the file; problems at the same place by code."""
    nowhere = Position("", 0, 0)
    return tuple(
        sorted(
            problems,
            key=lambda one: (one.at if isinstance(one.at, Position) else nowhere, one.code),
        )
    )
