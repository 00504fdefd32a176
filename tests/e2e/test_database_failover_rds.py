"""The primary instance dies, its region lives: the standby beside it takes over."""

import pytest
import rds_e2e as e2e

NET, EAST = 32, "us-east-1"
STANDBY, NEXT = "healing-guard-standby", "healing-guard-standby-2"


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.shape("database-rds")
@pytest.mark.timeout(400)
def test_a_dead_primary_s_standby_takes_over_and_gets_a_standby_of_its_own(lab):
    e2e.traffic(lab, 3)
    broken = lab.drctl("lab", "break", "database")
    assert broken.returncode == 0, broken.stdout + broken.stderr
    done = e2e.run(lab, "database-failover-rds", "-i", e2e.INCIDENT)
    judged = e2e.verdict(lab)
    assert done["fence_old_primary"]["outputs"]["method"] == "observed_dead"
    assert done["promote"]["outputs"]["changed"] is True
    client = judged["client"]
    assert client["outage_s"] > 0
    assert client["wrong_side_writes"] == 0
    assert judged["agree"]["loss_within_bound"] is True
    assert e2e.described(NET, EAST, "healing-guard-prod")["DBInstanceStatus"] == "failed"
    standby = e2e.described(NET, EAST, NEXT)
    assert standby["ReadReplicaSourceDBInstanceIdentifier"] == STANDBY
    assert standby["StatusInfos"][0]["Status"] == "replicating"
    assert standby["PubliclyAccessible"] is False
    assert lab.drctl("runs", "verify", "latest").returncode == 0
