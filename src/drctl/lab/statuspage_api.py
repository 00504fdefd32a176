"""Statuspage as far as drctl calls it: incidents of a page, opened, updated, listed."""

import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from drctl.lab.record import Record

_REALTIME: Final = ("investigating", "identified", "monitoring", "resolved")
_SCHEDULED: Final = ("scheduled", "in_progress", "verifying", "completed")
_IMPACTS: Final = ("none", "minor", "major", "critical", "maintenance")
_COMPONENT_STATES: Final = (
    *("operational", "under_maintenance", "degraded_performance"),
    *("partial_outage", "major_outage", ""),
)
_FIELDS: Final = frozenset(
    {
        *("name", "status", "impact_override", "body", "components", "component_ids", "metadata"),
        *("deliver_notifications", "backfilled", "backfill_date", "reminder_intervals"),
        *("scheduled_for", "scheduled_until", "scheduled_remind_prior", "scheduled_auto_completed"),
        *("scheduled_auto_in_progress", "auto_transition_deliver_notifications_at_end"),
        *("auto_transition_deliver_notifications_at_start", "auto_tweet_at_beginning"),
        *("auto_transition_to_maintenance_state", "auto_transition_to_operational_state"),
        *("auto_tweet_on_completion", "auto_tweet_on_creation", "auto_tweet_one_hour_before"),
    }
)
"""What the API documents. It ignores others; here they are refused, as they are typing errors."""


class StatuspageApi:
    """Keeps the incidents of its pages and records every accepted change."""

    def __init__(
        self,
        record: Record,
        *,
        tokens: Collection[str],
        pages: Collection[str],
        components: Collection[str] | None = None,
    ) -> None:
        """
        Args:
            record: Where accepted changes go.
            tokens: The API keys that are valid.
            pages: The ids of the pages that exist.
            components: The component ids that exist; any when None.
        """
        self._record = record
        self._tokens = frozenset(tokens)
        self._incidents: dict[str, dict[str, dict[str, Any]]] = {page: {} for page in pages}
        self._components = None if components is None else frozenset(components)

    def routes(self) -> list[web.RouteDef]:
        """The paths of Statuspage."""
        incidents = "/v1/pages/{page}/incidents"
        return [
            web.post(incidents, self._create),
            web.get(incidents, self._list),
            web.get(f"{incidents}/unresolved", self._list),
            web.get(f"{incidents}/{{id}}", self._get),
            web.patch(f"{incidents}/{{id}}", self._update),
            web.put(f"{incidents}/{{id}}", self._update),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        page = self._page(request)
        wanted = await self._incident_of(request)
        if not wanted.get("name"):
            raise _error(web.HTTPUnprocessableEntity, ["Name can't be blank"])
        now = _now()
        status = wanted.get("status") or "investigating"
        incident: dict[str, Any] = {
            "id": secrets.token_hex(6),
            "page_id": request.match_info["page"],
            "created_at": now,
            "started_at": now,
            "shortlink": f"http://stspg.io/{secrets.token_hex(4)}",
            "impact": "none",
            "impact_override": None,
            "metadata": {},
            "components": [],
            "incident_updates": [],
            "resolved_at": None,
            "monitoring_at": None,
        }
        _apply(incident, {**wanted, "status": status}, now)
        page[incident["id"]] = incident
        self._record.add("statuspage", "incident.create", {"sent": wanted, "incident": incident})
        return web.json_response(incident, status=201)

    async def _update(self, request: web.Request) -> web.Response:
        incident = self._incident(request)
        wanted = await self._incident_of(request)
        _apply(incident, wanted, _now())
        self._record.add("statuspage", "incident.update", {"sent": wanted, "incident": incident})
        return web.json_response(incident)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._incident(request))

    async def _list(self, request: web.Request) -> web.Response:
        incidents = list(self._page(request).values())[::-1]
        if request.path.endswith("/unresolved"):
            incidents = [
                each for each in incidents if each["status"] not in {"resolved", "completed"}
            ]
        return web.json_response(incidents)

    def _page(self, request: web.Request) -> dict[str, dict[str, Any]]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "OAuth" or token not in self._tokens:
            raise _error(web.HTTPUnauthorized, "Could not authenticate")
        page = self._incidents.get(request.match_info["page"])
        if page is None:
            raise _error(web.HTTPNotFound, "Not found")
        return page

    def _incident(self, request: web.Request) -> dict[str, Any]:
        incident = self._page(request).get(request.match_info["id"])
        if incident is None:
            raise _error(web.HTTPNotFound, "Not found")
        return incident

    async def _incident_of(self, request: web.Request) -> dict[str, Any]:
        try:
            document = await request.json()
        except ValueError:
            raise _error(web.HTTPBadRequest, "The request is not valid JSON") from None
        wanted = document.get("incident") if isinstance(document, dict) else None
        if not isinstance(wanted, dict):
            raise _error(web.HTTPBadRequest, "incident is missing")
        if problems := self._problems_of(wanted):
            raise _error(web.HTTPUnprocessableEntity, problems)
        return wanted

    def _problems_of(self, wanted: Mapping[str, Any]) -> list[str]:
        problems = [f"{field} is not a field of an incident" for field in wanted.keys() - _FIELDS]
        for field, allowed in {
            "status": (*_REALTIME, *_SCHEDULED),
            "impact_override": _IMPACTS,
        }.items():
            if wanted.get(field) is not None and wanted[field] not in allowed:
                problems.append(f"{field} does not have a valid value")
        states = wanted.get("components") or {}
        if not isinstance(states, dict) or any(s not in _COMPONENT_STATES for s in states.values()):
            return [*problems, "components does not have a valid value"]
        named = {*states, *(wanted.get("component_ids") or ())}
        if self._components is not None and not named <= self._components:
            problems.append("component_ids does not have a valid value")
        return problems


def _apply(incident: dict[str, Any], wanted: Mapping[str, Any], now: str) -> None:
    for field in ("name", "status", "impact_override", "metadata"):
        if wanted.get(field) is not None:
            incident[field] = wanted[field]
    incident["impact"] = incident["impact_override"] or incident["impact"]
    incident["updated_at"] = now
    if incident["status"] == "monitoring":
        incident["monitoring_at"] = incident["monitoring_at"] or now
    incident["resolved_at"] = now if incident["status"] in {"resolved", "completed"} else None
    states = dict(wanted.get("components") or {})
    for id_ in {*states, *(wanted.get("component_ids") or ())}:
        incident["components"] = [each for each in incident["components"] if each["id"] != id_]
        incident["components"].append({"id": id_, "status": states.get(id_, "operational")})
    if wanted.get("body") or wanted.get("status"):
        update = {
            "id": secrets.token_hex(6),
            "incident_id": incident["id"],
            "status": incident["status"],
            "body": wanted.get("body", ""),
            "created_at": now,
            "updated_at": now,
            "display_at": now,
            "deliver_notifications": wanted.get("deliver_notifications", True),
        }
        incident["incident_updates"].insert(0, update)


def _error(kind: type[web.HTTPException], error: str | list[str]) -> web.HTTPException:
    body = web.json_response({"error": error}).text
    return kind(text=body, content_type="application/json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
