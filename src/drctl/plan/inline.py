"""
Runbooks that are included become part of the plan: which step waits for which, and what each may
see. Pure.

Invariant: a step of the plan is called ``<scope>.<id>``, its *scope* being the steps through which
its runbook was included. Expressions are never rewritten: a step's own runbook named the steps and
inputs that they mention, and its scope says where these are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from drctl.actions.contract import Effect
from drctl.actions.registry import Registry
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.ids import StepId
from drctl.plan.terms import fill_in, has_marks
from drctl.runbook.faults import ExpressionError
from drctl.runbook.include import INCLUDE, Included
from drctl.runbook.inputs import resolve_values
from drctl.runbook.models import Runbook, Step
from drctl.runbook.scopes import AT_THE_END, EVERYWHERE
from drctl.runbook.signatures import output_types
from drctl.runbook.values import UNKNOWN, CelType


def joined(scope: str, name: str) -> str:
    """A name of a runbook, as the plan calls it."""
    return f"{scope}.{name}" if scope else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One runbook's place in the plan."""

    scope: str
    source: Included
    registry: Registry
    after: tuple[str, ...] = ()
    """What the step that includes it waits for: its first steps wait for that."""

    @property
    def runbook(self) -> Runbook:
        """The runbook."""
        return self.source.runbook

    def inner(self, step: Step) -> "Room":
        """The room of the runbook that a step includes."""
        return Room(
            scope=joined(self.scope, step.id),
            source=self.source.included[step.id],
            registry=self.registry,
            after=self.needs(step, is_final=False),
        )

    def needs(self, step: Step, *, is_final: bool) -> tuple[str, ...]:
        """What a step waits for; an included runbook is over when its last steps are."""
        if self.scope or self.source.included:
            own = tuple(end for need in step.needs for end in self.ends(need))
        else:
            own = step.needs
        return own if own or is_final else self.after

    def ends(self, step_id: StepId) -> tuple[str, ...]:
        """The steps of the plan after which a step of this runbook is over."""
        if step_id not in self.source.included:
            return (joined(self.scope, step_id),)
        inner = self.inner(self.runbook.step(step_id))
        # Nobody waits for a message, so also not for one that comes last.
        work = [step for step in inner.runbook.steps if not inner.is_message(step)]
        needed = {need for step in work for need in step.needs}
        last = [step.id for step in work or inner.runbook.steps if step.id not in needed]
        return tuple(end for one in last for end in inner.ends(one))

    def stops(self) -> tuple[str, ...]:
        """The steps of the plan at which this runbook's clock stops."""
        return tuple(
            stop
            for step_id in self.runbook.objectives.clock.stops_after
            for stop in (
                self.inner(self.runbook.step(step_id)).stops()
                if step_id in self.source.included
                else (joined(self.scope, step_id),)
            )
        )

    def is_message(self, step: Step) -> bool:
        """True for a step that only tells people."""
        action = self.registry.get(step.uses) if step.uses else None
        return action is not None and action.effect is Effect.NOTIFY

    def walk(self) -> "Iterator[Walked]":
        """
        Every step in reading order with its room and whether it is a final one; those of
        ``finally`` last, the outermost runbook's before all others'.
        """
        yield from self._main()
        for room in self.rooms():
            for step in room.runbook.finally_:
                yield room, step, True

    def _main(self) -> "Iterator[Walked]":
        for step in self.runbook.steps:
            if step.uses == INCLUDE:
                yield from self.inner(step)._main()  # noqa: SLF001  the same class
            else:
                yield self, step, False

    def rooms(self) -> Iterator["Room"]:
        """Itself and all within."""
        yield self
        if not self.source.included:
            return  # nearly every runbook, and it may have ten thousand steps
        for step in self.runbook.steps:
            if step.uses == INCLUDE:
                yield from self.inner(step).rooms()

    def types(self) -> dict[str, str]:
        """
        Every name that an expression of this runbook may use; who may use which was checked before.
        """
        types = self.known_types()
        fields: dict[str | None, dict[str, CelType]] = {}
        for step in (*self.runbook.steps, *self.runbook.finally_):
            if step.uses not in fields:
                fields[step.uses] = self._fields(step.uses)
            for name, kind in fields[step.uses].items():
                types[f"steps.{step.id}.{name}"] = kind
        return types

    def known_types(self) -> dict[str, str]:
        """Those of them that no step gives."""
        inputs = self.runbook.inputs.items()
        given = {f"inputs.{name}": CelType(spec.type) for name, spec in inputs}
        return {**EVERYWHERE, **AT_THE_END, **given}

    def _fields(self, uses: str | None) -> dict[str, CelType]:
        """What a step with this action gives, whatever its id."""
        action = self.registry.get(uses) if uses and uses != INCLUDE else None
        own = output_types(action.outputs, "outputs.") if action else {}
        return {"status": CelType("string"), "attempts": CelType("int"), **own}

    def inputs(self, types: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
        """
        What this runbook is given: checked values where they are known now, text with ``${{ }}``
        where only the run will know.

        Args:
            types: Names of the runbook around it.
            known: Their values, by dotted name, as far as they are known.

        Raises:
            InvalidError: What is known does not fit.
        """
        values, later = {}, {}
        for name, raw in self.source.inputs.items():
            value = raw
            if has_marks(raw):
                try:
                    value = fill_in(types, raw, known)
                except ExpressionError:
                    value = UNKNOWN
            if value is UNKNOWN:
                later[name] = raw
            else:
                values[name] = value
        try:
            return dict(resolve_values(self.runbook, values, later=later.keys())) | later
        except InvalidError as error:
            raise InvalidError(
                tuple(
                    Problem(
                        code=one.code, what=f"step {self.scope}: {one.what}", at=self.source.file
                    )
                    for one in error.problems
                )
            ) from error


Walked: TypeAlias = tuple[Room, Step, bool]
"""A step with its room, and whether it is a final one."""
