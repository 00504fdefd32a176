import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from drctl.lab.witness import Observer, Sighting, State, name_error

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SEEN = Sighting(system_identifier="7", timeline=1, lsn="0/3000148", seq=12)


def at(second):
    return NOON + timedelta(seconds=second)


def test_a_sighting_carries_the_time_of_the_heartbeat_not_of_the_answer():
    state = State().seen(SEEN, beat_at=at(0), now=at(1))

    assert (state.last_ok_at, state.checked_at) == (
        "2026-11-22T12:00:00.000000Z",
        "2026-11-22T12:00:01.000000Z",
    )
    assert (state.seq, state.lsn, state.refused_since, state.last_error) == (
        12,
        "0/3000148",
        None,
        None,
    )


def test_a_series_of_refusals_keeps_its_first_instant():
    state = State().seen(SEEN, beat_at=at(0), now=at(0))

    for second in (1, 2, 3):
        state = state.failed("refused", now=at(second))

    assert state.refused_since == "2026-11-22T12:00:01.000000Z"
    assert state.checked_at == "2026-11-22T12:00:03.000000Z"
    assert state.seq == 12


def test_a_timeout_between_refusals_takes_the_certainty_away():
    state = State().failed("refused", now=at(1)).failed("timeout", now=at(2))

    assert (state.refused_since, state.last_error) == (None, "timeout")
    assert state.failed("refused", now=at(3)).refused_since == "2026-11-22T12:00:03.000000Z"


def test_a_success_ends_a_series_of_refusals():
    state = State().failed("refused", now=at(1)).seen(SEEN, beat_at=at(2), now=at(2))

    assert state.failed("refused", now=at(3)).refused_since == "2026-11-22T12:00:03.000000Z"


def test_only_what_the_server_or_kernel_says_definitely_is_a_refusal():
    refusals = [
        ConnectionRefusedError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.AdminShutdownError(),
        asyncpg.ObjectNotInPrerequisiteStateError(),
    ]
    others = [
        TimeoutError(),
        ConnectionResetError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.InternalClientError(),
        asyncpg.InvalidPasswordError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.ReadOnlySQLTransactionError(),
    ]

    assert {name_error(error) for error in refusals} == {"refused"}
    assert "refused" not in {name_error(error) for error in others}


class _CutWithinAQuery:
    """A session that the server ended between two messages of one query."""

    was_dropped = False

    def is_closed(self):
        return False

    def terminate(self):
        self.was_dropped = True

    async def fetchval(self, *_):
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is ...")


class _Sound:
    async def fetchval(self, *_):
        return SEEN.seq

    async def fetchrow(self, _):
        return {"system_identifier": "7", "timeline": 1, "lsn": "0/3000148"}


def test_a_session_cut_within_a_query_is_replaced_within_the_same_try(monkeypatch):
    """asyncpg calls it an error of its own, which is no PostgresError and no InterfaceError."""
    observer, kept = Observer(settings=None), _CutWithinAQuery()

    async def connect():
        return _Sound()

    monkeypatch.setattr(observer, "_connection", kept)
    monkeypatch.setattr(observer, "_connect", connect)

    sighting, _ = asyncio.run(observer.beat())

    assert sighting == SEEN
    assert kept.was_dropped
