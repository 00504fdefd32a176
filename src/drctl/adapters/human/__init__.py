"""Steps that a person does."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="human",
    actions=Late(
        __name__,
        {
            "human.task": "task:Task",
        },
    ),
)
