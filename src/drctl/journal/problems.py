"""What is said when a run's record cannot be used."""

from pathlib import Path

from drctl.kernel.errors import JournalError, Problem


def cannot(what: str, error: Exception | None) -> JournalError:
    """The record cannot be read or written, in the system's words when there are any."""
    problem = Problem(
        code="DR4003",
        what=what,
        why=str(error) if error else None,
        now="nothing is sent that is not on disk first",
        do=getattr(error, "do", None),
    )
    return JournalError((problem,))


def lost(run: Path) -> JournalError:
    """The run is not ours any more."""
    problem = Problem(
        code="DR4002",
        what=f"run {run.name} is no longer ours: its folder is gone or another process has it",
        now="nothing further was sent by this process",
        do="drctl runs list   (shows who runs it now)",
    )
    return JournalError((problem,))


def live(run: Path) -> JournalError:
    """Another process has the run."""
    problem = Problem(
        code="DR3001",
        what=f"run {run.name} is live in another process",
        do=f"drctl runs show {run.name}",
    )
    return JournalError((problem,))
