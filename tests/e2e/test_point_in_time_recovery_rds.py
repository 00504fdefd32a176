"""Bad writes are undone: the service runs on what was committed before them, and nothing else."""

import time
from datetime import datetime

import pytest
import rds_e2e as e2e

NET, EAST = 32, "us-east-1"
PROD, RESTORED = "healing-guard-prod", "healing-guard-restored"
PIPELINES = "SELECT count(*), max(at) FROM pipelines"


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.timeout(400)
def test_bad_writes_are_undone_and_the_source_keeps_what_came_after(lab):
    e2e.traffic(lab, 6)
    source = e2e.host_of(NET, EAST, PROD)
    [(moment,)] = e2e.sql(NET, source, "SELECT clock_timestamp()")
    [(whole, _)] = e2e.sql(NET, source, f"{PIPELINES} WHERE at < '{moment.isoformat()}'")
    time.sleep(0.3)
    # What went wrong: an update without a WHERE, and half of the rows gone.
    e2e.sql(NET, source, "UPDATE pipelines SET region = 'lost'")
    e2e.sql(
        NET, source, "DELETE FROM pipelines WHERE ctid IN (SELECT ctid FROM pipelines LIMIT 50)"
    )
    time.sleep(2)

    words = ("-i", e2e.INCIDENT, "-i", f"time={moment.isoformat()}")
    done = e2e.run(lab, "point-in-time-recovery-rds", *words, gates=("go", "cut_over"))

    judged = e2e.verdict(lab)
    assert done["stop_app"]["outputs"]["previous_replicas"] == 3
    assert done["start_app"]["outputs"]["replicas"] == 3
    assert done["fence_source"]["outputs"]["durable"] is True
    restored = e2e.host_of(NET, EAST, RESTORED)
    assert done["restore"]["outputs"]["endpoint"] == restored
    # Exactly the moment: every row of before, as it was, and none of the bad ones.
    [(there, _)] = e2e.sql(NET, restored, f"{PIPELINES} WHERE at < '{moment.isoformat()}'")
    assert there == whole
    assert e2e.sql(NET, restored, "SELECT count(*) FROM pipelines WHERE region = 'lost'") == [(0,)]
    client = judged["client"]
    assert client["outage_s"] > 0
    assert client["wrong_side_writes"] == 0
    # What was acknowledged since then is given up, and nothing of before.
    assert client["lost_acknowledged"] > 0, "nobody wrote after the moment: nothing was proven"
    assert datetime.fromisoformat(client["lost_first_acked_at"]) >= moment
    old, new = e2e.described(NET, EAST, PROD), e2e.described(NET, EAST, RESTORED)
    assert new["PubliclyAccessible"] is False
    for name in ("MultiAZ", "DeletionProtection", "IAMDatabaseAuthenticationEnabled"):
        assert new[name] is old[name] is True
    assert new["DBParameterGroups"] == old["DBParameterGroups"]
    assert lab.drctl("runs", "verify", "latest").returncode == 0
