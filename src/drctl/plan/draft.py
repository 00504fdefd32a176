"""The plan before anything was looked at: names resolved, texts kept, everything priced. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drctl import __version__
from drctl.actions.contract import Effect
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.config.environment import Environment
from drctl.kernel.clock import Instant
from drctl.plan.forecast_make import Pricing
from drctl.plan.forecast_past import Past
from drctl.plan.inline import Room, Walked, joined
from drctl.plan.leases import planned_lease
from drctl.plan.model import (
    Objectives,
    Plan,
    PlannedCall,
    PlannedGate,
    PlannedPerson,
    PlannedPin,
    PlannedScope,
    PlannedStep,
    Retry,
)
from drctl.plan.terms import has_marks, outer
from drctl.runbook import Call, Runbook, Step
from drctl.runbook.include import Included

DEFAULT_TIMEOUT_S = 60.0
_ONCE = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafting:
    """Drafts the plan of one runbook."""

    registry: Registry
    source: Included
    is_whole: bool = True
    """Whether it says all that a run reads: where each step stands in time too, and of what type
    what each gives is. No rule asks that."""

    def draft(self, environment: Environment, inputs: Mapping[str, Any], *, now: Instant) -> Plan:
        """
        The plan as far as it is known without looking at anything; not sealed.

        Raises:
            InvalidError: What an included runbook is given does not fit it.
        """
        runbook, room = self.source.runbook, self._room
        walked = tuple(room.walk())
        steps = tuple(
            self._step(inside, step, environment, is_final=is_final)
            for inside, step, is_final in walked
        )
        every = [call for step in steps for call in calls(step)]
        detection = runbook.objectives.clock.detection
        objectives = Objectives(
            rto_s=environment.rto_s or runbook.objectives.rto.total_seconds(),
            rpo_s=environment.rpo_s
            if environment.rpo_s is not None
            else runbook.objectives.rpo.total_seconds(),
            starts_at=runbook.objectives.clock.starts_at,
            stops_after=room.stops(),
            detection_s=None if detection is None else detection.total_seconds(),
        )
        work = tuple(step for step in steps if not step.is_final)
        pricing = Pricing(steps=work, objectives=objectives, past=Past())
        forecast = pricing.forecast(has_steps=self.is_whole)
        types = room.types() if self.is_whole or self.source.included else room.known_types()
        used = {call.target for call in every if call.target}
        targets = {name: environment.targets[name] for name in sorted(used)}
        known = {name: one for name, one in targets.items() if one.kind != Target().kind}
        return Plan(
            drctl=__version__,
            created_at=now.wall.isoformat(timespec="seconds"),
            runbook=runbook.metadata.name,
            title=runbook.metadata.title,
            scenario=runbook.metadata.scenario or "",
            runbook_sha256=self.source.sha256,
            environment=environment.name,
            environment_sha256=environment.sha256,
            world=environment.world,
            protected=environment.protected,
            resolvers=environment.resolvers,
            inputs=dict(inputs),
            types=types,
            scopes=self._scopes(environment, inputs, types),
            objectives=objectives,
            targets=known,
            steps=steps,
            gates=self._gates(zip(walked, steps, strict=True)),
            people={
                name: PlannedPerson(**person.model_dump())
                for name, person in environment.people.items()
            },
            code={name: self.registry.code(name) for name in sorted({call.uses for call in every})},
            expires_after_s=environment.plan_expires_after_s,
            max_targets=environment.max_targets,
            pins=self._pins(known),
            lease=planned_lease(self.registry, environment, steps, targets),
            is_offline=True,
            forecast_s=forecast.p50_s,
            critical_path=pricing.critical_path(),
            forecast=forecast,
        )

    @property
    def _room(self) -> Room:
        return Room(scope="", source=self.source, registry=self.registry)

    def _scopes(
        self, environment: Environment, inputs: Mapping[str, Any], outermost: dict[str, str]
    ) -> dict[str, PlannedScope]:
        """Included runbooks, each with what is known of its inputs, outermost first."""
        known = {"": {f"inputs.{name}": value for name, value in inputs.items()}}
        types = {"": outermost}
        found = {}
        for room in self._room.rooms():
            known[room.scope] = known.get(room.scope, {}) | {"env.name": environment.name}
            if not room.scope:
                continue
            types[room.scope] = room.types()
            around = outer(room.scope)
            given = room.inputs(types[around], known[around])
            now = {name: value for name, value in given.items() if not has_marks(value)}
            known[room.scope] |= {f"inputs.{name}": value for name, value in now.items()}
            found[room.scope] = PlannedScope(
                runbook=room.runbook.metadata.name,
                sha256=room.source.sha256,
                inputs=given,
                types=types[room.scope],
            )
        return found

    def _gates(self, steps: Iterable[tuple[Walked, PlannedStep]]) -> dict[str, PlannedGate]:
        """The runbooks' gates, and one for each task that a person does: it names none itself."""
        gates: dict[str, PlannedGate] = {
            joined(room.scope, name): PlannedGate(
                title=gate.title,
                approvers=gate.approvers,
                quorum=gate.quorum,
                expires_s=gate.expires_after.total_seconds(),
                self_approval=gate.self_approval,
                reason_required=gate.reason_required,
            )
            for room in self._room.rooms()
            for name, gate in room.runbook.gates.items()
        }
        for (_room, step, _is_final), planned in steps:
            if planned.gate is not None and step.gate is None and step.timeout is not None:
                expires_s = step.timeout.total_seconds()
                # Who runs the recovery is often who does the task; to say so is not to judge it.
                gates[planned.gate] = PlannedGate(
                    title=step.label, expires_s=expires_s, self_approval=True
                )
        return gates

    def _step(
        self, room: Room, step: Step, environment: Environment, *, is_final: bool
    ) -> PlannedStep:
        runbook = room.runbook
        action = self.registry.get(step.uses) if step.uses else None
        is_task = action is not None and action.asks_person
        retry = step.retry
        timeout = step.timeout.total_seconds() if step.timeout else DEFAULT_TIMEOUT_S
        if step.gate:
            timeout = runbook.gates[step.gate].expires_after.total_seconds()
        call = None if is_task else _call(runbook, step.uses, step.target, step.with_, step.timeout)
        return PlannedStep(
            id=joined(room.scope, step.id),
            scope=room.scope,
            title=step.label,
            call=call,
            gate=_task(room, step)
            if is_task
            else (joined(room.scope, step.gate) if step.gate else None),
            effect=action.effect if action else Effect.READ,
            measures_loss=action.measures_loss if action else False,
            proves_one_primary=action.proves_one_primary if action else False,
            needs=room.needs(step, is_final=is_final),
            when=step.when,
            estimate_s=step.estimate.total_seconds() if step.estimate else 0.0,
            timeout_s=timeout,
            retry=Retry(
                attempts=retry.attempts,
                backoff_s=retry.backoff.total_seconds(),
                max_backoff_s=(retry.max_backoff or retry.backoff * 8).total_seconds(),
                on_errors=retry.on_errors,
            )
            if retry
            else _ONCE,
            until=step.until,
            every_s=step.every.total_seconds() if step.every else 1.0,
            verify=tuple(_of(runbook, check) for check in step.verify),
            undo=_of(runbook, step.undo) if step.undo else None,
            on_failure=step.on_failure,
            show=(*map(str, step.with_.values()), *step.show) if is_task else step.show,
            is_final=is_final,
            at=str(step.position),
            planes=_planes(action, call, environment),
            no_way_back=action.no_way_back if action is not None and call is not None else "",
        )

    def _pins(self, targets: Mapping[str, Target]) -> tuple[PlannedPin, ...]:
        found: dict[tuple[str, str, str], PlannedPin] = {}
        for name, target in targets.items():
            for pin in self.registry.pins:
                identity = pin.identity(target)
                if identity is None:
                    continue
                key = (identity.name, identity.subject, identity.expected)
                before = found[key].targets if key in found else ()
                found[key] = PlannedPin(
                    name=identity.name,
                    subject=identity.subject,
                    targets=(*before, name),
                    expected=identity.expected,
                    found=None,
                )
        return tuple(found.values())


