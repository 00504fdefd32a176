"""Programs of this machine: the way out where no adapter knows a system."""

from drctl.actions.contract import Adapter
from drctl.adapters.shell.command import Command, Destroy, Look
from drctl.adapters.shell.ready import ProgramThere

__all__ = ["ADAPTER"]

ADAPTER = Adapter(name="shell", actions=(Command(), Destroy(), Look()), checks=(ProgramThere(),))
