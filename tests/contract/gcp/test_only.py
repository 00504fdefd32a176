"""After a promotion: the old primary is stopped, the new one has what clients write."""

from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from drctl.actions.contract import NoParams
from drctl.actions.errors import Conflict, Rejected
from drctl.adapters.gcp.sql_fence import FenceInstance
from drctl.adapters.gcp.sql_only import AssertSinglePrimary
from drctl.adapters.gcp.sql_promote import PromoteParams, PromoteReplica
from drctl.adapters.gcp.sql_unfence import UnfenceInstance, UnfenceParams
from drctl.adapters.postgres.clients import AssertClientsWrite, ClientsParams
from drctl.adapters.postgres.monitor import Monitor, MonitorParams
from drctl.adapters.postgres.rows import AssertRows, RowsParams
from drctl.config.environment import load_environment

PRIMARY, REPLICA = "healing-guard-prod", "healing-guard-dr"
PROVE = AssertSinglePrimary()
FRONT = ("127.92.0.80", 8080)
EXAMPLE = Path(__file__).parents[3] / "examples" / "environments" / "prod-gcp.yaml"


@pytest_asyncio.fixture(loop_scope="session")
async def front(databases):
    """The way clients write: an application that follows where the test points it."""
    where = {"leads_to": REPLICA}

    async def write(request):
        row = (await request.json())["id"]
        session = await databases.session(where["leads_to"])
        try:
            await session.execute("INSERT INTO drctl.write_check (token) VALUES ($1)", row)
        finally:
            await session.close()
        return web.Response(status=201)

    application = web.Application()
    application.router.add_post("/write", write)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, *FRONT).start()
    yield where
    await runner.cleanup()


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_one_primary_is_proven_and_two_are_found(databases, front):
    await databases.replica(REPLICA, 102)
    path = {"url": "http://{}:{}/write".format(*FRONT), "table": "drctl.write_check"}
    old = databases.target(PRIMARY, "us-east1", client_path=path | {"column": "token"})
    # The old side's own application is gone.
    old = old.model_copy(update={"client_write_urls": ("http://127.92.0.81:8080/write",)})
    new = databases.target(REPLICA)
    wanted = PROVE.params.model_validate({"new_primary": new.sql.host, "watch": "1s"})
    await FenceInstance().perform(databases.context(40), old, NoParams())
    promoted = PromoteParams(from_timeline=1)
    await PromoteReplica().perform(databases.context(40), new, promoted)
    proof = await PROVE.perform(databases.context(40, key="proof"), old, wanted)
    assert (proof.timeline, proof.durable, proof.row) == (2, True, "drctl-one-proof")
    assert any("is stopped" in one for one in proof.proof)
    session = await databases.session(REPLICA)
    assert await session.fetchval(
        "SELECT count(*) FROM drctl.write_check WHERE token = 'drctl-one-proof'"
    )
    await session.close()
    # Somebody starts the old primary again: it takes writes, and that is found.
    back = UnfenceParams(policy="ALWAYS")
    await UnfenceInstance().perform(databases.context(40), old, back)
    with pytest.raises(Rejected, match="takes writes"):
        await PROVE.perform(databases.context(40, key="again"), old, wanted)
    front["leads_to"] = PRIMARY
    with pytest.raises(Rejected, match="somewhere else"):
        await PROVE.perform(databases.context(40, key="third"), old, wanted)


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_what_is_asked_of_any_postgresql_is_asked_of_this_one(databases, front):
    front["leads_to"] = PRIMARY
    path = {"url": "http://{}:{}/write".format(*FRONT), "table": "drctl.write_check"}
    target = databases.target(PRIMARY, "us-east1", client_path=path | {"column": "token"})
    written = await AssertClientsWrite().perform(
        databases.context(key="one"), target, ClientsParams()
    )
    canary = {"table": "drctl.write_check", "column": "token", "value": written.row}
    rows = RowsParams.model_validate({"canaries": [canary]})
    assert len((await AssertRows().perform(databases.context(), target, rows)).checks) == 2
    watched = MonitorParams.model_validate({"window": "1s", "every": "300ms"})
    assert (await Monitor().perform(databases.context(), target, watched)).samples >= 2
    with pytest.raises(Rejected, match="0 standby"):
        await Monitor().perform(
            databases.context(), target, watched.model_copy(update={"standbys": 1})
        )
    elsewhere = databases.target(PRIMARY, "us-east1", system_identifier="1")
    with pytest.raises(Conflict, match="another database"):
        await AssertRows().perform(databases.context(), elsewhere, rows)


def test_the_example_environment_is_one():
    environment = load_environment(EXAMPLE)
    kinds = {target.kind for target in environment.targets.values()}
    assert kinds == {"gcp.cloudsql.instance", "gcp.dns.record", "kubernetes.deployment"}
    primary = environment.targets["db.primary"]
    assert primary.identities == (
        "gcp:415104041262:cloudsql:healing-guard-prod",
        "postgres:7000000000000000000",
    )
