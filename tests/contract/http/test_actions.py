"""The probe, names, Slack and Statuspage against real sockets."""

import asyncio
import json

import pytest

from drctl.actions.contract import CannotTell, Done, NotDone
from drctl.actions.errors import (
    AuthRejected,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import DnsRecord, SlackChannel, StatusPage
from drctl.adapters import _resolver
from drctl.adapters.dns.record import ResolveParams, ResolveRecord
from drctl.adapters.http.probe import Probe, ProbeParams
from drctl.adapters.http.sample import Sample, SampleParams
from drctl.adapters.slack.message import PostMessage, PostParams
from drctl.adapters.statuspage.incident import (
    OpenIncident,
    OpenParams,
    UpdateIncident,
    UpdateParams,
)

from .conftest import HOST, answer

HEALTH = {
    "status": "unhealthy",
    "timestamp": "2026-11-22T10:04:00Z",
    "served_by": "us-west-2",
    "checks": {"database": False, "redis": True},
}


def record(url=None, name="api.drctl.test") -> DnsRecord:
    return DnsRecord.model_validate(
        {
            "aws": {
                "region": "us-west-2",
                "account": "123456789012",
                "access_key_id": "env:A",
                "secret_access_key": "env:B",
            },
            "zone_id": "Z1",
            "zone_name": "drctl.test",
            "record_name": name,
            "url": url,
        }
    )


async def test_a_probe_reads_the_health_document(serve, context):
    server = await serve(answer(503, json.dumps(HEALTH).encode()))

    seen = await Probe().perform(context(), record(server.url + "/"), ProbeParams(path="/health"))

    assert 503 == seen.status
    assert "us-west-2" == seen.served_by
    assert {"database": False, "redis": True} == seen.checks
    assert HOST == seen.address
    assert seen.latency_s > 0
    assert b"GET /health HTTP/1.1" in server.requests[0]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"<html>", b"\xff\x00", b'{"checks": [1]}', b"[" * 90_000],
)
async def test_a_probe_tolerates_any_body(serve, context, body):
    server = await serve(answer(200, body))

    seen = await Probe().perform(context(), record(server.url), ProbeParams(path="/"))

    assert (200, "", {}) == (seen.status, seen.served_by, seen.checks)
    assert len(seen.body) <= 2000


DEEP = {
    "timestamp": "2000-01-01T00:00:00+00:00",
    "checks": {
        "database": {"status": "ok"},
        "redis": {"healthy": False, "error": "connection refused"},
        "external_apis": {"status": "DOWN"},
        "memory": True,
        "note": "not a check",
    },
}


async def test_each_check_of_a_health_document_is_understood(serve, context):
    server = await serve(answer(503, json.dumps(DEEP).encode()))

    seen = await Probe().perform(context(), record(server.url), ProbeParams(path="/health"))

    assert seen.checks == {"database": True, "redis": False, "external_apis": False, "memory": True}
    assert ("external_apis: DOWN", "redis: connection refused") == seen.failed
    assert seen.skew_s < -3600 * 24
    assert not seen.tls


async def test_what_is_required_and_not_well_is_named_with_what_it_says(serve, context):
    """All of it at once; a check that is not there has failed."""
    server = await serve(answer(503, json.dumps(DEEP).encode()))
    required = ProbeParams(
        path="/health",
        require=("database", "redis", "external_apis", "disk_space"),
        expect_status=200,
        max_skew="30s",
    )

    with pytest.raises(Rejected) as raised:
        await Probe().perform(context(), record(server.url), required)

    said = str(raised.value)
    for part in (
        "answered 503",
        "redis is not well: connection refused",
        "external_apis is not well: DOWN",
        "disk_space is not in its answer",
        "must answer 200",
        "s off, more than 30 s",
    ):
        assert part in said
    assert "database" not in said
    well = ProbeParams(path="/health", require=("database", "memory"))
    await Probe().perform(context(), record(server.url), well)
    with pytest.raises(Rejected, match="not asked over TLS"):
        await Probe().perform(
            context(), record(server.url), ProbeParams(path="/", require_tls=True)
        )
    with pytest.raises(Unavailable):
        await Probe().perform(context(), record("http://127.150.0.90:1"), well)


