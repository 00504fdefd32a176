"""What scaling is, whatever is scaled: the number before, the wait, and what is owed afterwards."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from pydantic import Field

from drctl.actions.contract import Cleared, Context, Debt, Outputs, Params
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import Target

FIRST_PAUSE_S, LAST_PAUSE_S = 0.3, 5.0
ONE_LOOK = timedelta(seconds=5)


class DesiredParams(Params):
    """How many."""

    desired: int = Field(ge=1, le=1000)
    """At least one: taking the last one away is not scaling."""


class Scaled(Outputs):
    """Before and after."""

    previous_desired: int | None
    """As the plan saw it, so that an attempt more does not take an earlier one's for it; ``None``
    when nobody looked, and it was only read back later that the scaling had happened."""
    desired: int
    running: int
    """As they were last seen."""


class Sized(Protocol):
    """Something of a number, as it was just described."""

    @property
    def desired(self) -> int:
        """How many it shall have."""

    @property
    def running(self) -> int:
        """How many of them serve."""

    @property
    def is_steady(self) -> bool:
        """True when it has as many as it shall, none on the way in or out."""


S = TypeVar("S", bound=Sized)


def before(ctx: Context, now: int | None = None) -> int | None:
    """How many it had before this step, as far as is known; *now* where nobody looked."""
    seen = (ctx.seen or {}).get("desired")
    return seen if isinstance(seen, int) else now


async def until_steady(
    ctx: Context,
    look: Callable[[timedelta], Awaitable[S]],
    *,
    desired: int,
    label: str,
    old: int | None,
) -> S:
    """
    Looks until as many run as were asked for.

    Args:
        look: Describes it; given how long a read may be repeated.
        old: The number from which a change was asked for, so that silence leaves its end unknown,
            and this number says only that it is not seen yet. ``None``: nothing was sent.

    Raises:
        Conflict: Something else set another number meanwhile.
        OutcomeUnknown: Sent, and not seen to end by the deadline.
        Unavailable: The same, when nothing was sent.
    """
    late = Unavailable if old is None else OutcomeUnknown
    pause_s, last = FIRST_PAUSE_S, "it was not looked at"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            seen = await look(timedelta())
        except (Throttled, Unavailable) as error:
            last = str(error)
        except NotFound as error:
            raise Conflict(f"{label} is gone: {error}") from error
        except ActionError as error:
            raise late(f"it could not be looked at any more: {error}") from error
        else:
            if seen.desired not in {desired, old}:
                raise Conflict(f"{label} was set to {seen.desired} by something else")
            if seen.desired == desired and seen.is_steady:
                return seen
            last = f"{label}: {seen.running} of {desired} run"
            if seen.desired == desired:
                old = None  # from now on the old number is somebody's
            else:
                last = f"{label} still shall have {old}"
            ctx.say(last)
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_PAUSE_S, pause_s * 1.5)
    raise late(last)


def debts(target: Target, outputs: Scaled) -> tuple[Debt | Cleared, ...]:
    """
    More than before is owed, under the number before; that many again, or fewer, pays it.

    What was scaled from 4 to 20 and then to 18 is still owed: only 4 pays what began at 4.
    """
    number, old = outputs.desired, outputs.previous_desired
    if old is None:
        return ()
    key = f"scaled:{target.identities[0]}"
    if number <= old:
        return tuple(Cleared(key=f"{key}:{begun}") for begun in range(number, old + 1))
    what = f"{target.label} has {number} instead of {old}"
    remedy = (
        f"scale it back to {old} once the traffic is as usual, and give its template the number"
    )
    return (Debt(key=f"{key}:{old}", what=what, remedy=remedy),)
