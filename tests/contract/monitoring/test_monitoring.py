"""The actions on the lab's own Prometheus and Grafana, over samples that the test scraped."""

import asyncio
import time
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from drctl.actions.contract import Context, NoParams
from drctl.actions.errors import AuthRejected, Rejected, Unavailable
from drctl.actions.targets import GrafanaServer, PrometheusServer
from drctl.adapters.grafana.health import Health as GrafanaHealth
from drctl.adapters.prometheus.health import Health
from drctl.adapters.prometheus.query import AssertParams, AssertQuery
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.access import Secrets
from drctl.lab.monitoring.part import Monitoring
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.shapes import Site

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

CLOCK, NET = SystemClock(), 80
ASSERT = AssertQuery()
POD = {"job": "healing-guard", "instance": "127.0.0.1:1"}
OTHER = {"job": "healing-guard", "instance": "127.0.0.1:2"}
SHARE = 'sum(rate(requests_total{status=~"5.."}[1m])) / sum(rate(requests_total[1m]))'
ALL = "sum(rate(requests_total[1m]))"


class Keys:
    def resolve(self, ref):
        return Secret(ref.place)


def context(within_s: float = 10.0) -> Context:
    return Context(
        clock=CLOCK, deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)), secrets=Keys()
    )


@pytest.fixture
async def lab(tmp_path):
    root = LabRoot(tmp_path)
    root.secrets.mkdir()
    made = Monitoring(Site(plan=AddressPlan(NET), root=root, secrets=Secrets(root.secrets)))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def target(lab, kind=PrometheusServer, **more):
    name = "prometheus" if kind is PrometheusServer else "grafana"
    return kind.model_validate({**lab.environment()["targets"][f"monitoring.{name}"], **more})


def scraped(lab, pod, up=1.0, *, ago_s=0.0, **counts):
    told = [("requests_total", {"status": name[1:]}, value) for name, value in counts.items()]
    lab._scraper.store.add(pod, [("up", {}, up), *told], time.time() - ago_s)


async def test_a_share_within_its_limit_holds_for_the_window(lab):
    scraped(lab, POD, ago_s=20, s200=0, s503=0)
    scraped(lab, POD, ago_s=0, s200=990, s503=10)
    params = AssertParams(
        query=SHARE, at_most=0.02, floor_query=ALL, floor=1, holds_for="1s", every="200ms"
    )

    out = await ASSERT.perform(context(), target(lab), params)

    assert out.value == pytest.approx(0.01)
    assert out.floor_value == pytest.approx(50, rel=0.01)
    assert out.looks >= 4
    with pytest.raises(Rejected, match=r"is 0[.]01\d*, and must be at most 0[.]005"):
        await ASSERT.perform(context(), target(lab), AssertParams(query=SHARE, at_most=0.005))


async def test_absent_is_not_zero(lab):
    """A target that vanished from discovery has no ``up`` that could be 0."""
    up = AssertParams(query='up{job="healing-guard"}', at_least=1)
    with pytest.raises(Rejected, match=r"0 series of 1 .* absent is not zero"):
        await ASSERT.perform(context(), target(lab), up)
    no_errors = AssertParams(query='requests_total{status="500"}', at_most=0)
    with pytest.raises(Rejected, match="absent is not zero"):  # although "at most" would hold
        await ASSERT.perform(context(), target(lab), no_errors)
    scraped(lab, POD)
    scraped(lab, OTHER)
    assert 2 == (await ASSERT.perform(context(), target(lab), up)).series
    two = up.model_copy(update={"series": 2})
    lab._scraper.store.forget(OTHER)
    with pytest.raises(Rejected, match="1 series of 2"):
        await ASSERT.perform(context(), target(lab), two)
    scraped(lab, POD, up=0.0)
    with pytest.raises(Rejected, match="is 0, and must be at least 1"):
        await ASSERT.perform(context(), target(lab), up)


async def test_nothing_divided_by_nothing_and_too_little_traffic_say_nothing(lab):
    scraped(lab, POD, ago_s=20, s200=5, s503=0)
    scraped(lab, POD, ago_s=0, s200=5, s503=0)
    with pytest.raises(Rejected, match="no number"):
        await ASSERT.perform(context(), target(lab), AssertParams(query=SHARE, at_most=0.5))
    scraped(lab, POD, ago_s=-0.1, s200=6, s503=0)
    await asyncio.sleep(0.2)
    few = AssertParams(query=SHARE, at_most=0.5, floor_query=ALL, floor=1)
    with pytest.raises(Rejected, match="below 1 a share says nothing"):
        await ASSERT.perform(context(), target(lab), few)


