"""
Gives a role another password, and proves that the old one is worth nothing.

Problem: "the password was changed" is not "the intruder is out". Sessions that were opened with the
old password live on, a standby or a pooler may still take it, and a password sent as text stands in
the server's log. Invariant: what is sent is a SCRAM verifier, made here, so that the server never
sees the password; nothing is changed by an operator who could not end the role's sessions; every
session that began before the change is seen to be gone; and it counts as rotated only when a login
with the old password was *refused as wrong* and one with the new one went through. Silence is not a
refusal. Once the change is sent, no failure is definite: the role may have its next password.

A next password that was in force when the plan was made is none: it may be the one that leaked
since, and "rotated" would be said of a role that nobody changed. So it is refused, by what the plan
saw (`Context.seen`), and not by what is in force now: a retry finds its own change.

What is not promised: a login that was begun with the old password and is drawn out is found only
when it has come to its end before the second look. And other roles: an intruder with a role of its
own, or with the operator's, is not shut out by this; `ListSessions` shows who there is.
"""

import base64
import hashlib
import hmac
import secrets as random
from datetime import datetime
from typing import Any, ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NoParams,
    NotDone,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
)
from drctl.actions.targets import DatabaseRole
from drctl.adapters import _secret, _sql
from drctl.kernel.secret import SecretRef

ITERATIONS = 4096
"""What PostgreSQL itself uses; RFC 7677's least."""
LEAST_LENGTH = 16
INVALID = "28P01"
"""PostgreSQL's word for a wrong password, and for nothing else."""
_EVERY_S = 0.1
_LAST_S = 0.5
_NOW = "SELECT clock_timestamp()"
# It says false of a session that it could not end, and true of one that ends a moment later: both
# are in the next answer. A start that is hidden from us may be from before.
_END_SESSIONS = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = $1 AND pid <> pg_backend_pid()
  AND coalesce(backend_start, '-infinity') <= $2
