"""Programs of this machine: the way out where no adapter knows a system."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="shell",
    actions=Late(
        __name__,
        {
            "shell.command": "command:Command",
            "shell.destroy": "command:Destroy",
            "shell.look": "command:Look",
        },
    ),
    checks=Late(
        __name__,
        {
            "shell.program": "ready:ProgramThere",
        },
    ),
)
