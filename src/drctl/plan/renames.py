"""
Which steps of two plans are the same ones under another id.

A step that is gone and one that is new are the same when they do the same: first to the letter,
then the same action to the same target, a gate by its name or by who must say go. Whatever else
they have otherwise, a comparison then shows as a change of that step; so taking two different steps
for one hides nothing, and taking one for two would call a guard gone that is there.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from drctl.kernel.canonical import canonical
from drctl.plan.conditions import REFERENCE
from drctl.plan.outline import CallOutline, Outline, StepOutline

_Key: TypeAlias = tuple[object, ...] | None


def renames(before: Outline, after: Outline) -> dict[str, str]:
    """New ids by old ones."""
    old = {name: step for name, step in before.by_id.items() if name not in after.by_id}
    new = {name: step for name, step in after.by_id.items() if name not in before.by_id}
    found: dict[str, str] = {}
    for key_of in (_to_the_letter, _by_name, _by_people):
        free: dict[_Key, list[str]] = {}
        for name, step in new.items():
            free.setdefault(key_of(after, step), []).append(name)
        for name, step in tuple(old.items()):
            key = key_of(before, step)
            if key is not None and free.get(key):
                found[name] = free[key].pop(0)
                del old[name], new[found[name]]
    return found


def _to_the_letter(_plan: Outline, step: StepOutline) -> _Key:
    call = step.call
    if call is None:
        return None
    return (step.effect, call.uses, call.target, canonical(dict(call.with_)))


def _by_name(_plan: Outline, step: StepOutline) -> _Key:
    if step.gate is not None:
        return ("gate", step.gate)
    if step.call is None:
        return None
    return (step.effect, step.call.uses, step.call.target)


def _by_people(plan: Outline, step: StepOutline) -> _Key:
    """Also a person's task: its gate is called after the step."""
    gate = None if step.gate is None else plan.gates.get(step.gate)
    return None if gate is None else (step.effect, canonical(gate.model_dump(mode="json")))


def renamed(plan: Outline, names: Mapping[str, str]) -> Outline:
    """The same plan with other ids, also where its texts speak of these steps."""
    if not names:
        return plan
    ids, clock = _Ids(names), plan.objectives
    return plan.model_copy(
        update={
            "steps": [ids.step(step) for step in plan.steps],
            "gates": {ids.gate(name): gate for name, gate in plan.gates.items()},
            "objectives": clock.model_copy(update={"stops_after": ids.all(clock.stops_after)}),
            "critical_path": ids.all(plan.critical_path),
            "findings": [_at(one, ids) for one in plan.findings],
            "waived": [
                one.model_copy(update={"finding": _at(one.finding, ids)}) for one in plan.waived
            ],
        }
    )


def _at(finding: Any, ids: "_Ids") -> Any:
    return finding.model_copy(update={"where": ids.one(finding.where)})


class _Ids:
    """Puts new ids for old ones."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def one(self, name: str) -> str:
        return self._names.get(name, name)

    def all(self, names: Any) -> list[str]:
        return [self.one(name) for name in names]

    def gate(self, name: str) -> str:
        """A person's task has a gate of its own, ``task:`` and the id of the step."""
        kind, colon, step = name.partition(":")
        return f"task:{self.one(step)}" if colon and kind == "task" else name

    def step(self, step: StepOutline) -> StepOutline:
        text = self._texts(step.scope)
        return step.model_copy(
            update={
                "id": self.one(step.id),
                "gate": None if step.gate is None else self.gate(step.gate),
                "needs": self.all(step.needs),
                "when": _in(step.when, text),
                "until": _in(step.until, text),
                "show": _in(step.show, text),
                "call": _call(step.call, text),
                "undo": _call(step.undo, text),
                "verify": [_call(call, text) for call in step.verify],
            }
        )

    def _texts(self, scope: str) -> Callable[[str], str]:
        """Changes the references in a text of this scope, which knows its own ids only."""
        start = f"{scope}." if scope else ""

        def changed(match: re.Match[str]) -> str:
            now = self.one(f"{start}{match[1]}")
            return f"steps.{now.removeprefix(start)}"

        return lambda text: REFERENCE.sub(changed, text)


def _call(call: CallOutline | None, text: Callable[[str], str]) -> CallOutline | None:
    return call and call.model_copy(update={"with_": _in(call.with_, text)})


def _in(value: Any, text: Callable[[str], str]) -> Any:
    match value:
        case str():
            return text(value)
        case Mapping():
            return {key: _in(item, text) for key, item in value.items()}
        case list() | tuple():
            return [_in(item, text) for item in value]
    return value
