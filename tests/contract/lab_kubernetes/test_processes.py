"""A container's process is started, ended and cleaned up after, whoever runs the lab."""

import os
import signal
from pathlib import Path

import pytest

from drctl.lab.kubernetes.processes import Process

from .conftest import eventually

SLEEP = ["/bin/sh", "-c", "sleep 600 & sleep 600"]


def start(
    tmp_path: Path, argv: list[str], run_as: tuple[int, int] | None = None
) -> tuple[Process, Path]:
    pid_file = tmp_path / "pod.pid"
    path = {"PATH": os.environ["PATH"]}
    process = Process.start(argv, path, log=tmp_path / "log", pid_file=pid_file, run_as=run_as)
    return process, pid_file


def session(pid: int) -> set[int]:
    members = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == pid and fields[0] != "Z":
                members.add(int(entry.name))
    return members


def test_what_a_process_left_running_goes_with_it(tmp_path: Path) -> None:
    process, pid_file = start(tmp_path, SLEEP)
    try:
        eventually(lambda: len(session(process.pid)) == 3)
        os.kill(process.pid, signal.SIGKILL)
        assert eventually(process.exit_code) == 137
        assert eventually(lambda: not session(process.pid))
        assert not pid_file.exists()
        process.signal(signal.SIGKILL)  # its number may be a stranger's by now: nothing is sent
    finally:
        process.signal(signal.SIGKILL)


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(tmp_path, ["/nowhere/program"])
    assert not (tmp_path / "pod.pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run pods as somebody else")
def test_root_runs_pods_as_the_given_user(tmp_path: Path) -> None:
    process, _ = start(tmp_path, ["/bin/sleep", "600"], (65534, 65534))
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        lines = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert (lines["Uid"], lines["Gid"]) == (["65534"] * 4, ["65534"] * 4)
        assert lines["Groups"] == []
    finally:
        process.signal(signal.SIGKILL)
        eventually(process.exit_code)
