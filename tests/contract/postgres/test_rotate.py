"""A password is changed, sessions of before end, and the old one is refused by a real server."""

import asyncpg
import pytest

from drctl.actions.contract import CannotTell, Change, Done, NoParams, NotDone
from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import DatabaseRole
from drctl.adapters.postgres.rotate import AssertRotated, RotatePassword, verifier
from drctl.adapters.postgres.sessions import ListSessions
from drctl.kernel.secret import Secret

from .conftest import DATABASE, EAST, PASSWORD, WEST
from .conftest import context as plain_context

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROTATE, ASSERT, LIST, GO = RotatePassword(), AssertRotated(), ListSessions(), NoParams()
OLD, NEXT = "the-password-of-today", "the-password-of-tomorrow"
VALUES = {"OPERATOR": PASSWORD, "OLD": OLD, "NEXT": NEXT, "SHORT": "x", "UMLAUT": "ü" * 20}


class Keys:
    def resolve(self, ref):
        return Secret(VALUES[ref.place])


def context(seconds=20.0, **more):
    import dataclasses

    return dataclasses.replace(plain_context(seconds), secrets=Keys(), **more)


def role(address=EAST, **more):
    host, port = address
    sql = {"host": host, "port": port, "database": DATABASE, "tls": "off"}
    known = {"role": "leaked", "password": "env:OLD", "next_password": "env:NEXT"}
    return DatabaseRole.model_validate(
        {"sql": sql | {"user": "operator", "password": "env:OPERATOR"}, "region": "us-east-1"}
        | known
        | more
    )


async def log_in(password, address=EAST):
    host, port = address
    return await asyncpg.connect(
        host=host, port=port, user="leaked", password=password, database=DATABASE, ssl=False
    )


@pytest.fixture
async def leaked(pair):
    """A role whose password has leaked, and an operator who is no superuser."""
    await pair.primary.execute_as_superuser(
        f"CREATE ROLE leaked LOGIN PASSWORD '{OLD}';"
        f"CREATE ROLE operator LOGIN CREATEROLE PASSWORD '{PASSWORD}';"
        "GRANT leaked TO operator WITH ADMIN OPTION;"
        "GRANT pg_monitor, pg_signal_backend TO operator;"
    )
    yield pair
    await pair.primary.query_as_superuser(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename IN ('leaked', 'operator')"
    )
    await pair.primary.execute_as_superuser("DROP ROLE leaked; DROP ROLE operator")


