"""drctl killed with SIGKILL at a request of a real failover, and resumed."""

import json
import os
import signal
import time

import pytest

PROMOTE = "aws.rds.promote_replica"
PLACES = [
    f"effect.{moment}/{action}@1"
    for action in (PROMOTE, "aws.rds.fence", "aws.route53.failover_switch.engage")
    for moment in ("send", "after")
]
FULL = os.environ.get("DRCTL_SAFETY") == "full"


IN_A_DEAD_REGION = [f"effect.{moment}/aws.rds.fence@1" for moment in ("before", "after")]


def _approve(lab, run, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and run.poll() is None:
        if lab.drctl("approve", "latest", "go", "--reason", "test").returncode == 0:
            return
        time.sleep(0.2)
    run.kill()
    raise AssertionError(f"the gate was not asked: {run.stdout.read()}")


def _killed_at(lab, place) -> None:
    lab.env["DRCTL_FAILPOINTS"] = f"{place}:kill"
    run = lab.start("failover", "region", "-e", "lab", "--confirm", "us-west-2", "--no-input")
    del lab.env["DRCTL_FAILPOINTS"]
    _approve(lab, run)
    shown, _ = run.communicate(timeout=180)
    assert run.returncode == -signal.SIGKILL, shown
    assert lab.events()[-1]["type"] != "run_finished"


@pytest.mark.lab
@pytest.mark.net(212)
@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", PLACES if FULL else PLACES[1:2])
def test_a_failover_that_is_killed_at_a_request_is_resumed_to_its_end(lab, place):
    """As if nothing had happened: one promotion, one fence, customers on the other side, exit 0."""
    _killed_at(lab, place)
    resumed = lab.drctl("resume", "latest", "--no-input", timeout_s=240)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert lab.drctl("runs", "verify", "latest").returncode == 0
    told = lab.drctl("lab", "ledger", "-o", "json")
    assert told.returncode == 0, told.stderr
    said = json.dumps(json.loads(told.stdout))
    assert said.count('"rds.PromoteReadReplica"') == 1, said
    succeeded = {e["step"] for e in lab.events() if e["type"] == "step_finished"}
    assert {"fence_old_primary", "promote", "move_traffic", "verify_public"} <= succeeded


@pytest.mark.lab
@pytest.mark.net(212)
@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", IN_A_DEAD_REGION if FULL else IN_A_DEAD_REGION[:1])
def test_a_failover_that_is_killed_in_the_fence_of_a_dead_region_does_not_wait_for_it(lab, place):
    """Nobody there can say whether it was fenced; to fence once more proves it within seconds."""
    assert lab.drctl("lab", "break", "region", "us-east-1").returncode == 0
    _killed_at(lab, place)
    resumed = lab.drctl("resume", "latest", "--no-input", timeout_s=240)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    [began] = [e["at"]["boot_s"] for e in lab.events() if e["type"] == "run_resumed"]
    [fenced] = [
        e["at"]["boot_s"]
        for e in lab.events()
        if e["type"] == "step_finished"
        and (e["step"], e["outcome"]) == ("fence_old_primary", "succeeded")
    ]
    assert fenced - began < 40, "its timeout is two minutes, and was spent on asking the dead"
