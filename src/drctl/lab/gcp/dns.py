"""
Cloud DNS's API as far as drctl calls it: a zone, its record sets, and changes.

A change is applied whole or not at all: each deletion must be exactly what is there, and no
addition may be there. It is ``pending`` first, and served when it is ``done``.
"""

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from drctl.lab import ledger
from drctl.lab.gcp.wire import Refusal, body_of, not_found, require_query, timestamp
from drctl.lab.zones import RecordSet, Zone

_ZONE: Final = "/dns/v1/projects/{project}/managedZones/{zone}"
_CHANGE: Final = {"kind": None, "additions": None, "deletions": None}
_RECORD: Final = frozenset({"kind", "name", "type", "ttl", "rrdatas", "signatureRrdatas"})
_PENDING_S: Final = 0.3
"""A vendor's minute, compressed."""


@dataclass(slots=True, kw_only=True)
class ManagedZone:
    """One zone: what the API has, and what its name servers have."""

    name: str
    dns_name: str
    id: str
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    served: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)


class CloudDns:
    """The managed zones of one project."""

    def __init__(self, project: str, number: str, file: Path | None) -> None:
        self.project = project
        self._number = number
        self._ledger = file
        self.zones: dict[str, ManagedZone] = {}
        self._ids = itertools.count(4_000_000_000)
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The paths of the API."""
        return [
            web.get("/dns/v1/projects/{project}", self._project),
            web.get(_ZONE, self._get),
            web.get(f"{_ZONE}/rrsets", self._list),
            web.post(f"{_ZONE}/changes", self._change),
            web.get(f"{_ZONE}/changes/{{id}}", self._changed),
        ]

    def add(self, name: str, dns_name: str) -> ManagedZone:
        """Makes a zone with what every zone has."""
        zone = ManagedZone(name=name, dns_name=dns_name, id=str(next(self._ids)))
        apex = {"kind": "dns#resourceRecordSet", "name": dns_name, "ttl": 21600}
        soa = f"ns-cloud-a1.googledomains.com. hostmaster.{dns_name} 1 21600 3600 259200 300"
        self._put(zone.records, {**apex, "type": "SOA", "rrdatas": [soa]})
        servers = [f"ns-cloud-a{number}.googledomains.com." for number in range(1, 5)]
        self._put(zone.records, {**apex, "type": "NS", "rrdatas": servers})
        zone.served = dict(zone.records)
        self.zones[name] = zone
        return zone

    def put(self, zone: str, name: str, type_: str, ttl: int, *rrdatas: str) -> None:
        """Makes a record set, as if it had been made long ago."""
        record = {"name": name, "type": type_, "ttl": ttl, "rrdatas": list(rrdatas)}
        for records in (self.zones[zone].records, self.zones[zone].served):
            self._put(records, {"kind": "dns#resourceRecordSet", **record})

    def served(self) -> Iterable[Zone]:
        """What the name servers answer from."""
        for zone in self.zones.values():
            sets = tuple(
                RecordSet(
                    name=one["name"].lower(),
                    type=one["type"],
                    ttl_s=one["ttl"],
                    values=tuple(one["rrdatas"]),
                )
                for one in zone.served.values()
            )
            yield Zone(name=zone.dns_name, records=sets)

    async def stop(self) -> None:
        """Ends what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _project(self, request: web.Request) -> web.Response:
        require_query(request, "clientOperationId")
        self._require_project(request)
        return web.json_response(
            {"kind": "dns#project", "id": self.project, "number": self._number}
        )

    async def _get(self, request: web.Request) -> web.Response:
        require_query(request, "clientOperationId")
        zone = self._zone(request)
        shown = {"name": zone.name, "dnsName": zone.dns_name, "id": zone.id}
        return web.json_response({"kind": "dns#managedZone", "visibility": "public", **shown})

    async def _list(self, request: web.Request) -> web.Response:
        query = require_query(request, "name", "type", "filter", "maxResults", "pageToken")
        if "type" in query and "name" not in query:
            message = "The 'type' parameter needs the 'name' parameter."
            raise Refusal(400, "required", message)
        found = [
            one
            for one in self._zone(request).records.values()
            if query.get("name", one["name"]) == one["name"]
            and query.get("type", one["type"]) == one["type"]
        ]
        return web.json_response({"kind": "dns#resourceRecordSetsListResponse", "rrsets": found})

    async def _change(self, request: web.Request) -> web.Response:
        require_query(request, "clientOperationId")
        zone = self._zone(request)
        sent = await body_of(request, _CHANGE)
        additions = _records(sent, "additions", zone)
        deletions = _records(sent, "deletions", zone)
        if not additions and not deletions:
            raise Refusal(400, "required", "Required field: 'entity.change'")
        zone.records = _applied(zone, additions, deletions)
        change = {
            "kind": "dns#change",
            "id": str(len(zone.changes) + 1),
            "startTime": timestamp(),
            "status": "pending",
            "additions": additions,
            "deletions": deletions,
        }
        zone.changes.append(change)
        for record in additions or deletions:
            ledger.note(
                self._ledger,
                f"gcp:{self.project}",
                "ChangesCreate",
                f"{zone.name}/{record['name']}",
                sent,
                applied={"rrdatas": record["rrdatas"] if additions else []},
            )
        task = asyncio.create_task(self._serve(zone, change))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response(change)

    async def _changed(self, request: web.Request) -> web.Response:
        require_query(request, "clientOperationId")
        wanted = request.match_info["id"]
        for change in self._zone(request).changes:
            if change["id"] == wanted:
                return web.json_response(change)
        raise not_found(f"the 'parameters.changeId' resource named '{wanted}'")

    async def _serve(self, zone: ManagedZone, change: dict[str, Any]) -> None:
        now = dict(zone.records)
        await asyncio.sleep(_PENDING_S)
        zone.served = now
        change["status"] = "done"

    def _require_project(self, request: web.Request) -> None:
        if request.match_info["project"] != self.project:
            raise Refusal(403, "forbidden", "Forbidden")

    def _zone(self, request: web.Request) -> ManagedZone:
        self._require_project(request)
        named = request.match_info["zone"]
        for zone in self.zones.values():
            if named in {zone.name, zone.id}:
                return zone
        message = f"The 'parameters.managedZone' resource named '{named}' does not exist."
        raise Refusal(404, "notFound", message)

    def _put(self, records: dict[tuple[str, str], dict[str, Any]], record: dict[str, Any]) -> None:
        records[record["name"], record["type"]] = record


