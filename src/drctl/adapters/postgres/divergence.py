"""What an old primary has that the new one has not: where they parted, and what came after."""

import re
from dataclasses import dataclass

from drctl.actions.errors import Rejected
from drctl.adapters import _candidate, _candidate_look, _sql
from drctl.adapters._witness import lsn_to_int
from drctl.adapters.postgres.programs import Control, Programs

_COMMIT = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+), .*desc: COMMIT (?:PREPARED )?(\S+ \S+ \S+)")
_CLEAN = {"shut down", "shut down in recovery"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """From the new primary's history and the old one's own WAL."""

    fork_lsn: str
    """Where the new primary left the old one's timeline; empty: they are on the same."""
    commits: int | None
    """After the fork, on the old side only; ``None``: its WAL does not tell."""
    said: str
    """One sentence for a person."""


async def look_up(access_label: str, connection: _sql.Connection) -> _candidate.Seen:
    """
    Looks at the server that shall be followed.

    Raises:
        Rejected: It is a standby.
    """
    seen = await _candidate_look.read(connection)
    if seen.is_in_recovery:
        raise Rejected(f"{access_label} is a standby; a server rejoins a primary")
    return seen


async def measure(programs: Programs, control: Control, primary: _candidate.Seen) -> Divergence:
    """
    Reads the WAL of a server that does not run.

    Raises:
        Rejected: Its timeline is no ancestor of the primary's.
        ActionError: The machine did not answer.
    """
    if control.timeline == primary.timeline:
        if "recovery" not in control.state:
            raise Rejected(
                f"{programs.data} was a primary on timeline {control.timeline}, as the primary is:"
                " nothing shows where they parted"
            )
        return Divergence(fork_lsn="", commits=0, said="it never left the primary's timeline")
    fork = _candidate.left_timeline_at(primary.history, control.timeline)
    if fork is None:
        raise Rejected(
            f"{programs.data} is on timeline {control.timeline}, and the primary's timeline"
            f" {primary.timeline} does not come from there"
        )
    if control.state in _CLEAN and lsn_to_int(control.checkpoint_lsn) < lsn_to_int(fork):
        return Divergence(fork_lsn=fork, commits=0, said=f"it ended cleanly before {fork}")
    return await _commits_after(programs, control, fork)


async def _commits_after(programs: Programs, control: Control, fork: str) -> Divergence:
    # It reads until the first record that is not valid, which is the end of the WAL.
    ran = await programs.read(
        *programs.postgres("pg_waldump", "-p", f"{programs.data}/pg_wal"),
        *("-t", str(control.timeline), "-s", fork, "-r", "Transaction"),
        may_fail=True,
    )
    found = _COMMIT.findall(ran.out)
    if "could not find file" in ran.err or "could not open file" in ran.err:
        return Divergence(
            fork_lsn=fork, commits=None, said=f"its WAL after {fork} is gone: {ran.said}"
        )
    if not found:
        return Divergence(fork_lsn=fork, commits=0, said=f"it committed nothing after {fork}")
    first, last = found[0][1], found[-1][1]
    said = f"it committed {len(found)} transaction(s) after {fork}, from {first} to {last}"
    return Divergence(fork_lsn=fork, commits=len(found), said=said)
