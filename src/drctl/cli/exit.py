"""Exit codes, and how errors are shown: the only place where drctl decides either."""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from drctl.kernel.errors import DrctlError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class Exit(IntEnum):
    """The same for every command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INVALID = 3
    CREDENTIALS = 4
    REFUSED = 5
    FAILED = 6
    PAUSED = 7
    MISSED = 8
    UNVERIFIED = 9
    UNKNOWN = 10
    INTERRUPTED = 130
    UNREAD = 141
    TERMINATED = 143


@contextmanager
def errors_shown() -> Iterator[None]:
    """
    Turns errors into five-part messages on stderr and the exit code that belongs to them.

    No traceback reaches a person unless DRCTL_DEBUG is set.
    """
    import asyncio

    from drctl.kernel import errors

    try:
        yield
        sys.stdout.flush()  # what cannot be written is found while it can be said
    except errors.DrctlError as error:
        _leave(error.problems, code_of(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo("interrupted", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise  # typer's own: it may bring a click of its own, so asking click would miss them
    except BrokenPipeError:
        # As in `drctl … | head`: nobody reads any more, and nothing is wrong.
        _give_up_stdout()
        raise typer.Exit(Exit.UNREAD) from None
    except Exception as error:
        if os.environ.get("DRCTL_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            try:
                sys.stdout.flush()
            except OSError:
                _give_up_stdout()
            what = f"what was to be written could not be: {error.strerror}"
            do = "make room, or write somewhere else; what a run did is in its record: drctl status"
            _leave((errors.Problem(code="DR9002", what=what, do=do),), Exit.BUG)
        what = f"a bug in drctl: {type(error).__name__}: {error}"
        problem = errors.Problem(
            code="DR9001", what=what, do="DRCTL_DEBUG=1 shows where; please report it"
        )
        _leave((problem,), Exit.BUG)


def _give_up_stdout() -> None:
    """What is left of it goes nowhere: at the exit the interpreter would try again, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def code_of(error: "DrctlError") -> Exit:
    """The exit code that belongs to an error."""
    from drctl.kernel import errors

    if isinstance(error, errors.BrokenOffError):
        return Exit.FAILED if error.is_known else Exit.UNKNOWN
    codes: dict[type[errors.DrctlError], Exit] = {
        errors.InvalidError: Exit.INVALID,
        errors.CredentialsError: Exit.CREDENTIALS,
        errors.RefusedError: Exit.REFUSED,
        errors.JournalError: Exit.UNVERIFIED,
    }
    return codes.get(type(error), Exit.BUG)


def _leave(problems: Sequence[object], code: Exit) -> NoReturn:
    show_problems(problems)
    raise typer.Exit(code)


def show_problems(problems: Sequence[object]) -> None:
    """Prints problems to stderr: one in five parts, several as a numbered list of the same."""
    from drctl.kernel.errors import Problem
    from drctl.kernel.text import sanitize

    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    known = [problem for problem in problems if isinstance(problem, Problem)]
    for number, problem in enumerate(known, start=1):
        count = f"{number}. " if len(known) > 1 else ""
        head = typer.style(f"{count}error {problem.code}:", fg="red", bold=True, reset=color)
        typer.echo(
            f"{head if color else f'{count}error {problem.code}:'} {sanitize(problem.what)}",
            err=True,
        )
        parts = (("at", problem.at), ("why", problem.why), ("now", problem.now), ("do", problem.do))
        for word, text in parts:
            if text is not None:
                typer.echo(f"  {word:<4} {sanitize(str(text), keep_lines=True)}", err=True)
    if len(known) > 1:
        typer.echo(f"{len(known)} problems", err=True)