def _applied(
    zone: ManagedZone, additions: list[dict[str, Any]], deletions: list[dict[str, Any]]
) -> dict[tuple[str, str], dict[str, Any]]:
    after = dict(zone.records)
    for position, record in enumerate(deletions):
        named = f"'entity.change.deletions[{position}]'"
        there = after.pop((record["name"], record["type"]), None)
        if there is None:
            message = f"The {named} resource named '{_label(record)}' does not exist."
            raise Refusal(404, "notFound", message)
        if not _same(there, record):
            raise Refusal(412, "conditionNotMet", f"Precondition not met for {named}")
    for position, record in enumerate(additions):
        named = f"'entity.change.additions[{position}]'"
        if (record["name"], record["type"]) in after:
            message = f"The resource {named} named '{_label(record)}' already exists"
            raise Refusal(409, "alreadyExists", message)
        others = {type_ for name, type_ in after if name == record["name"]}
        if others and (record["type"] == "CNAME" or "CNAME" in others):
            message = f"The resource record set {named} is in conflict with other records."
            raise Refusal(400, "cnameResourceRecordSetConflict", message)
        after[record["name"], record["type"]] = record
    return after


def _same(there: dict[str, Any], record: dict[str, Any]) -> bool:
    is_like = there["ttl"] == record["ttl"]
    return is_like and sorted(there["rrdatas"]) == sorted(record["rrdatas"])


def _label(record: dict[str, Any]) -> str:
    return f"{record['name']} ({record['type']})"


def _records(sent: dict[str, Any], which: str, zone: ManagedZone) -> list[dict[str, Any]]:
    given = sent.get(which, [])
    if not isinstance(given, list):
        raise Refusal(400, "invalid", f"Invalid value for 'entity.change.{which}': '{given}'")
    made = []
    for position, one in enumerate(given):
        at = f"entity.change.{which}[{position}]"
        if not isinstance(one, dict) or not _RECORD.issuperset(one):
            raise Refusal(400, "invalid", f"Invalid value for '{at}'")
        name, data, ttl = one.get("name"), one.get("rrdatas"), one.get("ttl")
        if not isinstance(name, str) or not f".{name}".endswith(f".{zone.dns_name}"):
            raise Refusal(400, "invalid", f"Invalid value for '{at}.name': '{name}'")
        if not isinstance(ttl, int) or ttl < 0:
            raise Refusal(400, "invalid", f"Invalid value for '{at}.ttl': '{ttl}'")
        if not isinstance(data, list) or not data or len(set(data)) != len(data):
            raise Refusal(400, "invalid", f"Invalid value for '{at}.rrdata': '{data}'")
        if one.get("type") == "CNAME" and (len(data) > 1 or not str(data[0]).endswith(".")):
            raise Refusal(400, "invalid", f"Invalid value for '{at}.rrdata[0]': '{data[0]}'")
        made.append({"kind": "dns#resourceRecordSet", **one})
    return made
