"""Slack, Statuspage, a probe, a name and a person: the strict recorder and small servers."""

import asyncio
import contextlib
import json
import secrets
import tempfile
from pathlib import Path

import aiohttp
from aiohttp import web
from dnslib import QTYPE, RR, A, DNSRecord
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import DnsRecord, SlackChannel, StatusPage
from drctl.lab.faults import answers, operations
from drctl.lab.faults.dns import DnsFaultProxy
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.rules import Deed
from drctl.lab.recorder import SLACK_TOKEN, SLACK_WEBHOOK, STATUSPAGE_PAGE, STATUSPAGE_TOKEN
from drctl.lab.recorder import Recorder as Stand

RECORDER = (f"127.{NET}.0.90", 8090)
NAMES = (f"127.{NET}.0.153", 5353)
SITE = (f"127.{NET}.0.91", 8080)
ADDRESS = "10.1.2.3"
PAGE = f"/v1/pages/{STATUSPAGE_PAGE}/incidents"
KEY = {"Authorization": f"OAuth {STATUSPAGE_TOKEN}"}
HEALTH = {"served_by": "us-west-2", "checks": {"database": True}}


class _Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        query = DNSRecord.parse(data)
        reply = query.reply()
        if query.q.qtype == QTYPE.A:
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(ADDRESS), ttl=1))
        self.transport.sendto(reply.pack(), peer)


class Lab:
    """The recorder, a nameserver and a site with a health document."""

    async def start(self):
        self._folder = tempfile.TemporaryDirectory(prefix="drctl-faults-")
        self.recorder = Stand(Path(self._folder.name) / "recorded.jsonl")
        await self.recorder.start(*RECORDER)
        loop = asyncio.get_running_loop()
        self._names, _ = await loop.create_datagram_endpoint(_Names, local_addr=NAMES)
        application = web.Application()
        application.router.add_get("/health", self._health)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, *SITE).start()
        self.session = aiohttp.ClientSession("http://{}:{}".format(*RECORDER))

    async def _health(self, _request):
        return web.json_response(HEALTH)

    async def stop(self):
        await self.session.close()
        await self._runner.cleanup()
        self._names.close()
        await self.recorder.stop()
        self._folder.cleanup()

    async def recorded(self, service):
        async with self.session.get("/_recorded") as answer:
            document = await answer.json()
        entries = document if isinstance(document, list) else document["entries"]
        return [entry for entry in entries if entry["service"] == service]

    async def incidents(self):
        async with self.session.get(PAGE, headers=KEY) as answer:
            return await answer.json()


def _proxy(script, upstream=RECORDER):
    return HttpFaultProxy(
        Upstream(host=upstream[0], port=upstream[1]),
        script,
        name_of=operations.messages,
        answer_of=answers.messages,
    )


async def _never(_key):
    return 0


@contextlib.asynccontextmanager
async def _slack(lab, scripts, *, webhook):
    proxy = _proxy(scripts["http"])
    text = f"fault {secrets.token_hex(6)}"
    scripts["http"].swap = ((b"C0DRCTL", b"C0OTHER1"),)
    async with serving(proxy):
        url = f"http://{HOST}:{await proxy.start(HOST)}"
        how = (
            {"webhook": f"env:{url}/services/{SLACK_WEBHOOK}"}
            if webhook
            else {"token": f"env:{SLACK_TOKEN}", "api_url": f"{url}/api"}
        )
        target = SlackChannel.model_validate({"channel": "C0DRCTL", **how})

        async def applied(_key):
            posts = await lab.recorded("slack")
            return sum(text in json.dumps(post["message"]) for post in posts)

        async def holds(key, _outputs):
            return await applied(key) >= 1

        yield Site(
            target=target, params={"text": text}, proxies=[proxy], applied=applied, holds=holds
        )


def _open_slack(lab, scripts):
    return _slack(lab, scripts, webhook=False)


