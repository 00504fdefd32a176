"""
Takes the automatic failover of a Patroni cluster away for a while, and gives it back.

Paused means: whoever dies stays dead until a person acts. So the pause is owed from the moment it
is set, and its end is one more step.
"""

from typing import ClassVar

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
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown
from drctl.actions.targets import PatroniCluster, Target
from drctl.adapters.patroni import group, moved, rest

_NOT_OURS = "somebody else had paused it; it is left as it is"


class Paused(Outputs):
    """What came of it."""

    paused: bool
    changed: bool
    """False when it was so already, and not by this run."""
    members: list[str]
    """Whose Patroni says so itself."""


class ResumeParams(NoParams):
    """What there is to resume."""

    changed: bool = True
    """``changed`` of the pause that this undoes. False: somebody else had paused it, so nothing is
    sent, and their pause is still owed."""


class _Pausing(Action[PatroniCluster, NoParams, Paused]):
    """One direction."""

    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PatroniCluster,)
    outputs: ClassVar[type[Outputs]] = Paused
    pauses: ClassVar[bool]

    def planes(self, target: PatroniCluster) -> tuple[str, ...]:
        """The store (DCS) holds the word; it is a control plane."""
        return (f"control-plane:patroni:{target.region}", f"data-plane:{target.region}")

    async def observe(
        self, ctx: Context, target: PatroniCluster, params: NoParams | None
    ) -> Observation:
        """
        Reads the store's word.

        Raises:
            ActionError: No member answered.
        """
        view = await group.look(ctx, target)
        return Observation(facts={"paused": view.is_paused}, readings={"silent": [*view.silent]})

    def preview(
        self, observation: Observation, target: PatroniCluster, params: NoParams | None
    ) -> Preview:
        if isinstance(params, ResumeParams) and not params.changed:
            return Nothing(why=_NOT_OURS)
        words = {True: "paused", False: "fails over by itself"}
        paused = observation.facts["paused"] is True
        if paused is self.pauses:
            return Nothing(why=f"{target.scope} is {'' if paused else 'not '}paused already")
        return Change(before=words[paused], after=words[self.pauses])

    async def perform(self, ctx: Context, target: PatroniCluster, params: NoParams) -> Paused:
        """
        Sets it, and waits until every Patroni that answers acts on it. Safe to repeat.

        Raises:
            Conflict: Somebody changed the configuration meanwhile.
            AuthRejected: The name or password for the REST API is wrong.
            OutcomeUnknown: Sent, and not seen: no answer, or somebody set it back.
            Unavailable: Not reached; nothing happened.

        Changes:
            ``pause`` in Patroni's configuration in the store; nothing else of it.
        """
        view = await group.look(ctx, target)
        if isinstance(params, ResumeParams) and not params.changed:
            return _left_alone(ctx, view)
        if view.is_paused is self.pauses:
            changed = self._is_ours(ctx, unless_known=False)
            return Paused(paused=self.pauses, changed=changed, members=[*view.heard])
        member = rest.member_of(target, view.heard[0])
        try:
            # PATCH merges; null takes the word out again, as `patronictl resume` does.
            body = {"pause": True if self.pauses else None}
            spare_s = moved.READ_BACK_S / 2
            await rest.change(ctx, target, member, ("PATCH", "/config"), body, spare_s=spare_s)
        except Conflict:
            # A network that delivers twice gives the answer to the second: look what is there.
            if (await _look(ctx, target)).is_paused is not self.pauses:
                raise
        return await self._acted_on(ctx, target)

    def _is_ours(self, ctx: Context, *, unless_known: bool) -> bool:
        """Whether it was otherwise in the plan: then an earlier attempt of this step has set it."""
        planned = (ctx.seen or {}).get("paused")
        return unless_known if planned is None else planned is not self.pauses

    async def _acted_on(self, ctx: Context, target: PatroniCluster) -> Paused:
        """A member may tell for a moment what was before: what was sent is not said not to be."""
        while True:
            view = await _look(ctx, target)
            late = [name for name in view.heard if not await self._acts(ctx, target, name)]
            if view.is_paused is self.pauses and not late:
                return Paused(paused=self.pauses, changed=True, members=[*view.heard])
            if ctx.deadline.left_s(ctx.clock) < moved.SPARE_S + moved.EVERY_S:
                why = (
                    f"{', '.join(late)} does not act on it" if late else "the store does not say it"
                )
                raise OutcomeUnknown(f"{target.scope}: sent, and {why}")
            await ctx.clock.sleep(moved.EVERY_S)

    async def _acts(self, ctx: Context, target: PatroniCluster, name: str) -> bool:
        try:
            said = await rest.get(ctx, target, rest.member_of(target, name), "/patroni")
        except ActionError:
            return True  # silent now: it reads the store before it does anything
        return (said.get("pause") is True) is self.pauses

    async def settled(
        self, ctx: Context, target: PatroniCluster, params: NoParams
    ) -> Done[Paused] | NotDone | CannotTell:
        try:
            view = await group.look(ctx, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if isinstance(params, ResumeParams) and not params.changed:
            return Done(outputs=_left_alone(ctx, view))
        if view.is_paused is self.pauses:
            changed = self._is_ours(ctx, unless_known=True)
            members = [*view.heard]
            return Done(outputs=Paused(paused=self.pauses, changed=changed, members=members))
        return NotDone(why=f"{target.scope} is {'not ' if self.pauses else ''}paused")

    def debts(
        self, target: PatroniCluster, params: NoParams, outputs: Paused
    ) -> tuple[Debt | Cleared, ...]:
        key = f"patroni-paused:{target.identities[-1]}"
        if not self.pauses:
            return () if outputs.paused else (Cleared(key=key),)
        if not outputs.changed:
            return ()
        what = f"{target.scope} is paused: when its leader dies, nobody takes over"
        return (Debt(key=key, what=what, remedy="run patroni.cluster.resume"),)


def _left_alone(ctx: Context, view: group.View) -> Paused:
    ctx.say(_NOT_OURS)
    return Paused(paused=view.is_paused, changed=False, members=[*view.heard])


async def _look(ctx: Context, target: PatroniCluster) -> group.View:
    try:
        return await group.look(ctx, target)
    except ActionError as error:
        raise OutcomeUnknown(f"sent, and then not readable: {error}") from error


class Pause(_Pausing):
    """
    As ``patronictl pause --wait``. Its undo is a resume with ``changed: ${{ outputs.changed }}``.
    """

    name: ClassVar[str] = "patroni.cluster.pause"
    summary: ClassVar[str] = "Keeps Patroni from failing over by itself"
    pauses = True


class Resume(_Pausing):
    """As ``patronictl resume --wait``."""

    name: ClassVar[str] = "patroni.cluster.resume"
    summary: ClassVar[str] = "Lets Patroni fail over by itself again"
    params: ClassVar[type[ResumeParams]] = ResumeParams
    pauses = False
