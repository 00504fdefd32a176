"""Where people are told: the family ``comms``."""

from typing import ClassVar, Literal

from drctl.actions.targets.parts import Target, Text, Url
from drctl.kernel.secret import SecretRef


class SlackChannel(Target):
    """A Slack channel, by incoming webhook or by bot token."""

    family: ClassVar[str] = "comms"
    kind: Literal["slack.channel"] = "slack.channel"
    webhook: SecretRef | None = None
    """The whole webhook URL is a secret."""
    token: SecretRef | None = None
    channel: Text
    api_url: Url = "https://slack.com/api"

    @property
    def label(self) -> str:
        return f"Slack {self.channel}"


class StatusPage(Target):
    """A page at Statuspage."""

    family: ClassVar[str] = "comms"
    kind: Literal["statuspage.page"] = "statuspage.page"
    api_url: Url = "https://api.statuspage.io/v1"
    token: SecretRef
    page_id: Text
    component_ids: tuple[Text, ...] = ()

    @property
    def label(self) -> str:
        return f"Statuspage {self.page_id}"
