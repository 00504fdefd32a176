"""
Cloud SQL's Admin API as far as drctl calls it: get, promoteReplica, failover, patch, clone,
backupRuns, operations. What it refuses, it refuses as Google does.
"""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from drctl.lab import ledger
from drctl.lab.gcp.instances import Instance
from drctl.lab.gcp.operations import Operations
from drctl.lab.gcp.sql_work import Work
from drctl.lab.gcp.wire import (
    Refusal,
    body_of,
    parse_timestamp,
    require_query,
    timestamp,
)

_INSTANCE: Final = "/v1/projects/{project}/instances/{instance}"
_FAILOVER: Final = {"failoverContext": {"kind": None, "settingsVersion": None}}
_CLONE: Final = {
    "cloneContext": {
        "kind": None,
        "destinationInstanceName": None,
        "pointInTime": None,
        "allocatedIpRange": None,
        "preferredZone": None,
    }
}
_PATCH: Final = {"settings": {"settingsVersion": None, "activationPolicy": None}}
_BACKUP: Final = {"description": None, "instance": None, "kind": None, "location": None}


class CloudSql:
    """The instances of one project."""

    def __init__(self, project: str, user: str, file: Path | None) -> None:
        """
        Args:
            file: The ledger; None: it keeps none.
        """
        self.project = project
        self.operations = Operations(project, user)
        self.instances: dict[str, Instance] = {}
        self.work = Work(self)
        self._ledger = file
        self._backup_ids = itertools.count(1700000000000)

    def routes(self) -> list[web.RouteDef]:
        """The paths of the API."""
        return [
            web.get(_INSTANCE, self._get),
            web.patch(_INSTANCE, self._patch),
            web.get(f"{_INSTANCE}/getLatestRecoveryTime", self._recovery),
            web.post(f"{_INSTANCE}/promoteReplica", self._promote),
            web.post(f"{_INSTANCE}/failover", self._failover),
            web.post(f"{_INSTANCE}/clone", self._clone),
            web.post(f"{_INSTANCE}/backupRuns", self._back_up),
            web.get(f"{_INSTANCE}/backupRuns", self._backups),
            web.get("/v1/projects/{project}/operations", self._operations),
            web.get("/v1/projects/{project}/operations/{operation}", self._operation),
        ]

    def add(self, instance: Instance) -> Instance:
        """Puts an instance there, as if it had been made long ago."""
        instance.created_at = datetime.now(UTC)
        self.instances[instance.name] = instance
        return instance

    def note(self, operation: str, instance: Instance, request: Any, **applied: Any) -> None:
        """Adds a line to the ledger for what has just been applied."""
        where = f"gcp:{instance.region}"
        ledger.note(self._ledger, where, operation, instance.name, request, applied=applied)

    async def _get(self, request: web.Request) -> web.Response:
        require_query(request, "location")
        instance = self._instance(request)
        replicas = [one.name for one in self.instances.values() if one.source == instance.name]
        return web.json_response(instance.resource(replicas))

    async def _promote(self, request: web.Request) -> web.Response:
        query = require_query(request, "failover", "location")
        instance = self._instance(request)
        sent = await body_of(request, {})
        if not instance.is_replica:
            message = f"The instance {instance.name} is not a read replica."
            raise Refusal(400, "invalidOperation", message)
        if query.get("failover", "false") == "true":
            raise Refusal(400, "invalidRequest", "The instance is not a designated DR replica.")
        self._require_ready(instance)
        begun = self.operations.begin(
            instance.name, "PROMOTE_REPLICA", lambda: self.work.promote(instance, sent)
        )
        return web.json_response(begun)

    async def _failover(self, request: web.Request) -> web.Response:
        require_query(request, "location")
        instance = self._instance(request)
        sent = await body_of(request, _FAILOVER)
        version = sent.get("failoverContext", {}).get("settingsVersion")
        if not instance.is_regional or instance.is_replica:
            message = "Failover is only supported for instances with high availability."
            raise Refusal(400, "invalidRequest", message)
        _require_version(instance, version)
        self._require_ready(instance)
        begun = self.operations.begin(
            instance.name, "FAILOVER", lambda: self.work.fail_over(instance, sent)
        )
        return web.json_response(begun)

    async def _patch(self, request: web.Request) -> web.Response:
        require_query(request, "location")
        instance = self._instance(request)
        sent = await body_of(request, _PATCH)
        settings = sent.get("settings", {})
        policy = settings.get("activationPolicy")
        if policy not in {"ALWAYS", "NEVER"}:
            message = f"Invalid value at 'settings.activationPolicy', {policy!r}."
            raise Refusal(400, "invalid", message)
        if "settingsVersion" in settings:
            _require_version(instance, settings["settingsVersion"])
        if instance.is_replica and policy == "NEVER":
            raise Refusal(400, "invalidRequest", "A read replica cannot be stopped.")
        self.operations.require_free(instance.name)
        instance.activation = policy
        instance.settings_version += 1
        begun = self.operations.begin(
            instance.name, "UPDATE", lambda: self.work.activate(instance, policy, sent)
        )
        return web.json_response(begun)

    async def _recovery(self, request: web.Request) -> web.Response:
        require_query(request, "sourceInstanceDeletionTime")
        instance = self._instance(request)
        earliest, latest = self.work.window(instance)
        return web.json_response(
            {
                "kind": "sql#getLatestRecoveryTime",
                "earliestRecoveryTime": timestamp(earliest),
                "latestRecoveryTime": timestamp(latest),
            }
        )

    async def _clone(self, request: web.Request) -> web.Response:
        require_query(request, "location")
        source = self._instance(request)
        sent = await body_of(request, _CLONE)
        wanted = sent.get("cloneContext", {})
        name = wanted.get("destinationInstanceName")
        if not isinstance(name, str) or not name:
            raise Refusal(400, "required", "Required field: destinationInstanceName")
        if name in self.instances:
            message = "The Cloud SQL instance already exists."
            raise Refusal(409, "instanceAlreadyExists", message)
        if source.is_replica:
            raise Refusal(400, "invalidRequest", "A read replica cannot be cloned.")
        if "pointInTime" not in wanted:
            raise Refusal(400, "invalidRequest", "This stand-in clones to a time only.")
        at = parse_timestamp(wanted["pointInTime"], "cloneContext.pointInTime")
        earliest, latest = self.work.window(source)
        if not earliest <= at <= latest:
            message = "The point in time is outside of the recovery window of the instance."
            raise Refusal(400, "invalidRequest", message)
        self._require_ready(source)
        clone = self.add(self.work.shape_of_clone(source, name))
        begun = self.operations.begin(
            name, "CLONE", lambda: self.work.clone(source, clone, at, sent)
        )
        return web.json_response(begun)

    async def _back_up(self, request: web.Request) -> web.Response:
        require_query(request)
        instance = self._instance(request)
        sent = await body_of(request, _BACKUP)
        self._require_ready(instance)
        run = {
            "kind": "sql#backupRun",
            "id": str(next(self._backup_ids)),
            "instance": instance.name,
            "description": sent.get("description", ""),
            "type": "ON_DEMAND",
            "backupKind": "SNAPSHOT",
            "status": "ENQUEUED",
            "enqueuedTime": timestamp(),
        }
        instance.backups.insert(0, run)
        begun = self.operations.begin(
            instance.name,
            "BACKUP_VOLUME",
            lambda: self.work.back_up(instance, run, sent),
            backupContext={"kind": "sql#backupContext", "backupId": run["id"]},
        )
        return web.json_response(begun)

    async def _backups(self, request: web.Request) -> web.Response:
        query = require_query(request, "maxResults", "pageToken")
        most = int(query.get("maxResults", "20"))
        items = self._instance(request).backups[:most]
        return web.json_response({"kind": "sql#backupRunsList", "items": items})

    async def _operations(self, request: web.Request) -> web.Response:
        query = require_query(request, "instance", "maxResults", "pageToken", "location")
        self._require_project(request)
        listed = self.operations.of(query.get("instance"), int(query.get("maxResults", "20")))
        return web.json_response({"kind": "sql#operationsList", "items": listed})

    async def _operation(self, request: web.Request) -> web.Response:
        require_query(request, "location")
        self._require_project(request)
        return web.json_response(self.operations.get(request.match_info["operation"]))

    def _require_ready(self, instance: Instance) -> None:
        self.operations.require_free(instance.name)
        if instance.state != "RUNNABLE" or instance.activation != "ALWAYS":
            message = f"The instance {instance.name} is not running."
            raise Refusal(400, "invalidOperation", message)

    def _require_project(self, request: web.Request) -> None:
        if request.match_info["project"] != self.project:
            message = "The client is not authorized to make this request."
            raise Refusal(403, "notAuthorized", message)

    def _instance(self, request: web.Request) -> Instance:
        self._require_project(request)
        found = self.instances.get(request.match_info["instance"])
        if found is None:
            # Cloud SQL says the same of what is not there and of what is not ours.
            raise Refusal(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.")
        return found


def _require_version(instance: Instance, version: Any) -> None:
    """
    Compares, as `settingsVersion` asks for.

    Raises:
        Refusal: It was changed since.
    """
    if not isinstance(version, str) or not version.isdecimal():
        raise Refusal(400, "invalid", f"Invalid value at 'settingsVersion', {version!r}.")
    if int(version) != instance.settings_version:
        raise Refusal(412, "staleData", "Condition does not match.")
