"""Statuspage."""

from drctl.actions.contract import Adapter
from drctl.adapters.statuspage.incident import OpenIncident, UpdateIncident

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="statuspage", actions=(OpenIncident(), UpdateIncident()), libraries=("httpx",)
)
