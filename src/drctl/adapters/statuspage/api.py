"""The four calls of Statuspage's API that drctl makes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeAlias

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown, Unavailable
from drctl.actions.targets import StatusPage
from drctl.adapters import _http, _secret
from drctl.kernel.canonical import JSON

Incident: TypeAlias = Mapping[str, JSON]

_ASK_FOR = timedelta(seconds=8)


async def unresolved(ctx: Context, page: StatusPage) -> list[Incident]:
    """
    Lists the page's unresolved incidents, newest first.

    Raises:
        ActionError: See `drctl.adapters._http.status_error`.
    """
    found = await _call(ctx, page, "GET", "incidents/unresolved")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unavailable(f"{page.label} did not answer with a list of incidents")
    if any(each.get("page_id", page.page_id) != page.page_id for each in found):
        raise Unavailable(f"{page.label} answered about another page")
    return found


async def read(ctx: Context, page: StatusPage, incident: str) -> Incident:
    """
    Reads one incident.

    Raises:
        NotFound: The page has no such incident.
        ActionError: As for `unresolved`.
    """
    found = await _call(ctx, page, "GET", f"incidents/{incident}")
    return _same(_as_incident(found, page, Unavailable), incident, page, Unavailable)


async def create(ctx: Context, page: StatusPage, fields: Mapping[str, JSON]) -> Incident:
    """
    Opens an incident.

    Raises:
        OutcomeUnknown: It may have been opened.
        ActionError: As for `unresolved`.
    """
    made = _as_incident(
        await _call(ctx, page, "POST", "incidents", {"incident": fields}), page, OutcomeUnknown
    )
    if made.get("metadata", fields.get("metadata")) != fields.get("metadata"):
        raise OutcomeUnknown(f"{page.label} answered with another incident, {made['id']}")
    return made


async def patch(
    ctx: Context, page: StatusPage, incident: str, fields: Mapping[str, JSON]
) -> Incident:
    """
    Changes an incident, which adds an update to it.

    Raises:
        OutcomeUnknown: It may have been changed.
        ActionError: As for `unresolved`.
    """
    made = await _call(ctx, page, "PATCH", f"incidents/{incident}", {"incident": fields})
    return _same(_as_incident(made, page, OutcomeUnknown), incident, page, OutcomeUnknown)


async def _call(
    ctx: Context, page: StatusPage, method: _http.Method, path: str, body: JSON = None
) -> JSON:
    token = _secret.reveal(ctx, page.token)
    response = await _http.send_ok(
        ctx,
        method,
        f"{page.api_url.rstrip('/')}/pages/{page.page_id}/{path}",
        label=page.label,
        headers={"authorization": f"OAuth {token}"},
        body=body,
        hidden=(token,),
        timeout=_ASK_FOR,
    )
    try:
        return response.json()
    except ValueError:
        word = Unavailable if method == "GET" else OutcomeUnknown
        raise word(f"{page.label} answered {response.status} without JSON") from None


def _as_incident(value: JSON, page: StatusPage, otherwise: type[ActionError]) -> Incident:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise otherwise(f"{page.label} did not answer with an incident")
    return value


def _same(
    incident: Incident, wanted: str, page: StatusPage, otherwise: type[ActionError]
) -> Incident:
    if incident["id"] != wanted:
        raise otherwise(f"{page.label} answered about another incident, {incident['id']}")
    return incident
