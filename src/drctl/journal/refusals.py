"""What a person is told who cannot have a lease, or has lost one: who, where, what, what to do."""

from collections.abc import Sequence
from datetime import datetime

from drctl.journal.book import Book, Ended, Holder, age_s, same
from drctl.kernel.clock import Instant
from drctl.kernel.duration import format_duration
from drctl.kernel.errors import Problem

UNCHANGED = "nothing was changed by this command"


def held(
    wanted: Sequence[str],
    other: Holder,
    where: str,
    now: Instant,
    *,
    is_here: bool,
    environment: str,
) -> Problem:
    """Another run has something of what this one wants."""
    standing = "is live" if other.is_live else f"is not live ({other.state})"
    on = "" if is_here else f"on {other.host}: "
    leave = f'drctl lease break --run {other.run} -e {environment} --reason "WHY"'
    return Problem(
        code="DR3501",
        what=f"run {other.run} of {other.operator} on {other.host} has these targets",
        at=where,
        why=f"in common: {', '.join(same(wanted, other.identities))}; taken "
        f"{_age(other.taken_at, now)}; the run {standing} as far as the lease says",
        now=UNCHANGED,
        do=f"{on}drctl resume {other.run}   or, when its process is dead and nobody will go on "
        f"with it: {leave}",
    )


def live(mine: Holder, where: str) -> Problem:
    """The same run is live in another process."""
    return Problem(
        code="DR3502",
        what=f"run {mine.run} is live on {mine.host} (pid {mine.pid}): it renews its lease",
        at=where,
        now=UNCHANGED,
        do=f"on {mine.host}: drctl runs show {mine.run}",
    )


def over(end: Ended, where: str) -> Problem:
    """The run has reached its end, and the record here does not know it."""
    return Problem(
        code="DR3508",
        what=f"run {end.run} {end.what} elsewhere, at {end.wall}: the record here is an old copy",
        at=where,
        now=UNCHANGED,
        do="look at the run where it ended",
    )


def cooling(ended: Ended, book: Book, within_s: float, now: Instant) -> Problem:
    """The same targets were failed over a short while ago."""
    ago_s = age_s(ended, book, now)
    return Problem(
        code="DR3503",
        what=f"run {ended.run} failed these targets over {format_duration(ago_s)} ago; "
        f"the cool-down is {format_duration(within_s)}",
        at=", ".join(ended.identities),
        why=f"it ended {ended.what} at {ended.wall}; going back and forth has cost more data than "
        "the outages that it answered",
        now=UNCHANGED,
        do=f"drctl runs show {ended.run}   and, if it must be: add --again --reason "
        '"WHY THE FIRST ONE WAS NOT ENOUGH"',
    )


def unreachable(where: str, why: str) -> Problem:
    """Nobody can say who has the targets."""
    return Problem(
        code="DR3504",
        what="the store of leases does not answer, so nobody can say who else is at work",
        at=where,
        why=why,
        now=UNCHANGED,
        do="check that it can be reached from here; the environment file says where it is (lease:)",
    )


def unreadable(where: str, why: str) -> Problem:
    """Something else is there."""
    return Problem(
        code="DR3505",
        what="what the store of leases holds is no book of leases",
        at=where,
        why=why,
        now="it was not written over",
        do="check lease: in the environment file; a newer drctl may have written it",
    )


def absent(run: str, where: str) -> Problem:
    """There is nothing to break."""
    return Problem(
        code="DR3506",
        what=f"run {run} holds no lease",
        at=where,
        now=UNCHANGED,
        do="drctl lease list -e ENV",
    )


def alive(holder: Holder, where: str) -> Problem:
    """It must not be broken."""
    return Problem(
        code="DR3507",
        what=f"run {holder.run} lives on {holder.host} (pid {holder.pid}): it has renewed its lease"
        " while it was watched",
        at=where,
        now=UNCHANGED,
        do=f"end it first: on {holder.host}, interrupt the process {holder.pid}",
    )


def taken_away(run: str, book: Book) -> str:
    """Why a run has lost its lease for good, in a few words."""
    mine = book.of(run)
    if mine is not None:
        return f"another process of this run has it: pid {mine.pid} on {mine.host}"
    broken = next((one for one in reversed(book.recent) if one.run == run), None)
    return f"it was {broken.what}" if broken else "it is not in the book any more"


def _age(taken_at: str, now: Instant) -> str:
    try:
        seconds = (now.wall - datetime.fromisoformat(taken_at)).total_seconds()
    except (ValueError, TypeError):
        return f"at {taken_at}"
    # Two machines' clocks: less than nothing is "just now", and never more than a label.
    return f"{format_duration(max(0.0, seconds))} ago"
