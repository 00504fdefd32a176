"""What the stories about the way in share: a lab, a client, a run with somebody at its gates."""

import time
from contextlib import contextmanager

from e2e_lab import lab_of


@contextmanager
def estate(net, tmp_path):
    """A lab with a client that writes to it; gone afterwards."""
    lab = lab_of(net, tmp_path)
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", timeout_s=180)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        traffic = lab.drctl("lab", "traffic")
        assert traffic.returncode == 0, traffic.stdout + traffic.stderr
        time.sleep(3)
        yield lab
    finally:
        lab.stop()
        down = lab.drctl("lab", "down")
        assert down.returncode == 0, down.stdout + down.stderr


def run(lab, *arguments, gates=("go",), limit_s=240):
    """Runs a runbook, with an approver at each gate; returns the exit code and what was said."""
    process = lab.start("run", *arguments, "-e", "lab", "--no-input")
    began = time.monotonic()
    for gate in gates:
        while time.monotonic() - began < limit_s and process.poll() is None:
            said = lab.drctl("approve", "latest", gate, "--reason", "a story")
            if said.returncode == 0:
                break
            time.sleep(0.3)
    told, _ = process.communicate(timeout=max(1.0, limit_s - (time.monotonic() - began)))
    return process.returncode, told


def strike(lab, *arguments):
    """Breaks something; returns when that was."""
    struck = lab.drctl("lab", "break", *arguments)
    assert struck.returncode == 0, struck.stdout + struck.stderr
    return struck.stdout.split(" at ")[1].strip()


def verdict(lab):
    """What the client saw, beside what the last run says; the client is stopped."""
    time.sleep(2)
    stopped = lab.drctl("lab", "traffic", "--stop")
    assert stopped.returncode == 0, stopped.stderr
    return lab.verdict(after_s=0)


def outputs(lab):
    """The outputs of every step that succeeded in the last run, by step."""
    return {
        event["step"]: event.get("outputs") or {}
        for event in lab.events()
        if event["type"] == "step_finished" and event["outcome"] == "succeeded"
    }
