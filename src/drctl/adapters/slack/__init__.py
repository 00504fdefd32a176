"""Slack."""

from drctl.actions.contract import Adapter
from drctl.adapters.slack.message import PostMessage

__all__ = ["ADAPTER"]

ADAPTER = Adapter(name="slack", actions=(PostMessage(),), libraries=("httpx",))
