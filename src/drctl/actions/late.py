"""What an adapter has, by name, each imported when it is asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, Protocol, TypeAlias, TypeVar


class Named(Protocol):
    """An action, a pin, a store, a check."""

    @property
    def name(self) -> str:
        """As runbooks and environments write it."""


Thing = TypeVar("Thing", bound=Named)


class Late(Mapping[str, Thing], Generic[Thing]):
    """
    Things by their names. An adapter has thirty actions, and a runbook uses three: importing all
    of them takes longer than reading the runbook.

    Args:
        package: Whose they are: ``drctl.adapters.http``.
        where: By name, the module in *package* and the class in it: ``probe:Probe``. The class
            takes no arguments.
    """

    def __init__(self, package: str, where: Mapping[str, str]) -> None:
        self._package = package
        self._where = where
        self._made: dict[str, Thing] = {}

    def __getitem__(self, name: str) -> Thing:
        """
        Imports it the first time, and is the same object each time.

        Raises:
            KeyError: There is none of that name.
            TypeError: What is there says that it has another name.
        """
        if name not in self._made:
            module, _, attribute = self._where[name].partition(":")
            made = getattr(import_module(f"{self._package}.{module}"), attribute)()
            if made.name != name:
                raise TypeError(f'{self._package}: "{name}" is declared, and says "{made.name}"')
            self._made[name] = made
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


Several: TypeAlias = tuple[Thing, ...] | Mapping[str, Thing]


def names_of(things: Several[Thing]) -> Iterator[str]:
    """Their names in their order, without importing any."""
    return iter(things) if isinstance(things, Mapping) else (one.name for one in things)


def each_of(things: Several[Thing]) -> Iterator[Thing]:
    """All of them in their order, imported."""
    return iter(things.values() if isinstance(things, Mapping) else things)


def by_name(things: Several[Thing]) -> Mapping[str, Thing]:
    """To be asked by name."""
    return things if isinstance(things, Mapping) else {one.name: one for one in things}
