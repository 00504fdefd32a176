"""A moment to restore to: never without its offset, never one that nobody can go back to."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from drctl.kernel.duration import format_duration


def parse(value: str) -> datetime:
    """
    Reads a moment.

    Raises:
        ValueError: It is no time, or one without an offset.
    """
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(
            f"{value!r} is no time: write it as 2026-11-22T14:03:00Z or 2026-11-22T15:03:00+01:00"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(
            f"{value} says no offset, so it is another moment in every time zone: write"
            f" {moment.isoformat()}Z for UTC, or {moment.isoformat()}+01:00"
        )
    return moment


def _checked(value: str) -> str:
    parse(value)
    return value


Moment: TypeAlias = Annotated[str, AfterValidator(_checked)]
"""A time with its offset, as ``2026-11-22T14:03:00Z``."""


def refusal(
    moment: datetime, earliest: datetime | None, latest: datetime | None, now: datetime
) -> str | None:
    """Why a moment cannot be restored, with the numbers; ``None`` when it can. Pure."""
    if moment > now:
        return f"{text(moment)} is in the future: {_apart(now, moment)} from now ({text(now)})"
    if earliest is None or latest is None:
        return "there is no finished backup yet: nothing can be restored"
    if moment < earliest:
        return (
            f"{text(moment)} is before the window: the earliest restorable time is"
            f" {text(earliest)}, {_apart(moment, earliest)} later"
        )
    if moment > latest:
        return (
            f"{text(moment)} is too new: the latest restorable time is {text(latest)},"
            f" {_apart(latest, moment)} before it; ask again later"
        )
    return None


def text(moment: datetime) -> str:
    """A moment as a person reads it beside another one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _apart(earlier: datetime, later: datetime) -> str:
    return format_duration(timedelta(seconds=max(1, round((later - earlier).total_seconds()))))
