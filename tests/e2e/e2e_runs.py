"""What end-to-end tests of runbooks share."""

import contextlib
import time


@contextlib.contextmanager
def shaped(lab, shape: str):
    """A lab of a shape, with the independent client at work."""
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", "--shape", shape, timeout_s=120)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        assert lab.drctl("lab", "traffic").returncode == 0
        time.sleep(1.0)  # so that the client has written something before anything is lost
        yield lab
    finally:
        lab.stop()
        down = lab.drctl("lab", "down")
        assert down.returncode == 0, down.stdout + down.stderr


def verdict(lab, *, after_s: float = 1.5) -> dict:
    """What the client saw, a moment after the run, beside what drctl says."""
    return lab.verdict(after_s=after_s)


def finished(lab) -> dict[str, dict]:
    """The last word on each step of the latest run."""
    return {e["step"]: e for e in lab.events() if e["type"] == "step_finished"}


def approve(lab, run, gate: str, timeout_s: float = 60) -> None:
    """Says go at a gate as soon as it asks."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and run.poll() is None:
        if lab.drctl("approve", "latest", gate, "--reason", "test").returncode == 0:
            return
        time.sleep(0.2)
    run.kill()
    raise AssertionError(f"the gate was not asked: {run.stdout.read()}")
