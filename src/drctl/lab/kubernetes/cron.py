"""When a CronJob is due: the five fields of cron, in UTC."""

from dataclasses import dataclass
from datetime import datetime

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


class BadSchedule(ValueError):
    """A text that is no schedule."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes, hours, days, months and weekdays at which it is due."""

    fields: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """
        Reads ``*/5 * * * *``: stars, numbers, ranges, steps and lists.

        Raises:
            BadSchedule: It is something else.
        """
        words = text.split()
        if len(words) != len(_BOUNDS):
            raise BadSchedule(f"expected exactly 5 fields, found {len(words)}: [{text}]")
        return cls(
            tuple(_field(word, *bounds) for word, bounds in zip(words, _BOUNDS, strict=True))
        )

    def is_due(self, at: datetime) -> bool:
        """True in the minutes of the schedule."""
        now = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7)
        return all(value in field for value, field in zip(now, self.fields, strict=True))


def _field(text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        try:
            if span == "*":
                begin, end = low, high
            else:
                begin = int(first)
                end = int(last) if last else high if step else begin
            stride = int(step) if step else 1
        except ValueError:
            raise BadSchedule(f"failed to parse {part!r}") from None
        if not low <= begin <= end <= high or stride < 1:
            raise BadSchedule(f"{part!r} is outside of {low} to {high}")
        found.update(range(begin, end + 1, stride))
    return frozenset(found)
