"""
What a request may do to objects, whatever wire it came over.

Every writing verb decodes, fills defaults, checks, and only then stores; with ``dry_run`` it does
all but the last.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

from drctl.lab.kubernetes.defaults import fill
from drctl.lab.kubernetes.errors import ApiError, Cause, Object, bad_request, conflict, invalid
from drctl.lab.kubernetes.garbage import orphan
from drctl.lab.kubernetes.kinds import AUTOSCALER, NAMESPACE, POD, SECRET, Kind
from drctl.lab.kubernetes.ownership import apply, note_update
from drctl.lab.kubernetes.patch import APPLY_PATCH, apply_patch
from drctl.lab.kubernetes.records import random_suffix
from drctl.lab.kubernetes.schema import decode
from drctl.lab.kubernetes.store import Store
from drctl.lab.kubernetes.validation import check, check_base64, check_scale, wrong_body

_SERVER_OWNED = ("creationTimestamp", "generation", "deletionTimestamp")
_FIRST_STATUS: dict[Kind, Object] = {
    POD: {"phase": "Pending"},
    AUTOSCALER: {"currentReplicas": 0, "desiredReplicas": 0},
}
_GRACE = "deletionGracePeriodSeconds"


@dataclass(frozen=True, slots=True)
class Target:
    """The object or collection that a path names."""

    kind: Kind
    namespace: str | None = None
    name: str = ""
    subresource: str = ""


@dataclass(slots=True)
class Options:
    """How a writing request wants to be treated."""

    dry_run: bool = False
    field_validation: str = "Warn"
    manager: str = "unknown"
    """Who writes, as ``fieldManager`` or the ``User-Agent`` says."""
    force: bool = False
    """Of an apply: take over what others own."""
    is_apply: bool = False
    """The body says who owns what."""
    created: bool = False
    """Set by an apply that found nothing to change."""
    warnings: list[str] = field(default_factory=list)
    """What the client is told although the request went through."""


class Objects:
    """The verbs of the API over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, target: Target) -> Object:
        """
        Returns an object, or its scale.

        Raises:
            ApiError: 404, there is none.
        """
        found = self.store.get(target.kind, target.namespace or "", target.name)
        return _scale_of(found) if target.subresource == "scale" else found

    def create(self, target: Target, body: Object, options: Options) -> Object:
        """
        Stores a new object.

        Raises:
            ApiError: 400, 404 (no such namespace), 409 or 422.

        Changes:
            The store, unless it is a dry run.
        """
        kind = target.kind
        obj = _decode(kind, body, options, patched=False)
        metadata = obj.setdefault("metadata", {})
        if metadata.pop("resourceVersion", None):
            raise bad_request("resourceVersion should not be set on objects to be created")
        for name in ("uid", "selfLink", _GRACE, *_SERVER_OWNED):
            metadata.pop(name, None)
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + random_suffix()
        _place(metadata, target)
        if kind.namespaced:
            self.store.get(NAMESPACE, "", metadata["namespace"])
        if "status" in kind.subresources:
            obj["status"] = copy.deepcopy(_FIRST_STATUS.get(kind, {}))
        fill(kind, obj)
        check(kind, obj, None)
        if not options.is_apply:
            note_update(obj, None, options.manager, kind.api_version)
        if options.dry_run:
            return self.store.preview(kind, obj)
        return self.store.create(kind, obj)

    def replace(self, target: Target, body: Object, options: Options) -> Object:
        """
        Replaces an object, its status or its scale.

        Raises:
            ApiError: 400, 404, 409 or 422.

        Changes:
            The store, unless it is a dry run.
        """
        before = self.store.get(target.kind, target.namespace or "", target.name)
        if target.subresource == "scale":
            return self._rescale(target, before, body, options)
        obj = _decode(target.kind, body, options, patched=False)
        if not obj.get("metadata", {}).get("resourceVersion"):
            if not target.kind.unconditional_update:
                cause = Cause(
                    "metadata.resourceVersion",
                    "Invalid value: 0x0: must be specified for an update",
                )
                raise invalid(target.kind.kind, target.kind.group, target.name, [cause])
            obj.setdefault("metadata", {})["resourceVersion"] = before["metadata"][
                "resourceVersion"
            ]
        return self._change(target, before, obj, options)

    def patch(self, target: Target, content_type: str, patch: Any, options: Options) -> Object:
        """
        Patches an object, its status or its scale.

        Raises:
            ApiError: 400, 404, 409 or 422.

        Changes:
            The store, unless it is a dry run.
        """
        if content_type == APPLY_PATCH:
            options.is_apply = True
            return self._apply(target, patch, options)
        before = self.store.get(target.kind, target.namespace or "", target.name)
        if target.subresource == "scale":
            patched = apply_patch(content_type, _scale_of(before), patch)
            return self._rescale(target, before, patched, options, patched=True)
        patched = apply_patch(content_type, before, patch)
        obj = _decode(target.kind, patched, options, patched=True)
        return self._change(target, before, obj, options)

    def _apply(self, target: Target, body: Any, options: Options) -> Object:
        kind, namespace = target.kind, target.namespace or ""
        if target.subresource:
            raise bad_request("server-side apply is not emulated for subresources")
        applied = _decode(kind, body, options, patched=False)
        metadata = applied.setdefault("metadata", {})
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        _place(metadata, target)
        before = self.store.find(kind, namespace, target.name)
        version = metadata.pop("resourceVersion", None)
        if before is not None and version not in {None, before["metadata"]["resourceVersion"]}:
            raise conflict(kind.plural, kind.group, target.name)
        for name in ("uid", *_SERVER_OWNED):
            metadata.pop(name, None)
        api_version, manager = kind.api_version, options.manager
        merged = apply(before, applied, manager, api_version, force=options.force)
        if before is None:
            options.created = True
            return self.create(target, merged, options)
        return self._change(target, before, merged, options)

    def delete(self, target: Target, asked: Object, options: Options) -> Object:
        """
        Deletes an object; a pod gets the time its processes need.

        Args:
            target: What.
            asked: The request's ``DeleteOptions``.
            options: How.

        Raises:
            ApiError: 404, or 409 when a precondition fails.

        Changes:
            The store, unless it is a dry run.
        """
        kind, namespace = target.kind, target.namespace or ""
        before = self.store.get(kind, namespace, target.name)
        for name, wanted in asked.get("preconditions", {}).items():
            if before["metadata"].get(name) != wanted:
                why = (
                    f"Precondition failed: {name} in precondition: {wanted}, "
                    f"{name} in object meta: {before['metadata'].get(name)}"
                )
                raise conflict(kind.plural, kind.group, target.name, why)
        if options.dry_run:
            return before
        if asked.get("propagationPolicy") == "Orphan":
            orphan(self.store, before)
        if kind is not POD:
            return self.store.delete(kind, namespace, target.name)
        usual = before["spec"].get("terminationGracePeriodSeconds", 30)
        grace_s = asked.get("gracePeriodSeconds", usual)
        return self.store.delete(kind, namespace, target.name, grace_s=int(grace_s))

    def _change(
        self,
        target: Target,
        before: Object,
        obj: Object,
        options: Options,
    ) -> Object:
        kind, metadata, known = target.kind, obj.setdefault("metadata", {}), before["metadata"]
        _place(metadata, target)
        if metadata.setdefault("uid", known["uid"]) != known["uid"]:
            why = (
                f"Precondition failed: UID in precondition: {metadata['uid']}, "
                f"UID in object meta: {known['uid']}"
            )
            raise conflict(kind.plural, kind.group, target.name, why)
        if (
            metadata.setdefault("resourceVersion", known["resourceVersion"])
            != (known["resourceVersion"])
        ):
            raise conflict(kind.plural, kind.group, target.name)
        if target.subresource == "status":
            obj = {**before, "status": obj.get("status", {})}
        else:
            for name in (_GRACE, *_SERVER_OWNED):
                metadata.pop(name, None)
                if name in known:
                    metadata[name] = known[name]
            metadata.pop("selfLink", None)
            if "status" in before:
                obj["status"] = before["status"]
            fill(kind, obj)
            if kind is NAMESPACE:
                obj["status"] = before["status"]
            check(kind, obj, before)
            if not options.is_apply:
                note_update(obj, before, options.manager, kind.api_version)
        if options.dry_run:
            return self.store.preview(kind, obj)
        return self.store.replace(kind, obj)

    def _rescale(
        self,
        target: Target,
        before: Object,
        body: Object,
        options: Options,
        *,
        patched: bool = False,
    ) -> Object:
        known = before["metadata"]
        found = decode("Scale", body)
        if found.mistyped:
            raise wrong_body(target.kind, found.mistyped[0], patched=patched)
        metadata = found.obj.get("metadata", {})
        if metadata.get("name", target.name) != target.name:
            raise bad_request("the name of the scale does not match the name on the URL")
        version = metadata.get("resourceVersion") or known["resourceVersion"]
        if version != known["resourceVersion"]:
            raise conflict(target.kind.plural, target.kind.group, target.name)
        replicas = found.obj.get("spec", {}).get("replicas", 0)
        check_scale(target.name, replicas)
        obj = copy.deepcopy(before)
        obj["spec"]["replicas"] = replicas
        note_update(obj, before, options.manager, target.kind.api_version)
        if options.dry_run:
            return _scale_of(obj)
        return _scale_of(self.store.replace(target.kind, obj))


