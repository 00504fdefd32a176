"""What drctl must not do on the worst day, in a real lab."""

import json
import signal
import time

import pytest


def _until(condition, timeout_s: float):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def _approve(lab, run):
    def said() -> bool:
        assert run.poll() is None, run.stdout.read()
        return lab.drctl("approve", "latest", "go", "--reason", "test").returncode == 0

    _until(said, 60)


@pytest.mark.lab
@pytest.mark.net(192)
@pytest.mark.timeout(300)
def test_a_partitioned_primary_is_not_promoted_over_and_an_interrupt_leaves_a_record(lab, tmp_path):
    """
    "Cannot reach" is not a fence: with the old region alive behind a partition nothing is promoted.

    In the same lab, to save its start: a saved plan is stale after the world changed; a killed run
    is shown as interrupted; a changed journal does not verify; planning changes nothing.
    """
    inputs = ["-i", "incident=inc-20261122-001"]
    plan_file = tmp_path / "plan.json"
    planned = lab.drctl(
        "plan", "region-failover", "-e", "lab", *inputs, "--out", str(plan_file), "-o", "json"
    )
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["loss"]["bound_s"] is not None
    [promote] = [step for step in plan["steps"] if step["id"] == "promote"]
    assert promote["prediction"]["symbol"] == "!"

    changed = json.loads(plan_file.read_text())
    changed["inputs"]["replicas"] = 9
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(changed))
    assert lab.drctl("run", str(forged)).returncode == 3

    # A run that is killed while it waits at the gate.
    run = lab.start("run", str(plan_file), "--no-input")
    _until(lambda: "GATE go" in (run.stdout.readline() or ""), 60)
    prewarmed = _until(
        lambda: [
            e for e in lab.events() if e["type"] == "step_finished" and e["step"] == "prewarm_app"
        ],
        60,
    )
    assert prewarmed[0]["outcome"] == "succeeded"
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    listed = json.loads(lab.drctl("runs", "list", "-o", "json").stdout)
    assert [row["status"] for row in listed["runs"]] == ["interrupted"]
    assert lab.drctl("runs", "verify", "latest").returncode == 0

    # The application now has five replicas: the saved plan is for another world.
    stale = lab.drctl("run", str(plan_file), "--no-input")
    assert stale.returncode == 5, stale.stderr
    assert "DR3201" in stale.stderr

    # The region is partitioned: alive, and nobody reaches it.
    assert lab.drctl("lab", "break", "region", "us-east-1", "--how", "partition").returncode == 0
    # The killed run still has the targets; whoever goes on without it says so.
    words = ("failover", "region", "-e", "lab", "--confirm", "us-west-2", "--no-input",
             "--accept-data-loss", "unknown", "--again", "--reason", "test")  # fmt: skip
    held = lab.drctl(*words)
    assert held.returncode == 5
    assert "DR3501" in held.stderr
    broken = lab.drctl("lease", "break", "--run", listed["runs"][0]["run"], "-e", "lab",
                       "--reason", "killed")  # fmt: skip
    assert broken.returncode == 0, broken.stderr
    run = lab.start(*words)
    _approve(lab, run)
    shown, _ = run.communicate(timeout=120)
    assert run.returncode == 6, shown
    events = lab.events()
    finished = {e["step"]: e for e in events if e["type"] == "step_finished"}
    assert finished["fence_old_primary"]["outcome"] == "failed"
    assert "cannot reach is not a fence" in finished["fence_old_primary"]["why"]
    assert "promote" not in finished
    assert not [e for e in events if e["type"] == "effect_intended" and e["effect"] == "promote"]

    # One byte of the record is changed.
    journal = lab.runs()[-1] / "events.jsonl"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    verified = lab.drctl("runs", "verify", "latest")
    assert verified.returncode == 9
    assert "DR4001" in verified.stderr


@pytest.mark.lab
@pytest.mark.net(196)
@pytest.mark.timeout(300)
def test_ctrl_c_lets_what_runs_finish_and_a_resume_carries_on(lab):
    """
    An interrupt at the gate: the prewarming change finishes, nothing is fenced, exit 130.

    The resumed run asks the gate again, does nothing twice, and brings the service over.
    """
    run = lab.start("failover", "region", "-e", "lab", "--confirm", "us-west-2", "--no-input")
    _until(lambda: "GATE go" in (run.stdout.readline() or ""), 60)
    _until(
        lambda: "prewarm_app" in {e["step"] for e in lab.events() if e["type"] == "step_finished"},
        60,
    )
    run.send_signal(signal.SIGHUP)  # the terminal goes away: the recovery does not
    finished = [e for e in _until(lab.events, 10) if e["type"] == "run_finished"]
    assert finished == []
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    shown, _ = run.communicate(timeout=60)
    assert run.returncode == 130, shown
    events = lab.events()
    started = {e["step"] for e in events if e["type"] == "step_started"}
    finished = {e["step"] for e in events if e["type"] == "step_finished"}
    assert "prewarm_app" in finished
    assert started <= finished
    assert "fence_old_primary" not in started
    assert events[-1]["result"] == "interrupted"
    assert "drctl resume" in shown

    resumed = lab.start("resume", "latest", "--no-input")
    _approve(lab, resumed)
    shown, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, shown
    events = lab.events()
    changes = [e for e in events if e["type"] == "effect_intended" and e["changes"]]
    done = [(e["step"], e["action"]) for e in changes]
    assert len(done) == len(set(done)), "an effect was intended twice"
    assert ("promote", "aws.rds.promote_replica") in done
    assert events[-1]["result"] == "succeeded"
    assert lab.drctl("runs", "verify", "latest").returncode == 0
