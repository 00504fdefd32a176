"""Finds the adapters that are installed. Importing them imports no vendor SDK."""

import asyncio
import hashlib
import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeAlias

from drctl.actions.cell import AnyStore
from drctl.actions.check import AnyCheck
from drctl.actions.contract import Action, Adapter
from drctl.actions.late import Several, Thing, by_name, each_of, names_of
from drctl.actions.pin import Pin
from drctl.kernel.errors import InvalidError, Problem

AnyAction: TypeAlias = Action[Any, Any, Any]

GROUP = "drctl.actions"


class Registry:
    """
    What all adapters have, by name. Built once a process, by `app.compose` or by a test. An action
    is imported when it is asked for, so asking for names costs nothing.

    Raises:
        InvalidError: Two adapters offer an action of the same name.
    """

    def __init__(self, adapters: Iterable[Adapter]) -> None:
        self._adapters = tuple(adapters)
        self._actions = _offered("action", (adapter.actions for adapter in self._adapters))

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """Identities that can be read, in order."""
        return tuple(pin for adapter in self._adapters for pin in each_of(adapter.pins))

    @cached_property
    def libraries(self) -> Mapping[str, tuple[str, ...]]:
        """Heavy modules by the name of the action or check that needs them."""
        found: dict[str, tuple[str, ...]] = {}
        for adapter in self._adapters:
            found |= dict.fromkeys(names_of(adapter.checks), adapter.libraries)
            found |= dict.fromkeys(names_of(adapter.actions), adapter.libraries)
        return found

    @cached_property
    def _stores(self) -> Mapping[str, Mapping[str, AnyStore]]:
        return _offered("store", (adapter.stores for adapter in self._adapters))

    @property
    def stores(self) -> tuple[str, ...]:
        """Names of places for leases, sorted."""
        return tuple(sorted(self._stores))

    def store(self, name: str) -> AnyStore | None:
        """The place for leases that an environment calls so, if it is installed."""
        return self._stores[name][name] if name in self._stores else None

    @cached_property
    def checks(self) -> tuple[AnyCheck, ...]:
        """Prerequisites that can be looked at."""
        return tuple(check for adapter in self._adapters for check in each_of(adapter.checks))

    def get(self, name: str) -> AnyAction | None:
        """The action of that name, if it is installed."""
        return self._actions[name][name] if name in self._actions else None

    async def ready(self, names: Iterable[str]) -> None:
        """
        Imports the heavy libraries of these actions, one after the other. Before any deadline runs:
        an import takes a second on a busy machine; and some break when threads race for them.
        """
        wanted = {module for name in names for module in self.libraries.get(name, ())}
        for module in sorted(wanted):
            await asyncio.to_thread(importlib.import_module, module)

    def code(self, name: str) -> str:
        """
        SHA-256 of the file that an action's class is written in, as it is on disk now; empty when
        there is no such action or file. What it imports is not in it: the plan names the version.
        """
        action = self.get(name)
        file = getattr(sys.modules.get(type(action).__module__), "__file__", None)
        try:
            return "" if action is None or file is None else _sha256(file)
        except OSError:
            return ""

    def __iter__(self) -> Iterator[AnyAction]:
        return iter(self._actions[name][name] for name in self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._actions))


def _offered(what: str, offers: Iterable[Several[Thing]]) -> Mapping[str, Mapping[str, Thing]]:
    """By name, where to ask for it; nothing is imported."""
    found: dict[str, Mapping[str, Thing]] = {}
    for things in offers:
        place = by_name(things)
        for name in names_of(things):
            if name in found:
                problem = Problem(
                    code="DR5006",
                    what=f'two installed adapters offer the {what} "{name}"',
                    do="uninstall one of them",
                )
                raise InvalidError((problem,))
            found[name] = place
    return found


def _sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def installed() -> Registry:
    """Finds every adapter of the entry-point group ``drctl.actions``, ours included."""
    found = sorted(entry_points(group=GROUP), key=lambda e: e.name)
    return Registry(entry.load() for entry in found)
