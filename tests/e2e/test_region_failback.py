"""A region is lost, comes back, and gets its service back; what was acknowledged is there."""

import json
import time

import pytest
import rds_e2e as e2e

NET, EAST, WEST = 32, "us-east-1", "us-west-2"
PROD, STANDBY = "healing-guard-prod", "healing-guard-dr"


def owed(lab):
    shown = lab.drctl("debt", "list", "-o", "json")
    assert shown.returncode in {0, 8}, shown.stderr
    return {debt["key"].partition(":")[0] for debt in json.loads(shown.stdout)["open"]}


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.shape("two-way")
@pytest.mark.timeout(600)
def test_after_a_failover_the_lost_region_is_rebuilt_and_served_from_again(lab):
    e2e.traffic(lab, 3)
    assert lab.drctl("lab", "break", "region", EAST).returncode == 0
    e2e.run(lab, "region-failover", "-i", e2e.INCIDENT, timeout_s=300)
    e2e.verdict(lab)
    assert {"standby", "fence"} <= owed(lab)

    # The region is back, and its old primary with it: it takes writes, were anybody to send some.
    healed = lab.drctl("lab", "heal")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    time.sleep(3)
    e2e.traffic(lab, 1)
    # It moves nobody, so the cool-down after the failover does not hold it up.
    done = e2e.run(lab, "region-reprotect", "-i", e2e.INCIDENT)
    calm = e2e.verdict(lab)
    assert done["fence_old_primary"]["outputs"]["durable"] is True
    assert done["reprotect"]["outputs"]["replication"] == "replicating"
    assert calm["client"]["failed"] == 0, f"rebuilding a standby must not be noticed: {calm}"
    assert not {"standby", "fence"} & owed(lab)

    e2e.traffic(lab, 3)
    words = ("-i", e2e.INCIDENT, "--again", "--reason", "the region is back")
    done = e2e.run(lab, "region-failback", *words)
    home = e2e.verdict(lab)
    assert done["drain"]["outputs"]["bound"] == 0.0
    assert home["client"]["lost_acknowledged"] == 0
    assert home["client"]["wrong_side_writes"] == 0
    assert home["client"]["outage_s"] > 0
    assert done["verify_public"]["outputs"]["served_by"] == EAST
    assert e2e.described(NET, WEST, STANDBY)["StatusInfos"][0]["Status"] == "replicating"
    assert not {"standby", "fence"} & owed(lab)