def _decode(kind: Kind, body: Any, options: Options, *, patched: bool) -> Object:
    if not isinstance(body, dict):
        raise bad_request("the body of the request must be an object")
    if body.get("kind", kind.kind) != kind.kind or (
        body.get("apiVersion", kind.api_version) != kind.api_version
    ):
        raise bad_request(
            f"{body.get('kind')} in version {body.get('apiVersion')!r} cannot be handled as a "
            f"{kind.kind}: the API version in the data ({body.get('apiVersion')}) does not match "
            f"the expected API version ({kind.api_version})"
        )
    found = decode(kind, body)
    if found.mistyped:
        raise wrong_body(kind, found.mistyped[0], patched=patched)
    unknown = [f'unknown field "{name}"' for name in found.unknown]
    if unknown and options.field_validation == "Strict":
        text = f"strict decoding error: {', '.join(unknown)}"
        raise wrong_body(kind, text, patched=patched)
    if options.field_validation == "Warn":
        options.warnings += unknown
    if kind is SECRET:
        try:
            check_base64(found.obj.get("data", {}))
        except ApiError as error:
            raise wrong_body(kind, error.message, patched=patched) from error
    obj = copy.deepcopy(found.obj)
    obj.pop("kind", None)
    obj.pop("apiVersion", None)
    return obj


def _place(metadata: Object, target: Target) -> None:
    """Checks that the object is where the URL says, and fills in what it left out."""
    if target.name and metadata.setdefault("name", target.name) != target.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({target.name})"
        )
    if not target.kind.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", target.namespace) != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _scale_of(obj: Object) -> Object:
    metadata = obj["metadata"]
    labels = obj["spec"]["selector"].get("matchLabels", {})
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names},
        "spec": {"replicas": obj["spec"]["replicas"]},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{name}={value}" for name, value in labels.items()),
        },
    }