def calls(step: PlannedStep) -> tuple[PlannedCall, ...]:
    """Every use of an action by a step: its own, its checks, its undo."""
    own = (step.call,) if step.call else ()
    undo = (step.undo,) if step.undo else ()
    return (*own, *step.verify, *undo)


def _planes(
    action: AnyAction | None, call: PlannedCall | None, environment: Environment
) -> tuple[str, ...]:
    """The planes of a step; none where nothing is known of its target."""
    if action is None or call is None:
        return ()
    target = environment.targets[call.target] if call.target else Target()
    is_known = not action.targets or isinstance(target, action.targets)
    return action.planes(target) if is_known else ()


def _task(room: Room, step: Step) -> str:
    """The gate of a person's task; no gate of a runbook can be called so."""
    return f"task:{joined(room.scope, step.id)}"


def _call(
    runbook: Runbook,
    uses: str | None,
    alias: str | None,
    with_: Mapping[str, Any],
    timeout: timedelta | None,
) -> PlannedCall | None:
    if uses is None:
        return None
    return PlannedCall(
        uses=uses,
        target=runbook.targets[alias] if alias else None,
        with_=dict(with_),
        timeout_s=timeout.total_seconds() if timeout else None,
    )


def _of(runbook: Runbook, call: Call) -> PlannedCall:
    made = _call(runbook, call.uses, call.target, call.with_, call.timeout)
    if made is None:
        raise AssertionError("unreachable")
    return made
