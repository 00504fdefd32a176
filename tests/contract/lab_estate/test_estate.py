import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import yaml

from drctl.config.environment import load_environment
from drctl.kernel.errors import RefusedError
from drctl.lab import control
from drctl.lab import root as processes
from drctl.lab.access import Secrets
from drctl.lab.blocking import run_apart
from drctl.lab.plan import REGIONS, AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.verdict import ids_present, read_record

pytestmark = [pytest.mark.lab, pytest.mark.timeout(90)]

NET = int(os.environ.get("DRCTL_TEST_NET", "130"))
PLAN, ROOT = AddressPlan(NET), LabRoot.of(NET)
STANDBY = PLAN.rds_name("us-west-2", "healing-guard-dr")


@pytest.fixture
def lab():
    control.down(NET)
    try:
        yield control.up(NET)
    finally:
        assert control.down(NET) == []


def eventually(holds, *, within_s=15.0):
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return found


def acknowledged():
    return read_record(ROOT.traffic_log.read_text()).acknowledged


def acknowledged_since(count):
    return lambda: len(acknowledged()) > count


def hangs(address):
    with socket.create_connection(address, timeout=2) as connection:
        connection.settimeout(0.5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            connection.recv(1)
        except TimeoutError:
            return True
    return False


def standby_ids():
    password = Secrets(ROOT.secrets).read("database_healing_guard")
    found = ids_present(
        STANDBY, PLAN.dns, user="healing_guard", password=password, database="healing_guard"
    )
    return run_apart(found)


def witness():
    import boto3

    environment = yaml.safe_load(ROOT.environment.read_text())
    where = environment["targets"]["db.primary"]["witness"]
    west = environment["connections"]["aws-west"]
    client = boto3.client(
        "s3",
        region_name="us-west-2",
        endpoint_url=west["endpoints"]["s3"],
        aws_access_key_id=Path(west["access_key_id"].removeprefix("file:")).read_text(),
        aws_secret_access_key=Path(west["secret_access_key"].removeprefix("file:")).read_text(),
    )
    with contextlib.closing(client):
        return json.load(client.get_object(Bucket=where["bucket"], Key=where["key"])["Body"])


def environment_targets():
    return load_environment(ROOT.environment).targets


def alive():
    return {one.name for one in processes.recorded(ROOT.pids) if one.is_alive}


def own_addresses():
    yield PLAN.dns
    yield PLAN.recorder
    for region in REGIONS:
        yield PLAN.aws_address(region)
        yield PLAN.kubernetes_address(region)
        yield PLAN.rds_endpoint(region, 1)
        yield PLAN.rds_backend(region, 1)
        yield PLAN.replication_link(region, 1)
        yield PLAN.balancer(region, 1)
        yield from ((pod, 8000) for pod in PLAN.pod_addresses(region)[:5])


def test_a_killed_region_takes_no_more_writes_and_its_endpoints_answer_nobody(lab):
    """The whole point of the lab: what drctl meets must be as dead as a dead region is."""
    with pytest.raises(RefusedError, match="DR5301"):
        control.up(NET)
    targets = environment_targets()
    assert targets["db.primary"].system_identifier == witness()["system_identifier"]
    assert {path.stat().st_mode & 0o777 for path in ROOT.secrets.iterdir()} == {0o600}

    control.start_traffic(NET)
    eventually(acknowledged_since(20))
    before = control.verdict(None, NET)
    assert before["client"]["lost_acknowledged"] == 0
    assert before["client"]["outage_s"] < 2

    control.strike("replication", NET)
    eventually(acknowledged_since(len(acknowledged()) + 20))
    struck = control.strike("region", NET, name="us-east-1")

    assert {"relay-healing-guard-prod", "postgres-healing-guard-prod"}.isdisjoint(alive())
    assert sum(name.startswith("pod-") for name in alive()) == 1
    assert hangs(PLAN.aws_address("us-east-1"))
    assert hangs(PLAN.kubernetes_address("us-east-1"))
    assert eventually(lambda: witness()["refused_since"])
    assert all(write.acked_boot_s <= struck.ended.boot_s for write in acknowledged())
    on_standby = standby_ids()
    lost = [write for write in acknowledged() if write.id not in on_standby]
    assert len(lost) >= 20
    assert control.verdict(None, NET)["client"]["lost_acknowledged"] is None
    status = control.status(NET)
    assert status.regions == {"us-east-1": "killed", "us-west-2": "up"}
    assert status.replication == "blackholed"

    assert control.heal(NET) == []
    eventually(acknowledged_since(len(acknowledged())))
    control.stop_traffic(NET)
    assert control.verdict(None, NET)["client"]["outage_s"] > 0.5


def test_a_partitioned_region_is_silent_yet_alive_and_comes_back(lab):
    """ "Cannot reach" must never look like a fence: the witness may not say "refused"."""
    control.start_traffic(NET)
    eventually(acknowledged_since(20))
    before = alive()

    struck = control.strike("region", NET, name="us-east-1", how="partition")
    eventually(lambda: witness()["last_error"] == "timeout")

    assert witness()["refused_since"] is None
    assert alive() == before
    assert hangs(PLAN.aws_address("us-east-1"))
    assert all(write.acked_boot_s <= struck.ended.boot_s for write in acknowledged())
    assert control.heal(NET) == []
    eventually(acknowledged_since(len(acknowledged())))
    eventually(lambda: witness()["last_error"] is None)


def test_a_lab_whose_supervisor_was_killed_is_taken_down_completely(lab):
    """Nothing may be left: no process, no port, no file, no shared memory."""
    control.start_traffic(NET)
    known = processes.recorded(ROOT.pids)
    (supervisor,) = [one for one in known if one.name == processes.SUPERVISOR]
    supervisor.signal(signal.SIGKILL)
    assert not control.status(NET).is_up

    assert control.down(NET) == []

    assert not [one.name for one in known if one.is_alive]
    assert not processes.servers_inside(ROOT.path)
    assert not ROOT.path.exists()
    for address in own_addresses():
        socket.create_server(address).close()
    with pytest.raises(RefusedError, match="DR5302"):
        control.heal(NET)
