"""The AWS control planes of the lab's regions, one address each."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from drctl.lab.aws.front import Front, Scope
from drctl.lab.aws.gate import Gate, GatedServer
from drctl.lab.aws.s3_conditions import atomic_conditions
from drctl.lab.aws.services import refuse_unknown_services
from drctl.lab.plan import REGIONS, AddressPlan, Region, as_region

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Overlay = Callable[[], Callable[[], None] | None]
"""
Makes a service of the emulator strict or real. Called once, before the first
request, on empty state; what it returns is called when the plane stops, to
undo it.
"""

LAB_ACCESS_KEYS: Final = frozenset({"AKIALABLABLABLABLAB1"})


class AwsControlPlane:
    """
    Emulated AWS: every region at its own address, all on one account's state.

    The emulator keeps its state in module globals, so one process has one
    plane at a time.
    """

    def __init__(
        self,
        plan: AddressPlan,
        *,
        access_keys: Collection[str] = LAB_ACCESS_KEYS,
        overlays: Sequence[Overlay] = (),
        ledger: Path | None = None,
        forbids: Callable[[WSGIEnvironment, Scope], str | None] = lambda _environ, _scope: None,
    ) -> None:
        self._plan = plan
        self._forbids = forbids
        self._ledger = ledger
        self._access_keys = frozenset(access_keys)
        self._overlays = overlays
        self._undo: list[Callable[[], None]] = []
        self._gates: dict[Region, Gate] = {region: Gate() for region in REGIONS}
        self._servers: list[GatedServer] = []

    def start(self) -> None:
        """
        Installs the overlays on empty state and begins to serve.

        Returns at once; the servers run in threads.

        Raises:
            OSError: An address is in use.

        Changes:
            Starts threads; the emulator's state in this process begins anew.
        """
        _forget_everything()
        for overlay in self._overlays:
            undo = overlay()
            if undo is not None:
                self._undo.append(undo)
        # One dispatcher for all regions: it imports services on first use, under one lock.
        emulator = atomic_conditions(
            refuse_unknown_services(DomainDispatcherApplication(create_backend_app))
        )
        for region in REGIONS:
            front = Front(
                emulator,
                region=region,
                access_keys=self._access_keys,
                ledger=self._ledger,
                forbids=self._forbids,
            )
            server = GatedServer(self._plan.aws_address(region), front, self._gates[region])
            self._servers.append(server)
            server.start()

    def stop(self) -> None:
        """
        Stops serving and undoes the overlays; safe to repeat.

        Changes:
            Ends the threads; the emulator's state is gone.
        """
        while self._servers:
            self._servers.pop().stop()
        while self._undo:
            self._undo.pop()()
        _forget_everything()

    def set_reachable(self, region: str, reachable: bool) -> None:
        """
        Cuts a region's API off from its callers, or connects it again.

        Unreachable means: the kernel accepts connections, nothing is ever
        answered, requests under way lose their answer. When it is reachable
        again, those that still hang are reset. Returns at once; any thread may
        call it.

        Args:
            region: Which.
            reachable: Whether requests get through.
        """
        self._gates[as_region(region)].set_open(reachable)

    def is_reachable(self, region: str) -> bool:
        """Says whether a region's API answers."""
        return self._gates[as_region(region)].is_open


def _forget_everything() -> None:
    # The emulator asks this variable before anything else which account a caller belongs to.
    os.environ.pop("MOTO_ACCOUNT_ID", None)
    BackendDict.reset()
    reset_model_data()
