"""The rules an object must keep before it is stored."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from drctl.lab.kubernetes.batch_rules import check_batch
from drctl.lab.kubernetes.errors import ApiError, Cause, Object, bad_request, invalid
from drctl.lab.kubernetes.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    POD,
    REPLICA_SET,
    SECRET,
    Kind,
)
from drctl.lab.kubernetes.pod_rules import check_pod_change, check_pod_spec
from drctl.lab.kubernetes.rollout import share
from drctl.lab.kubernetes.selectors import selects

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_IMMUTABLE = "field is immutable"


def check_base64(data: dict[str, str]) -> None:
    """
    Checks the values of a Secret.

    Raises:
        ApiError: 400, a value is not base64.
    """
    for value in data.values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise bad_request(f"illegal base64 data: {error}") from error


def check(kind: Kind, obj: Object, before: Object | None) -> None:
    """
    Checks an object that is about to be stored.

    Args:
        kind: What it is.
        obj: The object with its defaults filled in.
        before: The stored object it replaces, if any.

    Raises:
        ApiError: 422 with every broken rule.
    """
    causes = [*_metadata(obj["metadata"])]
    if kind in {DEPLOYMENT, REPLICA_SET}:
        causes += _workload(kind, obj["spec"])
        if before is not None and obj["spec"].get("selector") != before["spec"].get("selector"):
            causes.append(Cause("spec.selector", f"Invalid value: {_IMMUTABLE}"))
    elif kind in {JOB, CRON_JOB, AUTOSCALER}:
        causes += check_batch(kind, obj["spec"], before["spec"] if before else None)
    elif kind is POD:
        causes += check_pod_spec("spec", obj["spec"])
        if before is not None:
            causes += check_pod_change(obj["spec"], before["spec"])
    elif kind in {SECRET, CONFIG_MAP}:
        causes += _keyed_data(obj, before)
    if causes:
        raise invalid(kind.kind, kind.group, obj["metadata"].get("name", ""), causes)


def _metadata(metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name", "")
    if not name:
        yield Cause(
            "metadata.name",
            "Required value: name or generateName is required",
            "FieldValueRequired",
        )
    elif not _NAME.fullmatch(name) or len(name) > 253:
        yield Cause(
            "metadata.name",
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case '
            "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
            "character",
        )
    for key, value in metadata.get("labels", {}).items():
        if not _LABEL_VALUE.fullmatch(value):
            yield Cause(f"metadata.labels[{key}]", f'Invalid value: "{value}"')


def _not_negative(path: str, value: int | None) -> Iterator[Cause]:
    if value is not None and value < 0:
        yield Cause(path, f"Invalid value: {value}: must be greater than or equal to 0")


def check_scale(name: str, replicas: int) -> None:
    """
    Checks the number a scale subresource asks for.

    Raises:
        ApiError: 422, it is negative.
    """
    causes = [*_not_negative("spec.replicas", replicas)]
    if causes:
        raise invalid("Scale", "autoscaling", name, causes)


def _workload(kind: Kind, spec: Object) -> Iterator[Cause]:
    yield from _not_negative("spec.replicas", spec.get("replicas"))
    yield from _not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector", {})
    labels = spec["template"].get("metadata", {}).get("labels", {})
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield Cause("spec.selector", "Required value", "FieldValueRequired")
    elif not selects(selector, labels):
        yield Cause(
            "spec.template.metadata.labels",
            f"Invalid value: {labels}: `selector` does not match template `labels`",
        )
    if kind is DEPLOYMENT:
        yield from _strategy(spec)
    if spec["template"]["spec"]["restartPolicy"] != "Always":
        yield Cause(
            "spec.template.spec.restartPolicy",
            f'Unsupported value: "{spec["template"]["spec"]["restartPolicy"]}": '
            'supported values: "Always"',
            "FieldValueNotSupported",
        )
    yield from check_pod_spec("spec.template.spec", spec["template"]["spec"])


def _strategy(spec: Object) -> Iterator[Cause]:
    strategy = spec["strategy"]
    if strategy["type"] not in {"Recreate", "RollingUpdate"}:
        yield Cause(
            "spec.strategy.type",
            f'Unsupported value: "{strategy["type"]}": supported values: "Recreate", '
            '"RollingUpdate"',
            "FieldValueNotSupported",
        )
    if strategy["type"] == "Recreate" and "rollingUpdate" in strategy:
        yield Cause(
            "spec.strategy.rollingUpdate",
            "Forbidden: may not be specified when strategy `type` is 'Recreate'",
            "FieldValueForbidden",
        )
    rolling = strategy.get("rollingUpdate", {})
    zero: list[bool] = []
    for name, value in rolling.items():
        try:
            zero.append(share(value, 100, up=True) == 0)
        except ValueError:
            yield Cause(
                f"spec.strategy.rollingUpdate.{name}",
                f'Invalid value: "{value}": a valid percent string must be a numeric string '
                "followed by an ending '%'",
            )
    if zero == [True, True]:
        yield Cause(
            "spec.strategy.rollingUpdate.maxUnavailable",
            "Invalid value: 0: may not be 0 when `maxSurge` is 0",
        )
    deadline = spec["progressDeadlineSeconds"]
    if deadline <= spec.get("minReadySeconds", 0):
        yield Cause(
            "spec.progressDeadlineSeconds",
            f"Invalid value: {deadline}: must be greater than minReadySeconds",
        )


def _keyed_data(obj: Object, before: Object | None) -> Iterator[Cause]:
    for key in obj.get("data", {}):
        if not _KEY.fullmatch(key):
            yield Cause(
                f"data[{key}]",
                f'Invalid value: "{key}": a valid config key must consist of alphanumeric '
                "characters, '-', '_' or '.'",
            )
    if before is None:
        return
    if obj.get("type") != before.get("type"):
        yield Cause("type", f'Invalid value: "{obj.get("type")}": {_IMMUTABLE}')
    if before.get("immutable"):
        changed: list[Any] = [
            name for name in ("data", "immutable") if obj.get(name) != before.get(name)
        ]
        for name in changed:
            yield Cause(
                name, f"Forbidden: {_IMMUTABLE} when `immutable` is set", "FieldValueForbidden"
            )


def wrong_body(kind: Kind, text: str, *, patched: bool) -> ApiError:
    """Makes the refusal of a body that does not decode into its kind."""
    if patched:
        return ApiError(
            422, "Invalid", f' "" is invalid: patch: Invalid value: {kind.kind}: {text}'
        )
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}'
    )