@pytest.mark.parametrize("stamp", ["2026-11-22T10:04:00", "now", 5, None, "2026" * 20])
async def test_a_time_without_an_offset_is_no_moment(serve, context, stamp):
    """``datetime.utcnow().isoformat()`` says nothing of how far a clock is off."""
    server = await serve(answer(200, json.dumps({"timestamp": stamp, "checks": {}}).encode()))
    probe = ProbeParams(path="/", max_skew="30s")
    with pytest.raises(Rejected, match="no timestamp with an offset"):
        await Probe().perform(context(), record(server.url), probe)


async def test_a_sample_judges_the_slow_ones_and_the_failures(serve, context):
    calls = 0

    async def reply(_request, _reader, writer):
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.3 if calls % 10 == 0 else 0.0)
        writer.write(answer(500 if calls > 60 else 200))
        await writer.drain()

    server = await serve(reply)
    fine = await Sample().perform(
        context(20), record(server.url), SampleParams(path="/", count=20, slow="2s")
    )
    assert (20, 0) == (fine.looks, fine.failed)
    assert fine.median_s < 0.25 <= fine.p95_s <= fine.slowest_s
    with pytest.raises(Rejected, match="is slow"):
        await Sample().perform(
            context(20), record(server.url), SampleParams(path="/", count=20, slow="250ms")
        )
    assert 40 == calls
    calls = 60
    with pytest.raises(Rejected, match=r"10 of 10 looks .* failed"):
        await Sample().perform(
            context(20), record(server.url), SampleParams(path="/", count=10, slow="2s")
        )


async def test_what_a_service_says_is_inert(serve, context):
    hostile = {"served_by": "a\x1b[31m", "checks": {"x\x07": True, "y": 1}}
    server = await serve(answer(200, json.dumps(hostile).encode() + b"\x1b]0;t\x07"))

    seen = await Probe().perform(context(), record(server.url), ProbeParams(path="/"))

    assert "\x1b" not in seen.body + seen.served_by + "".join(seen.checks)


async def test_no_answer_is_something_that_a_probe_saw(context):
    seen = await Probe().perform(context(), record(f"http://{HOST}:1"), ProbeParams(path="/health"))

    assert 0 == seen.status
    assert "refused" in seen.error


async def test_a_probe_that_expects_a_status_fails_without_it(serve, context):
    server = await serve(answer(200))
    probe, params = Probe(), ProbeParams(path="/", expect_status=204)

    with pytest.raises(Rejected, match="200"):
        await probe.perform(context(), record(server.url), params)
    with pytest.raises(Unavailable):
        await probe.perform(context(), record(f"http://{HOST}:1"), params)


async def test_resolvers_that_differ_do_not_agree(context, nameserver):
    first = await nameserver({"api.drctl.test": ["10.0.0.1", "10.0.0.2"]})
    second = await nameserver({"api.drctl.test": ["10.0.0.2"]})
    third = await nameserver({})

    seen = await ResolveRecord().perform(
        context(resolvers=(first, second, third)), record(), ResolveParams()
    )

    assert {first: ("10.0.0.1", "10.0.0.2"), second: ("10.0.0.2",), third: ()} == seen.answers
    assert ("10.0.0.1", "10.0.0.2") == seen.addresses
    assert [third] == list(seen.errors)
    assert not seen.agree


async def test_resolvers_that_say_the_same_agree(context, nameserver):
    same = {"api.drctl.test": ["10.0.0.1"]}
    resolvers = (await nameserver(same), await nameserver(same))

    seen = await ResolveRecord().perform(context(resolvers=resolvers), record(), ResolveParams())

    assert seen.agree


async def test_a_silent_nameserver_is_unavailable_and_a_second_one_is_asked(nameserver):
    silent = await nameserver({"api.drctl.test": None})
    good = await nameserver({"api.drctl.test": ["10.0.0.1"]})

    with pytest.raises(Unavailable):
        await _resolver.resolve("api.drctl.test", (silent,), timeout_s=0.3)
    assert ["10.0.0.1"] == await _resolver.resolve("api.drctl.test", (silent, good), timeout_s=2)


@pytest.mark.parametrize(
    ("name", "word"),
    [("nobody.drctl.test", NotFound), ("empty.drctl.test", NotFound), ("a..b", Rejected)],
)
async def test_names_that_lead_nowhere(nameserver, name, word):
    resolver = await nameserver({"empty.drctl.test": []})

    with pytest.raises(word):
        await _resolver.resolve(name, (resolver,), timeout_s=1)


