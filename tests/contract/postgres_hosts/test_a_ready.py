"""What a restore needs is looked at before anybody needs it: real files, a real archive."""

import asyncio

import pytest

from drctl.actions.check import Asked, Standing, Use
from drctl.actions.contract import Effect
from drctl.adapters.postgres.ready_backups import BackupsFresh

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]
INSERT = "INSERT INTO healing_guard.pipelines (id) VALUES ('ready')"


def asked(target, rpo_s):
    use = Use(step="restore", action="postgres.restore_to_time", params={}, effect=Effect.CHANGE,
              timeout_s=60)  # fmt: skip
    return Asked(target=target, name="db.restored", uses=(use,), rto_s=900, rpo_s=rpo_s)


async def looked(estate, target, rpo_s):
    [found] = await BackupsFresh().look(estate.context(permits=False), asked(target, rpo_s))
    return found


async def test_an_archive_that_grows_holds_and_one_that_stopped_is_a_risk(estate):
    target = estate.target("db3")
    async with asyncio.timeout(60):  # until the archive has a commit, and the backup's end
        while (await looked(estate, target, 3600.0)).standing is not Standing.HOLDS:
            await estate.ask("db1", INSERT.replace("'ready'", "gen_random_uuid()::text"),
                             database="healing_guard")  # fmt: skip
            await asyncio.sleep(0.5)
    stopped = await looked(estate, target, 0.001)
    assert stopped.standing is Standing.AT_RISK
    assert "the RPO is" in stopped.why
    assert stopped.readings["age_s"] > 0


async def test_no_base_backup_is_not_ready(estate):
    target = estate.target("db3")
    empty = target.backups.model_copy(update={"base_backups": str(estate.layout.archive)})
    found = await looked(estate, target.model_copy(update={"backups": empty}), 3600.0)
    assert found.standing is Standing.NOT_READY