async def test_what_does_not_hold_yet_is_waited_for_and_then_must_stay(lab):
    query = AssertParams(
        query="sum(up)", at_least=1, within="5s", holds_for="1500ms", every="100ms"
    )
    waiting = asyncio.create_task(ASSERT.perform(context(), target(lab), query))
    await asyncio.sleep(0.4)
    assert not waiting.done()
    scraped(lab, POD)
    assert 1 == (await waiting).value

    flapping = asyncio.create_task(ASSERT.perform(context(), target(lab), query))
    await asyncio.sleep(0.5)
    scraped(lab, POD, up=0.0)
    with pytest.raises(Rejected, match="is 0"):
        await flapping


@pytest.mark.parametrize("query", ["foo(up)", "up{", "up ==", "sum(up", "rate(up)", "{}", "up up"])
async def test_a_query_that_is_none_is_refused_by_both(lab, query):
    scraped(lab, POD)
    with pytest.raises(Rejected, match="400"):
        await ASSERT.perform(context(), target(lab), AssertParams(query=query, at_most=1))


@pytest.mark.parametrize(
    "wrong",
    [{}, {"at_most": float("nan")}, {"at_most": 1, "floor": 1}, {"at_most": 1, "series": 0}],
)
def test_an_assertion_asserts_something(wrong):
    with pytest.raises(ValidationError):
        AssertParams(query="up", **wrong)


async def test_both_are_well_until_nothing_listens(lab):
    scraped(lab, POD)
    assert (await Health().perform(context(), target(lab), NoParams())).is_healthy
    grafana = await GrafanaHealth().perform(context(), target(lab, GrafanaServer), NoParams())
    assert "ok" == grafana.database
    await lab.strokes()["monitoring"]({})
    for action, kind in ((Health(), PrometheusServer), (GrafanaHealth(), GrafanaServer)):
        with pytest.raises(Unavailable):
            await action.perform(context(), target(lab, kind), NoParams())
    with pytest.raises(Unavailable):
        await ASSERT.perform(context(), target(lab), AssertParams(query="up", at_least=1))
    await lab.heal()
    await Health().perform(context(), target(lab), NoParams())


async def test_a_prometheus_that_has_scraped_nothing_is_not_ready(lab):
    with pytest.raises(Unavailable, match="503"):
        await Health().perform(context(), target(lab), NoParams())


async def test_a_token_goes_along_and_is_said_nowhere():
    async def guarded(request):
        is_known = request.headers.get("Authorization") == "Bearer t0psecret"
        said = {"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}
        return web.json_response(said if is_known else {}, status=200 if is_known else 401)

    async def failing(_request):
        return web.json_response({"database": "failing"})

    application = web.Application()
    application.router.add_get("/api/v1/query", guarded)
    application.router.add_get("/api/health", failing)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.80.0.99", 9090).start()
        entry = {"url": "http://127.80.0.99:9090/", "region": "r"}
        query = AssertParams(query="2", at_most=2)
        known = PrometheusServer.model_validate({**entry, "token": "env:t0psecret"})
        assert 2 == (await ASSERT.perform(context(), known, query)).value
        wrong = known.model_copy(update={"token": type(known.token)("env:an0ther")})
        with pytest.raises(AuthRejected) as raised:
            await ASSERT.perform(context(), wrong, query)
        assert "an0ther" not in str(raised.value)
        with pytest.raises(Unavailable, match="failing"):
            await GrafanaHealth().perform(
                context(), GrafanaServer.model_validate(entry), NoParams()
            )
    finally:
        await runner.cleanup()


async def test_scrapes_follow_discovery(lab, tmp_path):
    """Pods of a real API answer: up is 1; one that hangs: 0; one that is gone: nothing at all."""
    from drctl.lab.monitoring.scrape import Scraper

    pods = ["127.80.2.1", "127.80.2.2"]

    async def metrics(_request):
        return web.Response(text='n_total{a="b"} 3\n')

    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/metrics", metrics)
    await runner.setup()
    await web.TCPSite(runner, pods[0], 8000).start()

    class Found(Scraper):
        async def _pods(self, session, region):
            return [f"{pod}:8000" for pod in pods]

    scraper = Found({"us-east-1": ("", "", "")})
    try:
        async with aiohttp.ClientSession() as session:
            await scraper._region(session, "us-east-1")

            def up():
                now = time.time()
                return sorted(
                    value
                    for key, one in scraper.store.series.items()
                    if dict(key)["__name__"] == "up" and (value := one.last(now)) is not None
                )

            assert [0.0, 1.0] == up()
            del pods[1]
            await scraper._region(session, "us-east-1")
            assert [1.0] == up()
    finally:
        await runner.cleanup()
