"""
Runs a program, so that nobody is stuck; a plan cannot say what a program would do.

The author says what it does by choosing the action: `shell.look` only reads, `shell.command`
changes something, `shell.destroy` has no way back. Plan and engine count each as that: limits,
leases, gates and retries go by it. There is none that fences, promotes or moves traffic: a
runbook's safety rules rest on what those prove, and an exit code proves nothing.
"""

import os
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints, field_validator

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, OutcomeUnknown, Rejected
from drctl.actions.targets import Target
from drctl.adapters import _secret
from drctl.adapters.shell import process
from drctl.kernel.secret import SecretRef

_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "csh", "tcsh", "busybox", "env"}
_SPARE_S = 3.0
"""Kept of the deadline for ending it, and for the read-back."""
_NO_SPARE_S = 1.5

_Word = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
_Argv = Annotated[tuple[_Word, ...], Field(min_length=1, max_length=200)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class LookParams(Params):
    """What to run, and with what."""

    argv: _Argv
    """The program and its arguments, each a word: there is no shell, nothing is split or expanded.
    A name without a slash is looked for in the system's folders only."""
    cwd: Annotated[str, StringConstraints(pattern=r"^/[^\x00]*$")] = "/"
    """Where it runs."""
    env: dict[_Name, _Word] = Field(default_factory=dict)
    """Variables, besides PATH. It inherits none that is not named here."""
    inherit: tuple[_Name, ...] = ()
    """Variables that it gets as drctl has them; one that drctl does not have is left out."""
    secrets: dict[_Name, SecretRef] = Field(default_factory=dict)
    """Variables whose values are secrets: ``TOKEN: file:/run/secrets/token``. Never an argument:
    everybody on the machine reads those."""
    stdin: SecretRef | None = None
    """A secret that it reads from its standard input."""
    exit_codes: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(default=(0,), min_length=1)
    """Which say that it is well."""

    @field_validator("argv")
    @classmethod
    def _is_no_shell(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        name = PurePosixPath(argv[0]).name
        takes_text = name in {"eval", "busybox", "env"} or any(
            word.startswith("-") and "c" in word.lstrip("-")[:4] and not word.startswith("--")
            for word in argv[1:3]
        )
        if name in _SHELLS and takes_text:
            raise ValueError(f"{name} would run a text; give the program and its words instead")
        return argv


class CommandParams(LookParams):
    """What to run, and how to know whether it has happened."""

    check: _Argv | None = None
    """A program that only reads, run in the same way: exit code 0 says that it has happened, 1 that
    it has not, any other that nobody can tell. With it the step may be repeated."""
    untouched: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    """Exit codes by which the program promises that it has changed nothing. Every other one that is
    not in *exit_codes* leaves it unknown, unless *check* says."""


class LookOutputs(Outputs):
    """What it said."""

    exit_code: int
    stdout: str
    """The first 4,000 characters, inert; secrets masked."""
    stderr: str
    truncated: bool
    """It said more than 64 KiB; the rest was not kept."""


class CommandOutputs(LookOutputs):
    """What it said, and whether it was run."""

    changed: bool
    """False when *check* said beforehand that it has happened, or said so afterwards of a run whose
    end nobody saw; it then has no exit code of its own, and the check's output."""


class Look(Action[Target, LookParams, LookOutputs]):
    """A program that only reads."""

    name: ClassVar[str] = "shell.look"
    summary: ClassVar[str] = "Runs a program that only reads, as its author says"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    params: ClassVar[type[Params]] = LookParams
    outputs: ClassVar[type[Outputs]] = LookOutputs

    async def perform(self, ctx: Context, target: Target, params: LookParams) -> LookOutputs:
        """
        Runs it.

        Raises:
            Rejected: Its exit code is none of *exit_codes*, or the time was over.
            NotFound: There is no such program.
            AuthRejected: A secret's reference leads nowhere.
        """
        ended = await _run(ctx, params, params.argv, spare_s=_NO_SPARE_S)
        if ended.code is None:
            raise Rejected(f"{params.argv[0]} did not end in time{_quoted(ended)}")
        if ended.code not in params.exit_codes:
            raise Rejected(f"{params.argv[0]} ended with {ended.code}{_quoted(ended)}")
        return LookOutputs(
            exit_code=ended.code,
            stdout=ended.stdout,
            stderr=ended.stderr,
            truncated=ended.is_cut,
        )


class Command(Action[Target, CommandParams, CommandOutputs]):
    """A program that changes something."""

    name: ClassVar[str] = "shell.command"
    summary: ClassVar[str] = "Runs a program that changes something"
    effect: ClassVar[Effect] = Effect.CHANGE
    runs_anything: ClassVar[bool] = True
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    params: ClassVar[type[Params]] = CommandParams
    outputs: ClassVar[type[Outputs]] = CommandOutputs

    async def observe(
        self, ctx: Context, target: Target, params: CommandParams | None
    ) -> Observation:
        """
        Runs the check, where there is one.

        Raises:
            ActionError: It could not be run.
        """
        if params is None or params.check is None:
            return Observation()
        ended = await _run(ctx, params, params.check, spare_s=_NO_SPARE_S)
        return Observation(readings={"check": ended.code})

    def preview(
        self, observation: Observation, target: Target, params: CommandParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="a program whose words are known during the run")
        match observation.readings.get("check"):
            case 0:
                return Nothing(
                    why=f"{(params.check or ('the check',))[0]} says that it has happened"
                )
            case 1:
                return Change(before="not done, says its check", after=f"{params.argv[0]} has run")
        return CannotTell(why=f"what {params.argv[0]} would change")

    async def perform(self, ctx: Context, target: Target, params: CommandParams) -> CommandOutputs:
        """
        Runs the check, and unless that says that it has happened, the program.

        Raises:
            Rejected: The program says that it has changed nothing, or the check says so after it.
            OutcomeUnknown: It ended ill, or the time was over and it was killed, and nothing says
                what it has done.
            NotFound: There is no such program; it has not begun.
            AuthRejected: A secret's reference leads nowhere; it has not begun.

        Changes:
            Whatever the program changes.
        """
        done = await _checked(ctx, params)
        if isinstance(done, Done):
            return done.outputs
        ctx.permit()
        ended = await _run(ctx, params, params.argv, spare_s=_SPARE_S)
        if ended.code is not None and ended.code in params.exit_codes:
            return _outputs(ended, changed=True)
        how = (
            "did not end in time and was killed"
            if ended.code is None
            else f"ended with {ended.code}"
        )
        what = f"{params.argv[0]} {how}{_quoted(ended)}"
        if ended.code in params.untouched:
            raise Rejected(f"{what}; it says that it has changed nothing")
        after = await _checked(ctx, params)
        if isinstance(after, NotDone):
            raise Rejected(f"{what}; {after.why}")
        if isinstance(after, Done):
            return _outputs(ended, changed=True)
        raise OutcomeUnknown(f"{what}; {after.why}")

    async def settled(
        self, ctx: Context, target: Target, params: CommandParams
    ) -> Done[CommandOutputs] | NotDone | CannotTell:
        return await _checked(ctx, params)


class Destroy(Command):
    """A program that has no way back."""

    name: ClassVar[str] = "shell.destroy"
    no_way_back: ClassVar[str] = "what the command destroys; no plan can see what that is"
    summary: ClassVar[str] = "Runs a program that has no way back"
    effect: ClassVar[Effect] = Effect.DESTROY


async def _checked(
    ctx: Context, params: CommandParams
) -> Done[CommandOutputs] | NotDone | CannotTell:
    if params.check is None:
        return CannotTell(why="the step has no check that could say what it has done")
    try:
        ended = await _run(ctx, params, params.check, spare_s=_NO_SPARE_S)
    except ActionError as error:
        return CannotTell(why=f"its check: {error}")
    match ended.code:
        case 0:
            return Done(outputs=_outputs(ended, changed=False))
        case 1:
            return NotDone(why=f"its check says that it has not happened{_quoted(ended)}")
    return CannotTell(why=f"its check ended with {ended.code}{_quoted(ended)}")


async def _run(
    ctx: Context, params: LookParams, argv: tuple[str, ...], *, spare_s: float
) -> process.Ended:
    values = {name: _secret.reveal(ctx, ref) for name, ref in params.secrets.items()}
    stdin = _secret.reveal(ctx, params.stdin) if params.stdin is not None else None
    inherited = {name: os.environ[name] for name in params.inherit if name in os.environ}
    return await process.run(
        ctx,
        argv,
        variables={**inherited, **params.env, **values},
        cwd=params.cwd,
        stdin=stdin,
        hidden=[*values.values(), *([stdin] if stdin else [])],
        spare_s=spare_s,
    )


def _outputs(ended: process.Ended, *, changed: bool) -> CommandOutputs:
    return CommandOutputs(
        exit_code=ended.code or 0,
        stdout=ended.stdout,
        stderr=ended.stderr,
        truncated=ended.is_cut,
        changed=changed,
    )


def _quoted(ended: process.Ended) -> str:
    said = (ended.stderr or ended.stdout).strip()[-300:]
    return f": {said}" if said else ""
