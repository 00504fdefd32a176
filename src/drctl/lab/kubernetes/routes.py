"""The HTTP face of the emulated API server."""

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from drctl.kernel import yaml_text, yaml_tree
from drctl.lab import wire
from drctl.lab.kubernetes.discovery import document
from drctl.lab.kubernetes.errors import (
    ApiError,
    Object,
    bad_request,
    method_not_allowed,
    unauthorized,
    unsupported_media_type,
)
from drctl.lab.kubernetes.exec import StartIn, stream_exec
from drctl.lab.kubernetes.kinds import POD, RESOURCE_QUOTA, typed
from drctl.lab.kubernetes.objects import Objects, Options, Target
from drctl.lab.kubernetes.patch import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from drctl.lab.kubernetes.paths import NoSuchPath, parse_path
from drctl.lab.kubernetes.rights import REVIEW, Rights, verb_of
from drctl.lab.kubernetes.streams import stream_log, stream_watch, wants_table
from drctl.lab.kubernetes.tables import table
from drctl.lab.kubernetes.watch import Question, answer, page
from drctl.lab.ledger import note

_LARGEST_BODY = 3 * 1024 * 1024  # as etcd's limit makes it for a real API server
_JSON = ("application/json",)
_PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
_CUSTOM_PATCHES = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
_HEALTH = frozenset({"healthz", "livez", "readyz"})


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where a cluster notes what was changed through its API; controllers are no clients."""

    file: Path
    where: str


def _changes(request: web.Request) -> bool:
    """Whether a request asks for a change; a command in a pod may do anything."""
    if request.path.endswith("/exec"):
        return True
    if request.path.endswith(("/selfsubjectaccessreviews", "/selfsubjectrulesreviews")):
        return False
    return request.method not in {"GET", "HEAD"} and request.query.get("dryRun") != "All"


class Routes:
    """Answers requests from one cluster's objects."""

    def __init__(
        self,
        objects: Objects,
        *,
        address: str,
        token: str,
        log_of: Callable[[Object, str], Path],
        ledger: Ledger,
        start_in: StartIn,
    ) -> None:
        self._objects = objects
        self._rights = Rights(objects.store)
        self._start_in = start_in
        self._ledger = ledger
        self._address = address
        self._token = token
        self._log_of = log_of

    def application(self) -> web.Application:
        """Makes the aiohttp application."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        said = f"{request.method} {request.path_qs}"
        agent = request.headers.get("User-Agent")
        wire.note(self._ledger.where, said, agent, mutates=_changes(request))
        try:
            self._authenticate(request)
            return await self._answer(request)
        except ApiError as error:
            return web.json_response(error.status(), status=error.code)
        except NoSuchPath:
            return web.Response(status=404, text="404 page not found\n")

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            raise unauthorized()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].rstrip("/")
        if path in _HEALTH:
            return web.Response(text="ok")
        if path == REVIEW and request.method == "POST":
            return web.json_response(self._rights.review(await _body(request, _JSON)), status=201)
        found = document(path, self._address)
        if found is None:
            return await self._dispatch(request, parse_path(path))
        if request.method != "GET":
            raise method_not_allowed()
        return web.json_response(found)

    async def _dispatch(self, request: web.Request, target: Target) -> web.StreamResponse:
        watches = request.query.get("watch", "") in {"true", "1"}
        verb = verb_of(request.method, has_name=bool(target.name), watches=watches)
        if target.subresource == "exec":
            verb = "create"
        self._rights.require(verb, target.kind, target.subresource, target.name)
        match request.method:
            case "GET" | "POST" if target.subresource == "exec":
                return await self._exec(request, target)
            case "GET" if target.name:
                return await self._get(request, target)
            case "GET":
                return await self._list(request, target)
            case "POST" if not target.name:
                return await self._create(request, target)
            case "PUT" | "PATCH" if target.name:
                return await self._write(request, target)
            case "DELETE" if not target.subresource:
                return await self._delete(request, target)
        raise method_not_allowed()

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        if target.subresource == "log":
            return await stream_log(request, self._objects, target, self._log_of)
        obj = self._objects.get(target)
        if wants_table(request) and not target.subresource:
            version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return web.json_response(table(target.kind, [obj], version))
        return _reply(target, obj)

    async def _exec(self, request: web.Request, target: Target) -> web.StreamResponse:
        pod = self._objects.get(target)
        stream = await stream_exec(request, pod, self._start_in)
        where = f"{target.namespace or ''}/{target.name}"
        argv = request.query.getall("command", [])
        note(self._ledger.file, self._ledger.where, "create pods/exec", where, {"command": argv})
        return stream

    async def _list(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        question = Question.ask(
            target.kind,
            target.namespace,
            query.get("labelSelector", ""),
            query.get("fieldSelector", ""),
        )
        store = self._objects.store
        if query.get("watch", "") in {"true", "1"}:
            return await stream_watch(request, store, question)
        limit, after = _number(request, "limit"), query.get("continue", "")
        objects, metadata = page(answer(store, question), limit, after)
        metadata = {"resourceVersion": str(store.version), **metadata}
        if wants_table(request):
            return web.json_response(table(target.kind, objects, metadata))
        return web.json_response(
            {
                "kind": f"{target.kind.kind}List",
                "apiVersion": target.kind.api_version,
                "metadata": metadata,
                "items": objects,
            }
        )

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        _allow(target, "create")
        if target.kind.namespaced and target.namespace is None:
            raise method_not_allowed()
        options = _options(request)
        body = await _body(request, _JSON)
        made = self._noted(
            target, "create", body, lambda: self._objects.create(target, body, options)
        )
        return _reply(target, made, options, 201)

    def _noted(self, target: Target, verb: str, body: Any, change: Callable[[], Object]) -> Object:
        """Makes a change, and notes it when there was one: a version that did not move is none."""
        before = self._objects.store.version
        obj = change()
        after = self._objects.store.version
        if after != before:
            kind = target.kind.plural + (f"/{target.subresource}" if target.subresource else "")
            name = target.name or obj["metadata"]["name"]
            where = f"{target.namespace or ''}/{name}".lstrip("/")
            note(
                self._ledger.file,
                self._ledger.where,
                f"{verb} {kind}",
                where,
                body,
                applied={"resourceVersion": str(after)},
            )
        return obj

    async def _write(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = _options(request)
        if target.subresource in {"log", "exec"}:
            raise method_not_allowed()
        if request.method == "PUT":
            _allow(target, "update")
            body = await _body(request, _JSON)
            replaced = self._noted(
                target, "update", body, lambda: self._objects.replace(target, body, options)
            )
            return _reply(target, replaced, options)
        _allow(target, "patch")
        patch = await _body(request, _CUSTOM_PATCHES if target.kind.is_custom else _PATCHES)
        _must_name_applier(request)
        patched = self._noted(
            target,
            "patch",
            patch,
            lambda: self._objects.patch(target, request.content_type, patch, options),
        )
        return _reply(target, patched, options, 201 if options.created else 200)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        _allow(target, "delete" if target.name else "deletecollection")
        asked = await _delete_options(request)
        options = _options(request)
        options.dry_run = options.dry_run or asked.get("dryRun") == ["All"]
        if target.name:
            gone = self._noted(
                target, "delete", asked, lambda: self._objects.delete(target, asked, options)
            )
            # Some kinds come back themselves, the others as a Status.
            is_shown = target.kind in {POD, RESOURCE_QUOTA}
            return _reply(target, gone) if is_shown else _deleted(target, gone)
        question = Question.ask(
            target.kind,
            target.namespace,
            request.query.get("labelSelector", ""),
            request.query.get("fieldSelector", ""),
        )
        for obj in answer(self._objects.store, question):
            metadata = obj["metadata"]
            one = Target(target.kind, metadata.get("namespace"), metadata["name"])
            self._noted(one, "delete", asked, partial(self._objects.delete, one, asked, options))
        return web.json_response(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        )


def _allow(target: Target, verb: str) -> None:
    if verb not in target.kind.verbs:
        raise method_not_allowed()


def _reply(
    target: Target, obj: Object, options: Options | None = None, status: int = 200
) -> web.Response:
    headers = [
        ("Warning", f"299 - {json.dumps(warning)}")
        for warning in (options.warnings if options else [])
    ]
    body = obj if target.subresource == "scale" else typed(target.kind, obj)
    response = web.json_response(body, status=status)
    for name, value in headers:
        response.headers.add(name, value)
    return response


def _deleted(target: Target, gone: Object) -> web.Response:
    details = {"name": target.name, "kind": target.kind.plural, "uid": gone["metadata"]["uid"]}
    if target.kind.group:
        details["group"] = target.kind.group
    return web.json_response(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
    )


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    try:
        return int(text)
    except ValueError:
        raise bad_request(f"{name}: {text!r} is not a number") from None


def _options(request: web.Request) -> Options:
    dry_run = request.query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise ApiError(
            422, "Invalid", f'dryRun: Unsupported value: "{dry_run}": supported values: "All"'
        )
    validation = request.query.get("fieldValidation") or "Warn"
    if validation not in {"Ignore", "Warn", "Strict"}:
        raise ApiError(
            422,
            "Invalid",
            f'fieldValidation: Unsupported value: "{validation}": '
            'supported values: "Ignore", "Warn", "Strict"',
        )
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    manager = request.query.get("fieldManager") or agent or "unknown"
    force = request.query.get("force", "") in {"true", "1"}
    return Options(dry_run == "All", validation, manager, force)


def _must_name_applier(request: web.Request) -> None:
    if request.content_type == APPLY_PATCH and not request.query.get("fieldManager"):
        raise ApiError(
            422,
            "Invalid",
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for '
            "apply patch",
        )
    if request.content_type != APPLY_PATCH and "force" in request.query:
        raise ApiError(
            422,
            "Invalid",
            'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for '
            "non-apply patch",
        )


async def _body(request: web.Request, accepted: tuple[str, ...]) -> Any:
    # Like the real one, a body of no declared type is taken for JSON; a patch must say its type.
    undeclared = "Content-Type" not in request.headers and accepted == _JSON
    if request.content_type not in accepted and not undeclared:
        raise unsupported_media_type(list(accepted))
    raw = await request.read()
    try:
        return json.loads(raw)
    except ValueError as error:
        if request.content_type == APPLY_PATCH:
            return _yaml(raw)
        raise bad_request(f"the body of the request is not JSON: {error}") from error


def _yaml(raw: bytes) -> Any:
    document = yaml_text.read(raw.decode("utf-8", "replace"), file="body")
    if document.problems or document.root is None:
        raise bad_request(f"error decoding YAML: {document.problems[0].what}")
    return yaml_tree.plain(document.root)


async def _delete_options(request: web.Request) -> Object:
    asked: Object = {}
    if request.can_read_body:
        body = await _body(request, _JSON)
        if not isinstance(body, dict):
            raise bad_request("DeleteOptions must be an object")
        asked = body
    if "gracePeriodSeconds" in request.query:
        asked["gracePeriodSeconds"] = _number(request, "gracePeriodSeconds")
    if "propagationPolicy" in request.query:
        asked["propagationPolicy"] = request.query["propagationPolicy"]
    return asked
