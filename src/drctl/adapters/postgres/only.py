"""Proves after a promotion that clients write to the new primary, and nobody to the old one."""

import secrets
from typing import ClassVar

from drctl.actions.contract import (
    Action,
    Change,
    Context,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError
from drctl.actions.planes import ELSEWHERE, Ask, data
from drctl.actions.targets import PostgresServer, Target
from drctl.adapters import _one_primary, _sql
from drctl.adapters._one_primary import OnePrimary, ProofParams
from drctl.adapters.postgres import gate, vantage


class AssertOnly(Action[PostgresServer, ProofParams, OnePrimary]):
    """
    Writes where clients write, finds it on the new primary and its standbys, and is refused by the
    old primary from every place, for as long as it is watched.
    """

    name: ClassVar[str] = "postgres.primary.assert_only"
    summary: ClassVar[str] = "Proves that clients write to the new primary and nobody to the old"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = ProofParams
    outputs: ClassVar[type[Outputs]] = OnePrimary
    proves_one_primary: ClassVar[bool] = True

    def asks(self, target: PostgresServer, params: ProofParams | None = None) -> tuple[Ask, ...]:
        """The old side's; where the new primary and the clients' path are, no target says."""
        how = "then only a definite refusal from each vantage point counts"
        return (
            data(target.region, "PostgreSQL", copes=how, only_when_dead=True),
            Ask(plane=ELSEWHERE, service="the new primary, and where clients write"),
        )

    def preview(
        self, observation: Observation, target: PostgresServer, params: ProofParams | None
    ) -> Preview:
        return Change(before="not proven", after="one row more where clients write", creates=True)

    async def perform(
        self, ctx: Context, target: PostgresServer, params: ProofParams
    ) -> OnePrimary:
        """
        Proves it; *target* is the old primary.

        Raises:
            Rejected: It is not so, or it cannot be shown; the message says which.
            ActionError: The new primary or the clients' path did not answer.

        Changes:
            One row where clients write; where the old primary does take writes, one there too.
        """

        async def attempt() -> list[_one_primary.Attempt]:
            token = secrets.token_hex(4)
            tried = [await vantage.by_sql(ctx, target.sql)]
            tried += [await vantage.by_http(ctx, url, token) for url in target.client_write_urls]
            rows = ["", *[f"drctl-fence-{token}"] * len(target.client_write_urls)]
            return [
                _one_primary.Attempt(verdict=one.verdict, said=str(one), row=row)
                for one, row in zip(tried, rows, strict=True)
            ]

        async def is_durable() -> bool:
            """A database that is closed outlives a restart; a dead server may come back."""
            try:
                async with _sql.connect(target.sql, ctx, database="postgres") as connection:
                    return not await gate.is_open(connection, target.sql.database)
            except ActionError:
                return False

        old = _one_primary.OldSide(access=target.sql, attempt=attempt, is_durable=is_durable)
        return await _one_primary.prove(
            ctx, old, target.client_path, target.system_identifier, params
        )

    async def settled(self, ctx: Context, target: PostgresServer, params: ProofParams) -> NotDone:
        """Proving it again leaves at most the same row."""
        return NotDone(why="what was proven then is to be proven now")
