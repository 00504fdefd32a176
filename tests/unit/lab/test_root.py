import os
import signal
import subprocess
import sys

import pytest

from drctl.lab import root
from drctl.lab.root import LabRoot, Process


@pytest.fixture
def sleeper():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def test_a_recorded_process_is_read_back_with_its_start_time(tmp_path, sleeper):
    written = root.record(tmp_path / "pod-1.pid", sleeper.pid)

    assert root.recorded(tmp_path) == [written]
    assert written.is_alive


def test_a_pid_that_was_given_to_somebody_else_is_never_signalled(tmp_path, sleeper):
    (tmp_path / "old.pid").write_text(f"{sleeper.pid} 12345\n")

    (stranger,) = root.recorded(tmp_path)

    assert not stranger.is_alive
    assert not stranger.signal(signal.SIGKILL)
    assert root.kill_all([stranger]) == []
    assert sleeper.poll() is None


def test_a_record_without_a_start_time_is_nobodys(tmp_path):
    (tmp_path / "half.pid").write_text(f"{os.getpid()}\n")

    assert root.recorded(tmp_path) == []


def test_killing_ends_a_stopped_process_too(tmp_path, sleeper):
    process = root.record(tmp_path / "relay.pid", sleeper.pid)
    process.signal(signal.SIGSTOP)

    assert root.kill_all([process]) == []
    assert sleeper.wait(timeout=5) == -signal.SIGKILL


def test_a_process_that_has_ended_is_not_recorded(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert root.record(tmp_path / "gone.pid", child.pid) is None
    assert root.recorded(tmp_path) == []


def test_a_zombie_counts_as_gone(sleeper):
    process = Process("zombie", sleeper.pid, root.start_time(sleeper.pid))

    process.signal(signal.SIGKILL)

    assert root.wait_gone([process], timeout_s=5) == []


def test_a_root_lets_others_pass_through_but_not_look_around(tmp_path):
    lab = LabRoot(tmp_path / "lab")

    lab.create()

    assert lab.path.stat().st_mode & 0o777 == 0o711
    assert lab.secrets.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        lab.create()
    lab.remove()
    lab.remove()
    assert not lab.path.exists()
