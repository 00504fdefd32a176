"""Statuspage."""

from drctl.actions.contract import Adapter
from drctl.adapters.statuspage.incident import OpenIncident, UpdateIncident
from drctl.adapters.statuspage.ready import StatuspageAnswers

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="statuspage",
    actions=(OpenIncident(), UpdateIncident()),
    checks=(StatuspageAnswers(),),
    libraries=("httpx",),
)
