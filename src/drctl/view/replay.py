"""A finished run told again, with the words it was told with while it happened."""

from collections.abc import Callable, Iterable

from drctl.engine.fold import fold
from drctl.engine.state import Record, State
from drctl.kernel.duration import format_duration
from drctl.plan.model import Plan
from drctl.view.lines import describe


def replay(
    plan: Plan, state: State, records: Iterable[Record], run: str, write: Callable[[str], None]
) -> None:
    """Writes one line per event that a person would have seen."""
    for record in records:
        state = fold(plan, state, record)
        text = describe(record.event, run)
        if text is not None:
            elapsed = format_duration(state.elapsed(record.at).seconds)
            write(f"{record.at.wall:%Y-%m-%d %H:%M:%S}Z +{elapsed:<7} {text}")
