"""Statuspage."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="statuspage",
    actions=Late(
        __name__,
        {
            "statuspage.incident.open": "incident:OpenIncident",
            "statuspage.incident.update": "incident:UpdateIncident",
        },
    ),
    checks=Late(
        __name__,
        {
            "statuspage.reachable": "ready:StatuspageAnswers",
        },
    ),
    libraries=("httpx",),
)
