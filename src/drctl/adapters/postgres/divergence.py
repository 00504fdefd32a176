"""What an old primary has that the new one has not: where they parted, and what came after."""

import re
from dataclasses import dataclass

from drctl.actions.errors import Rejected
from drctl.adapters import _candidate, _candidate_look, _host, _sql
from drctl.adapters._witness import lsn_to_int
from drctl.adapters.postgres.programs import Control, Programs

_COMMIT = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+), .*desc: COMMIT (?:PREPARED )?(\S+ \S+ \S+)")
_SWITCH = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+), .*desc: SWITCH\b")
_NO_FILE = re.compile(r'could not (?:find|open) file "(?:[^"]*/)?([0-9A-F]{24})"')
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
    ran = await _dump(programs, control, fork, "Transaction")
    found = _COMMIT.findall(ran.out)
    missing = _NO_FILE.search(ran.err)
    if missing is not None and not await _ends_before(programs, control, fork, missing[1]):
        return Divergence(
            fork_lsn=fork, commits=None, said=f"its WAL after {fork} is gone: {ran.said}"
        )
    if not found:
        return Divergence(fork_lsn=fork, commits=0, said=f"it committed nothing after {fork}")
    first, last = found[0][1], found[-1][1]
    said = f"it committed {len(found)} transaction(s) after {fork}, from {first} to {last}"
    return Divergence(fork_lsn=fork, commits=len(found), said=said)


async def _dump(programs: Programs, control: Control, start: str, kind: str) -> _host.Ran:
    return await programs.read(
        *programs.postgres("pg_waldump", "-p", f"{programs.data}/pg_wal"),
        *("-t", str(control.timeline), "-s", start, "-r", kind),
        may_fail=True,
    )


async def _ends_before(programs: Programs, control: Control, fork: str, file: str) -> bool:
    """
    Whether the WAL ends with a switch to that file, which nobody has begun: a primary that dies
    right after it has closed a file leaves none behind that says "here is the end". The fork may
    be that end, and the switch lie before it; what follows the checkpoint is there in any case,
    because a crash's recovery needs it.
    """
    start = min(control.checkpoint_lsn, fork, key=lsn_to_int)
    ran = await _dump(programs, control, start, "XLOG")
    switches = _SWITCH.findall(ran.out)
    if not switches:
        return False
    at = lsn_to_int(switches[-1]) // control.segment_bytes + 1
    files_in_4_gib = 2**32 // control.segment_bytes
    name = f"{control.timeline:08X}{at // files_in_4_gib:08X}{at % files_in_4_gib:08X}"
    return name == file
