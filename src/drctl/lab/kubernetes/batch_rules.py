"""The rules for Jobs, CronJobs and autoscalers."""

from collections.abc import Iterator

from drctl.lab.kubernetes.cron import BadSchedule, Schedule
from drctl.lab.kubernetes.errors import Cause, Object
from drctl.lab.kubernetes.kinds import AUTOSCALER, JOB, Kind
from drctl.lab.kubernetes.pod_rules import check_pod_spec


def check_batch(kind: Kind, spec: Object, before: Object | None) -> Iterator[Cause]:
    """Names what is wrong with a Job's, a CronJob's or an autoscaler's spec."""
    if kind is AUTOSCALER:
        yield from _autoscaler(spec)
    elif kind is JOB:
        yield from _job("spec", spec)
        if before is not None:
            for name in ("template", "selector", "completions"):
                if spec.get(name) != before.get(name):
                    yield Cause(f"spec.{name}", "Invalid value: field is immutable")
    else:
        yield from _job("spec.jobTemplate.spec", spec["jobTemplate"]["spec"])
        try:
            Schedule.parse(spec.get("schedule", ""))
        except BadSchedule as error:
            yield Cause("spec.schedule", f'Invalid value: "{spec.get("schedule")}": {error}')


def _job(path: str, spec: Object) -> Iterator[Cause]:
    template = spec["template"]["spec"]
    # "Always" is what a missing policy is filled with, and no Job may have it.
    if template["restartPolicy"] not in {"OnFailure", "Never"}:
        yield Cause(
            f"{path}.template.spec.restartPolicy",
            'Required value: valid values: "OnFailure", "Never"',
            "FieldValueRequired",
        )
    for name in ("backoffLimit", "activeDeadlineSeconds", "parallelism", "completions"):
        if (spec.get(name) or 0) < 0:
            yield Cause(
                f"{path}.{name}",
                f"Invalid value: {spec[name]}: must be greater than or equal to 0",
            )
    yield from check_pod_spec(f"{path}.template.spec", template)


def _autoscaler(spec: Object) -> Iterator[Cause]:
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if high < 1:
        yield Cause("spec.maxReplicas", f"Invalid value: {high}: must be greater than 0")
    if low < 1:
        yield Cause("spec.minReplicas", f"Invalid value: {low}: must be greater than or equal to 1")
    if low > high:
        yield Cause(
            "spec.maxReplicas",
            f"Invalid value: {high}: must be greater than or equal to `minReplicas`",
        )
    for name in ("kind", "name"):
        if not spec.get("scaleTargetRef", {}).get(name):
            yield Cause(f"spec.scaleTargetRef.{name}", "Required value", "FieldValueRequired")
