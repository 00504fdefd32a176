"""Slack."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="slack",
    actions=Late(
        __name__,
        {
            "slack.message.post": "message:PostMessage",
        },
    ),
    checks=Late(
        __name__,
        {
            "slack.reachable": "ready:SlackAnswers",
        },
    ),
    libraries=("httpx",),
)
