"""Stops and starts a server by ``pg_ctl`` on its machine."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NoParams,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import PostgresServer, Target
from drctl.adapters.postgres.programs import Programs

_CLEAN = {"shut down", "shut down in recovery"}


class StopOutputs(Outputs):
    """How it ended."""

    state: str
    """As its control file says: ``shut down``, ``shut down in recovery``."""
    final_lsn: str
    """Its shutdown checkpoint; a standby that has replayed it has everything."""
    timeline: int
    changed: bool


class StartOutputs(Outputs):
    """What runs now."""

    timeline: int
    changed: bool


class Stop(Action[PostgresServer, NoParams, StopOutputs]):
    """
    Ends a server cleanly: sessions are cut, a shutdown checkpoint is written, and standbys that
    follow get all of it before it ends.
    """

    name: ClassVar[str] = "postgres.server.stop"
    summary: ClassVar[str] = "Stops a server cleanly, so that its standby has everything"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    outputs: ClassVar[type[Outputs]] = StopOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: NoParams | None
    ) -> Observation:
        """
        Reads whether it runs, and whose it is.

        Raises:
            ActionError: The machine did not answer.
        """
        return await _observed(ctx, target)

    def preview(
        self, observation: Observation, target: PostgresServer, params: NoParams | None
    ) -> Preview:
        if not observation.facts["is_running"]:
            return Nothing(why="it does not run")
        return Change(before="runs", after="stopped cleanly")

    async def perform(self, ctx: Context, target: PostgresServer, params: NoParams) -> StopOutputs:
        """
        Stops it, and reads that it ended cleanly.

        Raises:
            Rejected: It ended in a crash; then nobody knows its last position.
            Conflict: It is another system's, or a program is at work on it.
            OutcomeUnknown: The machine was lost in the middle.
            ActionError: The machine did not answer.

        Changes:
            The server's processes.
        """
        programs = Programs(ctx, target)
        await programs.require_pin()
        runs = await programs.is_running()
        if runs:
            await programs.stop()
        return await _stopped(programs, target, changed=runs)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: NoParams
    ) -> Done[StopOutputs] | NotDone | CannotTell:
        try:
            programs = Programs(ctx, target)
            if await programs.is_busy():
                return CannotTell(why=f"a program is still at work on {programs.data}")
            await programs.require_pin()
            if await programs.is_running():
                return NotDone(why=f"{target.label} runs")
            return Done(outputs=await _stopped(programs, target, changed=True))
        except ActionError as error:
            return CannotTell(why=str(error))


async def _observed(ctx: Context, target: PostgresServer) -> Observation:
    programs = Programs(ctx, target)
    control = await programs.control()
    return Observation(
        facts={
            "system_identifier": control.system_identifier,
            "is_running": await programs.is_running(),
        }
    )


async def _stopped(programs: Programs, target: PostgresServer, *, changed: bool) -> StopOutputs:
    control = await programs.require_pin()
    if control.state not in _CLEAN:
        raise Rejected(f"{target.label} did not end cleanly: it is {control.state}")
    return StopOutputs(
        state=control.state,
        final_lsn=control.checkpoint_lsn,
        timeline=control.timeline,
        changed=changed,
    )


class Start(Action[PostgresServer, NoParams, StartOutputs]):
    """
    Starts a server as its files say: as what it was. Right only while nothing else was promoted;
    otherwise it is a second primary.
    """

    name: ClassVar[str] = "postgres.server.start"
    summary: ClassVar[str] = "Starts a stopped server as what it was"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    outputs: ClassVar[type[Outputs]] = StartOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: NoParams | None
    ) -> Observation:
        """
        Reads whether it runs, and whose it is.

        Raises:
            ActionError: The machine did not answer.
        """
        return await _observed(ctx, target)

    def preview(
        self, observation: Observation, target: PostgresServer, params: NoParams | None
    ) -> Preview:
        if observation.facts["is_running"]:
            return Nothing(why="it runs")
        return Change(before="stopped", after="runs as what it was")

    async def perform(self, ctx: Context, target: PostgresServer, params: NoParams) -> StartOutputs:
        """
        Starts it, and waits until it accepts connections.

        Raises:
            Rejected: It did not start; the message has the end of its log.
            Conflict: It is another system's, or a program is at work on it.
            OutcomeUnknown: The machine was lost in the middle.
            ActionError: The machine did not answer.

        Changes:
            The server's processes.
        """
        programs = Programs(ctx, target)
        control = await programs.require_pin()
        runs = await programs.is_running()
        if not runs:
            await programs.start()
        return StartOutputs(timeline=control.timeline, changed=not runs)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: NoParams
    ) -> Done[StartOutputs] | NotDone | CannotTell:
        try:
            programs = Programs(ctx, target)
            if await programs.is_busy():
                return CannotTell(why=f"a program is still at work on {programs.data}")
            control = await programs.require_pin()
            if not await programs.is_running():
                return NotDone(why=f"{target.label} does not run")
            return Done(outputs=StartOutputs(timeline=control.timeline, changed=True))
        except ActionError as error:
            return CannotTell(why=str(error))
