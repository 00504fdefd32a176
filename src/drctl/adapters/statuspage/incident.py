"""
One public incident per event: opened once, then updated.

A second open with the same event finds the first one, also when the answer to the first was lost:
the event is kept in the incident's metadata, which customers do not see.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import StringConstraints

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
from drctl.actions.errors import ActionError
from drctl.actions.targets import StatusPage, Target, Text
from drctl.adapters.statuspage import api
from drctl.kernel.canonical import JSON
from drctl.kernel.text import sanitize

Status: TypeAlias = Literal["investigating", "identified", "monitoring", "resolved"]
Impact: TypeAlias = Literal["none", "maintenance", "minor", "major", "critical"]
IncidentId: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)
]

_MAX_BODY = 25_000
_PLANES = ("saas:statuspage",)


class OpenParams(Params):
    """What customers read first."""

    name: Text
    """The title."""
    status: Status = "investigating"
    impact: Impact = "none"
    body: Text | None = None
    event: Text | None = None
    """What it is about, so that there is one incident for it; by default this step of this run."""


class OpenOutputs(Outputs):
    """The incident."""

    id: str
    created: bool
    """False when the event had an incident already."""
    status: str


class OpenIncident(Action[StatusPage, OpenParams, OpenOutputs]):
    """Opens an incident, unless the event already has an unresolved one."""

    name: ClassVar[str] = "statuspage.incident.open"
    summary: ClassVar[str] = "Opens the event's public incident, once"
    effect: ClassVar[Effect] = Effect.NOTIFY
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (StatusPage,)
    params: ClassVar[type[Params]] = OpenParams
    outputs: ClassVar[type[Outputs]] = OpenOutputs

    def planes(self, target: StatusPage) -> tuple[str, ...]:
        return _PLANES

    async def observe(
        self, ctx: Context, target: StatusPage, params: OpenParams | None
    ) -> Observation:
        """
        Looks for the event's incident, when the event is known already.

        Raises:
            ActionError: The page did not answer.
        """
        if params is None or params.event is None:
            return Observation()
        found = await _find(ctx, target, params.event)
        return Observation(facts={"incident": None if found is None else found.id})

    def preview(
        self, observation: Observation, target: StatusPage, params: OpenParams | None
    ) -> Preview:
        found = observation.facts.get("incident")
        if found is not None:
            return Nothing(why=f"incident {found} is open for this event")
        return Change(before="no incident", after=f"an incident at {target.label}", creates=True)

    async def perform(self, ctx: Context, target: StatusPage, params: OpenParams) -> OpenOutputs:
        """
        Looks first, then opens.

        Raises:
            OutcomeUnknown: It may have been opened; `settled` can tell.
            ActionError: See `drctl.adapters._http.status_error`.

        Changes:
            The page, and customers who subscribed are told.
        """
        event = params.event or ctx.key
        if event:
            found = await _find(ctx, target, event)
            if found is not None:
                return found
        fields: dict[str, JSON] = {
            "name": sanitize(params.name, limit=250),
            "status": params.status,
            "impact_override": params.impact,
            "metadata": {"drctl": {"event": event}},
        }
        if params.body is not None:
            fields["body"] = sanitize(params.body, limit=_MAX_BODY, keep_lines=True)
        if target.component_ids:
            fields["component_ids"] = list(target.component_ids)
        return _outputs(await api.create(ctx, target, fields), created=True)

    async def settled(
        self, ctx: Context, target: StatusPage, params: OpenParams
    ) -> Done[OpenOutputs] | NotDone | CannotTell:
        try:
            found = await _find(ctx, target, params.event or ctx.key)
        except ActionError as error:
            return CannotTell(why=str(error))
        if found is None:
            return NotDone(why="the page has no unresolved incident for this event")
        return Done(outputs=found)


class UpdateParams(Params):
    """What customers read next."""

    incident: IncidentId
    """The id from `OpenIncident`."""
    status: Status
    body: Text


class UpdateOutputs(Outputs):
    """The incident."""

    id: str


class UpdateIncident(Action[StatusPage, UpdateParams, UpdateOutputs]):
    """Adds an update to an incident."""

    name: ClassVar[str] = "statuspage.incident.update"
    summary: ClassVar[str] = "Adds an update to a public incident"
    effect: ClassVar[Effect] = Effect.NOTIFY
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (StatusPage,)
    params: ClassVar[type[Params]] = UpdateParams
    outputs: ClassVar[type[Outputs]] = UpdateOutputs

    def planes(self, target: StatusPage) -> tuple[str, ...]:
        return _PLANES

    def preview(
        self, observation: Observation, target: StatusPage, params: UpdateParams | None
    ) -> Preview:
        status = "another status" if params is None else params.status
        return Change(before="as it is", after=f"an update at {target.label}: {status}")

    async def perform(
        self, ctx: Context, target: StatusPage, params: UpdateParams
    ) -> UpdateOutputs:
        """
        Updates, at once.

        Raises:
            NotFound: No such incident.
            OutcomeUnknown: It may have been updated; `settled` can tell.
            ActionError: See `drctl.adapters._http.status_error`.

        Changes:
            The incident, and customers who subscribed are told.
        """
        fields = {"status": params.status, "body": _update_body(params)}
        changed = await api.patch(ctx, target, params.incident, fields)
        return UpdateOutputs(id=_text(changed, "id"))

    async def settled(
        self, ctx: Context, target: StatusPage, params: UpdateParams
    ) -> Done[UpdateOutputs] | NotDone | CannotTell:
        try:
            incident = await api.read(ctx, target, params.incident)
        except ActionError as error:
            return CannotTell(why=str(error))
        updates = incident.get("incident_updates")
        for update in updates if isinstance(updates, list) else ():
            if not isinstance(update, dict):
                continue
            if (update.get("status"), update.get("body")) == (params.status, _update_body(params)):
                return Done(outputs=UpdateOutputs(id=params.incident))
        return NotDone(why="the incident has no such update")


def _update_body(params: UpdateParams) -> str:
    return sanitize(params.body, limit=_MAX_BODY, keep_lines=True)


async def _find(ctx: Context, page: StatusPage, event: str) -> OpenOutputs | None:
    for incident in await api.unresolved(ctx, page):
        if event and event in _events(incident):
            return _outputs(incident, created=False)
    return None


def _events(incident: api.Incident) -> set[JSON]:
    """What the incident says it is about."""
    metadata = incident.get("metadata")
    ours = metadata.get("drctl") if isinstance(metadata, dict) else None
    event = ours.get("event") if isinstance(ours, dict) else None
    return {event} if isinstance(event, str) else set()


def _outputs(incident: api.Incident, *, created: bool) -> OpenOutputs:
    return OpenOutputs(id=_text(incident, "id"), created=created, status=_text(incident, "status"))


def _text(incident: api.Incident, field: str) -> str:
    return sanitize(str(incident.get(field, "")), limit=100)
