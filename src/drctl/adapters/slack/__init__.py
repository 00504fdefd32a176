"""Slack."""

from drctl.actions.contract import Adapter
from drctl.adapters.slack.message import PostMessage
from drctl.adapters.slack.ready import SlackAnswers

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="slack", actions=(PostMessage(),), checks=(SlackAnswers(),), libraries=("httpx",)
)
