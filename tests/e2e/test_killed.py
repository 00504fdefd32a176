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


def _approve(lab, run, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and run.poll() is None:
        if lab.drctl("approve", "latest", "go", "--reason", "test").returncode == 0:
            return
        time.sleep(0.2)
    run.kill()
    raise AssertionError(f"the gate was not asked: {run.stdout.read()}")


@pytest.mark.lab
@pytest.mark.net(212)
@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", PLACES if FULL else PLACES[1:2])
def test_a_failover_that_is_killed_at_a_request_is_resumed_to_its_end(lab, place):
    """As if nothing had happened: one promotion, one fence, customers on the other side, exit 0."""
    lab.env["DRCTL_FAILPOINTS"] = f"{place}:kill"
    run = lab.start("failover", "region", "-e", "lab", "--confirm", "us-west-2", "--no-input")
    del lab.env["DRCTL_FAILPOINTS"]
    _approve(lab, run)
    shown, _ = run.communicate(timeout=180)
    assert run.returncode == -signal.SIGKILL, shown
    assert lab.events()[-1]["type"] != "run_finished"

    resumed = lab.drctl("resume", "latest", "--no-input", timeout_s=240)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert lab.drctl("runs", "verify", "latest").returncode == 0
    told = lab.drctl("lab", "ledger", "-o", "json")
    assert told.returncode == 0, told.stderr
    said = json.dumps(json.loads(told.stdout))
    assert said.count('"rds.PromoteReadReplica"') == 1, said
    succeeded = {e["step"] for e in lab.events() if e["type"] == "step_finished"}
    assert {"fence_old_primary", "promote", "move_traffic", "verify_public"} <= succeeded
