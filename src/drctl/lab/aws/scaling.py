"""
Auto Scaling and ECS made strict over moto, where every number is true at once and none is refused.

A wish is accepted at once and comes true step by step: instances are ``Pending`` before they are
``InService``, tasks pending before they run, one each `Scaling.step_s`. A region can run out of
capacity; then a wish stays one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend, Service

_ALIVE = {"Pending", "InService"}


@dataclass(slots=True)
class _Pace:
    """When a group or a service was last moved."""

    at: float = field(default_factory=time.monotonic)


class Scaling:
    """How fast numbers come true, and whether they do; an overlay of `AwsControlPlane`."""

    def __init__(self, step_s: float = 0.15) -> None:
        self.step_s = step_s
        self._is_full = False
        self._paces: dict[str, _Pace] = {}
        self._lock = threading.RLock()

    def run_out(self) -> None:
        """Nothing more is started: the region has no capacity left."""
        self._is_full = True

    def restock(self) -> None:
        """Undoes `run_out`."""
        self._is_full = False

    def install(self) -> Callable[[], None]:
        """
        Makes both services strict in this process.

        Returns:
            What gives moto its own behaviour back.
        """
        patches: list[tuple[Any, str, Any]] = [
            (AutoScalingBackend, "set_desired_capacity", self._setting()),
            (AutoScalingBackend, "describe_auto_scaling_groups", self._describing_groups()),
            (FakeAutoScalingGroup, "active_instances", _active),
            (EC2ContainerServiceBackend, "update_service", self._updating()),
            (EC2ContainerServiceBackend, "describe_services", self._describing_services()),
        ]
        originals = [(owner, name, owner.__dict__[name]) for owner, name, _ in patches]
        for owner, name, value in patches:
            setattr(owner, name, value)

        def undo() -> None:
            for owner, name, original in originals:
                setattr(owner, name, original)

        return undo

    def _setting(self) -> Callable[..., None]:
        def set_desired(
            backend: AutoScalingBackend, group_name: str, desired_capacity: int | None
        ) -> None:
            group = _group(backend, group_name, desired_capacity)
            with self._lock:
                self._paces[group.arn] = _Pace()
                group.desired_capacity = desired_capacity

        return set_desired

    def _describing_groups(self) -> Callable[..., list[FakeAutoScalingGroup]]:
        original = AutoScalingBackend.describe_auto_scaling_groups

        def describe(
            backend: AutoScalingBackend, names: list[str], filters: Any = None
        ) -> list[FakeAutoScalingGroup]:
            found: list[FakeAutoScalingGroup] = original(backend, names, filters)
            with self._lock:
                for group in found:
                    self._move_group(group)
            return found

        return describe

    def _updating(self) -> Callable[..., Service]:
        original = EC2ContainerServiceBackend.update_service

        def update(
            backend: EC2ContainerServiceBackend, service_properties: dict[str, Any]
        ) -> Service:
            wanted = service_properties.pop("desired_count", None)
            name = str(service_properties.get("service")).split("/")[-1]
            held = backend._get_service(service_properties.get("cluster", "default"), name)
            _check_service(held, wanted)
            service = original(backend, service_properties)
            with self._lock:
                self._paces[service.arn] = _Pace()
                service.desired_count = service.desired_count if wanted is None else int(wanted)
                _count(service, service.running_count)
            return service

        return update

    def _describing_services(self) -> Callable[..., Any]:
        original = EC2ContainerServiceBackend.describe_services

        def describe(
            backend: EC2ContainerServiceBackend, cluster_str: str, names: list[str]
        ) -> Any:
            found, failures = original(backend, cluster_str, names)
            with self._lock:
                for service in found:
                    self._move_service(service)
            return found, failures

        return describe

    def _steps(self, arn: str) -> int:
        """How many steps are due since the last look."""
        pace = self._paces.get(arn)
        if pace is None:
            return 0
        due = int((time.monotonic() - pace.at) / self.step_s)
        pace.at += due * self.step_s
        return due

    def _move_group(self, group: FakeAutoScalingGroup) -> None:
        suspended = {one["ProcessName"] for one in group.suspended_processes}
        for _number in range(self._steps(group.arn)):
            pending = [one for one in group.instance_states if one.lifecycle_state == "Pending"]
            if pending:
                pending[0].lifecycle_state = "InService"
                continue
            short = (group.desired_capacity or 0) - len(group.active_instances())
            if short > 0 and not self._is_full and "Launch" not in suspended:
                before = set(group.instance_states)
                group.replace_autoscaling_group_instances(1, group.get_propagated_tags())
                for new in set(group.instance_states) - before:
                    new.lifecycle_state = "Pending"
            elif short < 0 and "Terminate" not in suspended:
                gone = group.instance_states[0]
                group.autoscaling_backend.ec2_backend.terminate_instances([gone.instance.id])
                group.instance_states.remove(gone)

    def _move_service(self, service: Service) -> None:
        if service.status != "ACTIVE":
            return
        self._paces.setdefault(service.arn, _Pace())
        running = service.running_count
        for _number in range(self._steps(service.arn)):
            if running > service.desired_count:
                running -= 1
            elif running < service.desired_count and not self._is_full:
                running += 1
        _count(service, running)


def _active(group: FakeAutoScalingGroup) -> list[Any]:
    """A machine that is being started counts: otherwise a second wish starts it again."""
    return [one for one in group.instance_states if one.lifecycle_state in _ALIVE]


def _group(backend: AutoScalingBackend, name: str, desired: int | None) -> FakeAutoScalingGroup:
    group = backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(
            f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
        )
    if desired is None:
        raise ValidationError("DesiredCapacity is required")
    for bound, is_out, word in (
        (group.max_size, desired > (group.max_size or 0), "above max"),
        (group.min_size, desired < (group.min_size or 0), "below min"),
    ):
        if is_out:
            raise ValidationError(
                f"New SetDesiredCapacity value {desired} is {word} value {bound} for the"
                " AutoScalingGroup."
            )
    return group


def _check_service(service: Service, wanted: int | None) -> None:
    if service.status != "ACTIVE":
        raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
    if wanted is None:
        return
    if int(wanted) < 0:
        raise InvalidParameterException("desiredCount must not be negative.")
    if service.scheduling_strategy == "DAEMON":
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support a desired count for services."
        )


def _count(service: Service, running: int) -> None:
    service.running_count = running
    service.pending_count = max(0, service.desired_count - running)
    for deployment in service.deployments[:1]:
        deployment["desiredCount"] = service.desired_count
        deployment["runningCount"] = running
        deployment["pendingCount"] = service.pending_count
        if not service.pending_count:
            deployment["rolloutState"] = "COMPLETED"
