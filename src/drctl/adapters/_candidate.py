"""
Whether a standby may become the primary: what is asked of it, and what speaks against it.

Problem: the standby that happens to answer at an address may be another cluster's, may have been
promoted by somebody and turned back, may follow another standby, may have stopped replaying, may
have less than its neighbour; each of them promotes without complaint. Invariant: a candidate is fit
only when nothing that was read speaks against it *and* what must be known is known. What is not
known (which system, which timeline, what a silent neighbour has) speaks against it.

A timeline's number is not its name: two standbys of timeline 1 that are both promoted are both on
timeline 2. So a higher number counts as a descendant only when its history file shows that it left
the primary's timeline at or after the position at which the primary was last seen; and a candidate
that claims to be past that position must have what the observer wrote before it.

Not promised: to tell two forks of the same number apart when neither history can be read nor an
observer's row; to see a standby that is in no environment file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drctl.adapters._witness import Missing, Sighting, lsn_to_int

MOST_UNREPLAYED_BYTES = 16 * 1024 * 1024
"""One segment: more would keep the promotion, and everybody, waiting for a time nobody knows."""
_SLACK_BEATS = 1
"""A beat may be acknowledged before it is in the WAL, when commits are asynchronous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a candidate or at its neighbour."""

    system_identifier: str
    is_in_recovery: bool
    timeline: int
    receive_lsn: str | None
    replay_lsn: str | None
    is_paused: bool
    apply_delay: str
    is_receiving: bool
    upstream: tuple[str, int] | None
    """Whom it follows, or would; ``None`` when our role may not see it."""
    history: str | None = None
    """Of its timeline; ``None`` when our role may not read it."""
    is_beginning: bool = False
    """A receiver is there that has received nothing yet: it is new, or will be refused."""
    beat: int | None = None
    """The number of the observer's last row that it has; ``None`` when that cannot be read."""

    @property
    def has(self) -> int:
        """The end of what a promotion would keep, in bytes: what was received is replayed first."""
        ends = [lsn_to_int(lsn) for lsn in (self.receive_lsn, self.replay_lsn) if lsn]
        return max(ends, default=0)

    @property
    def unreplayed_bytes(self) -> int:
        """Received, and not replayed."""
        return self.has - lsn_to_int(self.replay_lsn) if self.replay_lsn else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What others say."""

    system_identifier: str | None
    """Pinned by the environment."""
    sighting: Sighting | Missing
    from_timeline: int | None
    """The primary's, as the runbook says it."""
    neighbours: tuple[tuple[str, Seen | Missing], ...]
    """Other standbys, by address."""
    accepts_silence: bool
    """Whether a neighbour that does not answer may be left out of account."""
    upstream: Seen | Missing
    """The server that the candidate follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One reason against a candidate."""

    why: str
    may_pass: bool = False
    """True when waiting may mend it."""


def position(seen: Seen) -> str:
    """The end of what a promotion would keep, as PostgreSQL writes it."""
    return f"{seen.has >> 32:X}/{seen.has & 0xFFFFFFFF:X}"


def lasting(against: Sequence[Objection]) -> list[str]:
    """The objections that waiting does not mend, for a plan."""
    return [one.why for one in against if not one.may_pass]


def objections(seen: Seen, evidence: Evidence) -> tuple[Objection, ...]:
    """Everything that speaks against promoting it; empty: it is fit. Pure."""
    return (
        *_identity(seen, evidence),
        *_lineage(seen, evidence),
        *(_standby(seen, evidence) if seen.is_in_recovery else ()),
    )


def _identity(seen: Seen, evidence: Evidence) -> Iterator[Objection]:
    sighting = evidence.sighting
    watched = None if isinstance(sighting, Missing) else sighting.system_identifier
    known = {one for one in (evidence.system_identifier, watched) if one is not None}
    if not known:
        yield Objection(why="nothing says which system it must be: pin its system_identifier")
    for wanted in sorted(known - {seen.system_identifier}):
        yield Objection(why=f"it is system {seen.system_identifier}, not {wanted}")


def _lineage(seen: Seen, evidence: Evidence) -> Iterator[Objection]:
    """Timeline and history against the primary's, as somebody else saw them."""
    sighting = evidence.sighting
    timeline = evidence.from_timeline
    lsn = None
    if not isinstance(sighting, Missing) and sighting.timeline is not None:
        if timeline is not None and timeline != sighting.timeline:
            yield Objection(
                why=f"the witness saw the primary on timeline {sighting.timeline}, not {timeline}"
            )
        timeline, lsn = sighting.timeline, sighting.lsn
        yield from _contradiction(seen, sighting)
    if timeline is None:
        why = sighting.why if isinstance(sighting, Missing) else "the witness never saw it"
        yield Objection(why=f"nothing says which timeline the primary was on ({why})")
    elif seen.timeline < timeline:
        yield Objection(why=f"it is on timeline {seen.timeline}, the primary was on {timeline}")
    elif seen.timeline > timeline:
        has_last_beat = not isinstance(sighting, Missing) and _has_last_beat(seen, sighting)
        yield from _descent(seen, timeline, lsn, has_last_beat=has_last_beat)
    elif not seen.is_in_recovery:
        yield Objection(why=f"it is a primary already, on the old primary's timeline {timeline}")


