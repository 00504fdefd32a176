"""Puts this suite's helpers, and those it shares, where they can be imported."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent, HERE.parent.parent / "unit" / "engine"):
    sys.path.insert(0, str(folder))


def pytest_collection_modifyitems(items):
    # One worker: a promise's cases are counted in one place, and the loopback net is one.
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("safety-leases"))


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """What a worker changes in its own process is put back where a test plays the worker."""
    from drctl.app import compose, leasing, resuming, running
    from drctl.journal import process

    monkeypatch.setattr(leasing, "FileCell", leasing.FileCell)
    monkeypatch.setattr(process, "machine", process.machine)
    for module in (compose, leasing, running, resuming):
        monkeypatch.setattr(module, "host", module.host)
