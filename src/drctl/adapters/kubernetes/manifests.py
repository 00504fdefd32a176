"""Applies files to a cluster as they were reviewed: pinned by their SHA-256, server-side."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import Field, StringConstraints

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
from drctl.actions.errors import ActionError, NotFound, OutcomeUnknown, Rejected
from drctl.actions.targets import Deployment, Part, Text
from drctl.adapters.kubernetes.client import Cluster
from drctl.kernel import yaml_text, yaml_tree

MANAGER = "drctl"
_NOT_COMPARED = {"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"}


class ManifestFile(Part):
    """One file, as it was reviewed."""

    path: Text
    """Absolute, or from where drctl is started. One or more YAML documents."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Of its bytes; any other content is refused."""


class ApplyParams(Params):
    """What to apply."""

    files: tuple[ManifestFile, ...] = Field(min_length=1)
    """In this order, each document in its order."""
    revision: Text | None = None
    """The commit that they come from, for the record."""


class Applied(Outputs):
    """What became of each object."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """One document, and where it goes."""

    label: str
    path: str
    """Which it is: two kinds of one name, as those of two API groups, have two."""
    body: dict[str, Any]


class ApplyManifests(Action[Deployment, ApplyParams, Applied]):
    """
    Applies objects of the target's namespace with ``fieldManager=drctl`` and without force.

    A field that somebody else owns with another value is a conflict that names both: to take it
    over is a decision, not a default. Secrets are refused: their values would be in the file.
    """

    name: ClassVar[str] = "kubernetes.manifests.apply"
    summary: ClassVar[str] = "Apply pinned manifests server-side in a Deployment's namespace"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    looks_blind: ClassVar[bool] = False
    targets = (Deployment,)
    params = ApplyParams
    outputs = Applied

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: ApplyParams | None
    ) -> Observation:
        """Lets the server say what would become of each object, by a dry run."""
        if params is None:
            return Observation()
        cluster = Cluster(ctx, target.cluster)
        objects = await _objects(cluster, target, params)
        return Observation(
            facts={one.path: await _fate(cluster, one) for one in objects},
            readings={one.path: one.label for one in objects},
        )

    def preview(
        self, observation: Observation, target: Deployment, params: ApplyParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="the files are known during the run")
        fates, labels = observation.facts, observation.readings
        moved = [f"{labels[path]} {fate}" for path, fate in fates.items() if fate != "unchanged"]
        if not moved:
            return Nothing(why=f"{len(fates)} object(s) are as the files say")
        creates = all(fate == "created" for fate in fates.values())
        return Change(before=f"{len(fates)} object(s)", after=", ".join(moved), creates=creates)

    async def perform(self, ctx: Context, target: Deployment, params: ApplyParams) -> Applied:
        """
        Checks every file and dry-runs every object; only then applies them one after the other.

        Safe to repeat: what is as the files say is left alone.

        Raises:
            Rejected: A file has another content than was pinned, or an object is not for here.
            Conflict: Somebody else owns a field with another value.
            NotFound: A file, or a kind in this cluster, is not there.
            OutcomeUnknown: Sent, and no answer came; earlier objects may have been applied.

        Changes:
            The objects of the files.
        """
        cluster = Cluster(ctx, target.cluster)
        objects = await _objects(cluster, target, params)
        fates = {one.path: await _fate(cluster, one) for one in objects}
        sent = False
        for one in objects:
            if fates[one.path] == "unchanged":
                continue
            try:
                await cluster.apply(one.path, one.body, manager=MANAGER)
            except OutcomeUnknown:
                raise
            except ActionError as error:
                if sent:
                    why = f"applied in part, then {one.label}: {error}"
                    raise type(error)(why) from error
                raise
            sent = True
        return _applied(objects, fates)

    async def settled(
        self, ctx: Context, target: Deployment, params: ApplyParams
    ) -> Done[Applied] | NotDone | CannotTell:
        cluster = Cluster(ctx, target.cluster)
        try:
            objects = await _objects(cluster, target, params)
            fates = {one.path: await _fate(cluster, one) for one in objects}
        except ActionError as error:
            return CannotTell(why=str(error))
        if missing := [one.label for one in objects if fates[one.path] != "unchanged"]:
            return NotDone(why=f"not as the files say: {', '.join(missing)}")
        return Done(outputs=_applied(objects, fates))


def _applied(objects: list[_Object], fates: dict[str, str]) -> Applied:
    def of(word: str) -> tuple[str, ...]:
        return tuple(one.label for one in objects if fates[one.path] == word)

    return Applied(created=of("created"), changed=of("changed"), unchanged=of("unchanged"))


async def _objects(cluster: Cluster, target: Deployment, params: ApplyParams) -> list[_Object]:
    documents: list[Any] = []
    for file in params.files:
        text = await asyncio.to_thread(_text, file)
        documents += _documents(text, file.path)
    known: dict[str, list[dict[str, Any]]] = {}
    made = []
    for document in documents:
        group = str(document["apiVersion"])
        if group not in known:
            root = f"/apis/{group}" if "/" in group else f"/api/{group}"
            known[group] = await _resources(cluster, root)
        made.append(_object(target, document, known[group]))
    return made


def _text(file: ManifestFile) -> str:
    try:
        raw = Path(file.path).read_bytes()
    except OSError as error:
        raise NotFound(f"{file.path}: {error.strerror}") from error
    found = hashlib.sha256(raw).hexdigest()
    if found != file.sha256:
        raise Rejected(f"{file.path} is not what was pinned: its sha256 is {found}")
    return raw.decode("utf-8", "replace")


def _documents(text: str, path: str) -> list[Any]:
    found = []
    for part in ("\n" + text).split("\n---"):
        if not part.strip():
            continue
        document = yaml_text.read(part, file=path)
        if document.problems or document.root is None:
            raise Rejected(f"{path}: {document.problems[0].what}")
        plain = yaml_tree.plain(document.root)
        meta = plain.get("metadata") if isinstance(plain, dict) else None
        if not isinstance(meta, dict) or not all((plain.get("apiVersion"), plain.get("kind"))):
            raise Rejected(f"{path}: a document is no Kubernetes object")
        if not meta.get("name"):
            raise Rejected(f"{path}: a {plain['kind']} has no name")
        if plain["kind"] == "Secret":
            raise Rejected(f"{path}: a Secret in a file is no secret; use kubernetes.secret.patch")
        found.append(plain)
    if not found:
        raise Rejected(f"{path} holds no object")
    return found


async def _resources(cluster: Cluster, root: str) -> list[dict[str, Any]]:
    answer = await cluster.get(root, about=None)
    if answer.get("kind") != "APIResourceList":
        raise NotFound(f"{root} is not served by this cluster")
    resources: list[dict[str, Any]] = answer["resources"]
    return resources


def _object(
    target: Deployment, document: dict[str, Any], resources: list[dict[str, Any]]
) -> _Object:
    kind, meta, group = document["kind"], document["metadata"], str(document["apiVersion"])
    served = [one for one in resources if one["kind"] == kind and "/" not in one["name"]]
    if not served:
        raise NotFound(f"this cluster has no {kind} in {group}")
    if not served[0]["namespaced"]:
        raise Rejected(f"{kind}/{meta['name']} belongs to no namespace: not from here")
    if meta.get("namespace", target.namespace) != target.namespace:
        raise Rejected(f"{kind}/{meta['name']} is for {meta['namespace']}, not {target.namespace}")
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    place = f"{root}/namespaces/{quote(target.namespace, safe='')}/{served[0]['name']}"
    name = str(meta["name"])
    return _Object(
        label=f"{kind.lower()}/{name}", path=f"{place}/{quote(name, safe='')}", body=document
    )


async def _fate(cluster: Cluster, one: _Object) -> str:
    """``created``, ``changed`` or ``unchanged``, by the server's own dry run."""
    try:
        before = await cluster.get(one.path)
    except NotFound:
        before = None
    after = await cluster.apply(one.path, one.body, manager=MANAGER, dry_run=True)
    if before is None:
        return "created"
    return "unchanged" if _comparable(before) == _comparable(after) else "changed"


def _comparable(raw: dict[str, Any]) -> dict[str, Any]:
    meta = {key: value for key, value in raw["metadata"].items() if key not in _NOT_COMPARED}
    return {key: value for key, value in raw.items() if key != "status"} | {"metadata": meta}
