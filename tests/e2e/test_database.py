"""
The database runbooks in the lab: from the failure they are for to service, as a customer sees it.

One lab for all of them, in the order in which a team would live through it: the primary is lost,
home again, planned maintenance, and rows that were deleted.
"""

import threading
import time
from datetime import UTC, datetime

import pytest
from e2e_lab import lab_of

NET = 20


class Story:
    """One lab and the runs in it."""

    def __init__(self, lab):
        self.lab = lab

    def run(self, runbook: str, *inputs: str, gate: str = "go"):
        """Runs a runbook with an incident commander in another terminal; returns the verdict."""
        words = ["run", runbook, "-e", "lab", "-i", "incident=inc-20261122-001", "--no-input"]
        words += ["--again", "--reason", "one story in one lab"]
        for one in inputs:
            words += ["-i", one]
        over = threading.Event()
        before = self.lab.runs()

        def commander():
            while not over.wait(0.5):
                for run in self.lab.runs()[len(before) :]:
                    self.lab.drctl("approve", run.name, gate, "--reason", "seen")

        helper = threading.Thread(target=commander)
        helper.start()
        try:
            ran = self.lab.drctl(*words, timeout_s=240)
        finally:
            over.set()
            helper.join()
        assert ran.returncode == 0, ran.stdout + ran.stderr
        time.sleep(2)
        assert self.lab.drctl("lab", "traffic", "--stop").returncode == 0
        return self.lab.verdict(after_s=0), ran.stdout

    def traffic(self, for_s: float):
        assert self.lab.drctl("lab", "traffic").returncode == 0
        time.sleep(for_s)

    def lose(self, what: str):
        struck = self.lab.drctl("lab", "break", what)
        assert struck.returncode == 0, struck.stdout + struck.stderr


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.timeout(1500)
def test_a_database_is_lost_brought_home_switched_and_brought_back_to_a_moment(tmp_path):
    lab = lab_of(NET, tmp_path)
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", "--shape", "database", timeout_s=300)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        story = Story(lab)
        _failover(story)
        _failback(story)
        _switchover(story)
        _moment(story)
    finally:
        lab.stop()
        down = lab.drctl("lab", "down")
        assert down.returncode == 0, down.stdout + down.stderr


def _failover(story):
    """The disk of the primary is full, and it dies of it; what was lost lies within the bound."""
    story.traffic(4)
    story.lose("disk")
    verdict, said = story.run("database-failover")
    assert verdict["client"]["outage_s"] > 0
    assert verdict["agree"]["loss_within_bound"] is True
    assert verdict["client"]["wrong_side_writes"] == 0
    assert "method=observed_dead" in said


def _failback(story):
    """The dead primary is rewound, follows, and takes over again without a loss."""
    story.traffic(4)
    verdict, said = story.run("database-failback")
    assert verdict["client"]["lost_acknowledged"] == 0
    assert verdict["drctl"]["loss_bound_s"] == 0.0
    assert verdict["client"]["outage_s"] > 0
    assert "method=rewound" in said


def _switchover(story):
    """Both live; nothing is lost, and the old primary follows the new one."""
    story.traffic(4)
    verdict, said = story.run("database-switchover")
    assert verdict["client"]["lost_acknowledged"] == 0
    assert "method=started" in said
    # and back, so that db.primary is the primary again
    story.traffic(2)
    verdict, _said = story.run("database-failback")
    assert verdict["client"]["lost_acknowledged"] == 0


def _moment(story):
    """What was acknowledged before the moment is there, what came after it is not."""
    story.traffic(5)
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    time.sleep(16)  # until the archive goes on behind it
    verdict, _said = story.run("point-in-time-recovery", f"time={moment}")
    lost = verdict["client"]
    assert lost["lost_acknowledged"] > 0, "the test proves nothing when nothing came after"
    # A write that was under way at the moment may be on either side of it.
    first = datetime.fromisoformat(lost["lost_first_acked_at"])
    assert first >= datetime.fromisoformat(moment)
    assert lost["outage_s"] > 0
