"""Steps that a person does."""

from drctl.actions.contract import Adapter
from drctl.adapters.human.task import Task

__all__ = ["ADAPTER"]

ADAPTER = Adapter(name="human", actions=(Task(),))
