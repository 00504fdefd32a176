"""Finds the adapters that are installed. Importing them imports no vendor SDK."""

import asyncio
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from drctl.actions.cell import AnyStore
from drctl.actions.check import AnyCheck
from drctl.actions.contract import Action, Adapter
from drctl.actions.pin import Pin
from drctl.kernel.errors import InvalidError, Problem

AnyAction: TypeAlias = Action[Any, Any, Any]

GROUP = "drctl.actions"
_OURS = "drctl.adapters."


class Registry:
    """
    Actions by name, pins in order. Built once a process, by `app.compose` or by a test.

    Args:
        adapters: Those that are there already.
        later: Those that are loaded when an action is asked for whose name begins so, or anything
            that all have: a runbook uses four of fourteen, and all of them are as much to import
            as everything else. No two of these offer the same action.

    Raises:
        InvalidError: Two adapters offer an action of the same name.
    """

    def __init__(
        self,
        adapters: Iterable[Adapter],
        later: Mapping[str, Callable[[], Adapter]] = MappingProxyType({}),
    ) -> None:
        self._given = tuple(adapters)
        self._later = later
        self._loaded: dict[str, Adapter] = {}
        self._actions: dict[str, AnyAction] = {}
        for adapter in self._given:
            self._take(adapter)

    def _take(self, adapter: Adapter) -> None:
        for action in adapter.actions:
            if action.name in self._actions:
                raise InvalidError(
                    (
                        Problem(
                            code="DR5006",
                            what=f'two installed adapters offer the action "{action.name}"',
                            do="uninstall one of them",
                        ),
                    )
                )
            self._actions[action.name] = action

    def _load(self, word: str) -> Adapter:
        if word not in self._loaded:
            self._loaded[word] = self._later[word]()
            self._take(self._loaded[word])
        return self._loaded[word]

    @cached_property
    def _adapters(self) -> tuple[Adapter, ...]:
        return (*self._given, *(self._load(word) for word in self._later))

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """Identities that can be read."""
        return tuple(pin for adapter in self._adapters for pin in adapter.pins)

    @cached_property
    def libraries(self) -> Mapping[str, tuple[str, ...]]:
        """Heavy modules by the name of the action or check that needs them."""
        found: dict[str, tuple[str, ...]] = {}
        for adapter in self._adapters:
            found |= {check.name: adapter.libraries for check in adapter.checks}
            found |= {action.name: adapter.libraries for action in adapter.actions}
        return found

    @cached_property
    def stores(self) -> Mapping[str, AnyStore]:
        """Places for leases by the name that an environment gives them."""
        return {store.name: store for adapter in self._adapters for store in adapter.stores}

    @cached_property
    def checks(self) -> tuple[AnyCheck, ...]:
        """Prerequisites that can be looked at."""
        return tuple(check for adapter in self._adapters for check in adapter.checks)

    def get(self, name: str) -> AnyAction | None:
        """The action of that name, if it is installed."""
        action = self._actions.get(name)
        if action is None and name and self._later:
            word = name.partition(".")[0]
            if word in self._later:
                self._load(word)
            action = self._actions.get(name) or self._every.get(name)
        return action

    @property
    def _every(self) -> Mapping[str, AnyAction]:
        """All actions, those included that nobody has asked for yet."""
        for word in self._later:
            self._load(word)
        return self._actions

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
        return iter(sorted(self._every.values(), key=lambda action: action.name))

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._every))


def _sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def installed() -> Registry:
    """Finds every adapter of the entry-point group ``drctl.actions``, ours included."""
    found = sorted(entry_points(group=GROUP), key=lambda e: e.name)
    if all(entry.value.startswith(_OURS) for entry in found):
        return Registry((), later={entry.name: entry.load for entry in found})
    # Somebody else's may offer an action of the same name as one of ours: that must come out.
    return Registry(entry.load() for entry in found)
