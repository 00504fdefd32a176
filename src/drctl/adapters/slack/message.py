"""A message in a channel."""

import re
from datetime import timedelta
from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import OutcomeUnknown, Rejected
from drctl.actions.targets import SlackChannel, Target, Text
from drctl.adapters import _http, _secret
from drctl.adapters.slack.errors import word_error
from drctl.kernel.canonical import JSON, digest
from drctl.kernel.text import sanitize

MAX_TEXT = 3000
_SHORT_KEY = 16
_ID = re.compile(r"[CDG][A-Z0-9]{6,}")
"""A channel's id; for a channel that is given by name nobody knows what Slack should echo."""
_ASK_FOR = timedelta(seconds=5)


class PostParams(Params):
    """What to say."""

    text: Text
    """Shown as it is: no mentions, no links with another text, no formatting."""


class PostOutputs(Outputs):
    """Where it went."""

    channel: str
    ts: str
    """Slack's id of the message; empty for a webhook, which gives none."""


class PostMessage(Action[SlackChannel, PostParams, PostOutputs]):
    """Posts one message. A second call posts a second one; both carry the same id in their text."""

    name: ClassVar[str] = "slack.message.post"
    summary: ClassVar[str] = "Posts a message to a Slack channel"
    effect: ClassVar[Effect] = Effect.NOTIFY
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (SlackChannel,)
    params: ClassVar[type[Params]] = PostParams
    outputs: ClassVar[type[Outputs]] = PostOutputs

    def planes(self, target: SlackChannel) -> tuple[str, ...]:
        return ("saas:slack",)

    def preview(
        self, observation: Observation, target: SlackChannel, params: PostParams | None
    ) -> Preview:
        return Change(before="no message", after=f"a message in {target.channel}", creates=True)

    async def perform(self, ctx: Context, target: SlackChannel, params: PostParams) -> PostOutputs:
        """
        Posts.

        Raises:
            Throttled: Slack asks to wait; ``retry_after_s`` is its wish.
            OutcomeUnknown: It may have been posted.
            AuthRejected: The webhook or token is missing or refused.
            NotFound: No such channel, or the webhook was removed.
            Rejected: The target has neither a webhook nor a token.

        Changes:
            The channel.
        """
        text = message_text(params.text, ctx.key)
        if target.webhook is not None:
            return await _post_to_webhook(ctx, target, _secret.reveal(ctx, target.webhook), text)
        if target.token is not None:
            return await _post_with_token(ctx, target, _secret.reveal(ctx, target.token), text)
        raise Rejected(f"{target.label} has neither a webhook nor a token in the environment")

    async def settled(
        self, ctx: Context, target: SlackChannel, params: PostParams
    ) -> NotDone | CannotTell:
        """Neither a webhook nor a posting token may read the channel."""
        return CannotTell(why="Slack does not let the sender look")


def message_text(text: str, key: str) -> str:
    """
    Makes *text* inert, caps it, and puts the short form of *key* at its end.

    Example:
        >>> message_text("<!channel> a & b", "k1")
        '&lt;!channel&gt; a &amp; b [k1]'
    """
    tail = f" [{short_key(key)}]" if key else ""
    escaped = ""
    for character in sanitize(text, limit=MAX_TEXT, keep_lines=True):
        # An escape is never cut in two.
        piece = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character, character)
        if len(escaped) + len(piece) + len(tail) > MAX_TEXT:
            break
        escaped += piece
    return escaped + tail


def short_key(key: str) -> str:
    """The key itself when it is short, or the start of its digest."""
    return sanitize(key) if len(key) <= _SHORT_KEY else digest(key)[:_SHORT_KEY]


async def _post_to_webhook(
    ctx: Context, target: SlackChannel, webhook: str, text: str
) -> PostOutputs:
    response = await _http.send_ok(
        ctx,
        "POST",
        webhook,
        label=target.label,
        body={"text": text, "mrkdwn": False},
        hidden=(webhook,),
        timeout=_ASK_FOR,
    )
    if response.body.strip() != b"ok":
        raise OutcomeUnknown(f"{target.label} answered {response.status} without Slack's ok")
    return PostOutputs(channel=target.channel, ts="")


async def _post_with_token(
    ctx: Context, target: SlackChannel, token: str, text: str
) -> PostOutputs:
    response = await _http.send_ok(
        ctx,
        "POST",
        f"{target.api_url.rstrip('/')}/chat.postMessage",
        label=target.label,
        headers={"authorization": f"Bearer {token}"},
        body={
            "channel": target.channel,
            "text": text,
            "mrkdwn": False,
            "parse": "none",
            "unfurl_links": False,
        },
        hidden=(token,),
        timeout=_ASK_FOR,
    )
    answer = _answer(response)
    if answer is None:
        raise OutcomeUnknown(f"{target.label} answered {response.status} without Slack's ok")
    if answer.get("ok") is not True:
        word = _http.masked(str(answer.get("error"))[:100], (token,))
        raise word_error(word, target.label)
    posted = _text(answer, "channel")
    if _ID.fullmatch(target.channel) and posted != target.channel:
        raise OutcomeUnknown(f"{target.label} was asked, and {posted} is what was answered about")
    return PostOutputs(channel=posted, ts=_text(answer, "ts"))


def _answer(response: _http.Response) -> dict[str, JSON] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and "ok" in answer else None


def _text(answer: dict[str, JSON], field: str) -> str:
    return sanitize(str(answer.get(field, "")), limit=100)
