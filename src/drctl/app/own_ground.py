"""
What drctl itself stands on: its secrets, leases and journals, and what these say of the runbook.

No vendor is asked but the one that keeps the leases.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from drctl.actions.check import Prerequisite, Rung, Standing, at_risk, broken, holds, unproven
from drctl.app.compose import Parts
from drctl.app.leasing import access_to, read_book
from drctl.engine.events import RunFinished
from drctl.journal.access import Access
from drctl.journal.folder import Folder, all_folders
from drctl.kernel.duration import format_duration
from drctl.kernel.errors import CredentialsError, DrctlError, JournalError, RefusedError
from drctl.kernel.secret import SecretRef
from drctl.plan.model import Plan, PlannedLease
from drctl.ready.derive import steps_of
from drctl.ready.model import Judged

LEAST_FREE_BYTES = 64 * 1024 * 1024
"""As much as the largest journal that is read: a run that cannot write its journal stops."""
LOOKED_AT = 200
"""Newest runs whose records are read."""


async def own_ground(parts: Parts, plan: Plan, down: frozenset[str]) -> tuple[Judged, ...]:
    """Everything of drctl's own that a run of the plan would need."""
    lease, past = await asyncio.gather(
        _lease(parts, plan, down), asyncio.to_thread(_of_the_past, parts, plan)
    )
    return (*_secrets(parts, plan), lease, _judged("drctl.journal", _journal(parts), plan), *past)


def _secrets(parts: Parts, plan: Plan) -> Iterator[Judged]:
    """Whether each reference leads to a secret that can be read; values are looked at by nobody."""
    missing: dict[str, tuple[str, list[str]]] = {}
    count = 0
    for name, target in plan.targets.items():
        for ref in dict.fromkeys(_references(target)):
            count += 1
            try:
                parts.secrets.resolve(ref)
            except CredentialsError as error:
                problem = error.problems[0]
                missing.setdefault(str(ref), (problem.what, []))[1].append(name)
    for place, (why, names) in missing.items():
        steps = tuple(dict.fromkeys(step for name in names for step in steps_of(plan, name)))
        seen = broken(
            place, why, "put the secret where the reference points, readable by its owner"
        )
        yield _judged("drctl.secrets", seen, plan, names=names, steps=steps, rung=Rung.DOOR)
    if not missing:
        seen = holds("secret references", f"all {count} lead to a secret")
        yield _judged("drctl.secrets", seen, plan, rung=Rung.DOOR)


def _references(part: Any) -> Iterator[SecretRef]:
    match part:
        case SecretRef():
            yield part
        case BaseModel():
            for name in type(part).model_fields:
                yield from _references(getattr(part, name))
        case dict():
            for value in part.values():
                yield from _references(value)
        case list() | tuple():
            for value in part:
                yield from _references(value)


async def _lease(parts: Parts, plan: Plan, down: frozenset[str]) -> Judged:
    seen = await _lease_seen(parts, plan, down)
    made = _judged("drctl.lease", seen, plan, names=_through_the_same_door(plan))
    return made.model_copy(update={"rests_on": ("aws.credentials", "kubernetes.certificate")})


def _through_the_same_door(plan: Plan) -> list[str]:
    """Targets that are reached through the connection by which leases are kept."""
    doors = [one for one in plan.lease.settings.values() if isinstance(one, Mapping)]
    return [
        name
        for name, target in plan.targets.items()
        if any(part in doors for part in target.model_dump(mode="json").values())
    ]


async def _lease_seen(parts: Parts, plan: Plan, down: frozenset[str]) -> Prerequisite:
    lease = plan.lease
    if not lease.identities:
        return holds("the lease", "the runbook changes nothing, and needs none")
    if lease.store is None:
        why = "leases are kept on this machine only: nobody else would see that a run is under way"
        return at_risk("the lease", why, "say in the environment where: lease: {store: s3, …}")
    access = access_to(parts, lease, plan.resolvers)
    move = "keep them in a region that the runbook does not leave"
    if gone := sorted(down.intersection(access.cell.places)):
        why = f"leases are kept in {gone[0]}, which is assumed down: no run could start"
        return broken(lease.label, why, move)
    held = await _held(access, lease)
    if held is None and lease.shares_fate_with:
        place = lease.shares_fate_with[0]
        why = f"leases are kept in {place}, which the runbook leaves: no run can start without it"
        return at_risk(lease.label, why, move)
    return held or holds(lease.label, "it answers, and no run has these targets")