"""
# The rule of pg_terminate_backend.
_MAY_END = """
SELECT current_setting('is_superuser')::bool OR (NOT rolsuper
       AND (pg_has_role(oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
FROM pg_roles WHERE rolname = $1
"""
_SESSIONS_LEFT = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1"


class Rotated(Outputs):
    """What is true now."""

    role: str
    changed: bool
    """False: it was so already."""
    sessions_ended: int
    proof: tuple[str, ...]
    """What was tried, and what the server said to it."""


def _planes(target: DatabaseRole) -> tuple[str, ...]:
    return (f"data-plane:{target.region}",)


class AssertRotated(Action[DatabaseRole, NoParams, Rotated]):
    """Tries both passwords."""

    name: ClassVar[str] = "postgres.role.assert_rotated"
    summary: ClassVar[str] = "Fail unless a role's old password is refused and its new one is taken"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (DatabaseRole,)
    outputs = Rotated

    def planes(self, target: DatabaseRole) -> tuple[str, ...]:
        return _planes(target)

    async def perform(self, ctx: Context, target: DatabaseRole, params: NoParams) -> Rotated:
        """
        Logs in with each.

        Raises:
            Conflict: The old password is taken, or the new one is not.
            ActionError: The server did not say.
        """
        return Rotated(
            role=target.role, changed=False, sessions_ended=0, proof=await _prove(ctx, target)
        )


class RotatePassword(Action[DatabaseRole, NoParams, Rotated]):
    """Sets the next password, ends every session, and proves both."""

    name: ClassVar[str] = "postgres.role.rotate"
    summary: ClassVar[str] = "Change a role's password, end its sessions, prove the old one refused"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (DatabaseRole,)
    outputs = Rotated

    def planes(self, target: DatabaseRole) -> tuple[str, ...]:
        return _planes(target)

    async def observe(
        self, ctx: Context, target: DatabaseRole, params: NoParams | None
    ) -> Observation:
        old, new = (
            await _is_taken(ctx, target, target.password),
            await _is_taken(ctx, target, target.next_password),
        )
        async with _sql.connect(target.sql, ctx) as connection:
            count = await connection.fetchval(_SESSIONS_LEFT, target.role)
        return Observation(facts={"old": old, "new": new}, readings={"sessions": count})

    def preview(
        self, observation: Observation, target: DatabaseRole, params: NoParams | None
    ) -> Preview:
        facts, sessions = observation.facts, observation.readings["sessions"]
        if facts["new"]:
            return CannotTell(why=f"it would be refused: {_in_force(target)}")
        return Change(
            before=f"{target.role} with the password of today, {sessions} session(s)",
            after="its next password, and no session of before",
        )

    def debts(
        self, target: DatabaseRole, params: NoParams, outputs: Rotated
    ) -> tuple[Debt | Cleared, ...]:
        return (
            Debt(
                key=f"credential:{target.identities[0]}",
                what=f"the environment still calls {target.password} the password of"
                f" {target.role}; what is in force is {target.next_password}",
                remedy=f"make {target.next_password} the password there, and put a new random one"
                " where next_password points",
            ),
        )

    async def perform(self, ctx: Context, target: DatabaseRole, params: NoParams) -> Rotated:
        """
        Rotates and proves.

        Safe to repeat: when an attempt of before has changed it, only sessions are ended.

        Raises:
            Conflict: Another system answers there.
            Rejected: The next password is the old one, is too short to be random, or was in force
                when the plan was made.
            AuthRejected: The operator may not alter that role, or not end its sessions.
            NotFound: There is no such role.
            OutcomeUnknown: Sent, and no answer came; or it is changed, and sessions of before are
                left, the old password is taken, the new one is not, or nobody could prove it.

        Changes:
            The role's password, and every session of it.
        """
        wanted = _secret.reveal(ctx, target.next_password)
        if len(wanted) < LEAST_LENGTH:
            raise Rejected(f"{target.next_password} is shorter than {LEAST_LENGTH} characters")
        if hmac.compare_digest(wanted.encode(), _secret.reveal(ctx, target.password).encode()):
            raise Rejected(f"{target.next_password} is the password that is to be replaced")
        if _was_in_force(ctx):
            raise Rejected(_in_force(target))
        is_new = await _is_taken(ctx, target, target.next_password)
        is_old = await _is_taken(ctx, target, target.password)
        changes = not is_new or is_old
        async with _sql.connect(target.sql, ctx, mutates=True) as connection:
            await _require_system(connection, target)
            await _require_right(connection, target)
            if changes:
                # No parameters in ALTER ROLE; both parts are of our own making, without quotes.
                await connection.execute(
                    f"ALTER ROLE \"{target.role}\" PASSWORD '{verifier(wanted)}'"
                )
        try:
            ended, proof = await _shut_out(ctx, target)
        except ActionError as error:
            raise OutcomeUnknown(f"{target.role} is changed, and not proven: {error}") from error
        return Rotated(role=target.role, changed=changes, sessions_ended=ended, proof=proof)

    async def settled(
        self, ctx: Context, target: DatabaseRole, params: NoParams
    ) -> Done[Rotated] | NotDone | CannotTell:
        """`NotDone` while the old password is taken; sessions are ended by doing it again."""
        if _was_in_force(ctx):
            return NotDone(why=_in_force(target))
        try:
            async with _sql.connect(target.sql, ctx) as connection:
                await _require_system(connection, target)
                left = await connection.fetchval(_SESSIONS_LEFT, target.role)
            proof = await _prove(ctx, target)
        except Conflict as error:
            return NotDone(why=str(error))
        except ActionError as error:
            return CannotTell(why=str(error))
        if left:
            why = f"{left} session(s) of {target.role} may be from before"
            return NotDone(why=why, remains=True)
        return Done(outputs=Rotated(role=target.role, changed=True, sessions_ended=0, proof=proof))


def verifier(password: str, salt: bytes | None = None) -> str:
    """
    What PostgreSQL keeps of a password, as RFC 5803 writes it: nobody can log in with it.

    Args:
        password: ASCII, so that SASLprep leaves it as it is.
        salt: 16 random bytes unless given.

    Raises:
        Rejected: It holds something else than printable ASCII.
    """
    if not (password.isascii() and password.isprintable()):
        raise Rejected("the next password must be printable ASCII")
    salt = salt or random.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode("ascii") for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{text[0]}${text[1]}:{text[2]}"


async def _require_system(connection: Any, target: DatabaseRole) -> None:
    row = await connection.fetchrow(
        "SELECT system_identifier::text AS system, pg_is_in_recovery() AS standby"
        " FROM pg_control_system()"
    )
    if target.system_identifier not in {None, row["system"]}:
        raise Conflict(
            f"{target.label} is system {row['system']}, the environment pins"
            f" {target.system_identifier}: this is another database"
        )
    if row["standby"]:
        raise Conflict(f"{target.label} is a standby: a password is changed on the primary")


async def _require_right(connection: Any, target: DatabaseRole) -> None:
    may = await connection.fetchval(_MAY_END, target.role)
    if may is None:
        raise NotFound(f"{target.label} has no role {target.role}")
    if not may:
        raise AuthRejected(
            f"{target.sql.user} may not end sessions of {target.role}: grant it pg_signal_backend,"
            " or membership"
        )


async def _shut_out(ctx: Context, target: DatabaseRole) -> tuple[int, tuple[str, ...]]:
    """Ends the sessions of before, counts them, and proves both passwords; raises as those do."""
    async with _sql.connect(target.sql, ctx, mutates=True) as connection:
        changed_at = await connection.fetchval(_NOW)
        ended = await _end_sessions(ctx, target, connection, changed_at)
        proof = await _prove(ctx, target)
        # A login of before that was under way at the first look is a session by now.
        ended |= await _end_sessions(ctx, target, connection, changed_at)
    return len(ended), proof


async def _end_sessions(
    ctx: Context, target: DatabaseRole, connection: Any, before: datetime
) -> set[int]:
    """
    Ends the sessions that began before a moment until none is left, and names them.

    Raises:
        OutcomeUnknown: Some were left at the deadline.
    """
    ended: set[int] = set()
    while left := await connection.fetch(_END_SESSIONS, target.role, before):
        ended |= {row["pid"] for row in left}
        if ctx.deadline.left_s(ctx.clock) <= _LAST_S:
            raise OutcomeUnknown(f"{len(left)} session(s) of before are left")
        await ctx.clock.sleep(_EVERY_S)
    return ended


def _was_in_force(ctx: Context) -> bool:
    """Whether the plan saw the next password taken, before this run changed anything."""
    return ctx.seen is not None and ctx.seen.get("new") is True


def _in_force(target: DatabaseRole) -> str:
    return f"{target.next_password} is in force already; put a new secret there"


async def _prove(ctx: Context, target: DatabaseRole) -> tuple[str, ...]:
    """
    Raises:
        Conflict: The old password is taken, or the new one is not.
        ActionError: The server did not say.
    """
    if await _is_taken(ctx, target, target.password):
        raise Conflict(f"{target.label} still takes the old password")
    if not await _is_taken(ctx, target, target.next_password):
        raise Conflict(f"{target.label} does not take the next password")
    where = f"{target.sql.host}:{target.sql.port}"
    return (
        f"login of {target.role} with the old password refused by {where} ({INVALID})",
        f"login of {target.role} with the next password taken by {where}",
    )


async def _is_taken(ctx: Context, target: DatabaseRole, password: SecretRef) -> bool:
    """
    Logs in with a password.

    Raises:
        AuthRejected: Refused for another reason than a wrong password.
        ActionError: The server did not say.
    """
    access = target.sql.model_copy(update={"user": target.role, "password": password})
    try:
        async with _sql.connect(access, ctx) as connection:
            await connection.fetchval("SELECT 1")
    except AuthRejected as error:
        if getattr(error.__cause__, "sqlstate", None) == INVALID:
            return False
        raise
    return True
