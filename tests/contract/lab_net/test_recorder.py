"""The Slack and Statuspage stand-in says no where they do, and remembers what it accepted."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from drctl.lab.recorder import (
    SLACK_TOKEN,
    SLACK_WEBHOOK,
    STATUSPAGE_PAGE,
    STATUSPAGE_TOKEN,
    Recorder,
)

from .conftest import PLAN

PAGE = f"/v1/pages/{STATUSPAGE_PAGE}/incidents"
KEY = {"Authorization": f"OAuth {STATUSPAGE_TOKEN}"}
BOT = {"Authorization": f"Bearer {SLACK_TOKEN}"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    recorder = Recorder(tmp_path / "recorded.jsonl")
    await recorder.start(*PLAN.recorder)
    async with aiohttp.ClientSession(PLAN.recorder_url) as session:
        yield session
    await recorder.stop()


async def call(
    client: aiohttp.ClientSession, method: str, path: str, **more: Any
) -> tuple[int, Any, str | None]:
    async with client.request(method, path, **more) as response:
        text = await response.text()
        is_json = response.content_type == "application/json"
        body = json.loads(text) if is_json else text
        return response.status, body, response.headers.get("Retry-After")


async def test_a_webhook_takes_text_or_blocks_at_its_own_path_only(
    client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    hook = f"/services/{SLACK_WEBHOOK}"
    for path, sent, expected in [
        (hook, {"json": {"text": "hello"}}, (200, "ok")),
        (hook, {"json": {"blocks": [{"type": "divider"}]}}, (200, "ok")),
        (hook, {"json": {"username": "drctl"}}, (400, "no_text")),
        (hook, {"json": {"blocks": "x"}}, (400, "invalid_blocks")),
        (hook, {"json": [1]}, (400, "invalid_payload")),
        (
            hook,
            {"data": b"{", "headers": {"Content-Type": "application/json"}},
            (400, "invalid_payload"),
        ),
        ("/services/T1/B1/x", {"json": {"text": "hello"}}, (404, "no_service")),
    ]:
        status, body, _ = await call(client, "POST", path, **sent)
        assert (status, body) == expected, sent
    _, recorded, _ = await call(client, "GET", "/_recorded")
    assert [entry["kind"] for entry in recorded] == ["webhook", "webhook"]
    lines = (tmp_path / "recorded.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == recorded
    assert recorded[0]["message"] == {"text": "hello"}


async def test_a_bot_message_is_refused_with_200_and_an_error_word(
    client: aiohttp.ClientSession,
) -> None:
    path = "/api/chat.postMessage"
    message = {"channel": "#incidents", "text": "hello"}
    for headers, sent, error in [
        (BOT, {"json": message}, None),
        (BOT, {"data": message}, None),
        ({}, {"json": message}, "not_authed"),
        ({"Authorization": "Bearer xoxb-other"}, {"json": message}, "invalid_auth"),
        (BOT, {"json": message | {"channel": "nowhere"}}, "channel_not_found"),
        (BOT, {"json": {"channel": "incidents"}}, "no_text"),
    ]:
        status, body, _ = await call(client, "POST", path, headers=headers, **sent)
        assert status == 200
        assert (body["ok"], body.get("error")) == (error is None, error)
    _, recorded, _ = await call(client, "GET", "/_recorded")
    assert [entry["channel"] for entry in recorded] == ["C0INCIDENT", "C0INCIDENT"]
    assert len({entry["ts"] for entry in recorded}) == 2
    assert SLACK_TOKEN not in json.dumps(recorded)


async def test_an_incident_is_opened_updated_and_resolved(client: aiohttp.ClientSession) -> None:
    incident = {"name": "API down", "status": "investigating", "impact_override": "major"}
    sent = {"incident": incident | {"body": "We look.", "metadata": {"drctl": {"run": "r1"}}}}
    status, opened, _ = await call(client, "POST", PAGE, json=sent, headers=KEY)
    assert (status, opened["status"], opened["impact"]) == (201, "investigating", "major")
    assert opened["metadata"] == {"drctl": {"run": "r1"}}
    one = f"{PAGE}/{opened['id']}"
    update = {"incident": {"status": "resolved", "body": "Back."}}
    _, unresolved, _ = await call(client, "GET", f"{PAGE}/unresolved", headers=KEY)
    assert [each["id"] for each in unresolved] == [opened["id"]]
    status, updated, _ = await call(client, "PATCH", one, json=update, headers=KEY)
    assert (status, updated["status"]) == (200, "resolved")
    assert [each["body"] for each in updated["incident_updates"]] == ["Back.", "We look."]
    assert (await call(client, "GET", f"{PAGE}/unresolved", headers=KEY))[1] == []
    assert len((await call(client, "GET", PAGE, headers=KEY))[1]) == 1
    _, recorded, _ = await call(client, "GET", "/_recorded")
    assert [entry["kind"] for entry in recorded] == ["incident.create", "incident.update"]
    assert recorded[0]["incident"]["status"] == "investigating"


async def test_statuspage_refuses_strangers_and_wrong_values(
    client: aiohttp.ClientSession,
) -> None:
    good = {"name": "API down"}
    for path, headers, incident, expected in [
        (PAGE, {}, good, 401),
        (PAGE, {"Authorization": f"Bearer {STATUSPAGE_TOKEN}"}, good, 401),
        ("/v1/pages/other/incidents", KEY, good, 404),
        (PAGE, KEY, {"status": "investigating"}, 422),
        (PAGE, KEY, good | {"status": "on fire"}, 422),
        (PAGE, KEY, good | {"impact_override": "huge"}, 422),
        (PAGE, KEY, good | {"impact": "major"}, 422),
        (PAGE, KEY, good | {"components": {"c1": "broken"}}, 422),
        (PAGE, KEY, None, 400),
    ]:
        status, _, _ = await call(
            client, "POST", path, json={"incident": incident}, headers=headers
        )
        assert status == expected, (path, incident)
    status, _, _ = await call(client, "PATCH", f"{PAGE}/gone", json={"incident": {}}, headers=KEY)
    assert status == 404
    assert (await call(client, "GET", "/_recorded"))[1] == []


async def test_a_fault_strikes_its_service_as_often_as_it_says(
    client: aiohttp.ClientSession,
) -> None:
    hook = f"/services/{SLACK_WEBHOOK}"
    message = {"json": {"text": "hello"}}
    fault = {"slack": {"status": 429, "retry_after": 1, "times": 2}}
    status, _, _ = await call(client, "PUT", "/_faults", json=fault)
    assert status == 200
    seen = [await call(client, "POST", hook, **message) for _ in range(3)]
    assert [(status, retry) for status, _, retry in seen] == [(429, "1"), (429, "1"), (200, None)]

    await call(client, "PUT", "/_faults", json={"statuspage": {"delay_s": 60}})
    with pytest.raises(TimeoutError):
        await call(client, "GET", PAGE, headers=KEY, timeout=aiohttp.ClientTimeout(total=0.2))
    assert (await call(client, "POST", hook, **message))[0] == 200
    await call(client, "PUT", "/_faults", json={"statuspage": {"status": 500}})
    assert (await call(client, "GET", PAGE, headers=KEY))[0] == 500
    await call(client, "PUT", "/_faults", json={"statuspage": None})
    assert (await call(client, "GET", PAGE, headers=KEY))[0] == 200
    assert (await call(client, "PUT", "/_faults", json={"slack": {"sttus": 1}}))[0] == 400


async def test_a_lost_reply_is_an_accepted_message(client: aiohttp.ClientSession) -> None:
    await call(client, "PUT", "/_faults", json={"slack": {"lose_reply": True, "times": 1}})
    with pytest.raises(aiohttp.ClientError):
        await call(client, "POST", f"/services/{SLACK_WEBHOOK}", json={"text": "hello"})
    assert len((await call(client, "GET", "/_recorded"))[1]) == 1
