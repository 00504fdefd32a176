"""
Which guards of a recovery are gone, or say less, between two plans.

What stands here is what a reviewer must not miss in a list of forty changed lines. It is no rule:
each of these may be right, and validation still holds what must hold.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from drctl.kernel.duration import format_duration
from drctl.plan.conditions import REFERENCE, lost
from drctl.plan.outline import GateOutline, Outline, StepOutline


def weaker(before: Outline, after: Outline) -> Iterator[str]:
    """One sentence for each guard of *before* that *after* has not."""
    yield from _objectives(before, after)
    yield from _steps(before, after)
    yield from _fences(before, after)
    yield from _gates(before, after)
    yield from _limits(before, after)
    yield from _rules(before, after)


def _objectives(before: Outline, after: Outline) -> Iterator[str]:
    was, now = before.objectives, after.objectives
    if after.spare_s < 0 <= before.spare_s:
        over = format_duration(-after.spare_s)
        yield f"the forecast misses the RTO by {over}; it did not before"
    for name, old, new in (("RTO", was.rto_s, now.rto_s), ("RPO", was.rpo_s, now.rpo_s)):
        if new > old:
            yield f"the {name} allows more: {format_duration(old)} was, {format_duration(new)} is"
    for step in was.stops_after:
        if step not in now.stops_after:
            yield f"the incident clock no longer waits for {step}"


_KINDS = (
    ("fence", "a fence is gone"),
    ("loss", "a measurement of the loss is gone"),
    ("proof", "the proof of one primary is gone"),
    ("gate", "a gate is gone"),
)


def _steps(before: Outline, after: Outline) -> Iterator[str]:
    new = after.by_id
    for step in before.steps:
        now = new.get(step.id)
        kept = _kinds(now) if now else set()
        for kind, words in _KINDS:
            if kind in _kinds(step) - kept:
                yield f"{step.id}: {words}"
        if now is not None:
            yield from _step(before, step, now)
            yield from _another_gate(before, after, step, now)
    old = before.by_id
    for step in after.steps:
        was = old.get(step.id)
        if step.is_irreversible and (was is None or not was.is_irreversible):
            yield f"{step.id} has no way back"


def _step(before: Outline, was: StepOutline, now: StepOutline) -> Iterator[str]:
    if was.undo and not now.undo and now.changes_something:
        yield f"{now.id} can no longer be taken back"
    checks = Counter(call.uses for call in was.verify)
    for uses in sorted(checks - Counter(call.uses for call in now.verify)):
        yield f"{now.id} is no longer verified by {uses}"
    yield from _conditions(was, now)
    for line in _unseen(before, was, now):
        yield f"gate {now.id} no longer shows: {line}"
    if now.on_failure == "continue" != was.on_failure:
        yield f"{now.id} may fail, and the run goes on"


def _another_gate(
    before: Outline, after: Outline, was: StepOutline, now: StepOutline
) -> Iterator[str]:
    """What another gate asks less than the one that a step had."""
    if was.gate is None or now.gate is None or was.gate == now.gate:
        return
    gates = before.gates.get(was.gate), after.gates.get(now.gate)
    if gates[0] is not None and gates[1] is not None:
        for words in _eased(gates[0], gates[1]):
            yield f"{now.id} asks gate {now.gate} instead of {was.gate}: {words}"


def _conditions(was: StepOutline, now: StepOutline) -> Iterator[str]:
    """What a step no longer waits for or asks first; a guard that may be skipped now."""
    for text in lost(was.until, now.until):
        yield f"{now.id} no longer waits until {text}"
    if now.changes_something:
        for text in lost(was.when, now.when):
            yield f"{now.id} no longer asks first whether {text}"
    if _kinds(now):
        for text in lost(now.when, was.when):
            yield f"{now.id} is skipped unless {text}"


_OF_LOSS = re.compile(r"\b(loss|lost|lag|rpo|behind)\b", re.IGNORECASE)


def _unseen(before: Outline, was: StepOutline, now: StepOutline) -> Iterator[str]:
    """Lines about the loss that people at a gate no longer read; other words for one are none."""
    if now.gate is None:
        return
    measured = {step.id for step in before.steps if step.measures_loss}
    start = f"{was.scope}." if was.scope else ""
    still = {name for line in now.show for name in _named(line, start)}
    for line in was.show:
        names = _named(line, start) & measured
        if line in now.show or (names and names <= still):
            continue
        if names or _OF_LOSS.search(line):
            yield line


def _named(line: str, start: str) -> set[str]:
    return {f"{start}{name}" for name in REFERENCE.findall(line)}


def _kinds(step: StepOutline) -> set[str]:
    has = {
        "fence": step.effect == "fence",
        "loss": step.measures_loss,
        "proof": step.proves_one_primary,
        "gate": step.gate is not None,
    }
    return {kind for kind, is_so in has.items() if is_so}


def _fences(before: Outline, after: Outline) -> Iterator[str]:
    """Promotions that no longer wait for a fence or a gate that they waited for."""
    old, new = _waited_for(before), _waited_for(after)
    for name, waited in old.items():
        if name not in new:
            continue
        for step in before.steps:
            guard = "the fence" if step.effect == "fence" else "the gate" if step.gate else None
            is_lost = step.id in waited and step.id not in new[name]
            if guard is not None and is_lost and step.id in after.by_id:
                yield f"{name} no longer waits for {guard} {step.id}"


def _waited_for(plan: Outline) -> Mapping[str, frozenset[str]]:
    """What each step without a way back waits for, however far away."""
    by_id = plan.by_id
    found = {}
    for step in plan.steps:
        if not step.is_irreversible:
            continue
        seen: set[str] = set()
        left = list(step.needs)
        while left:
            name = left.pop()
            if name in by_id and name not in seen:
                seen.add(name)
                left.extend(by_id[name].needs)
        found[step.id] = frozenset(seen)
    return found


def _gates(before: Outline, after: Outline) -> Iterator[str]:
    for name, gate in before.gates.items():
        now = after.gates.get(name)
        if now is not None:
            yield from (f"gate {name}: {words}" for words in _eased(gate, now))
    if before.people and not after.people:
        yield "nobody is enrolled any more: answers to gates are not verified"
    for name, person in after.people.items():
        own = before.people.get(name)
        if before.people and own is None:
            yield f"{name} may answer gates"
        elif own is not None and set(person.keys) - set(own.keys):
            yield f"{name} has another key"


def _eased(gate: GateOutline, now: GateOutline) -> Iterator[str]:
    if now.quorum < gate.quorum:
        yield f"{now.quorum} instead of {gate.quorum} must say go"
    more = set(now.approvers) - set(gate.approvers)
    if gate.approvers and not now.approvers:
        yield "anybody may say go"
    elif gate.approvers and more:
        yield f"also {', '.join(sorted(more))} may say go"
    if now.self_approval and not gate.self_approval:
        yield "who starts the run may say go"
    if gate.reason_required and not now.reason_required:
        yield "no reason is asked for"


def _limits(before: Outline, after: Outline) -> Iterator[str]:
    if before.protected and not after.protected:
        yield f"{after.environment} is no longer protected"
    if after.max_targets > before.max_targets:
        yield f"a run may change {after.max_targets} things instead of {before.max_targets}"
    if after.expires_after_s > before.expires_after_s:
        old, new = before.expires_after_s, after.expires_after_s
        yield f"a plan may be run for {format_duration(new)} instead of {format_duration(old)}"
    was, now = before.lease, after.lease
    if was.store and not now.store and now.identities:
        yield "the lease is kept on one machine only: nobody elsewhere is kept from starting it"
    if now.identities and now.cool_down_s < was.cool_down_s:
        old, new = was.cool_down_s, now.cool_down_s
        yield f"the cool-down is {format_duration(new)} instead of {format_duration(old)}"


def _rules(before: Outline, after: Outline) -> Iterator[str]:
    """Errors that were not there, and what is no longer said because somebody waived it."""
    old, new = before.waivers, after.waivers
    for key, waived in new.items():
        if key not in old:
            yield f"{key} is waived {waived.about}"
        elif waived.until > old[key].until:
            yield f"{key} is waived until {waived.until} instead of {old[key].until}"
    known = Counter(one.key for one in before.findings if one.severity == "error")
    for one in after.findings:
        if one.severity != "error":
            continue
        known[one.key] -= 1
        # A waiver that went away makes nothing weaker: it was so before, and is said again.
        if known[one.key] < 0 and one.key not in old:
            yield f"a new error: {one.sentence}"
