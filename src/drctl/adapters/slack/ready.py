"""Whether Slack could be told something, without telling it anything."""

from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import ClassVar

from drctl.actions.check import Asked, Check, Prerequisite, at_risk, holds
from drctl.actions.contract import Context
from drctl.actions.errors import ActionError
from drctl.actions.targets import SlackChannel
from drctl.adapters import _http, _secret

_ASK_FOR = timedelta(seconds=5)


class SlackAnswers(Check[SlackChannel]):
    """
    Slack answers; with a token, also that it knows the token.

    A webhook is asked with a GET, which posts nothing: that the channel behind it is still there
    cannot be known without a message.
    """

    name: ClassVar[str] = "slack.reachable"
    summary: ClassVar[str] = "Slack answers, and knows the token; nothing is posted"
    targets = (SlackChannel,)

    def key(self, asked: Asked[SlackChannel]) -> Hashable:
        return asked.name

    async def look(self, ctx: Context, asked: Asked[SlackChannel]) -> Sequence[Prerequisite]:
        target = asked.target
        do = "people would not be told: look at the webhook, the token, the way there"
        try:
            if target.token is not None:
                return [await _known(ctx, target, do)]
            if target.webhook is None:
                return []
            url = _secret.reveal(ctx, target.webhook)
            await _http.send(ctx, "GET", url, label=target.label, timeout=_ASK_FOR)
        except ActionError as error:
            return [at_risk(target.label, str(error), do)]
        why = "it answers; whether the webhook is still good, only a message would show"
        return [holds(target.label, why)]


async def _known(ctx: Context, target: SlackChannel, do: str) -> Prerequisite:
    if target.token is None:
        raise TypeError("no token")
    token = _secret.reveal(ctx, target.token)
    answer = await _http.send(
        ctx,
        "POST",  # auth.test is a POST that changes nothing
        f"{target.api_url.rstrip('/')}/auth.test",
        label=target.label,
        headers={"authorization": f"Bearer {token}"},
        form={},
        changes=False,
        timeout=_ASK_FOR,
    )
    try:
        said = answer.json()
    except ValueError:
        said = None
    if isinstance(said, dict) and said.get("ok") is True:
        return holds(target.label, "it answers, and knows the token")
    error = said.get("error") if isinstance(said, dict) else answer.status
    return at_risk(target.label, f"it says to the token: {error}", do)
