"""
The errors that reach a person, in five parts.

    DrctlError
    ├── InvalidError        text is wrong: runbook, inputs, environment
    ├── CredentialsError    who we are is wrong or unreadable
    ├── RefusedError        a guard said no before anything changed
    ├── JournalError        the record cannot be written or does not verify
    └── BrokenOffError      the record could not be written on after something had changed

Exceptions are for code; what they carry is data (`Problem`) that `cli` prints and counts.
"""

from dataclasses import dataclass, field


@dataclass(slots=True, order=True, unsafe_hash=True)
class Position:
    """
    A place in a text file; lines and columns count from one. Never changed once it is made: it is
    not frozen because there is one for each word of a file, and making a frozen one takes thrice
    as long.
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong, where, why in the other side's words, what the world is like, what to do."""

    code: str
    """Stable, ``DR1xxx`` runbook text, ``DR2xxx`` steps, ``DR3xxx`` gates and leases, ``DR4xxx``
    journal, ``DR5xxx`` environment and credentials, ``DR6xxx`` lint, ``DR9xxx`` bugs."""
    what: str
    at: Position | str | None = None
    why: str | None = None
    now: str | None = None
    do: str | None = None


@dataclass(eq=False)
class DrctlError(Exception):
    """Something a person must hear about; at least one problem."""

    problems: tuple[Problem, ...] = field(default=())

    def __str__(self) -> str:
        return "; ".join(f"{problem.code}: {problem.what}" for problem in self.problems)


class InvalidError(DrctlError):
    """The text of a runbook, an input or an environment is wrong."""


class CredentialsError(DrctlError):
    """A credential is missing, refused, or belongs to somebody else."""


class RefusedError(DrctlError):
    """A guard said no, and nothing had been changed."""


class JournalError(DrctlError):
    """The record of a run cannot be written, or does not verify."""


@dataclass(eq=False)
class BrokenOffError(DrctlError):
    """A run ended in the middle, because its record could not be written on."""

    is_known: bool = False
    """False while an effect was under way: nobody can say how it came out."""
