"""
What a read-back is worth, and when it is over.

A reply that did not come is looked for: the action is asked again and again until it can tell, or
until the time is over. "It did not happen" is an answer only once a request that left cannot be
under way any more; until then it says no more than "not yet".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from drctl.actions.contract import CannotTell, Done, NotDone
from drctl.kernel import failpoints
from drctl.kernel.clock import Clock, Deadline

LOOK_EVERY_S = 2.0
"""Between two read-backs that cannot tell."""
RESUMED = timedelta(seconds=30)
"""How long the read-back of a resumed run may take at least."""
SPARE = timedelta(seconds=1.5)
"""What a read-back gets beyond the step's deadline: control is to be back within two seconds of
it."""
LATE_S = 20.0
"""How long a request that was given up may still be under way, and then take effect."""

Answer: TypeAlias = Done[Any] | NotDone | CannotTell


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The last answer, and whether it is the end of the matter."""

    answer: Answer
    is_final: bool

    def __str__(self) -> str:
        if isinstance(self.answer, Done):
            return "it is there"
        if isinstance(self.answer, NotDone) and not self.is_final:
            return f"{self.answer.why}; a request that left may still arrive"
        return self.answer.why


def within_step(clock: Clock, deadline: Deadline) -> Deadline:
    """The rest of the step's time, and a little when there is none."""
    return max(deadline, Deadline.after(clock, SPARE), key=lambda one: one.at_s)


async def read_back(
    look: Callable[[], Awaitable[Answer]],
    *,
    clock: Clock,
    deadline: Deadline,
    say: Callable[[str], None],
    late_s: float,
    may_repeat: bool,
) -> Reading:
    """
    Looks until the answer is final, or *deadline* comes: "modifying" becomes an answer in time.

    Args:
        late_s: How long from now a request that left may still arrive; 0 when none left.
        may_repeat: That only repeating it tells is an answer.
    """
    believed = Deadline.after(clock, timedelta(seconds=late_s))
    say("looking whether it happened")
    while True:
        answer = await look()
        is_final = isinstance(answer, Done)
        if isinstance(answer, NotDone):
            is_final = believed.has_passed(clock)
        elif isinstance(answer, CannotTell):
            is_final = may_repeat and answer.again_tells
        reading = Reading(answer=answer, is_final=is_final)
        if is_final or deadline.left_s(clock) <= LOOK_EVERY_S:
            return reading
        say(f"cannot tell yet: {reading}")
        failpoints.hit("effect.look_again")
        await clock.sleep(LOOK_EVERY_S)
