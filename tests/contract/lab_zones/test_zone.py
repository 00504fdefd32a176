"""An availability zone of the lab dies: what goes on by itself, and what does not."""

import contextlib
import os
import socket
import time
from pathlib import Path

import boto3
import pytest
import yaml
from kubernetes import client as k8s
from kubernetes import config

from drctl.kernel.errors import RefusedError
from drctl.lab import control
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.verdict import read_record

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

NET = int(os.environ.get("DRCTL_TEST_ZONE_NET", "244"))
PLAN, ROOT = AddressPlan(NET), LabRoot.of(NET)
APPLICATION = "healing-guard"


@pytest.fixture
def lab():
    control.down(NET)
    try:
        control.up(NET)
        control.start_traffic(NET)
        eventually(acknowledged_since(20))
        yield
    finally:
        assert control.down(NET) == []


def eventually(holds, *, within_s=40.0):
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return found


def acknowledged():
    return read_record(ROOT.traffic_log.read_text()).acknowledged


def acknowledged_since(count):
    return lambda: len(acknowledged()) > count


def is_served_after(instant):
    """Whether ten writes in a row were acknowledged, the last of them just now."""
    after = [one for one in acknowledged() if one.acked_boot_s > instant.boot_s + 1]
    return len(after) > 10


def described(region, identifier):
    side = "aws-east" if region == "us-east-1" else "aws-west"
    entry = yaml.safe_load(ROOT.environment.read_text())["connections"][side]
    client = boto3.client(
        "rds",
        region_name=region,
        endpoint_url=entry["endpoints"]["rds"],
        aws_access_key_id=Path(entry["access_key_id"].removeprefix("file:")).read_text(),
        aws_secret_access_key=Path(entry["secret_access_key"].removeprefix("file:")).read_text(),
    )
    with contextlib.closing(client):
        [found] = client.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    return found


def nodes_of_pods(region):
    """The node of each pod that is ready, by the cluster's word."""
    with config.new_client_from_config(str(ROOT.kubeconfig(region))) as api:
        found = k8s.CoreV1Api(api).list_namespaced_pod(APPLICATION).items
    return [
        pod.spec.node_name
        for pod in found
        if any((one.type, one.status) == ("Ready", "True") for one in pod.status.conditions or [])
    ]


def why(zone, **words):
    """What is said to who asks for what cannot be broken."""
    with pytest.raises(RefusedError) as refused:
        control.strike("zone", NET, name=zone, **words)
    return refused.value.problems[0].why


def hangs(address):
    with socket.create_connection(address, timeout=2) as connection:
        connection.settimeout(0.5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            connection.recv(1)
        except TimeoutError:
            return True
    return False


def test_customers_outlive_a_zone_by_themselves_and_not_the_second_one(lab):
    """No drctl runs in here at all: what a region can lose without a runbook, and what not."""
    assert set(nodes_of_pods("us-east-1")) == {"us-east-1-node-1", "us-east-1-node-2"}
    before = described("us-east-1", "healing-guard-prod")
    assert (before["AvailabilityZone"], before["MultiAZ"]) == ("us-east-1a", True)

    struck = control.strike("zone", NET, name="us-east-1a")
    eventually(lambda: is_served_after(struck.ended))
    eventually(lambda: nodes_of_pods("us-east-1") == ["us-east-1-node-2"] * 3)

    after = described("us-east-1", "healing-guard-prod")
    assert (after["DBInstanceStatus"], after["AvailabilityZone"]) == ("available", "us-east-1b")
    assert after["Endpoint"] == before["Endpoint"]
    seen = control.verdict(None, NET)["client"]
    assert seen["lost_acknowledged"] == 0
    assert 1 < seen["outage_s"] < 30, seen
    status = control.status(NET)
    assert status.regions == {"us-east-1": "up", "us-west-2": "up"}
    assert [zone for zone, how in status.zones.items() if how == "killed"] == ["us-east-1a"]

    # Again is harmless; what is no zone is told which there are; a zone is never partitioned.
    control.strike("zone", NET, name="us-east-1a")
    assert why("us-east-1c") == "it has us-east-1a, us-east-1b, us-west-2a, us-west-2b"
    assert "only be killed" in why("us-east-1b", how="partition")

    # The replica has no standby: it is away for as long as its zone is.
    control.strike("zone", NET, name="us-west-2a")
    assert described("us-west-2", "healing-guard-dr")["DBInstanceStatus"] == "failed"
    eventually(acknowledged_since(len(acknowledged()) + 10))

    # Without its last zone a region is lost, its control planes with it.
    last = control.strike("zone", NET, name="us-east-1b")
    time.sleep(3)
    assert all(write.acked_boot_s <= last.ended.boot_s for write in acknowledged())
    assert hangs(PLAN.aws_address("us-east-1"))
    assert control.status(NET).regions["us-east-1"] == "killed"
    control.strike("zone", NET, name="us-east-1a")

    assert control.heal(NET) == []
    count = len(acknowledged())
    eventually(acknowledged_since(count + 10))
    assert set(control.status(NET).zones.values()) == {"up"}
    for region, name in (("us-east-1", "healing-guard-prod"), ("us-west-2", "healing-guard-dr")):
        assert described(region, name)["DBInstanceStatus"] == "available"
    control.stop_traffic(NET)
    assert control.verdict(None, NET)["client"]["lost_acknowledged"] == 0
