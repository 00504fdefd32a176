"""A runbook as a plan of no environment, for rules that need none."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from drctl.actions.targets import Target
from drctl.config.environment import Environment

_NOTHING_KNOWN = Target()


class _AnyName(Mapping[str, Target]):
    """Has whatever is asked for, and knows nothing of it."""

    def __getitem__(self, name: str) -> Target:
        return _NOTHING_KNOWN

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def nowhere() -> Environment:
    """An environment in which every name is a target of which nothing is known."""
    return Environment(
        name="",
        title="",
        file=Path(),
        sha256="",
        world="lab",
        protected=False,
        targets=_AnyName(),
    )
