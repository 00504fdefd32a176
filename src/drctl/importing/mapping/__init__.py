"""
What each statement of a script becomes. One file a tool; none of them guesses.

A statement is mapped when every command in it that does something has an action that does what the
command is *for*; otherwise the whole of it is left for a person. Half a statement is never mapped.
"""

import re
from collections.abc import Callable, Mapping

from drctl.importing.mapping import aws, curl, database, kubectl
from drctl.importing.mapping.review import for_review
from drctl.importing.mapping.step import Growing, Outcome, Step, snake
from drctl.importing.script import Assignment, Command, Script, Statement
from drctl.importing.secrets import has_secret
from drctl.importing.tools import aws as aws_call
from drctl.importing.tools import kubectl as kubectl_call

__all__ = ["Growing", "Outcome", "Step", "outcomes"]

_MAKERS: Mapping[str, Callable[[Command, Growing], tuple[Step, ...] | None]] = {
    "kubectl": kubectl.steps_of,
    "oc": kubectl.steps_of,
    "aws": aws.steps_of,
    "curl": curl.steps_of,
    "psql": database.steps_of,
    "pg_dump": database.steps_of,
    "pg_ctl": database.steps_of,
}
_SAYS = {"echo", "printf", "true", ":"}
_SETTINGS = {
    "set": "a step that fails pauses the run",
    "shopt": "a step that fails pauses the run",
    "flock": "a run takes a lease on what it may change",
    "tee": "a run keeps a journal",
    "logger": "a run keeps a journal",
}
_AMBIENT = re.compile(r"KUBECONFIG|AWS_(?:DEFAULT_)?REGION|AWS_PROFILE|KUBE_CONTEXT")


def outcomes(script: Script) -> tuple[Growing, dict[int, Outcome]]:
    """What became of each statement, by its index; and what the draft has besides steps."""
    growing = Growing(script=script)
    return growing, {one.index: _outcome(one, growing) for one in script.statements}


def _outcome(statement: Statement, growing: Growing) -> Outcome:
    if statement.kind == "comment":
        is_first = statement.text.startswith("#!")
        return Outcome(fate="dropped", why="the interpreter's line" if is_first else "a comment")
    commands = growing.script.of(statement)
    if statement.kind == "assignment":
        found = _assigned(statement, commands, growing)
    elif statement.kind == "loop":
        found = _looped(commands, growing)
    elif statement.kind == "pipeline":
        found = _piped(commands, growing)
    elif statement.kind == "command":
        found = _commands(commands, growing)
    else:
        found = None
    return found or for_review(statement, commands, growing)


def _commands(commands: tuple[Command, ...], growing: Growing) -> Outcome | None:
    """A command, or several joined by ``&&`` and ``||``."""
    behind_or = {one for command in commands for one in command.or_else}
    doing = [one for one in commands if one.name not in _SAYS and one.captured_by is None]
    if not commands:
        return None
    if not doing:
        return Outcome(fate="dropped", why=f"{commands[0].name} only says something")
    if all(one.name in _SETTINGS or (one.name == "exec" and one.redirects) for one in doing):
        why = _SETTINGS.get(doing[0].name, "a run keeps a journal")
        return Outcome(fate="dropped", why=why)
    if behind_or - _SAYS and len(doing) > 1:
        return None  # a way around a failure is a person's to decide
    if len(commands) != len(doing) + sum(one.name in _SAYS for one in commands):
        return None  # something is captured inside
    return _all(doing, growing)


def _all(doing: list[Command], growing: Growing) -> Outcome | None:
    """Every command mapped, or none: what a failed attempt left in *growing* is taken back."""
    made: list[Step] = []
    before = _copy(growing)
    for command in doing:
        maker = _MAKERS.get(command.name)
        steps = maker(command, growing) if maker else None
        if steps is None:
            _restore(growing, before)
            return None
        made += steps
    return Outcome(fate="mapped", why=_became(made, doing), steps=tuple(made))


def _became(made: list[Step], doing: list[Command]) -> str:
    if made:
        return ", ".join(dict.fromkeys(step.uses for step in made if step.uses))
    call = aws_call(doing[0])
    if call is not None and call.operation in aws.PART_OF_REBUILD:
        return aws.PART_OF_REBUILD[call.operation]
    return "a step above does it"


