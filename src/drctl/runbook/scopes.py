"""What an expression may refer to, at each place of a runbook."""

import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from drctl.actions.registry import Registry
from drctl.kernel.ids import StepId
from drctl.kernel.text import did_you_mean
from drctl.runbook.expressions import Scope
from drctl.runbook.graph import ancestors
from drctl.runbook.include import INCLUDE
from drctl.runbook.models import InputSpec, Runbook, Step
from drctl.runbook.signatures import output_types
from drctl.runbook.values import CelType

EVERYWHERE: Mapping[str, CelType] = types.MappingProxyType(
    {
        "rto.budget": CelType("duration"),
        "rto.elapsed": CelType("duration"),
        "rto.remaining": CelType("duration"),
        "rto.forecast": CelType("duration"),
        "rpo.budget": CelType("duration"),
        "rpo.measured": CelType("duration"),
        "run.id": CelType("string"),
        "run.mode": CelType("string"),
        "run.operator": CelType("string"),
        "run.drill": CelType("bool"),
        "env.name": CelType("string"),
    }
)
"""Known at every step."""
AT_THE_END: Mapping[str, CelType] = types.MappingProxyType({"run.succeeded": CelType("bool")})
"""Known under ``finally`` only."""


_ANY: Mapping[str, CelType] = types.MappingProxyType({"outputs": CelType("dyn")})
"""What an action gives that is not installed."""


class Scopes:
    """
    The scope of each step of a runbook, sharing what they have in common.

    Args:
        inputs: ``None`` when they could not be read: anything may then be an input.
        steps: All steps in reading order, those of ``finally`` last.
        above: From `drctl.runbook.graph.ancestors`.
        final: Ids of the steps under ``finally``: to them every other step is an ancestor.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, InputSpec | None] | None,
        steps: Sequence[Step],
        above: Mapping[StepId, AbstractSet[StepId]],
        final: AbstractSet[StepId],
        registry: Registry,
    ) -> None:
        self._shared: dict[str, CelType] = dict(EVERYWHERE)
        if inputs is None:
            self._shared["inputs"] = CelType("dyn")
        for name, spec in (inputs or {}).items():
            self._shared[f"inputs.{name}"] = CelType(spec.type if spec else "dyn")
        # Of every action once, however many steps use it.
        outputs = {uses: _outputs(uses, registry) for uses in {step.uses for step in steps}}
        fields = {
            uses: {
                "status": CelType("string"),
                "attempts": CelType("int"),
                **{f"outputs.{name}": kind for name, kind in own.items()},
            }
            for uses, own in outputs.items()
        }
        own = {
            uses: {f"outputs.{name}": kind for name, kind in found.items()}
            for uses, found in outputs.items()
        }
        self._own = {step.id: own[step.uses] for step in steps}
        self._fields = {step.id: fields[step.uses] for step in steps}
        # Of an action that is not installed nothing is known; its outputs are no second mistake.
        missing = {uses for uses in outputs if uses != INCLUDE and not registry.get(uses or "")}
        self._opaque = {step.id for step in steps if step.uses in missing and not step.gate}
        self._ancestors = above
        self._final = final
        self._main = frozenset(self._fields) - final

    def at(self, step_id: StepId) -> Scope:
        """For what is read before a step runs: ``when``, ``with``, ``title``, ``show``."""
        return self._scope(step_id, (self._shared,))

    def after(self, step_id: StepId) -> Scope:
        """For ``until``, ``verify`` and ``undo`` of a step: its own ``outputs`` are there too."""
        own = _ANY if step_id in self._opaque else self._own[step_id]
        return self._scope(step_id, (self._shared, own))

    def _scope(self, step_id: StepId, shared: tuple[Mapping[str, CelType], ...]) -> Scope:
        visible = self._ancestors[step_id]
        has_own = any(shared[1:])
        if step_id in self._final:
            visible = visible | self._main
            shared += (AT_THE_END,)
        names = _Names(shared, visible, self._fields, self._opaque)
        return Scope(names, why_not=lambda name: self._why_not(name, step_id, visible, has_own))

    def _why_not(  # noqa: PLR0911 (one for each reason)
        self, name: str, step_id: StepId, visible: AbstractSet[StepId], has_own: bool
    ) -> tuple[str, str] | None:
        words = name.split(".")
        if name.startswith("run.succeeded"):
            return "DR1041", "run.succeeded is known under finally only"
        if words[0] == "each":
            return "DR1090", "each belongs to for_each, which is not in this version"
        if words[0] == "outputs" and not has_own:
            what = "outputs are the step's own, in until, verify and undo; write steps.<id>.outputs"
            return "DR1041", what
        if words[0] != "steps" or len(words) < 2:  # noqa: PLR2004 (steps.<id>)
            return None
        other, rest = StepId(words[1]), ".".join(words[2:])
        if other not in self._fields:
            near = did_you_mean(other, visible)
            return "DR1041", f'there is no step "{other}"{near}'
        if other == step_id:
            what = f"{name} is not known before {step_id} has run; in until and undo write outputs"
            return "DR1042", what
        if step_id in self._ancestors.get(other, ()) or (other in self._final):
            return "DR1042", f"{name} is not known here: {other} runs after {step_id}"
        if other not in visible:
            what = f"{name} is not known here: {step_id} does not wait for {other}; add it to needs"
            return "DR1042", what
        near = did_you_mean(rest, self._fields[other])
        return "DR1041", f'step "{other}" has no "{rest or "…"}"{near or self._known(other)}'

    def _known(self, step_id: StepId) -> str:
        return f"; it has {', '.join(sorted(self._fields[step_id]))}"


def scopes_of(runbook: Runbook, registry: Registry) -> Scopes:
    """The scopes of a checked runbook."""
    steps = (*runbook.steps, *runbook.finally_)
    return Scopes(
        inputs=runbook.inputs,
        steps=steps,
        above=ancestors({step.id: step.needs for step in steps}),
        final={step.id for step in runbook.finally_},
        registry=registry,
    )


class _Names(Mapping[str, CelType]):
    """What a step sees, looked up and never built: a thousand steps see each other's outputs."""

    def __init__(
        self,
        shared: Sequence[Mapping[str, CelType]],
        visible: AbstractSet[StepId],
        fields: Mapping[StepId, Mapping[str, CelType]],
        opaque: AbstractSet[StepId],
    ) -> None:
        self._shared, self._visible = shared, visible
        self._fields, self._opaque = fields, opaque

    def __getitem__(self, name: str) -> CelType:
        for shared in self._shared:
            if name in shared:
                return shared[name]
        root, _, rest = name.partition(".")
        step_id, _, field = rest.partition(".")
        if root != "steps" or StepId(step_id) not in self._visible:
            raise KeyError(name)
        if field == "outputs" and step_id in self._opaque:
            return CelType("dyn")
        return self._fields[StepId(step_id)][field]

    def __iter__(self) -> Iterator[str]:
        for shared in self._shared:
            yield from shared
        for step_id in sorted(self._visible):
            for field in self._fields[step_id]:
                yield f"steps.{step_id}.{field}"

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _outputs(uses: str | None, registry: Registry) -> dict[str, CelType]:
    action = registry.get(uses) if uses and uses != INCLUDE else None
    return output_types(action.outputs) if action else {}
