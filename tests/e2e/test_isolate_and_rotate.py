"""
Somebody has the password and is inside: nobody is served, then the old password is worth nothing.
"""

import asyncio
import threading
import time

import asyncpg
import pytest
from edge_story import estate, outputs, run, verdict

from drctl.lab.plan import AddressPlan
from drctl.lab.sql_errors import SQL_ERRORS

NET = 56


class Intruder(threading.Thread):
    """Has the password: one session that it opened before anybody knew, and ever new ones."""

    def __init__(self, address, password):
        super().__init__(daemon=True)
        self._access = {
            "host": address,
            "user": "healing_guard",
            "password": password,
            "database": "healing_guard",
            "ssl": False,
            "timeout": 2,
            "command_timeout": 2,
        }
        self.is_inside = threading.Event()
        self.ends = threading.Event()
        self.logins, self.words, self.lost_session = [], [], ""

    def run(self):
        asyncio.run(self._rob())

    async def _rob(self):
        session = await asyncpg.connect(**self._access)
        self.is_inside.set()
        while not self.ends.is_set():
            try:
                if not self.lost_session:
                    await session.fetchval("SELECT count(*) FROM pipelines")
            except SQL_ERRORS as error:
                if session.is_closed():
                    self.lost_session = type(error).__name__
            try:
                other = await asyncpg.connect(**self._access)
                self.logins.append(time.time())
                await other.close()
            except SQL_ERRORS as error:
                self.words.append(type(error).__name__)
            await asyncio.sleep(0.1)
        session.terminate()


def intruder_of(lab):
    """What somebody knows who has read the application's secret."""
    stolen = (lab.root / "secrets" / "database_healing_guard").read_text()
    return Intruder(AddressPlan(NET).rds_endpoint("us-east-1", 1)[0], stolen)


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.timeout(420)
def test_a_leaked_password_is_worth_nothing_afterwards_and_customers_are_served(tmp_path):
    """The intruder's open session ends, its logins are refused, and no customer's write is lost."""
    with estate(NET, tmp_path) as lab:
        intruder = intruder_of(lab)
        intruder.start()
        try:
            assert intruder.is_inside.wait(10)
            code, told = run(
                lab, "isolate-and-rotate", "-i", "incident=inc-20261123-002",
                gates=("go", "reopen"),
            )  # fmt: skip
            assert code == 0, told
            ended = time.time()
            time.sleep(2)
        finally:
            intruder.ends.set()
            intruder.join(10)

        assert intruder.logins, "it never was inside"
        assert max(intruder.logins) < ended, "it logs in after the run"
        assert intruder.words[-1] == "InvalidPasswordError"
        assert intruder.lost_session, "its open session lives on"
        steps = outputs(lab)
        assert any("healing_guard from" in one for one in steps["who_is_there"]["sessions"])
        assert steps["rotate"]["sessions_ended"] >= 1
        assert steps["what_runs"]["images"] == ["registry.example/healing-guard:1.0.0"]

        seen = verdict(lab)
        assert seen["client"]["outage_s"] > 0, "nobody was isolated"
        assert seen["client"]["lost_acknowledged"] == 0
        assert seen["promises"]["broken"] == 0

        # Neither password is anywhere in what drctl kept.
        secrets = [p.read_text() for p in (lab.root / "secrets").glob("database_healing_guard*")]
        assert len(secrets) == 2
        for file in lab.state.rglob("*"):
            if file.is_file():
                text = file.read_bytes().decode("utf-8", "replace")
                assert not any(secret in text for secret in secrets), file
