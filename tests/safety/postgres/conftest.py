import asyncio
import os
import sys
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from estate import Template

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)
os.environ.setdefault("DRCTL_TEST_PG_PASSWORD", "lab-password")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template():
    """A primary and its standby, stopped, to be copied for each case."""
    made = await Template.make()
    try:
        yield made
    finally:
        await made.remove()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A vendor's seconds are a lab's half: how long is waited changes no verdict."""
    from datetime import timedelta

    from drctl.adapters import _candidate_look, _sql
    from drctl.adapters.aws import rds_lag
    from drctl.adapters.postgres import vantage
    from drctl.engine import identities

    monkeypatch.setattr(_sql, "CONNECT_TIMEOUT", timedelta(seconds=1.5))
    monkeypatch.setattr(rds_lag, "PATIENCE", timedelta())
    monkeypatch.setattr(identities, "DEAD_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(_candidate_look, "NEIGHBOUR", timedelta(seconds=1.5))
    monkeypatch.setattr(vantage, "_TRY_FOR", timedelta(seconds=1.5))