def _assigned(
    statement: Statement, commands: tuple[Command, ...], growing: Growing
) -> Outcome | None:
    given = growing.script.assigned(statement)
    doing = [
        one for one in commands if one.name not in {"tail", "head", "awk", "cut", "sed", "grep"}
    ]
    if doing:
        found = _all(doing, growing) if len(doing) == 1 and len(given) == 1 else None
        return found if found and _is_spent(given[0], growing) else None
    if not given or any(one.is_array or one.word is None for one in given):
        return None
    return _variables(given, growing)


def _is_spent(given: Assignment, growing: Growing) -> bool:
    """The variable is used only where an action finds the value itself."""
    for command in growing.script.commands:
        uses = any(one.name == given.name for word in command.words for one in word.expansions)
        call, cube = aws_call(command), kubectl_call(command)
        is_known = (call is not None and call.operation in aws.PART_OF_REBUILD) or (
            cube is not None and cube.verb == "rollout undo"
        )
        if uses and not is_known:
            return False
    return True


def _variables(given: tuple[Assignment, ...], growing: Growing) -> Outcome | None:
    if all(_AMBIENT.fullmatch(one.name) for one in given):
        why = "the environment's targets say which cluster and region"
        return Outcome(fate="mapped", why=why)
    if all(one.name not in growing.script.used and not one.is_exported for one in given):
        return Outcome(fate="dropped", why="nothing uses it")
    words = [one.word for one in given if one.word is not None]
    if any(not word.is_literal for word in words):
        return None
    if any(has_secret(word.text) for word in words):
        return None
    for one, word in zip(given, words, strict=True):
        name = snake(one.name)
        growing.inputs.setdefault(name, {"type": "string", "default": word.text[:500]})
        growing.variables[one.name] = f"inputs.{name}"
    names = ", ".join(f"inputs.{snake(one.name)}" for one in given)
    return Outcome(fate="mapped", why=names)


def _looped(commands: tuple[Command, ...], growing: Growing) -> Outcome | None:
    doing = [one for one in commands if one.name not in {*_SAYS, "sleep", "break", "[", "grep"}]
    waits = any(one.name == "sleep" for one in commands)
    if len(doing) != 1 or not waits:
        return None
    call, cube = aws_call(doing[0]), kubectl_call(doing[0])
    if call is not None and call.operation == "describe-db-instances":
        called = growing.text(doing[0].word("--db-instance-identifier"))
        if "DBInstanceStatus" in doing[0].text and "available" in doing[0].loops[-1].text:
            step = aws.instance_available(growing, called)
            return Outcome(fate="mapped", why=step.uses, steps=(step,))
    if cube is not None and cube.verb == "get" and cube.kind in {"pod", "pods", "po"}:
        label = re.search(r"app=([\w.-]+)", doing[0].text)
        step = kubectl.waited(growing, label[1] if label else "")
        return Outcome(fate="mapped", why=step.uses, steps=(step,))
    return None


def _piped(commands: tuple[Command, ...], growing: Growing) -> Outcome | None:
    cube = kubectl_call(commands[0]) if commands else None
    if cube is None:
        return None
    is_log = cube.verb == "logs" and [one.name for one in commands[1:]] == ["grep"]
    if is_log and re.search(r"(?i)database|postgres|\bdb\b|sql", commands[1].text):
        steps = database.monitored(growing)
        return Outcome(fate="mapped", why=steps[0].uses, steps=steps)
    registers = [
        one for one in commands if (call := aws_call(one)) and call.operation == "register-targets"
    ]
    others = [
        one for one in commands if one.name not in {"kubectl", "awk", "read", "cut", "aws", *_SAYS}
    ]
    if cube.verb == "get" and registers and growing.rebuilt and not others:
        why = "kubernetes.pods.list_ready and aws.elbv2.rebuild register the ready pods"
        return Outcome(fate="mapped", why=why)
    return None


def _copy(growing: Growing) -> dict[str, object]:
    return {
        name: value.copy() if isinstance(value := getattr(growing, name), dict | set) else value
        for name in Growing.__slots__
    }


def _restore(growing: Growing, before: dict[str, object]) -> None:
    for name, value in before.items():
        setattr(growing, name, value)