async def test_the_old_password_is_refused_and_whoever_was_inside_is_out(leaked):
    inside = await log_in(OLD)
    seen = await ROTATE.observe(context(), role(), GO)
    assert seen.facts == {"old": True, "new": False}
    assert isinstance(ROTATE.preview(seen, role(), GO), Change)
    assert isinstance(await ROTATE.settled(context(), role(), GO), NotDone)
    with pytest.raises(Conflict, match="still takes the old password"):
        await ASSERT.perform(context(), role(), GO)

    done = await ROTATE.perform(context(), role(), GO)

    assert done.changed
    assert done.sessions_ended == 1
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await inside.fetchval("SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await log_in(OLD)
    await (await log_in(NEXT)).close()
    assert "refused" in done.proof[0]
    mine = context(seen=seen.facts)  # a resume or a retry: what the plan saw was before the change
    assert isinstance(await ROTATE.settled(mine, role(), GO), Done)
    assert not (await ROTATE.perform(mine, role(), GO)).changed
    assert (await ASSERT.perform(context(), role(), GO)).role == "leaked"
    [debt] = ROTATE.debts(role(), GO, done)
    assert debt.key.startswith("credential:postgres:")
    assert NEXT not in f"{done!r} {debt!r}"


async def test_the_server_never_sees_the_password(leaked):
    """A statement may stand in its log; what stands there lets nobody in."""
    await ROTATE.perform(context(), role(), GO)
    [[kept]] = await leaked.primary.query_as_superuser(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'leaked'"
    )
    assert kept.startswith("SCRAM-SHA-256$4096:")
    import base64

    salt = base64.b64decode(kept.split(":")[1].split("$")[0])
    assert kept == verifier(NEXT, salt)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await log_in(kept)


async def test_what_cannot_be_right_is_refused_before_anything_is_sent(leaked):
    for reference, why in (("SHORT", "shorter than 16"), ("UMLAUT", "printable ASCII")):
        with pytest.raises(Rejected, match=why):
            await ROTATE.perform(context(), role(next_password=f"env:{reference}"), GO)
    VALUES["SAME"] = OLD
    with pytest.raises(Rejected, match="is the password that is to be replaced"):
        await ROTATE.perform(context(), role(next_password="env:SAME"), GO)
    with pytest.raises(Conflict, match="this is another database"):
        await ROTATE.perform(context(), role(system_identifier="1"), GO)
    with pytest.raises(Conflict, match="is a standby"):
        await ROTATE.perform(context(), role(WEST), GO)
    await (await log_in(OLD)).close()


async def test_an_operator_who_may_not_is_told_so(leaked):
    await leaked.primary.execute_as_superuser("REVOKE leaked FROM operator")
    with pytest.raises(AuthRejected):
        await ROTATE.perform(context(), role(), GO)
    await (await log_in(OLD)).close()


async def test_who_could_not_end_the_sessions_changes_nothing(leaked):
    """A password that is changed while its sessions live on is an outage and no cure."""
    await leaked.primary.execute_as_superuser(
        "REVOKE pg_signal_backend FROM operator;"
        "REVOKE leaked FROM operator; GRANT leaked TO operator WITH ADMIN TRUE, INHERIT FALSE"
    )
    with pytest.raises(AuthRejected, match="may not end sessions"):
        await ROTATE.perform(context(), role(), GO)
    with pytest.raises(NotFound):
        await ROTATE.perform(context(), role(role="nobody_of_that_name"), GO)
    await (await log_in(OLD)).close()


async def test_once_it_is_changed_no_failure_is_definite(leaked, monkeypatch):
    """Not even one that is known to change nothing: the change is what came before it."""

    async def refused(*_):
        raise AuthRejected("42501")

    async def disproved(*_):
        raise Conflict("still takes the old password")

    for name, ends in (("_end_sessions", refused), ("_prove", disproved)):
        with monkeypatch.context() as patch:
            patch.setattr(f"drctl.adapters.postgres.rotate.{name}", ends)
            with pytest.raises(OutcomeUnknown, match="is changed, and not proven"):
                await ROTATE.perform(context(), role(), GO)
        await (await log_in(NEXT)).close()


async def test_a_session_that_was_asked_to_end_is_not_one_that_ended(leaked, monkeypatch):
    """The server sends a signal and says true; who is still there is asked again."""
    inside = await log_in(OLD)
    module = "drctl.adapters.postgres.rotate._END_SESSIONS"
    with monkeypatch.context() as patch:
        statement = ROTATE.perform.__globals__["_END_SESSIONS"]
        patch.setattr(module, statement.replace("pg_terminate_backend(pid)", "true"))
        with pytest.raises(OutcomeUnknown, match=r"1 session\(s\) of before are left"):
            await ROTATE.perform(context(2), role(), GO)
    settled = await ROTATE.settled(context(), role(), GO)
    assert isinstance(settled, NotDone)
    assert settled.remains
    assert (await ROTATE.perform(context(), role(), GO)).sessions_ended == 1
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await inside.fetchval("SELECT 1")


async def test_a_next_password_that_was_in_force_before_is_no_next_one(leaked):
    """A second breach: what the last one put in force is what has leaked now."""
    await ROTATE.perform(context(), role(), GO)
    seen = await ROTATE.observe(context(), role(), GO)
    said = ROTATE.preview(seen, role(), GO)
    assert isinstance(said, CannotTell)
    assert "put a new secret there" in said.why
    later = context(seen=seen.facts)
    with pytest.raises(Rejected, match="is in force already; put a new secret there"):
        await ROTATE.perform(later, role(), GO)
    assert isinstance(await ROTATE.settled(later, role(), GO), NotDone)


async def test_silence_proves_nothing(leaked):
    nobody = role((EAST[0], 5999))
    for action in (ROTATE, ASSERT):
        with pytest.raises(Unavailable):
            await action.perform(context(3), nobody, GO)


async def test_who_is_there_is_listed_without_what_they_ask(leaked):
    inside = await log_in(OLD)
    await inside.fetchval("SELECT 'a customer''s secret'")
    seen = await LIST.perform(context(), role(), GO)
    [mine] = [one for one in seen.sessions if one.startswith("leaked from ")]
    assert DATABASE in mine
    assert "secret" not in " ".join(seen.sessions)
    assert "operator createrole" in seen.roles
    assert seen.are_all
    await inside.close()