@pytest.mark.parametrize("address", ["10.1.2.3", "::1", "[::1]"])
async def test_an_address_is_its_own_answer(address):
    assert [address.strip("[]")] == await _resolver.resolve(
        address, ("127.150.0.91:1",), timeout_s=1
    )


async def test_ipv4_comes_first(nameserver):
    resolver = await nameserver({"both.drctl.test": ["::1", "10.0.0.1"]})

    assert ["10.0.0.1", "::1"] == await _resolver.resolve(
        "both.drctl.test", (resolver,), timeout_s=1
    )


@pytest.mark.parametrize("wrong", ["dns.example:53", "10.0.0.1:x", "nonsense"])
async def test_a_resolver_is_written_as_address_and_port(wrong):
    with pytest.raises(Rejected):
        await _resolver.resolve("a.test", (wrong,), timeout_s=1)


def hook(**fields) -> SlackChannel:
    return SlackChannel.model_validate({"channel": "#room", "webhook": "env:HOOK"} | fields)


async def test_a_webhook_is_sent_inert_text_with_the_id_of_the_event(serve, context):
    server = await serve(answer(200, b"ok"))
    ctx = context(key="run-1/announce", HOOK=f"{server.url}/services/x")

    posted = await PostMessage().perform(ctx, hook(), PostParams(text="<!channel> a & b"))

    sent = json.loads(server.requests[0].split(b"\r\n\r\n", 1)[1])
    assert "&lt;!channel&gt; a &amp; b [run-1/announce]" == sent["text"]
    assert ("#room", "") == (posted.channel, posted.ts)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (answer(429, b"", retry_after="2"), Throttled),
        (answer(403, b"action_prohibited"), AuthRejected),
        (answer(404, b"no_service"), NotFound),
        (answer(500, b"rollup_error"), OutcomeUnknown),
        (answer(200, b"<html>please log in</html>"), OutcomeUnknown),
        (answer(302, b"", location="http://elsewhere.invalid/"), Rejected),
    ],
)
async def test_a_webhook_that_fails_never_shows_its_url(serve, context, reply, word):
    server = await serve(reply)
    ctx = context(HOOK=f"{server.url}/services/verysecret")

    with pytest.raises(word) as caught:
        await PostMessage().perform(ctx, hook(), PostParams(text="hello"))

    assert "verysecret" not in f"{caught.value!r} {caught.value}"


async def test_an_unreachable_webhook_never_shows_its_url(context):
    ctx = context(HOOK=f"http://{HOST}:1/services/verysecret")

    with pytest.raises(Unavailable) as caught:
        await PostMessage().perform(ctx, hook(), PostParams(text="hello"))

    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("invalid_auth", AuthRejected),
        ("channel_not_found", NotFound),
        ("ratelimited", Throttled),
        ("internal_error", OutcomeUnknown),
        ("msg_too_long", Rejected),
        ("xoxb-verysecret", Rejected),
    ],
)
async def test_slacks_own_words_are_mapped(serve, context, error, word):
    server = await serve(answer(200, json.dumps({"ok": False, "error": error}).encode()))
    target = hook(webhook=None, token="env:TOKEN", api_url=server.url)

    with pytest.raises(word) as caught:
        await PostMessage().perform(
            context(TOKEN="xoxb-verysecret"), target, PostParams(text="hello")
        )

    assert "verysecret" not in str(caught.value)


async def test_a_bot_token_posts_and_gets_the_messages_id(serve, context):
    reply = {"ok": True, "channel": "C1", "ts": "1.2"}
    server = await serve(answer(200, json.dumps(reply).encode()))
    target = hook(webhook=None, token="env:TOKEN", api_url=f"{server.url}/api/")

    posted = await PostMessage().perform(context(TOKEN="xoxb-1"), target, PostParams(text="hello"))

    assert ("C1", "1.2") == (posted.channel, posted.ts)
    assert server.requests[0].startswith(b"POST /api/chat.postMessage ")
    assert b"authorization: Bearer xoxb-1" in server.requests[0]


async def test_a_channel_without_credentials_is_refused(context):
    with pytest.raises(Rejected):
        await PostMessage().perform(context(), hook(webhook=None), PostParams(text="hello"))


