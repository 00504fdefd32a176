"""What no action does: a step that a person has to look at."""

from drctl.actions.selection import selects_nothing
from drctl.importing.destroys import destroys
from drctl.importing.mapping.step import Growing, Outcome, Step
from drctl.importing.script import Command, Statement
from drctl.importing.secrets import has_secret, unmasked
from drctl.importing.tools import aws, is_post, kubectl
from drctl.kernel.text import sanitize

_LINES = 20
_SAYS = {"echo", "printf", "true", ":"}
_HINTS = {
    "kubectl apply": "kubernetes.manifests.apply wants each file with its SHA-256",
    "kubectl describe": "it prints for a person; nothing in the run reads it",
    "kubectl get": "it prints for a person; nothing in the run reads it",
    "kubectl set env": "kubernetes.secret.patch, once a step before it has the new value",
    "kubectl set image": "kubernetes.deployment.rollback goes to an image that is known good",
    "kubectl scale": "kubernetes.deployment.scale wants a Deployment and a number",
    "kubectl logs": "it prints for a person; prometheus.query.assert looks at a number",
    "kubectl exec": "kubernetes.pod.exec wants a Deployment and plain words",
    "curl": "a POST changes something there; a probe only reads",
    "sleep": "a step waits for what it needs, not for a while",
}
_SHELLS = {
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "ash",
    "fish",
    "csh",
    "tcsh",
    "busybox",
    "env",
    "eval",
}
_WORDS = {
    "cd",
    "exit",
    "return",
    "source",
    ".",
    "local",
    "read",
    "trap",
    "unset",
    "[",
    "exec",
    "eval",
}
_LONGEST = 4000
_MOST_WORDS = 200


def for_review(statement: Statement, commands: tuple[Command, ...], growing: Growing) -> Outcome:
    """
    A step that stands for the statement until a person has decided.

    It runs the program itself when that is one program with plain words. Otherwise it runs
    ``false``: a step that nobody has looked at fails, and has changed nothing.
    """
    argv = _argv(statement, commands, growing)
    why = _why(statement, commands, argv)
    reads = bool(argv) and _only_reads(commands[0])
    name = commands[0].name if commands else statement.kind
    with_: dict[str, object] = {"argv": argv or ["/bin/false"]}
    if not argv:
        with_["untouched"] = [1]
    step = Step(
        id=growing.id(f"review_{name}"),
        title=f"REVIEW: {sanitize(name, limit=40)}, line {statement.first_line}",
        phase="look",  # it stays behind the step before it, wherever that goes
        uses=_uses(commands, reads=reads),
        with_=with_,
        estimate="" if reads else "10s",
        timeout="1m",
        notes=(f"REVIEW: {why}", *_quoted(statement)),
    )
    return Outcome(fate="review", why=why, steps=(step,))


def _argv(
    statement: Statement, commands: tuple[Command, ...], growing: Growing
) -> list[str] | None:
    """The words of a single plain program; ``None`` when it takes a shell to run it."""
    doing = [one for one in commands if one.name not in _SAYS] if len(commands) > 1 else commands
    if statement.kind != "command" or len(doing) != 1 or _needs_shell(statement, doing[0]):
        return None
    words = [growing.text(word) for word in doing[0].words]
    plain = [
        word
        for word in words
        if word
        and len(word) <= _LONGEST
        and "\x00" not in word
        and ("${{" in word or not selects_nothing(word))
    ]
    return plain if len(plain) == len(words) <= _MOST_WORDS else None


def _needs_shell(statement: Statement, command: Command) -> bool:
    around = command.redirects or command.environment or set(command.or_else) - _SAYS
    first = (statement.text.split(None, 1) or [""])[0].rpartition("/")[2]
    # Another first word: sudo, timeout and the like were taken off, or ! or a bracket stands there.
    return bool(around) or first != command.name or command.name in _SHELLS | _WORDS


def _uses(commands: tuple[Command, ...], *, reads: bool) -> str:
    """The action whose effect is the worst that stands in the statement."""
    if any(destroys(one) for one in commands):
        return "shell.destroy"
    return "shell.look" if reads else "shell.command"


def _only_reads(command: Command) -> bool:
    call = kubectl(command) or aws(command)
    return call is not None and not call.changes


def _why(statement: Statement, commands: tuple[Command, ...], argv: list[str] | None) -> str:
    if statement.why:
        return f"not understood: {statement.why}"
    if has_secret(statement.text):
        return "a secret stands in it; name a reference under secrets: and rotate it"
    hint = _hint(commands[0]) if commands and statement.kind == "command" else None
    if hint:
        return hint
    if argv:
        return f"no installed action does what {commands[0].name} does here"
    if statement.kind in {"loop", "if", "function", "pipeline"}:
        return f"a {statement.kind} of the shell; a step is one program with plain words"
    return "it takes a shell to run this; a step is one program with plain words"


def _hint(command: Command) -> str | None:
    call = kubectl(command)
    if command.name == "curl" and not is_post(command):
        return None
    return _HINTS.get(f"kubectl {call.verb}" if call else command.name)


def _quoted(statement: Statement) -> tuple[str, ...]:
    lines = statement.text.split("\n")
    shown = [
        f"{statement.first_line + row}: {sanitize(unmasked(line), limit=160)}"
        for row, line in enumerate(lines[:_LINES])
        if line.strip()
    ]
    rest = len(lines) - _LINES
    return (*shown, *((f"… and {rest} more lines",) if rest > 0 else ()))
