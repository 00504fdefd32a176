"""A bad release is rolled back, and the independent client says that the service is there again."""

import time

import pytest

INCIDENT = "incident=inc-20261122-001"


def approve(lab, gate, patience_s=60):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        said = lab.drctl("approve", "latest", gate, "--reason", "the release is bad")
        if said.returncode == 0:
            return
        time.sleep(0.3)
    raise AssertionError(said.stdout + said.stderr)


@pytest.mark.lab
@pytest.mark.net(44)
@pytest.mark.timeout(300)
def test_a_bad_release_is_rolled_back_to_the_newest_known_good_one(lab):
    """Revisions good, good, bad, bad; the last of them passes its probes and fails customers."""
    assert lab.drctl("lab", "traffic").returncode == 0
    time.sleep(2)
    broke = lab.drctl("lab", "break", "app")
    assert broke.returncode == 0, broke.stdout + broke.stderr
    run = lab.start("run", "app-rollback", "-e", "lab", "-i", INCIDENT, "--no-input")
    approve(lab, "go")
    shown, _ = run.communicate(timeout=120)
    assert run.returncode == 0, shown
    time.sleep(1)
    lab.drctl("lab", "traffic", "--stop")
    ended = {e["step"]: e for e in lab.events() if e["type"] == "step_finished"}
    assert ended["find_good"]["outputs"]["good_image"].endswith(":1.1.0")
    assert ended["find_good"]["outputs"]["current_image"].endswith(":1.2.1")
    assert ended["find_good"]["outputs"]["skipped"] == 1
    assert ended["rollback"]["outputs"]["image"].endswith(":1.1.0")
    verdict = lab.verdict(after_s=0)
    assert verdict["client"]["outage_s"] > 0, "the release was not bad enough to prove anything"
    assert verdict["client"]["lost_acknowledged"] == 0
    assert verdict["agree"]["rta_within_s"] is not None