async def _held(access: Access, lease: PlannedLease) -> Prerequisite | None:
    try:
        book = await read_book(access)
    except RefusedError as error:
        problem = error.problems[0]
        return broken(lease.label, problem.why or problem.what, "mend it: no run starts without")
    others = book.others("", lease.identities)
    if others:
        why = f"run {others[0].run} of {others[0].operator} has these targets ({others[0].state})"
        return broken(lease.label, why, f"drctl status {others[0].run}")
    return None


def _journal(parts: Parts) -> Prerequisite:
    """Whether a run could write its record here."""
    place = next(one for one in (parts.runs, *parts.runs.parents) if one.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        return broken(
            str(parts.runs), "this account may not write there", f"chown or chmod {place}"
        )
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        why = f"{free // 1024**2} MiB are free, and a record may need {LEAST_FREE_BYTES // 1024**2}"
        return broken(str(parts.runs), why, "make room", free_bytes=free)
    return holds(str(parts.runs), f"writable, {free // 1024**3} GiB free", free_bytes=free)


def _of_the_past(parts: Parts, plan: Plan) -> tuple[Judged, ...]:
    """What the records of this machine prove of the runbook, and of its restores."""
    runs = list(_successes(parts, plan.environment))
    now = parts.clock.now().wall
    found = [_judged("drctl.runbook", _verified(plan, runs, now), plan)]
    restores = {
        step.call.uses: step.id
        for step in plan.steps
        if step.call and "restore" in step.call.uses and step.effect.changes_something
    }
    for action, step in restores.items():
        seen = _restored(action, runs, now)
        found.append(_judged("drctl.restore_test", seen, plan, steps=(step,)))
    return tuple(found)


_Success = tuple[Plan, datetime, str]


def _successes(parts: Parts, environment: str) -> Iterator[_Success]:
    """Runs of this environment that succeeded, newest first: plan, end, id."""
    for folder in all_folders(parts.runs)[:LOOKED_AT]:
        try:
            ended = _success(folder)
            plan = folder.plan() if ended else None
        except (JournalError, DrctlError):
            continue  # a record that does not verify proves nothing
        if ended is not None and plan is not None and plan.environment == environment:
            yield plan, ended, str(folder.run_id)


def _success(folder: Folder) -> datetime | None:
    for record in reversed(folder.read().records):
        if isinstance(record.event, RunFinished):
            return record.at.wall if record.event.result == "succeeded" else None
    return None


def _verified(plan: Plan, runs: list[_Success], now: datetime) -> Prerequisite:
    of_it = [one for one in runs if one[0].runbook == plan.runbook]
    subject = f"runbook {plan.runbook}"
    if not of_it:
        why = f"it never ran to its end here, in {plan.environment}: nothing proves it"
        return unproven(subject, why, "drill it")
    drilled, at, run = of_it[0]
    if (drilled.runbook_sha256, _texts(drilled)) == (plan.runbook_sha256, _texts(plan)):
        return holds(subject, f"as run {run} proved it, {_ago(now, at)}")
    why = f"NEEDS VERIFIED: it was edited since run {run} proved it, {_ago(now, at)}"
    return at_risk(subject, why, "drill it again, or take the edit back")


def _texts(plan: Plan) -> tuple[str, ...]:
    return tuple(sorted(scope.sha256 for scope in plan.scopes.values()))


def _restored(action: str, runs: list[_Success], now: datetime) -> Prerequisite:
    for plan, at, run in runs:
        if any(step.call and step.call.uses == action for step in plan.steps):
            return holds(f"restores by {action}", f"run {run} restored, {_ago(now, at)}")
    return unproven(f"restores by {action}", "never tested here: backups may not be restorable",
                    "restore once, as a drill")  # fmt: skip


def _ago(now: datetime, at: datetime) -> str:
    return f"{format_duration(max(0.0, (now - at).total_seconds()))} ago"


def _judged(
    check: str,
    seen: Prerequisite,
    plan: Plan,
    *,
    names: list[str] | None = None,
    steps: tuple[str, ...] | None = None,
    rung: Rung = Rung.STATE,
) -> Judged:
    changing = tuple(step.id for step in plan.steps if step.effect.changes_something)
    everything = changing if seen.standing in {Standing.NOT_READY, Standing.AT_RISK} else ()
    return Judged(
        check=check,
        rung=rung,
        standing=seen.standing,
        subject=seen.subject,
        targets=tuple(names or ()),
        steps=everything if steps is None else steps,
        why=seen.why,
        do=seen.do,
        readings=seen.readings,
    )