@contextlib.asynccontextmanager
async def _incident_open(lab, scripts):
    proxy = _proxy(scripts["http"])
    event = f"event-{secrets.token_hex(6)}"
    other = {"incident": {"name": "Flood", "status": "investigating"}}
    async with lab.session.post(PAGE, headers=KEY, json=other):
        pass  # so that the list is never empty
    scripts["http"].swap = (
        (event.encode(), b"event-of-another"),
        (f'"{STATUSPAGE_PAGE}"'.encode(), b'"page-of-another"'),
    )
    async with serving(proxy):
        port = await proxy.start(HOST)

        async def ours():
            found = await lab.incidents()
            return [one for one in found if one["metadata"].get("drctl", {}).get("event") == event]

        async def applied(_key):
            return len(await ours())

        async def holds(_key, outputs):
            found = await ours()
            return bool(found) and (not outputs or outputs["id"] in {one["id"] for one in found})

        yield Site(
            target=_page(port),
            params={"name": "Fire", "event": event},
            proxies=[proxy],
            applied=applied,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _incident_update(lab, scripts):
    proxy = _proxy(scripts["http"])
    body = {"incident": {"name": "Fire", "status": "investigating"}}
    async with lab.session.post(PAGE, headers=KEY, json=body) as answer:
        incident = (await answer.json())["id"]
    scripts["http"].swap = ((incident.encode(), b"another0id00"),)
    text = f"news {secrets.token_hex(6)}"
    async with serving(proxy):
        port = await proxy.start(HOST)

        async def applied(_key):
            found = [one for one in await lab.incidents() if one["id"] == incident]
            return sum(one["body"] == text for one in found[0]["incident_updates"])

        async def holds(key, _outputs):
            return await applied(key) >= 1

        yield Site(
            target=_page(port),
            params={"incident": incident, "status": "identified", "body": text},
            proxies=[proxy],
            applied=applied,
            holds=holds,
        )


def _page(port):
    return StatusPage.model_validate(
        {
            "api_url": f"http://{HOST}:{port}/v1",
            "token": f"env:{STATUSPAGE_TOKEN}",
            "page_id": STATUSPAGE_PAGE,
        }
    )


def record(name, url=None):
    aws = {"region": "us-west-2", "account": "123456789012"}
    aws |= {"access_key_id": "env:A", "secret_access_key": "env:B"}
    return DnsRecord.model_validate(
        {"aws": aws, "zone_id": "Z1", "zone_name": "drctl.test", "record_name": name, "url": url}
    )


@contextlib.asynccontextmanager
async def _probe(_lab, scripts):
    proxy = HttpFaultProxy(
        Upstream(host=SITE[0], port=SITE[1]),
        scripts["http"],
        name_of=operations.plain,
        answer_of=answers.plain,
    )
    scripts["http"].swap = ((b"us-west-2", b"us-east-1"),)
    async with serving(proxy):
        url = f"http://{HOST}:{await proxy.start(HOST)}"

        async def holds(_key, outputs):
            return outputs.get("status") == 200 and outputs["served_by"] == "us-west-2"

        yield Site(
            target=record("api.drctl.test", url),
            params={"path": "/health", "expect_status": 200, "timeout": "2s"},
            proxies=[proxy],
            applied=_never,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _resolve(_lab, scripts):
    proxy = DnsFaultProxy(NAMES, scripts["dns"])
    scripts["dns"].swap = ((b"\x03api\x05drctl", b"\x03app\x05drctl"),)
    async with serving(proxy):
        port = await proxy.start(HOST)

        async def holds(_key, outputs):
            # Not having been told is an answer of this action, as long as it says so.
            said = outputs.get("addresses")
            return list(said) == [ADDRESS] or (not said and bool(outputs["errors"]))

        yield Site(
            target=record("api.drctl.test"),
            params={},
            proxies=[proxy],
            applied=_never,
            holds=holds,
            resolvers=(f"{HOST}:{port}",),
        )


@contextlib.asynccontextmanager
async def _nothing(_lab, _scripts):
    yield None


LABS = {"messages": Lab}
CASES = [
    Case(
        action="slack.message.post",
        lab="messages",
        ops=(Op(name="slack:chat.postMessage", mutates=True),),
        open=_open_slack,
        dedupes=False,
        reads_back=False,
        timeout_s=2.5,
    ),
    Case(
        action="statuspage.incident.open",
        lab="messages",
        ops=(
            Op(name="statuspage:GET unresolved"),
            Op(name="statuspage:POST incidents", mutates=True),
        ),
        open=_incident_open,
        dedupes=False,
        timeout_s=2.5,
    ),
    Case(
        action="statuspage.incident.update",
        lab="messages",
        ops=(
            Op(name="statuspage:PATCH incident", mutates=True),
            Op(name="statuspage:GET incident"),
        ),
        open=_incident_update,
        dedupes=False,
        timeout_s=2.5,
    ),
    Case(
        action="http.probe",
        lab="messages",
        ops=(Op(name="http:GET"),),
        open=_probe,
        # A probe reports what it was told; whoever looks at it compares.
        opaque=frozenset({("http:GET", Deed.WRONG_OBJECT), ("http:GET", Deed.MALFORMED)}),
    ),
    Case(
        action="dns.record.resolve",
        lab="messages",
        ops=(Op(name="dns:A", via="dns"), Op(name="dns:AAAA", via="dns")),
        open=_resolve,
        timeout_s=4.0,
        doubts=True,
    ),
    # A person does it: the engine never calls its perform, so there is no request that could fail.
    Case(action="human.task", lab="messages", ops=(), open=_nothing),
]