def _contradiction(seen: Seen, sighting: Sighting) -> Iterator[Objection]:
    """Who is past a position has what was written before it, or has another history."""
    if None in (seen.beat, sighting.seq, sighting.lsn) or seen.replay_lsn is None:
        return
    missing = (sighting.seq or 0) - (seen.beat or 0)
    is_past = lsn_to_int(seen.replay_lsn) >= lsn_to_int(sighting.lsn or "0/0")
    if is_past and missing > _SLACK_BEATS:
        yield Objection(
            why=f"it is past {sighting.lsn} and lacks {missing} beats that the witness wrote before"
            " it: it has another history"
        )


def _has_last_beat(seen: Seen, sighting: Sighting) -> bool:
    return None not in (seen.beat, sighting.seq) and (seen.beat or 0) >= (sighting.seq or 0)


def _descent(
    seen: Seen, timeline: int, lsn: str | None, *, has_last_beat: bool
) -> Iterator[Objection]:
    role = "standby" if seen.is_in_recovery else "primary already"
    head = f"it is a {role}, on timeline {seen.timeline}; the primary was on {timeline}"
    left_at = left_timeline_at(seen.history, timeline)
    if seen.history is None and has_last_beat and not seen.is_in_recovery:
        return  # it cannot be a fork that was made before the witness's last row
    if left_at is None or lsn is None:
        yield Objection(why=f"{head}, and nothing shows that it comes from there")
    elif lsn_to_int(left_at) < lsn_to_int(lsn):
        yield Objection(why=f"{head}: it forked off at {left_at}, before {lsn}")


def left_timeline_at(history: str | None, timeline: int) -> str | None:
    r"""
    Where a history left a timeline; ``None`` when it never was on it, or cannot be read.

    Example:
        >>> left_timeline_at("1\t0/3000148\tno recovery target specified\n", 1)
        '0/3000148'
    """
    for line in (history or "").splitlines():
        fields = line.split("\t")
        if len(fields) > 1 and fields[0].strip() == str(timeline):
            return fields[1].strip()
    return None


def _standby(seen: Seen, evidence: Evidence) -> Iterator[Objection]:
    if seen.is_paused:
        yield Objection(why="its replay is paused")
    if seen.apply_delay != "0":
        yield Objection(why=f"its replay is delayed by {seen.apply_delay}")
    elif seen.unreplayed_bytes > MOST_UNREPLAYED_BYTES:
        yield Objection(
            why=f"it has {seen.unreplayed_bytes} bytes that are received and not replayed",
            may_pass=True,
        )
    yield from _upstream(seen, evidence)
    for name, neighbour in evidence.neighbours:
        yield from _neighbour(seen, name, neighbour, accepts_silence=evidence.accepts_silence)


def _upstream(seen: Seen, evidence: Evidence) -> Iterator[Objection]:
    upstream = evidence.upstream
    where = "{}:{}".format(*seen.upstream) if seen.upstream else "somebody"
    if not isinstance(upstream, Missing) and upstream.is_in_recovery:
        yield Objection(why=f"it follows {where}, which is a standby itself")
    elif where in dict(evidence.neighbours):
        yield Objection(why=f"it follows {where}, another standby")
    elif not isinstance(upstream, Missing) and not seen.is_receiving:
        # A dead upstream explains the silence, and the loss bound covers it.
        why = f"it is disconnected from WAL: {where} answers, and sends it nothing"
        yield Objection(why=why, may_pass=seen.is_beginning)


def _neighbour(
    seen: Seen, name: str, neighbour: Seen | Missing, *, accepts_silence: bool
) -> Iterator[Objection]:
    if isinstance(neighbour, Missing):
        if not accepts_silence:
            yield Objection(why=f"what {name} has is not known, it may be more ({neighbour.why})")
    elif neighbour.system_identifier != seen.system_identifier:
        yield Objection(why=f"{name} is system {neighbour.system_identifier}, no sibling")
    elif not neighbour.is_in_recovery:
        yield Objection(why=f"{name} is a primary already")
    elif neighbour.timeline != seen.timeline:
        yield Objection(
            why=f"{name} is on timeline {neighbour.timeline}, this one on {seen.timeline}"
        )
    elif neighbour.has > seen.has:
        yield Objection(
            why=f"{name} has {neighbour.has - seen.has} bytes more", may_pass=seen.is_receiving
        )
