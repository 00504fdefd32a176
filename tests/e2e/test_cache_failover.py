"""The cache is lost, and moved while it works: with the real CLI, in a lab that depends on it."""

import pytest
from e2e_lab import lab_of
from e2e_runs import approve, finished, shaped, verdict

INCIDENT = ("-i", "incident=inc-20261122-001")


@pytest.mark.lab
@pytest.mark.net(76)
@pytest.mark.timeout(300)
def test_a_lost_cache_is_failed_over_and_a_planned_move_brings_it_back(tmp_path):
    """Customers are served again, no acknowledged write is lost, and the old primary is owed."""
    with shaped(lab_of(76, tmp_path), "cache") as lab:
        assert lab.drctl("lab", "break", "cache").returncode == 0

        run = lab.drctl("run", "cache-failover", "-e", "lab", *INCIDENT, "--no-input")

        assert run.returncode == 0, run.stdout + run.stderr
        steps = finished(lab)
        moved = steps["failover"]["outputs"]
        assert moved["primary"] != "127.77.5.1:6379"
        assert moved["missing"] == ["127.77.5.1:6379"]
        assert steps["prove"]["outputs"]["primary"] == moved["primary"]
        assert steps["move"]["outcome"] == "skipped"
        seen = verdict(lab)
        assert seen["client"]["outage_s"] > 1, "nothing was lost: the test proves nothing"
        assert seen["client"]["outage_ended_at"] is not None
        assert seen["client"]["lost_acknowledged"] == 0
        assert seen["promises"]["broken"] == 0

        # The way home, planned: a person is asked, and nearly nobody notices.
        assert lab.drctl("lab", "heal").returncode == 0
        before = seen["client"]["failed"]
        back = lab.start(
            "run", "cache-failover", "-e", "lab", *INCIDENT, "-i", "planned=true", "--no-input",
            "--again", "--reason", "the old primary is back",
        )  # fmt: skip
        approve(lab, back, "move")
        shown, _ = back.communicate(timeout=120)
        assert back.returncode == 0, shown
        home = finished(lab)["failover"]["outputs"]
        assert home["changed"] is True
        assert home["previous"] == moved["primary"] != home["primary"]
        assert home["old_primary"] == "replica"
        assert home["missing"] == []
        again = verdict(lab)["client"]
        assert again["lost_acknowledged"] == 0
        assert again["acknowledged"] > seen["client"]["acknowledged"]
        assert again["failed"] - before < 200, "a planned move takes a second or two of 40 writes"
