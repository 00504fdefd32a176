"""What rules judge: a plan, the runbook it is of, and the environment where there is one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.config.environment import Environment
from drctl.plan.draft import calls
from drctl.plan.model import Plan, PlannedCall, PlannedStep
from drctl.plan.terms import fill_in, has_marks, inputs_of, outer, types_of
from drctl.runbook import Runbook
from drctl.runbook.faults import ExpressionError
from drctl.runbook.include import Included
from drctl.runbook.values import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Case:
    """One plan to judge."""

    plan: Plan
    source: Included
    registry: Registry
    environment: Environment | None
    """``None``: of the runbook alone; its targets are names."""

    @property
    def runbook(self) -> Runbook:
        """The outermost runbook."""
        return self.source.runbook

    @cached_property
    def work(self) -> tuple[PlannedStep, ...]:
        """The steps outside ``finally``."""
        return tuple(step for step in self.plan.steps if not step.is_final)

    @cached_property
    def gates(self) -> tuple[PlannedStep, ...]:
        """Those of them at which a person acts or answers."""
        return tuple(step for step in self.work if step.gate is not None)

    @cached_property
    def given(self) -> tuple[tuple[PlannedStep, PlannedCall, list[tuple[str, Any]]], ...]:
        """
        Every call that is given anything, of ``finally`` too, in order: its step, and what it is
        given as the text has it (`leaves`).
        """
        return tuple(
            (step, call, leaves(call.with_))
            for step in self.plan.steps
            for call in calls(step)
            if call.with_
        )

    @cached_property
    def until_service(self) -> frozenset[str]:
        """Ids of the steps at which the clock stops, and of all that they wait for."""
        found: set[str] = set()
        left = list(self.plan.objectives.stops_after)
        while left:
            name = left.pop()
            if name not in found and name in self.plan.by_id:
                found.add(name)
                left.extend(self.plan.by_id[name].needs)
        return frozenset(found)

    @cached_property
    def followers(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of the steps that wait for a step directly."""
        found: dict[str, list[str]] = {}
        for step in self.plan.steps:
            for need in step.needs:
                found.setdefault(need, []).append(step.id)
        return {name: tuple(ids) for name, ids in found.items()}

    def after(self, step: PlannedStep) -> Iterator[PlannedStep]:
        """Every step that waits for *step*, however far away."""
        seen: set[str] = set()
        left = list(self.followers.get(step.id, ()))
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                yield self.plan.by_id[name]
                left.extend(self.followers.get(name, ()))

    def action(self, step: PlannedStep) -> AnyAction | None:
        """The action of a step; ``None`` at a gate."""
        return self.registry.get(step.call.uses) if step.call else None

    def doing(
        self, is_wanted: Callable[[AnyAction], bool]
    ) -> Iterator[tuple[PlannedStep, AnyAction]]:
        """
        The steps outside ``finally`` with such an action, in order, with it. Asked once of each
        action: most rules are about few of them, and a plan may have ten thousand steps.
        """
        found: list[tuple[int, PlannedStep, AnyAction]] = []
        for name, those in self._by_use.items():
            action = self.registry.get(name)
            if action is not None and is_wanted(action):
                found += [(index, step, action) for index, step in those]
        found.sort(key=lambda one: one[0])
        for _index, step, action in found:
            yield step, action

    @cached_property
    def _by_use(self) -> Mapping[str, list[tuple[int, PlannedStep]]]:
        found: dict[str, list[tuple[int, PlannedStep]]] = {}
        for index, step in enumerate(self.work):
            call = step.call
            if call is not None:
                found.setdefault(call.uses, []).append((index, step))
        return found

    def family(self, step: PlannedStep) -> str:
        """The family of its target, which its name begins with; empty: it has none."""
        return (step.call.target or "").partition(".")[0] if step.call else ""

    def target(self, step: PlannedStep) -> Target | None:
        """Its target, where the environment is known."""
        return self.plan.targets.get(step.call.target or "") if step.call else None

    def params(self, step: PlannedStep, call: PlannedCall | None = None) -> dict[str, Any]:
        """The params of a step, or of its *call*, that are known now, filled in."""
        call = call or step.call
        found: dict[str, Any] = {}
        for name, raw in (call.with_ if call else {}).items():
            value = raw
            if has_marks(raw):
                try:
                    value = fill_in(self._inputs[step.scope], raw, self._known[step.scope])
                except ExpressionError:
                    continue
            if value is not UNKNOWN:
                found[name] = value
        return found

    def planes(self, step: PlannedStep) -> tuple[str, ...]:
        """The planes that a step and its checks cannot work without; empty without environment."""
        found = dict.fromkeys(step.planes)
        for call in step.verify:
            action, target = self.registry.get(call.uses), self.plan.targets.get(call.target or "")
            if action is not None and (not action.targets or isinstance(target, action.targets)):
                found |= dict.fromkeys(action.planes(target or Target()))
        return tuple(found)

    def at(self, place: str) -> str:
        """Where a part of the outermost runbook is written; the file, when that is not known."""
        places = self.runbook.places
        found = places.get(place) or places.get(place.partition(".")[0]) or self.runbook.position
        return str(found) if found.file else ""

    @cached_property
    def _inputs(self) -> Mapping[str, Mapping[str, str]]:
        """Types of what may be known before the run: what steps give, an expression lacks here."""
        return {
            scope: {
                name: kind
                for name, kind in types_of(self.plan, scope).items()
                if name.startswith(("inputs.", "env."))
            }
            for scope in ("", *self.plan.scopes)
        }

    @cached_property
    def _known(self) -> Mapping[str, Mapping[str, Any]]:
        """What expressions of each scope may use before the run; outer scopes come first."""
        known: dict[str, dict[str, Any]] = {}
        for scope in ("", *self.plan.scopes):
            around = known.get(outer(scope), {})
            known[scope] = inputs_of(self.plan, scope, around) | {"env.name": self.plan.environment}
        return known


def leaves(value: Any) -> list[tuple[str, Any]]:
    """Every value that holds no others, called by the keys on the way to it: ``data.host``."""
    found: list[tuple[str, Any]] = []
    _gather(value, "", found)
    return found


def _gather(value: Any, name: str, found: list[tuple[str, Any]]) -> None:
    # By the exact kinds that params are made of: to ask for any mapping takes ten times as long.
    if isinstance(value, dict):
        for key, one in value.items():
            _gather(one, f"{name}.{key}" if name else str(key), found)
    elif isinstance(value, list | tuple):
        for one in value:
            _gather(one, name, found)
    else:
        found.append((name, value))
