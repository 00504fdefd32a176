"""
Route 53's control plane, made strict over moto: changes take time, and wrong ones are refused.

A change is visible in the API at once, as at AWS, and to DNS only when it is INSYNC.
"""

import random
import string
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from moto.backends import get_backend
from moto.core.responses import ActionResult, EmptyResult
from moto.route53.exceptions import InvalidInput, NoSuchHealthCheck, Route53ClientError
from moto.route53.models import FakeZone, HealthCheck, RecordSet, Route53Backend
from moto.route53.responses import Route53

from drctl.lab import zones
from drctl.lab.aws.change_batch import Scope, changed, values_of
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.checks import HealthCheckers, Observation
from drctl.lab.plan import ACCOUNT_ID

_PROBED_TYPES: Final = frozenset(
    {"HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP", "CALCULATED"}
)

_CHECKER_REGIONS: Final = ("us-east-1", "us-west-1", "us-west-2")
_Handler = Callable[[Route53], ActionResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    submitted_at: datetime
    insync_at: float
    comment: str | None


def health_checks() -> Iterable[HealthCheck]:
    """Every health check of the emulated account, for `HealthCheckers`."""
    return tuple(_backend().health_checks.values())


class Route53Overlay:
    """The state that moto does not keep: changes under way, and what is served meanwhile."""

    def __init__(self, delays: VendorDelays) -> None:
        self._insync_s = delays.insync_s
        self.observe: Callable[[str], Observation | None] = lambda _: None
        self._lock = threading.RLock()
        self._changes: dict[str, _Change] = {}
        self._served: dict[str, list[tuple[float, tuple[RecordSet, ...]]]] = {}

    def watch(self, checkers: HealthCheckers) -> None:
        """Lets ``GetHealthCheckStatus`` answer with what the checkers saw."""
        self.observe = checkers.observation

    def zones(self) -> tuple[zones.Zone, ...]:
        """The public hosted zones as DNS serves them now: with every change that is INSYNC."""
        with self._lock:
            return tuple(
                zones.Zone(
                    name=zones.canonical(zone.name),
                    records=tuple(_as_served(record) for record in self._served_records(zone)),
                )
                for zone in tuple(_backend().zones.values())
                if not zone.private_zone
            )

    def install(self) -> Callable[[], None]:
        """
        Makes moto's Route 53 strict in this process; an overlay of `AwsControlPlane`.

        Returns:
            What gives moto its own behaviour back.
        """
        api = _Api(self)
        patches: dict[str, _Handler] = {
            "change_resource_record_sets": api.change_resource_record_sets,
            "get_change": api.get_change,
            "create_hosted_zone": api.tracked(Route53.create_hosted_zone),
            "delete_hosted_zone": api.tracked(Route53.delete_hosted_zone),
            "create_health_check": api.create_health_check,
            "delete_health_check": api.delete_health_check,
            "get_health_check_status": api.get_health_check_status,
        }
        originals = {name: Route53.__dict__[name] for name in patches}
        for name, handler in patches.items():
            setattr(Route53, name, _as_method(handler))

        def undo() -> None:
            for name, original in originals.items():
                setattr(Route53, name, original)

        return undo

    def submit(
        self, zone: FakeZone, changes: Iterable[Mapping[str, Any]], comment: str | None
    ) -> str:
        """Applies a batch to the API's view, after the delay to DNS; returns the change's id."""
        backend = _backend()
        with self._lock:
            before = tuple(zone.rrsets)
            scope = Scope(
                zone=zone.name,
                zone_id=zone.resource_id,
                zone_names={id_: each.name for id_, each in backend.zones.items()},
                health_checks=backend.health_checks,
            )
            zone.rrsets = changed(before, changes, scope)
            id_ = self.note_change(comment)
            history = self._served.setdefault(zone.resource_id, [(0.0, before)])
            history.append((self._changes[id_].insync_at, tuple(zone.rrsets)))
            return id_

    def note_change(self, comment: str | None = None) -> str:
        """Starts a change that is PENDING for the delay; returns its id."""
        id_ = "C" + "".join(random.choices(string.ascii_uppercase + string.digits, k=20))
        insync_at = time.monotonic() + self._insync_s
        with self._lock:
            self._changes[id_] = _Change(
                submitted_at=datetime.now(UTC), insync_at=insync_at, comment=comment
            )
        return id_

    def change_info(self, id_: str) -> dict[str, Any]:
        """
        The API's document of a change.

        Raises:
            Route53ClientError: ``NoSuchChange``.
        """
        change = self._changes.get(id_.removeprefix("/change/"))
        if change is None:
            raise Route53ClientError("NoSuchChange", f"Could not find resource with ID: {id_}")
        return {
            "Id": f"/change/{id_.removeprefix('/change/')}",
            "Status": "INSYNC" if time.monotonic() >= change.insync_at else "PENDING",
            "SubmittedAt": change.submitted_at,
            "Comment": change.comment,
        }

    def _served_records(self, zone: FakeZone) -> tuple[RecordSet, ...]:
        history = self._served.get(zone.resource_id)
        if history is None:
            return tuple(zone.rrsets)
        now = time.monotonic()
        while len(history) > 1 and history[1][0] <= now:
            history.pop(0)
        return history[0][1]


class _Api:
    """The handlers that take the place of moto's, each called with the response object."""

    def __init__(self, overlay: Route53Overlay) -> None:
        self._overlay = overlay

    def change_resource_record_sets(self, call: Route53) -> ActionResult:
        zone = call.backend.get_hosted_zone(call._get_param("HostedZoneId"))
        changes = call._get_param("ChangeBatch.Changes")
        if not changes:
            raise InvalidInput("Invalid request: ChangeBatch must contain at least one change")
        id_ = self._overlay.submit(zone, changes, call._get_param("ChangeBatch.Comment"))
        return ActionResult({"ChangeInfo": self._overlay.change_info(id_)})

    def get_change(self, call: Route53) -> ActionResult:
        return ActionResult({"ChangeInfo": self._overlay.change_info(str(call._get_param("Id")))})

    def tracked(self, original: _Handler) -> _Handler:
        """Gives the answer of one of moto's own handlers a change id that is known afterwards."""

        def handle(call: Route53) -> ActionResult:
            document = dict(cast("Mapping[str, Any]", original(call).result))
            info = self._overlay.change_info(self._overlay.note_change())
            return ActionResult(document | {"ChangeInfo": info})

        return handle

    def create_health_check(self, call: Route53) -> ActionResult:
        config = call._get_param("HealthCheckConfig")
        if config["Type"] not in _PROBED_TYPES:
            raise InvalidInput(f"The lab does not emulate health checks of type {config['Type']}.")
        reference = call._get_param("CallerReference")
        backend = call.backend
        taken = [
            c for c in tuple(backend.health_checks.values()) if c.caller_reference == reference
        ]
        answer = self._create_health_check(call)
        new = cast("HealthCheck", cast("Mapping[str, Any]", answer.result)["HealthCheck"])
        if not taken:
            return answer
        backend.health_checks.pop(new.id)
        if new.health_check_config != taken[0].health_check_config:
            raise Route53ClientError(
                "HealthCheckAlreadyExists",
                "A different health check has already been created with the specified caller "
                "reference.",
            )
        return ActionResult({"HealthCheck": taken[0]})

    _create_health_check = staticmethod(Route53.create_health_check)

    def delete_health_check(self, call: Route53) -> ActionResult:
        id_ = str(call._get_param("HealthCheckId"))
        if call.backend.health_checks.pop(id_, None) is None:
            raise NoSuchHealthCheck(id_)
        return EmptyResult()

    def get_health_check_status(self, call: Route53) -> ActionResult:
        check = call.backend.get_health_check(str(call._get_param("HealthCheckId")))
        seen = self._overlay.observe(check.id)
        observations = [
            {
                "Region": region,
                "IPAddress": "127.0.0.1",
                "StatusReport": {"Status": seen.status, "CheckedTime": seen.checked_at},
            }
            for region in (check.regions or _CHECKER_REGIONS)
            if seen is not None
        ]
        return ActionResult({"HealthCheckObservations": observations})


def _as_method(handler: _Handler) -> _Handler:
    """A plain function, because a bound method in a class body would not be given the instance."""

    def method(call: Route53) -> ActionResult:
        return handler(call)

    return method


def _backend() -> Route53Backend:
    return get_backend("route53")[ACCOUNT_ID]["aws"]


def _as_served(record: RecordSet) -> zones.RecordSet:
    target = record.alias_target
    alias = None
    if target:
        evaluates = str(target.get("EvaluateTargetHealth", "")).lower() == "true"
        alias = zones.Alias(
            name=zones.canonical(str(target["DNSName"])), evaluates_health=evaluates
        )
    return zones.RecordSet(
        name=zones.canonical(record.name),
        type=str(record.type),
        ttl_s=int(record.ttl or 0),
        values=values_of(record),
        alias=alias,
        failover=record.failover,
        weight=None if record.weight is None else int(record.weight),
        is_multivalue=bool(record.multi_value_answer),
        health_check_id=record.health_check_id,
    )
