"""Slack as far as drctl calls it: incoming webhooks and ``chat.postMessage``."""

import itertools
import json
import time
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from drctl.lab.record import Record


class SlackApi:
    """Judges messages as Slack does and records those it accepts."""

    def __init__(
        self,
        record: Record,
        *,
        webhooks: Collection[str],
        tokens: Collection[str],
        channels: Mapping[str, str],
    ) -> None:
        """
        Args:
            record: Where accepted messages go.
            webhooks: The paths below ``/services/`` that exist.
            tokens: The bot tokens that are valid.
            channels: Channel names (without ``#``) to their ids; both may be posted to.
        """
        self._record = record
        self._webhooks = frozenset(webhooks)
        self._tokens = frozenset(tokens)
        self._channels = dict(channels)
        self._serial = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        """The paths of Slack."""
        return [
            web.post("/services/{path:.*}", self._webhook),
            web.post("/api/chat.postMessage", self._post_message),
        ]

    async def _webhook(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if path not in self._webhooks:
            return web.Response(status=404, text="no_service")
        message = await _message_of(request)
        if message is None:
            return web.Response(status=400, text="invalid_payload")
        if problem := _problem_of(message):
            return web.Response(status=400, text=problem)
        self._record.add("slack", "webhook", {"path": path, "message": message})
        return web.Response(text="ok")

    async def _post_message(self, request: web.Request) -> web.Response:
        message = await _message_of(request)
        if message is None:
            return _refused("invalid_json")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme == "Bearer" else str(message.pop("token", ""))
        if not token:
            return _refused("not_authed")
        if token not in self._tokens:
            return _refused("invalid_auth")
        channel = str(message.get("channel", "")).removeprefix("#")
        id_ = self._channels.get(channel, channel)
        if id_ not in self._channels.values():
            return _refused("channel_not_found")
        if problem := _problem_of(message):
            return _refused(problem)
        ts = f"{time.time():.3f}{next(self._serial) % 1000:03d}"
        self._record.add("slack", "message", {"channel": id_, "ts": ts, "message": message})
        document = {"text": message.get("text", ""), "ts": ts, "type": "message"}
        return web.json_response({"ok": True, "channel": id_, "ts": ts, "message": document})


async def _message_of(request: web.Request) -> dict[str, Any] | None:
    """The message of a request, sent as JSON or as a form; None when it cannot be read."""
    try:
        if request.content_type == "application/json":
            message = await request.json()
        else:
            form = await request.post()
            message = {key: value for key, value in form.items() if isinstance(value, str)}
            if "payload" in message:
                message = json.loads(message["payload"])
            for key in ("blocks", "attachments"):
                if isinstance(message.get(key), str):
                    message[key] = json.loads(message[key])
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _problem_of(message: Mapping[str, Any]) -> str | None:
    blocks = message.get("blocks")
    if blocks is not None and (
        not isinstance(blocks, list)
        or len(blocks) > 50
        or not all(isinstance(block, dict) and "type" in block for block in blocks)
    ):
        return "invalid_blocks"
    if not isinstance(message.get("text", ""), str):
        return "invalid_payload"
    return None if message.get("text") or blocks or message.get("attachments") else "no_text"


def _refused(error: str) -> web.Response:
    """The Web API says no with 200."""
    return web.json_response({"ok": False, "error": error})
