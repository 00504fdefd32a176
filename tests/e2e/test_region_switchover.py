"""There and back as planned: the client loses no write, and a standby always follows."""

import pytest
import rds_e2e as e2e

NET, EAST, WEST = 32, "us-east-1", "us-west-2"
PROD, STANDBY = "healing-guard-prod", "healing-guard-dr"


def follows(region, instance, source_region, source):
    replica = e2e.described(NET, region, instance)
    primary = e2e.described(NET, source_region, source)
    [info] = replica["StatusInfos"]
    return (
        replica["ReadReplicaSourceDBInstanceIdentifier"] == primary["DBInstanceArn"]
        and info["Status"] == "replicating"
        and replica["PubliclyAccessible"] is False
    )


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.shape("two-way")
@pytest.mark.timeout(500)
def test_a_planned_move_and_the_way_back_lose_nothing_and_end_with_a_standby(lab):
    e2e.traffic(lab, 3)
    done = e2e.run(lab, "region-switchover", "-i", "incident=chg-20261122-001")
    there = e2e.verdict(lab)
    assert done["drain"]["outputs"]["bound"] == 0.0
    assert there["client"]["lost_acknowledged"] == 0
    assert there["client"]["wrong_side_writes"] == 0
    assert there["client"]["outage_s"] > 0
    assert there["drctl"]["loss_bound_s"] == 0.0
    assert follows(EAST, PROD, WEST, STANDBY)
    assert (
        e2e.described(NET, EAST, f"{PROD}-aside-chg-20261122-001")["DBInstanceStatus"]
        == "available"
    )

    e2e.traffic(lab, 3)
    words = ("-i", "incident=chg-20261122-002", "--again", "--reason", "the window is over")
    done = e2e.run(lab, "region-failback", *words)
    back = e2e.verdict(lab)
    assert done["drain"]["outputs"]["bound"] == 0.0
    assert done["move_traffic"]["outputs"]["engaged"] is False
    assert done["shrink_standby_app"]["outputs"] == {"previous_replicas": 5, "replicas": 1}
    assert back["client"]["lost_acknowledged"] == 0
    assert back["client"]["wrong_side_writes"] == 0
    assert back["client"]["outage_s"] > 0
    assert follows(WEST, STANDBY, EAST, PROD)
    assert lab.drctl("runs", "verify", "latest").returncode == 0
