"""Nothing outlives the lab, even when the lab itself was killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drctl.lab.children import descendants, is_alive, kill_recorded, pid_file
from drctl.lab.postgres import release_shared_memory

from .conftest import NET, until

_SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from drctl.lab.plan import AddressPlan
from drctl.lab.postgres import PostgresServer, find_binaries
from drctl.lab.children import unprivileged
from drctl.lab.relay_handle import Relay

async def main():
    plan, root = AddressPlan(int(sys.argv[1])), Path(sys.argv[2])
    root.chmod(0o711)
    binaries = find_binaries(root, unprivileged())
    server = PostgresServer(name="postgres-x", address=plan.rds_backend("us-east-1", 95),
                            root=root, binaries=binaries, run_as=unprivileged())
    await server.initialise()
    relay = Relay(name="relay-x", listen=plan.rds_endpoint("us-east-1", 95),
                  upstream=server.address, root=root)
    await relay.start()
    if sys.argv[3] == "stop":
        await relay.kill()
        await server.remove()
    print("ready", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def root() -> Iterator[Path]:
    # Not tmp_path, whose folders the servers' user may not pass.
    folder = Path(tempfile.mkdtemp(prefix="drctl-lab-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def run_supervisor(root: Path, then: str) -> subprocess.Popen[str]:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, str(NET), str(root), then],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "ready\n"
    return supervisor


def kill(supervisor: subprocess.Popen[str]) -> None:
    supervisor.kill()
    supervisor.communicate()


def segments() -> dict[str, int]:
    """Shared memory of the machine by id, with the process that made it."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {row[1]: int(row[4]) for row in rows}


def test_a_killed_supervisor_leaves_pids_that_end_everything(root: Path) -> None:
    kill(run_supervisor(root, "hang"))
    names = ["postgres-x", "relay-x"]
    pids = [int(pid_file(root, name).read_text().split()[0]) for name in names]
    assert all(is_alive(pid) for pid in pids)
    family = [pid for parent in pids for pid in [parent, *descendants(parent)]]
    assert len(family) > len(pids)
    # Ours only: other servers of this machine come and go meanwhile.
    ours = {segment for segment, maker in segments().items() if maker in family}
    assert ours
    for name in names:
        kill_recorded(root, name)
    until(lambda: not any(is_alive(pid) for pid in family))
    release_shared_memory(root / "postgres" / "postgres-x" / "data")
    assert not ours & segments().keys()
    assert list((root / "pids").iterdir()) == []


def test_an_orderly_end_leaves_no_process_and_no_data(root: Path) -> None:
    supervisor = run_supervisor(root, "stop")
    try:
        assert descendants(supervisor.pid) == []
        assert list((root / "pids").iterdir()) == []
        assert list((root / "postgres").iterdir()) == []
    finally:
        kill(supervisor)