class Page:
    """Statuspage, as far as drctl asks it; `lose` drops the answer to the next POST."""

    def __init__(self) -> None:
        self.incidents: list[dict] = []
        self.lose = False

    async def __call__(self, request, _reader, writer):
        head, _, body = request.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split()
        assert b"authorization: OAuth token" in head
        if method == "GET" and path.endswith("/unresolved"):
            reply = [each for each in self.incidents if each["status"] != "resolved"]
        elif method == "POST":
            reply = self._made(json.loads(body)["incident"])
            if self.lose:
                self.lose = False
                return
        else:
            found = [each for each in self.incidents if path.endswith(f"/{each['id']}")]
            if not found:
                writer.write(answer(404, b'{"error": "not found"}'))
                return
            reply = found[0]
            if method == "PATCH":
                self._change(reply, json.loads(body)["incident"])
        writer.write(answer(200, json.dumps(reply).encode()))
        await writer.drain()

    def _made(self, fields):
        incident = fields | {"id": f"i{len(self.incidents) + 1}", "incident_updates": []}
        self.incidents.append(incident)
        return incident

    def _change(self, incident, fields):
        incident["status"] = fields["status"]
        incident["incident_updates"].insert(0, fields)


@pytest.fixture
async def page(serve):
    behaviour = Page()
    server = await serve(behaviour)
    target = StatusPage.model_validate(
        {"api_url": f"{server.url}/v1", "token": "env:TOKEN", "page_id": "p1"}
    )
    return behaviour, target


OPEN = OpenParams(name='Disruption "x"', impact="critical", body="We look into it.")


async def test_one_event_has_one_incident_however_often_it_is_opened(page, context):
    behaviour, target = page
    ctx = context(key="run-1/open", TOKEN="token")

    first = await OpenIncident().perform(ctx, target, OPEN)
    second = await OpenIncident().perform(ctx, target, OPEN)

    assert (first.id, True, False) == (second.id, first.created, second.created)
    assert 1 == len(behaviour.incidents)
    assert 'Disruption "x"' == behaviour.incidents[0]["name"]


async def test_two_runs_about_the_same_event_share_its_incident(page, context):
    behaviour, target = page
    params = OPEN.model_copy(update={"event": "inc-20261122-001"})

    await OpenIncident().perform(context(key="run-1/open", TOKEN="token"), target, params)
    await OpenIncident().perform(context(key="run-2/open", TOKEN="token"), target, params)
    await OpenIncident().perform(
        context(key="run-3/open", TOKEN="token"),
        target,
        OPEN.model_copy(update={"event": "inc-20261122-00"}),
    )

    assert 2 == len(behaviour.incidents)


async def test_an_incident_whose_answer_was_lost_is_found_again(page, context):
    behaviour, target = page
    behaviour.lose = True
    action, ctx = OpenIncident(), context(key="run-1/open", TOKEN="token")

    with pytest.raises(OutcomeUnknown):
        await action.perform(ctx, target, OPEN)
    settled = await action.settled(ctx, target, OPEN)

    assert isinstance(settled, Done)
    assert "i1" == settled.outputs.id
    assert isinstance(await action.settled(context(key="k2", TOKEN="token"), target, OPEN), NotDone)


async def test_an_update_changes_the_incident_and_can_be_read_back(page, context):
    behaviour, target = page
    ctx = context(key="run-1/update", TOKEN="token")
    opened = await OpenIncident().perform(ctx, target, OPEN)
    params = UpdateParams(incident=opened.id, status="monitoring", body='It took "4m30s".')
    action = UpdateIncident()

    assert isinstance(await action.settled(ctx, target, params), NotDone)
    await action.perform(ctx, target, params)

    assert "monitoring" == behaviour.incidents[0]["status"]
    assert isinstance(await action.settled(ctx, target, params), Done)


async def test_an_update_of_an_unknown_incident_is_not_found(page, context):
    _, target = page
    params = UpdateParams(incident="nope", status="monitoring", body="x")

    with pytest.raises(NotFound):
        await UpdateIncident().perform(context(TOKEN="token"), target, params)


async def test_a_page_that_does_not_answer_cannot_tell(context):
    target = StatusPage.model_validate(
        {"api_url": f"http://{HOST}:1", "token": "env:TOKEN", "page_id": "p1"}
    )

    settled = await OpenIncident().settled(context(key="k", TOKEN="token"), target, OPEN)

    assert isinstance(settled, CannotTell)
