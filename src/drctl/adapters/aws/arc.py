"""
Sends customers elsewhere with Route 53 ARC's routing controls, through any of its five endpoints.

Problem: this is what moves traffic when a region is gone, so it must lean on none. Each endpoint is
in another region, and any of them may be away, for maintenance too. Invariant: they are tried in
random order, each at most once for one call of ours; after silence the state is read at another one
before anything is sent again, and the action succeeds only on a state that was read back.

Safety rules are honoured: none is ever overridden from here. And besides them, a change that would
leave no control on is refused, because Route 53 then sends customers everywhere.
"""

import random
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import (
    ActionError,
    Conflict,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import RoutingControls, Text
from drctl.adapters.aws.client import Aws

_CALL_S = 1.5
"""An endpoint that is there answers in a tenth of it; four others wait to be tried."""
_PAUSE_S = 0.3
_AWAY = (Unavailable, Throttled)
_State: TypeAlias = Literal["On", "Off"]


class SetParams(Params):
    """Which are on afterwards, and which are off."""

    states: Annotated[dict[Text, _State], Field(min_length=1)]
    """By their names in the environment, as ``{east: "Off", west: "On"}``: one change, all or
    none of it. What is not named stays as it is."""


class Set(Outputs):
    """What customers follow now."""

    states: dict[str, str]
    """Every control of the target."""
    previous: dict[str, str]
    """Those that were named, before; empty when it was only read back."""
    changed: bool
    endpoint: str
    """Region of the endpoint that took it; empty when nothing was sent."""


class SetRoutingControls(Action[RoutingControls, SetParams, Set]):
    """Sets routing controls in one change, and reads them back."""

    name: ClassVar[str] = "aws.arc.routing_control.set"
    summary: ClassVar[str] = "Set ARC routing controls through any of the cluster's endpoints"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (RoutingControls,)
    params = SetParams
    outputs = Set

    def planes(self, target: RoutingControls) -> tuple[str, ...]:
        """The cluster's own, which no region carries alone."""
        return ("data-plane:arc",)

    async def observe(
        self, ctx: Context, target: RoutingControls, params: SetParams | None
    ) -> Observation:
        return Observation(facts=await _Cluster(ctx, target).states())

    def preview(
        self, observation: Observation, target: RoutingControls, params: SetParams | None
    ) -> Preview:
        now = {name: str(state) for name, state in observation.facts.items()}
        if params is None:
            return CannotTell(why=f"now {_text(now)}; the states are known during the run")
        if why := _refusal(target, now, params.states):
            return CannotTell(why=why)
        if _holds(now, params.states):
            return Nothing(why=f"it is {_text(params.states)} already")
        return Change(before=_text(now), after=_text({**now, **params.states}))

    async def perform(self, ctx: Context, target: RoutingControls, params: SetParams) -> Set:
        """
        Sets them, and reads them back.

        Safe to repeat: states that hold already are not sent again.

        Raises:
            Conflict: A safety rule refuses it; or they changed since the plan was made.
            Rejected: No control would be on, or the target has none of that name.
            Unavailable: No endpoint took it; nothing was changed.
            OutcomeUnknown: One may have taken it, and none says so.

        Changes:
            The routing controls' states, and with them where DNS sends customers.
        """
        cluster = _Cluster(ctx, target)
        now = await cluster.states()
        if why := _refusal(target, now, params.states):
            raise Rejected(why)
        previous = {name: now[name] for name in params.states}
        if _holds(now, params.states):
            return Set(states=now, previous=previous, changed=False, endpoint="")
        changed = {name for name, seen in (ctx.seen or {}).items() if now.get(name) != seen}
        if changed:
            raise Conflict(f"{', '.join(sorted(changed))}: set by something else since the plan")
        endpoint = await cluster.send(params.states)
        states = await cluster.until(params.states)
        return Set(states=states, previous=previous, changed=True, endpoint=endpoint)

    async def settled(
        self, ctx: Context, target: RoutingControls, params: SetParams
    ) -> Done[Set] | NotDone | CannotTell:
        try:
            now = await _Cluster(ctx, target).states()
        except ActionError as error:
            return CannotTell(why=str(error))
        if _holds(now, params.states):
            return Done(outputs=Set(states=now, previous={}, changed=True, endpoint=""))
        return NotDone(why=f"it is {_text(now)}")


class _Cluster:
    """The endpoints, in the order in which they are tried; one that failed is tried last."""

    def __init__(self, ctx: Context, target: RoutingControls) -> None:
        self._ctx = ctx
        self._target = target
        regions = list(target.cluster_endpoints)
        random.SystemRandom().shuffle(regions)
        self._order = regions
        self._clients = {region: self._client(region) for region in regions}

    def _client(self, region: str) -> Aws:
        """Signed for the endpoint's own region."""
        endpoints = {"route53-recovery-cluster": self._target.cluster_endpoints[region]}
        at = self._target.aws.model_copy(update={"region": region, "endpoints": endpoints})
        return Aws(self._ctx, at, call_s=_CALL_S)

    def _failed(self, region: str) -> None:
        self._order.remove(region)
        self._order.append(region)

    async def states(self) -> dict[str, str]:
        """
        Reads every control at the first endpoint that answers.

        Raises:
            Unavailable: None does.
            ActionError: One refuses, for a reason that all would have.
        """
        why = "there is no endpoint"
        for region in tuple(self._order):
            try:
                return await self._states_at(region)
            except _AWAY as error:
                why = str(error)
                self._failed(region)
        raise Unavailable(f"no endpoint of the routing controls answers, the last: {why}")

    async def _states_at(self, region: str) -> dict[str, str]:
        found = {}
        for name, arn in self._target.controls.items():
            said = await self._clients[region].once(
                "route53-recovery-cluster", "get_routing_control_state", RoutingControlArn=arn
            )
            if said.get("RoutingControlArn") != arn or "RoutingControlState" not in said:
                raise Unavailable(f"ARC in {region} was asked about {name}, and told of another")
            found[name] = str(said["RoutingControlState"])
        return found

    async def send(self, wanted: Mapping[str, str]) -> str:
        """
        Sends the change to one endpoint after the other until one takes it; returns its region.

        After silence it looks first: the change may be there.

        Raises:
            Conflict: A safety rule refuses it.
            OutcomeUnknown: None took it for certain, and one may have.
            Unavailable: None took it, and it is certain that none did.
        """
        silent, why = "", "there is no endpoint"
        for region in tuple(self._order):
            try:
                await self._clients[region].mutate(
                    "route53-recovery-cluster",
                    "update_routing_control_states",
                    UpdateRoutingControlStateEntries=[
                        {
                            "RoutingControlArn": self._target.controls[name],
                            "RoutingControlState": to,
                        }
                        for name, to in wanted.items()
                    ],
                )
            except _AWAY as error:
                why = str(error)
                self._failed(region)
            except OutcomeUnknown as error:
                silent, why = region, str(error)
                self._failed(region)
                if await self._is_there(wanted):
                    return region
            except ActionError as error:
                if silent:  # what this one refuses, that one may have taken
                    why = f"{silent} may have taken it, and {region}: {error}"
                    raise OutcomeUnknown(why) from error
                raise
            else:
                return region
        if silent:
            raise OutcomeUnknown(f"{silent} may have taken it, no other endpoint did: {why}")
        raise Unavailable(f"no endpoint of the routing controls took it, the last: {why}")

    async def _is_there(self, wanted: Mapping[str, str]) -> bool:
        try:
            return _holds(await self.states(), wanted)
        except ActionError:  # after silence none of them says that it is not there
            return False

    async def until(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """
        Reads until it holds: an endpoint may be a moment behind the one that took it.

        Raises:
            OutcomeUnknown: It was not seen by the deadline.
        """
        ctx, why = self._ctx, "it was not read"
        while not ctx.deadline.has_passed(ctx.clock):
            try:
                now = await self.states()
            except Unavailable as error:
                why = str(error)
            except ActionError as error:
                raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
            else:
                if _holds(now, wanted):
                    return now
                why = f"it is {_text(now)}"
            await ctx.clock.sleep(min(_PAUSE_S, ctx.deadline.left_s(ctx.clock)))
        raise OutcomeUnknown(f"sent, and not seen: {why}")


def _holds(now: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(now.get(name) == state for name, state in wanted.items())


def _refusal(target: RoutingControls, now: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Why it must not be asked for; empty when it may."""
    unknown = sorted(wanted.keys() - target.controls.keys())
    if unknown:
        return f"the environment names no routing control {', '.join(unknown)}"
    if "On" not in {**now, **wanted}.values():
        return "no routing control would be on: customers would be sent everywhere"
    return ""


def _text(states: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {state}" for name, state in sorted(states.items()))
