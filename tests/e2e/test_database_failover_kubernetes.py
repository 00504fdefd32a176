"""The primary of an operator-managed PostgreSQL is lost; its standby cluster takes over."""

import time

import pytest
from e2e_lab import lab_of

INCIDENT = "incident=inc-20261122-001"


@pytest.fixture
def operated(tmp_path):
    """A lab of the shape ``operator``."""
    made = lab_of(44, tmp_path)
    made.drctl("lab", "down")
    up = made.drctl("lab", "up", "--shape", "operator", timeout_s=180)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        yield made
    finally:
        made.stop()
        down = made.drctl("lab", "down")
        assert down.returncode == 0, down.stdout + down.stderr


def approve(lab, gate, patience_s=60):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        said = lab.drctl("approve", "latest", gate, "--reason", "the primary is lost")
        if said.returncode == 0:
            return
        time.sleep(0.3)
    raise AssertionError(said.stdout + said.stderr)


@pytest.mark.lab
@pytest.mark.net(44)
@pytest.mark.timeout(400)
def test_an_operators_standby_cluster_takes_over_and_the_loss_is_within_its_bound(operated):
    """And the old cluster is told to stay down: its operator would start it again."""
    lab = operated
    assert lab.drctl("lab", "traffic").returncode == 0
    time.sleep(4)
    broke = lab.drctl("lab", "break", "database")
    assert broke.returncode == 0, broke.stdout + broke.stderr
    run = lab.start(
        "run", "database-failover-kubernetes", "-e", "lab", "-i", INCIDENT, "--no-input"
    )
    approve(lab, "go")
    shown, _ = run.communicate(timeout=150)
    assert run.returncode == 0, shown
    # The node comes back: the operator must not start the old primary again.
    assert lab.drctl("lab", "heal").returncode == 0
    time.sleep(2)
    lab.drctl("lab", "traffic", "--stop")
    ended = {e["step"]: e for e in lab.events() if e["type"] == "step_finished"}
    assert ended["fence_old_primary"]["outputs"]["method"] == "scaled_to_zero"
    assert ended["promote"]["outputs"]["timeline"] == 2
    assert ended["one_primary"]["outcome"] == "succeeded"
    verdict = lab.verdict(after_s=0)
    assert verdict["client"]["outage_s"] > 0
    assert verdict["client"]["wrong_side_writes"] == 0
    assert verdict["agree"]["loss_within_bound"] is True
