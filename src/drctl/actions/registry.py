"""Finds the adapters that are installed. Importing them imports no vendor SDK."""

import asyncio
import hashlib
import importlib
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeAlias

from drctl.actions.cell import AnyStore
from drctl.actions.check import AnyCheck
from drctl.actions.contract import Action, Adapter
from drctl.actions.pin import Pin
from drctl.kernel.errors import InvalidError, Problem

AnyAction: TypeAlias = Action[Any, Any, Any]

GROUP = "drctl.actions"


class Registry:
    """Actions by name, pins in order. Built once a process, by `app.compose` or by a test."""

    def __init__(self, adapters: Iterable[Adapter]) -> None:
        self.pins: tuple[Pin, ...] = ()
        self.libraries: dict[str, tuple[str, ...]] = {}
        """Heavy modules by action name."""
        self.stores: dict[str, AnyStore] = {}
        """Places for leases by the name that an environment gives them."""
        self.checks: tuple[AnyCheck, ...] = ()
        """Prerequisites that can be looked at."""
        self._actions: dict[str, AnyAction] = {}
        for adapter in adapters:
            self.pins += adapter.pins
            self.stores |= {store.name: store for store in adapter.stores}
            self.checks += adapter.checks
            for check in adapter.checks:
                self.libraries[check.name] = adapter.libraries
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
                self.libraries[action.name] = adapter.libraries

    def get(self, name: str) -> AnyAction | None:
        """The action of that name, if it is installed."""
        return self._actions.get(name)

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
        action = self._actions.get(name)
        file = getattr(sys.modules.get(type(action).__module__), "__file__", None)
        try:
            return "" if action is None or file is None else _sha256(file)
        except OSError:
            return ""

    def __iter__(self) -> Iterator[AnyAction]:
        return iter(sorted(self._actions.values(), key=lambda action: action.name))

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._actions))


def _sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def installed() -> Registry:
    """Loads every adapter of the entry-point group ``drctl.actions``, ours included."""
    return Registry(
        entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)
    )
